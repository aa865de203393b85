/**
 * MONITOR and MWAIT (SDM vol. 2; vol. 3, 9.10.4). MWAIT is a hint: this processor goes on at once, which every program
 * must expect, and which a store by another vCPU can't be missed by. So nothing of the monitored line is kept.
 */

import type { Assist, AssistCpu, AssistInstruction } from '../assist.ts'
import { Segment } from '../cpu-state.ts'
import { generalProtection, invalidOpcode } from '../fault.ts'
import type { CpuidResult } from '../processor.ts'
import { checkSegmentAccess } from '../segment-check.ts'
import * as S from '../state.ts'
import { mode64 } from './cpu-mode.ts'
import { RAX, RCX } from './operand.ts'

const LINE_BYTES = 64
/** MWAIT with ECX bit 0: an interrupt ends the wait even while IF is clear. */
const BREAK_ON_INTERRUPT = 1

/** CPUID leaf 5: the size of a monitored line, and that there are extensions, of which one is the break on interrupts. */
export const MONITOR_LEAF: CpuidResult = { eax: LINE_BYTES, ebx: LINE_BYTES, ecx: 3, edx: 0 }

/** Not #GP but #UD in rings 1 to 3 and virtual-8086 mode. */
function requireRing0({ state }: AssistCpu): void {
  if (state.cpl !== 0) throw invalidOpcode()
}

/** Linear address of DS:rAX, or of another segment by prefix. */
function monitored(
  { state }: AssistCpu,
  { segment = Segment.DS }: AssistInstruction,
  addressSize: 16 | 32 | 64,
): bigint {
  const offset = BigInt.asUintN(addressSize, state.gpr(RAX))
  const cache = S.SEGMENTS + segment * S.SEGMENT_STRIDE
  const base = state.get64(cache + S.SEGMENT_BASE)
  if (mode64(state)) return BigInt.asUintN(64, offset + (segment >= Segment.FS ? base : 0n))
  checkSegmentAccess(state, cache, Number(offset), 1, false)
  return (base + offset) & 0xffff_ffffn
}

/** A byte load for segmentation and paging. */
const monitor =
  (addressSize: 16 | 32 | 64): Assist =>
  (cpu, instruction) => {
    requireRing0(cpu)
    const { state, memory } = cpu
    if (state.gpr32(RCX) !== 0) throw generalProtection()
    memory.read8(monitored(cpu, instruction, addressSize))
  }

const mwait: Assist = cpu => {
  requireRing0(cpu)
  if (cpu.state.gpr32(RCX) & ~BREAK_ON_INTERRUPT) throw generalProtection()
}

export const monitorAssists: Readonly<Record<string, Assist>> = {
  Monitorw: monitor(16),
  Monitord: monitor(32),
  Monitorq: monitor(64),
  Mwait: mwait,
}
