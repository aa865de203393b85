/** Typed access to the running vCPU's architectural state in linear memory (`state.ts`), for TypeScript. */

import { RFLAGS_ARITHMETIC, RFLAGS_RESERVED_1 } from '../x86/rflags.ts'
import type { HostMemory } from './host-memory.ts'
import * as S from './state.ts'

/** Index of a segment cache in {@link S.SEGMENTS}: encoding order, then LDTR and TR. */
export const Segment = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const
export type SegmentIndex = (typeof Segment)[keyof typeof Segment]

/** One segment register with its hidden part. `rights` has the VMCS format ({@link S.SEGMENT_RIGHTS}). */
export interface SegmentCache {
  selector: number
  base: bigint
  /** In bytes, granularity applied. */
  limit: number
  rights: number
}

export class CpuState {
  readonly memory: HostMemory

  constructor(memory: HostMemory) {
    this.memory = memory
  }

  get64(at: number): bigint {
    return this.memory.u64[at >> 3]
  }
  set64(at: number, value: bigint): void {
    this.memory.u64[at >> 3] = value
  }
  get32(at: number): number {
    return this.memory.u32[at >> 2]
  }
  set32(at: number, value: number): void {
    this.memory.u32[at >> 2] = value
  }

  /** General register `index` (0 RAX, 1 RCX, 2 RDX, 3 RBX, 4 RSP, 5 RBP, 6 RSI, 7 RDI, 8-15), all 64 bits. */
  gpr(index: number): bigint {
    return this.memory.u64[(S.GPR >> 3) + index]
  }
  setGpr(index: number, value: bigint): void {
    this.memory.u64[(S.GPR >> 3) + index] = value
  }
  /** Low 32 bits of a general register. */
  gpr32(index: number): number {
    return this.memory.u32[(S.GPR >> 2) + index * 2]
  }
  /** Writes 32 bits as 64-bit mode does: the upper half becomes zero. */
  setGpr32(index: number, value: number): void {
    this.memory.u32[(S.GPR >> 2) + index * 2] = value
    this.memory.u32[(S.GPR >> 2) + index * 2 + 1] = 0
  }
  /** Writes the low 16 bits and keeps the rest. */
  setGpr16(index: number, value: number): void {
    this.memory.u16[(S.GPR >> 1) + index * 4] = value
  }

  get rip(): bigint {
    return this.get64(S.RIP)
  }
  set rip(value: bigint) {
    this.set64(S.RIP, value)
  }

  /** RFLAGS as PUSHFQ shows it in ring 0, RF and VM included. */
  get rflags(): number {
    const m = this.memory
    const lo = m.i32[S.FLAG_RESULT >> 2]
    const hi = m.i32[(S.FLAG_RESULT >> 2) + 1]
    const xorLo = m.i32[S.FLAG_XOR >> 2]
    const xorHi = m.i32[(S.FLAG_XOR >> 2) + 1]
    const carry = m.i32[S.FLAG_CARRY >> 2]
    const cf = carry & 1
    let parity = lo & 0xff
    parity ^= parity >> 4
    parity ^= parity >> 2
    parity ^= parity >> 1
    const pf = (~parity & 1) ^ ((carry >> 2) & 1)
    const af = ((lo ^ xorLo) >> 4) & 1
    const zf = (lo | hi) === 0 ? 1 : 0
    const sf = (hi >>> 31) ^ ((carry >> 7) & 1)
    const of = cf ^ ((hi ^ xorHi) >>> 31)
    return (
      (m.i32[S.FLAG_SYSTEM >> 2] |
        RFLAGS_RESERVED_1 |
        cf |
        (pf << 2) |
        (af << 4) |
        (zf << 6) |
        (sf << 7) |
        (of << 11)) >>>
      0
    )
  }

  set rflags(value: number) {
    const m = this.memory
    const cf = value & 1
    const pf = (value >> 2) & 1
    const af = (value >> 4) & 1
    const zf = (value >> 6) & 1
    const sf = (value >> 7) & 1
    const of = (value >> 11) & 1
    // A result that has ZF, and SF and PF where it can; FLAG_CARRY's inversions give the rest.
    const resultHi = zf ? 0 : sf ? -1 << 31 : 0
    const resultLo = zf ? 0 : pf ? 3 : 1
    const derivedPf = zf ? 1 : pf
    const derivedSf = zf ? 0 : sf
    m.i32[S.FLAG_RESULT >> 2] = resultLo
    m.i32[(S.FLAG_RESULT >> 2) + 1] = resultHi
    m.i32[S.FLAG_XOR >> 2] = resultLo ^ (af << 4)
    m.i32[(S.FLAG_XOR >> 2) + 1] = resultHi ^ ((of ^ cf) << 31)
    m.i32[S.FLAG_CARRY >> 2] = cf | ((derivedPf ^ pf) << 2) | ((derivedSf ^ sf) << 7)
    m.i32[S.FLAG_SYSTEM >> 2] = (value & ~RFLAGS_ARITHMETIC) | RFLAGS_RESERVED_1
  }

  segment(index: SegmentIndex): SegmentCache {
    const at = S.SEGMENTS + index * S.SEGMENT_STRIDE
    return {
      selector: this.get32(at + S.SEGMENT_SELECTOR),
      base: this.get64(at + S.SEGMENT_BASE),
      limit: this.get32(at + S.SEGMENT_LIMIT),
      rights: this.get32(at + S.SEGMENT_RIGHTS),
    }
  }

  setSegment(index: SegmentIndex, cache: SegmentCache): void {
    const at = S.SEGMENTS + index * S.SEGMENT_STRIDE
    this.set32(at + S.SEGMENT_SELECTOR, cache.selector)
    this.set64(at + S.SEGMENT_BASE, cache.base)
    this.set32(at + S.SEGMENT_LIMIT, cache.limit)
    this.set32(at + S.SEGMENT_RIGHTS, cache.rights)
  }

  get cpl(): number {
    return this.get32(S.CPL)
  }
  set cpl(value: number) {
    this.set32(S.CPL, value)
  }
}
