/** Which mode the processor is in, and the checks that many instructions share. */

import { CR0_PE, CR4_LA57, CR4_UMIP, EFER_LMA } from '../../x86/control-registers.ts'
import { RFLAGS_IOPL, RFLAGS_VM } from '../../x86/rflags.ts'
import { RIGHTS_L } from '../../x86/segment-rights.ts'
import type { AssistCpu } from '../assist.ts'
import { type CpuState, Segment } from '../cpu-state.ts'
import { generalProtection, invalidOpcode } from '../fault.ts'
import * as S from '../state.ts'

export const protectedMode = (state: CpuState): boolean => (state.get32(S.CR0) & CR0_PE) !== 0
export const virtual8086 = (state: CpuState): boolean => (state.get32(S.FLAG_SYSTEM) & RFLAGS_VM) !== 0
/** Real or virtual-8086 mode: a segment's base is its selector times 16, and no descriptor is read. */
export const paragraphMode = (state: CpuState): boolean => !protectedMode(state) || virtual8086(state)
export const longMode = (state: CpuState): boolean => (state.get32(S.EFER) & EFER_LMA) !== 0

const CS_RIGHTS = S.SEGMENTS + Segment.CS * S.SEGMENT_STRIDE + S.SEGMENT_RIGHTS

export const codeRights = (state: CpuState): number => state.get32(CS_RIGHTS)
export const mode64 = (state: CpuState): boolean => longMode(state) && (codeRights(state) & RIGHTS_L) !== 0
/** I/O privilege level, 0 to 3. */
export const ioPrivilege = (state: CpuState): number => (state.get32(S.FLAG_SYSTEM) & RFLAGS_IOPL) >> 12

/** #GP(0) outside privilege level 0; virtual-8086 mode runs at 3, real mode at 0. */
export function requireSupervisor(state: CpuState): void {
  if (state.cpl !== 0) throw generalProtection()
}

/** #GP(0) for SGDT, SIDT, SLDT, STR and SMSW outside privilege level 0 under CR4.UMIP (SDM vol. 3, 2.5). */
export function requireSystemInformation(state: CpuState): void {
  if (state.get32(S.CR4) & CR4_UMIP && state.cpl !== 0) throw generalProtection()
}

/** #UD where selectors have no descriptors. */
export function requireProtectedMode(state: CpuState): void {
  if (paragraphMode(state)) throw invalidOpcode()
}

const isSignExtended = (address: bigint, bits: number): boolean =>
  BigInt.asUintN(64, BigInt.asIntN(bits, address)) === address

/** Are the upper bits of a linear address all equal: 63:47, or 63:56 with 5-level paging (SDM vol. 1, 3.3.7.1)? */
export const isCanonical = (state: CpuState, address: bigint): boolean =>
  isSignExtended(address, (state.get32(S.CR4) & CR4_LA57) === 0 ? 48 : 57)

/**
 * The same for a base that a register keeps, and for instructions that drop translations: they go by the widest linear
 * address that the processor has, whether CR4.LA57 is set or not, as Intel's do (Linux, arch/x86/kvm/x86.h, comment of
 * is_noncanonical_address).
 */
export const isCanonicalBase = ({ model }: AssistCpu, address: bigint): boolean =>
  isSignExtended(address, model.linearAddressBits)
