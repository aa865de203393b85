/** Which mode the processor is in, and the checks that many instructions share. */

import { CR0_PE, EFER_LMA } from '../../x86/control-registers.ts'
import { RFLAGS_IOPL, RFLAGS_VM } from '../../x86/rflags.ts'
import { RIGHTS_L } from '../../x86/segment-rights.ts'
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

/** #UD where selectors have no descriptors. */
export function requireProtectedMode(state: CpuState): void {
  if (paragraphMode(state)) throw invalidOpcode()
}

/** Bits 63:47 all equal: 48-bit linear addresses, 4-level paging. */
export const isCanonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address
