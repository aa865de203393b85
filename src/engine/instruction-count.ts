/**
 * The exact count of retired instructions, kept by a budget: generated code takes a block's instructions from the budget
 * when it enters the block, so the count is the difference, less what of the running block has not retired.
 */

import { NANOSECONDS_PER_INSTRUCTION, type VirtualClock } from '../util/virtual-clock.ts'
import * as R from './decoder/record.ts'
import type { HostMemory } from './host-memory.ts'
import * as S from './state.ts'

export class InstructionCount {
  readonly #memory: HostMemory
  readonly #clock: VirtualClock
  readonly #tsc: () => bigint
  /** Count and budget at the last {@link start} or {@link stop}. */
  #count = 0
  #budget = 0

  /** @param tsc time-stamp counter at the clock's count */
  constructor(memory: HostMemory, clock: VirtualClock, tsc: () => bigint) {
    this.#memory = memory
    this.#clock = clock
    this.#tsc = tsc
  }

  /** Gives generated code a budget of instructions. */
  start(budget: number): void {
    this.#memory.i32[S.BUDGET >> 2] = budget
    this.#count = this.#clock.count
    this.#budget = budget
    this.#memory.u64[S.TSC_LIMIT >> 3] = BigInt.asUintN(64, this.#tsc() + BigInt(budget * NANOSECONDS_PER_INSTRUCTION))
  }

  /** Brings the clock up to date, between instructions. */
  stop(): void {
    this.#clock.count = this.exact
    this.#count = this.#clock.count
    this.#budget = this.#memory.i32[S.BUDGET >> 2]
  }

  /** Instructions retired, between instructions; in a block, as if all of it had. */
  get exact(): number {
    return this.#count + this.#budget - this.#memory.i32[S.BUDGET >> 2]
  }

  /** Makes the clock exact in the middle of a block, at the instruction of a record. */
  synchronize(record: number): void {
    this.#clock.count = this.exact - this.#unretired(record)
  }

  /** Puts back into the budget what a block will not retire: all from a record on, or all after it. */
  giveBack(record: number, retired: boolean): void {
    this.#memory.i32[S.BUDGET >> 2] += this.#unretired(record) - (retired ? 1 : 0)
  }

  /** Instructions of the running block from the record's on. */
  #unretired(record: number): number {
    const slot = this.#memory.u8[record + R.SLOT]
    const header = record - (slot + 1) * R.RECORD_SIZE
    return this.#memory.i32[(header + R.BLOCK_COUNT) >> 2] - slot
  }
}
