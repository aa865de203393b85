/** RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE: the bases of FS and GS at any privilege level (SDM vol. 2). */

import { CR4_FSGSBASE } from '../../x86/control-registers.ts'
import type { Assist, AssistCpu } from '../assist.ts'
import { Segment } from '../cpu-state.ts'
import { generalProtection, invalidOpcode } from '../fault.ts'
import * as S from '../state.ts'
import { isCanonicalBase } from './cpu-mode.ts'

const baseOf = (segment: number): number => S.SEGMENTS + segment * S.SEGMENT_STRIDE + S.SEGMENT_BASE

/** The instructions exist in 64-bit mode only, which is the decoder's business. */
function requireEnabled({ state }: AssistCpu): void {
  if (!(state.get32(S.CR4) & CR4_FSGSBASE)) throw invalidOpcode()
}

const read =
  (segment: number, wide: boolean): Assist =>
  (cpu, { register0 }) => {
    requireEnabled(cpu)
    const { state } = cpu
    if (wide) state.setGpr(register0, state.get64(baseOf(segment)))
    else state.setGpr32(register0, state.get32(baseOf(segment)))
  }

const write =
  (segment: number, wide: boolean): Assist =>
  (cpu, { register0 }) => {
    requireEnabled(cpu)
    const { state } = cpu
    const base = wide ? state.gpr(register0) : BigInt(state.gpr32(register0))
    if (!isCanonicalBase(cpu, base)) throw generalProtection()
    state.set64(baseOf(segment), base)
  }

export const segmentBaseAssists: Readonly<Record<string, Assist>> = {
  Rdfsbase_r32: read(Segment.FS, false),
  Rdfsbase_r64: read(Segment.FS, true),
  Rdgsbase_r32: read(Segment.GS, false),
  Rdgsbase_r64: read(Segment.GS, true),
  Wrfsbase_r32: write(Segment.FS, false),
  Wrfsbase_r64: write(Segment.FS, true),
  Wrgsbase_r32: write(Segment.GS, false),
  Wrgsbase_r64: write(Segment.GS, true),
}
