/**
 * A vCPU as the predicates of stops see it, millions of times a second: words instead of bigints, memory read by a walk
 * that changes nothing. Valid while the predicate runs.
 */

import type { CpuState } from '../cpu-state.ts'
import type { PeekMemory } from '../mmu/peek.ts'
import type { RegisterFile, StopView } from '../processor.ts'
import * as S from '../state.ts'

const CR3_FRAME_LOW = 12

export class RunningView implements StopView {
  readonly index: number
  readonly registers: RegisterFile
  readonly #state: CpuState
  readonly #peek: PeekMemory
  readonly #count: () => number

  constructor(
    index: number,
    parts: {
      readonly registers: RegisterFile
      readonly state: CpuState
      readonly peek: PeekMemory
      /** Instructions retired. */
      count(): number
    },
  ) {
    this.index = index
    this.registers = parts.registers
    this.#state = parts.state
    this.#peek = parts.peek
    this.#count = parts.count
  }

  get cpl(): number {
    return this.#state.cpl
  }

  get count(): number {
    return this.#count()
  }

  low(register: number): number {
    return this.#state.memory.i32[(S.GPR + register * 8) >> 2]
  }

  high(register: number): number {
    return this.#state.memory.i32[(S.GPR + register * 8 + 4) >> 2]
  }

  get ripLow(): number {
    return this.#state.memory.i32[S.RIP >> 2]
  }

  get ripHigh(): number {
    return this.#state.memory.i32[(S.RIP >> 2) + 1]
  }

  get rootFrame(): number {
    const { u32 } = this.#state.memory
    return (u32[S.CR3 >> 2] >>> CR3_FRAME_LOW) + (u32[(S.CR3 >> 2) + 1] & 0xf_ffff) * 2 ** 20
  }

  read(low: number, high: number, bytes: 1 | 2 | 4): number | undefined {
    return this.#peek.read(low, high, bytes)
  }

  readBytes(linear: bigint, length: number): Uint8Array | undefined {
    return this.#peek.readBytes(linear, length)
  }
}
