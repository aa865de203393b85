/** Data and I/O breakpoints of the debug registers (SDM vol. 3, 17.2.4 and 17.2.5). */

import { CR4_DE } from '../x86/control-registers.ts'
import type { CpuState } from './cpu-state.ts'
import * as S from './state.ts'

const DR7 = S.DR + 7 * 8
/** DR7: any of the four breakpoints enabled, locally or globally. */
const DR7_ENABLED = 0xff
/** R/W fields of DR7. */
const ON_WRITE = 1
const ON_PORT = 2
const ON_ACCESS = 3
/** Bytes by the LEN fields of DR7. */
const LENGTHS = [1, 2, 8, 4] as const

export interface DataBreakpoint {
  /** Bit of DR6. */
  readonly bit: number
  /** Linear address, a multiple of `bytes`: bits 31:0 unsigned, bits 63:32 signed. */
  readonly low: number
  readonly high: number
  readonly bytes: number
  /** Reads too, not only writes. */
  readonly reads: boolean
}

/** The data breakpoints that are enabled. */
export function dataBreakpoints(state: CpuState): readonly DataBreakpoint[] {
  const dr7 = state.get32(DR7)
  if ((dr7 & DR7_ENABLED) === 0) return NONE
  const found: DataBreakpoint[] = []
  for (let i = 0; i < 4; i++) {
    const kind = (dr7 >>> (16 + 4 * i)) & 3
    if (((dr7 >>> (2 * i)) & 3) === 0 || (kind !== ON_WRITE && kind !== ON_ACCESS)) continue
    const bytes = LENGTHS[(dr7 >>> (18 + 4 * i)) & 3]
    const at = S.DR + i * 8
    const low = (state.get32(at) & ~(bytes - 1)) >>> 0
    found.push({ bit: 1 << i, low, high: state.get32(at + 4) | 0, bytes, reads: kind === ON_ACCESS })
  }
  return found
}
const NONE: readonly DataBreakpoint[] = []

/** DR6 bits of those that an access meets; the address as in {@link DataBreakpoint}. */
export function breakpointsMet(
  breakpoints: readonly DataBreakpoint[],
  low: number,
  high: number,
  bytes: number,
  write: boolean,
): number {
  let met = 0
  for (const each of breakpoints)
    if ((write || each.reads) && each.high === high && low < each.low + each.bytes && each.low < low + bytes)
      met |= each.bit
  return met
}

/** DR6 bits of the I/O breakpoints that an access to a port meets; there are none without CR4.DE. */
export function portBreakpointsMet(state: CpuState, port: number, size: number): number {
  const dr7 = state.get32(DR7)
  if ((dr7 & DR7_ENABLED) === 0 || (state.get32(S.CR4) & CR4_DE) === 0) return 0
  let met = 0
  for (let i = 0; i < 4; i++) {
    if (((dr7 >>> (2 * i)) & 3) === 0 || ((dr7 >>> (16 + 4 * i)) & 3) !== ON_PORT) continue
    const bytes = LENGTHS[(dr7 >>> (18 + 4 * i)) & 3]
    const first = (state.get32(S.DR + i * 8) & ~(bytes - 1)) >>> 0
    if (first < port + size && port < first + bytes) met |= 1 << i
  }
  return met
}
