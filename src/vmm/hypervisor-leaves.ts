/** The leaves of CPUID that are the hypervisor's: where guests learn what it offers. */

import type { CpuidResult } from '../engine/processor.ts'
import { TSC_KHZ } from '../engine/system/cpuid.ts'
import { HYPERCALL_MASK } from './hypercalls.ts'

const FIRST = 0x4000_0000
const HYPERCALLS = FIRST + 1
/** Frequencies, where VMware and others have them too; Linux reads it from hypervisors that it knows. */
const TIMING = FIRST + 0x10

/** In EBX, ECX and EDX of the first leaf. */
export const HYPERVISOR_SIGNATURE = 'RingsideVMM '

const NOTHING: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 }

/** undefined for a leaf that is the processor's. */
export function hypervisorLeaf(leaf: number): CpuidResult | undefined {
  switch (leaf >>> 0) {
    case FIRST:
      return { eax: TIMING, ebx: characters(0), ecx: characters(4), edx: characters(8) }
    case HYPERCALLS:
      return { ...NOTHING, eax: HYPERCALL_MASK }
    case TIMING:
      return { ...NOTHING, eax: TSC_KHZ, ebx: TSC_KHZ }
    default:
      return undefined
  }
}

const characters = (at: number): number => Buffer.from(HYPERVISOR_SIGNATURE, 'latin1').readUInt32LE(at)
