/** In which mode a vCPU is: what decides how code is decoded and how addresses are translated. */

import { CR0_PE, CR0_PG, CR4_LA57, CR4_PAE, CR4_PCIDE, EFER_LMA } from '../x86/control-registers.ts'
import { RFLAGS_IF, RFLAGS_VM } from '../x86/rflags.ts'
import { RIGHTS_DB, RIGHTS_L } from '../x86/segment-rights.ts'
import { isSet } from './control-bits.ts'
import type { VcpuView } from './machine-view.ts'

export type ExecutionMode =
  | 'real'
  | 'virtual-8086'
  | '16-bit protected'
  | '32-bit protected'
  | 'compatibility'
  | '64-bit'
export type PagingMode = 'no paging' | '32-bit paging' | 'PAE paging' | '4-level paging' | '5-level paging'

export interface CpuMode {
  readonly mode: ExecutionMode
  /** Default operand and address size: how the code at RIP is decoded. */
  readonly codeBits: 16 | 32 | 64
  readonly paging: PagingMode
  readonly cpl: number
  /** undefined unless CR4.PCIDE is set. */
  readonly pcid: number | undefined
  readonly interruptsEnabled: boolean
  /** `64-bit, CPL 0, 4-level paging, PCID 3, IF=1` */
  readonly summary: string
}

/** Modes of operation: SDM vol. 3, 2.2 and 4.1.1. */
export function cpuMode(vcpu: VcpuView): CpuMode {
  const rflags = vcpu.register('rflags')
  const { mode, codeBits } = executionMode(vcpu, rflags)
  const paging = pagingMode(vcpu)
  const pcidUsed = paging.endsWith('level paging') && isSet(vcpu.register('cr4'), CR4_PCIDE)
  const pcid = pcidUsed ? Number(vcpu.register('cr3') & 0xfffn) : undefined
  const interruptsEnabled = isSet(rflags, RFLAGS_IF)
  const name = mode === 'real' || mode === 'compatibility' ? `${codeBits}-bit ${mode}` : mode
  const parts = [name, `CPL ${vcpu.cpl}`, paging]
  if (pcid !== undefined) parts.push(`PCID ${pcid}`)
  parts.push(`IF=${interruptsEnabled ? 1 : 0}`)
  return { mode, codeBits, paging, cpl: vcpu.cpl, pcid, interruptsEnabled, summary: parts.join(', ') }
}

export function pagingMode(vcpu: VcpuView): PagingMode {
  if (!isSet(vcpu.register('cr0'), CR0_PG)) return 'no paging'
  const cr4 = vcpu.register('cr4')
  if (isSet(vcpu.register('efer'), EFER_LMA)) return isSet(cr4, CR4_LA57) ? '5-level paging' : '4-level paging'
  return isSet(cr4, CR4_PAE) ? 'PAE paging' : '32-bit paging'
}

/**
 * Linear address of the next instruction: outside 64-bit mode the base of CS counts (SDM vol. 3, 3.4.4).
 * Linear addresses have 32 bits there.
 */
export function instructionPointer(vcpu: VcpuView): bigint {
  const rip = vcpu.register('rip')
  return cpuMode(vcpu).mode === '64-bit' ? rip : BigInt.asUintN(32, codeBase(vcpu) + rip)
}

/** What is added to RIP to get a linear address. */
export function codeBase(vcpu: VcpuView): bigint {
  return cpuMode(vcpu).mode === '64-bit' ? 0n : vcpu.segment('cs').base
}

/** Linear address of the top of the stack; its segment's base does not count in 64-bit mode. */
export function stackPointer(vcpu: VcpuView): bigint {
  const rsp = vcpu.register('rsp')
  if (cpuMode(vcpu).mode === '64-bit') return rsp
  const ss = vcpu.segment('ss')
  return BigInt.asUintN(32, ss.base + BigInt.asUintN((ss.rights & RIGHTS_DB) !== 0 ? 32 : 16, rsp))
}

function executionMode(vcpu: VcpuView, rflags: bigint): { mode: ExecutionMode; codeBits: 16 | 32 | 64 } {
  const rights = vcpu.segment('cs').rights
  const segmentBits = (rights & RIGHTS_DB) !== 0 ? 32 : 16
  // The D bit that CS cached in protected mode goes on to work in real mode ("unreal" mode).
  if (!isSet(vcpu.register('cr0'), CR0_PE)) return { mode: 'real', codeBits: segmentBits }
  if (isSet(vcpu.register('efer'), EFER_LMA)) {
    if ((rights & RIGHTS_L) !== 0) return { mode: '64-bit', codeBits: 64 }
    return { mode: 'compatibility', codeBits: segmentBits }
  }
  if (isSet(rflags, RFLAGS_VM)) return { mode: 'virtual-8086', codeBits: 16 }
  return { mode: segmentBits === 32 ? '32-bit protected' : '16-bit protected', codeBits: segmentBits }
}
