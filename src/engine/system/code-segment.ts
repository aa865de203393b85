/** What every transfer to another code segment has in common: checks of the target, and installing it. */

import { isCode, isConformingCode, isPresent } from '../../x86/descriptor.ts'
import { RIGHTS_DB, RIGHTS_L } from '../../x86/segment-rights.ts'
import type { AssistCpu } from '../assist.ts'
import { Segment, type SegmentCache } from '../cpu-state.ts'
import { GuestFault, generalProtection } from '../fault.ts'
import { isCanonical, longMode } from './cpu-mode.ts'
import { cacheOf, loadDescriptor, selectorGeneralProtection, type TableDescriptor } from './descriptors.ts'

const VECTOR_NOT_PRESENT = 11

/** A fault whose error code names a selector; `ext` is 1 when an event outside the program was being delivered. */
export const selectorFault = (vector: number, selector: number, ext = 0): GuestFault =>
  new GuestFault(vector, (selector & 0xfffc) | ext)

/** Is the segment with these rights 64-bit code? */
export const is64BitCode = (cpu: AssistCpu, rights: number): boolean => longMode(cpu.state) && (rights & RIGHTS_L) !== 0

/** L and D together are reserved (SDM vol. 3, 5.2.1). */
export function requireCodeSize(cpu: AssistCpu, descriptor: TableDescriptor): void {
  const both = RIGHTS_L | RIGHTS_DB
  if (longMode(cpu.state) && (descriptor.rights & both) === both) throw selectorGeneralProtection(descriptor.selector)
}

export function requireCodePresent(descriptor: TableDescriptor, ext = 0): void {
  if (!isPresent(descriptor.rights)) throw selectorFault(VECTOR_NOT_PRESENT, descriptor.selector, ext)
}

/** Checks of a far JMP or CALL straight to a code segment (SDM vol. 3, 5.8.1). */
export function checkDirectTarget(cpu: AssistCpu, descriptor: TableDescriptor): void {
  const { rights, dpl, selector } = descriptor
  const { cpl } = cpu.state
  const fault = selectorGeneralProtection(selector)
  if (!isCode(rights)) throw fault
  if (isConformingCode(rights) ? dpl > cpl : (selector & 3) > cpl || dpl !== cpl) throw fault
  requireCodeSize(cpu, descriptor)
  requireCodePresent(descriptor)
}

/** Checks of RETF and IRET on the code segment they go to (SDM vol. 3, 5.8.6). */
export function checkReturnTarget(cpu: AssistCpu, descriptor: TableDescriptor): void {
  const { rights, dpl, selector } = descriptor
  const rpl = selector & 3
  const fault = selectorGeneralProtection(selector)
  if (!isCode(rights) || rpl < cpu.state.cpl) throw fault
  if (isConformingCode(rights) ? dpl > rpl : dpl !== rpl) throw fault
  requireCodeSize(cpu, descriptor)
  requireCodePresent(descriptor)
}

/** #GP(0) unless the offset lies in the segment: canonical in 64-bit code, within the limit elsewhere. */
export function checkOffset(cpu: AssistCpu, segment: SegmentCache, offset: bigint, ext = 0): void {
  const inside = is64BitCode(cpu, segment.rights) ? isCanonical(cpu.state, offset) : offset <= BigInt(segment.limit)
  if (!inside) throw generalProtection(ext)
}

/**
 * The CS cache for a target at `offset`, which must lie in the segment; its accessed bit is set in memory.
 * @param cpl RPL of the selector that CS will show
 */
export function loadCode(
  cpu: AssistCpu,
  descriptor: TableDescriptor,
  cpl: number,
  offset: bigint,
  ext = 0,
): SegmentCache {
  checkOffset(cpu, cacheOf(descriptor), offset, ext)
  return loadDescriptor(cpu, descriptor, (descriptor.selector & 0xfffc) | cpl)
}

/** Commits CS, RIP and CPL; the caller has installed SS and the flags, and has nothing left to check. */
export function enterCode(cpu: AssistCpu, segment: SegmentCache, rip: bigint, cpl: number): void {
  cpu.state.setSegment(Segment.CS, segment)
  cpu.state.rip = rip
  cpu.state.cpl = cpl
  cpu.contextChanged()
}
