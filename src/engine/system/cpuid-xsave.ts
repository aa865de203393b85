/** CPUID leaf Dh: what extended state there is, and where areas keep it (SDM vol. 1, 13.2; vol. 2, CPUID). */

import type { CpuModel } from '../cpu-model.ts'
import type { CpuidResult } from '../processor.ts'
import { compactedSize, EXTENDED_COMPONENTS, standardSize } from './xsave/components.ts'

const NOTHING: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 }

/** @param xcr0 of the processor that asks: sizes follow the components that it has enabled */
export function xsaveLeaf(subleaf: number, model: CpuModel, xcr0: number): CpuidResult {
  const supported = model.xcr0Allowed
  if (supported === 0) return NOTHING
  if (subleaf === 0) return { eax: supported, ebx: standardSize(xcr0), ecx: standardSize(supported), edx: 0 }
  if (subleaf === 1) {
    const ebx = model.has('xsavec') ? compactedSize(xcr0) : 0
    return { ...NOTHING, eax: model.cpuidBits('d.1.eax'), ebx }
  }
  const component = EXTENDED_COMPONENTS.find(each => each.bit === 2 ** subleaf)
  if (component === undefined || !(supported & component.bit)) return NOTHING
  // ECX: neither a component of IA32_XSS nor one that compacted areas align.
  return { ...NOTHING, eax: component.size, ebx: component.offset }
}
