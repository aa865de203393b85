/** The stack of an inner ring, found in the TSS: for call gates, interrupts and exceptions (SDM vol. 3, 5.8.5, 6.14.4). */

import { isNullSelector, isPresent, isWritableData } from '../../x86/descriptor.ts'
import type { AssistCpu } from '../assist.ts'
import { Segment, type SegmentCache } from '../cpu-state.ts'
import { GuestFault, stackFault } from '../fault.ts'
import * as S from '../state.ts'
import { selectorFault } from './code-segment.ts'
import { isCanonical } from './cpu-mode.ts'
import { loadDescriptor, readDescriptor, tableAddress } from './descriptors.ts'
import { Stack, stackWidth } from './stack.ts'

const VECTOR_INVALID_TSS = 10
const VECTOR_STACK = 12

const TR = S.SEGMENTS + Segment.TR * S.SEGMENT_STRIDE

/** Linear address of `bytes` bytes at `offset` of the current TSS; #TS when they are past its limit. */
function tssField(cpu: AssistCpu, offset: number, bytes: number, ext: number): bigint {
  const { state } = cpu
  if (offset + bytes - 1 > state.get32(TR + S.SEGMENT_LIMIT))
    throw new GuestFault(VECTOR_INVALID_TSS, (state.get32(TR + S.SEGMENT_SELECTOR) & 0xfffc) | ext)
  return tableAddress(cpu, state.get64(TR + S.SEGMENT_BASE), offset)
}

export interface InnerStack {
  readonly stack: Stack
  /** Cache for SS. */
  readonly segment: SegmentCache
}

/** The stack for ring `dpl` outside long mode: SS and ESP from a 16-bit or 32-bit TSS, with all checks. */
export function innerStack(cpu: AssistCpu, dpl: number, ext = 0): InnerStack {
  const wide = (cpu.state.get32(TR + S.SEGMENT_RIGHTS) & 8) !== 0
  const address = wide ? tssField(cpu, 4 + 8 * dpl, 6, ext) : tssField(cpu, 2 + 4 * dpl, 4, ext)
  const pointer = wide ? cpu.memory.read32(address, true) : cpu.memory.read16(address, true)
  const selector = cpu.memory.read16(address + (wide ? 4n : 2n), true)
  const invalid = () => selectorFault(VECTOR_INVALID_TSS, selector, ext)
  if (isNullSelector(selector)) throw invalid()
  const descriptor = readDescriptor(cpu, selector, invalid)
  if ((selector & 3) !== dpl || descriptor.dpl !== dpl || !isWritableData(descriptor.rights)) throw invalid()
  if (!isPresent(descriptor.rights)) throw selectorFault(VECTOR_STACK, selector, ext)
  const segment = loadDescriptor(cpu, descriptor, selector)
  const width = stackWidth(segment.rights)
  return {
    stack: new Stack(cpu, segment, width, BigInt(pointer), dpl < 3, (selector & 0xfffc) | ext),
    segment,
  }
}

/** RSP for ring `dpl` from a 64-bit TSS; #SS when it isn't canonical. */
export const ringStackPointer = (cpu: AssistCpu, dpl: number, ext = 0): bigint => tssPointer(cpu, 4 + 8 * dpl, ext)

/** RSP of entry `ist` (1 to 7) of the interrupt stack table (SDM vol. 3, 6.14.5). */
export const interruptStackPointer = (cpu: AssistCpu, ist: number, ext = 0): bigint =>
  tssPointer(cpu, 36 + 8 * (ist - 1), ext)

function tssPointer(cpu: AssistCpu, offset: number, ext: number): bigint {
  const pointer = cpu.memory.read64(tssField(cpu, offset, 8, ext), true)
  if (!isCanonical(cpu.state, pointer)) throw stackFault(ext)
  return pointer
}
