/** The decoded record as an assist sees it ({@link AssistInstruction}); one object, moved from record to record. */

import type { AssistInstruction } from './assist.ts'
import { type CpuState, Segment, type SegmentIndex } from './cpu-state.ts'
import * as R from './decoder/record.ts'
import type { HostMemory } from './host-memory.ts'
import { checkSegmentAccess } from './segment-check.ts'
import * as S from './state.ts'

const SIZES = [16, 32, 64] as const
const LOW_32 = 0xffff_ffffn
const FS = S.SEGMENTS + Segment.FS * S.SEGMENT_STRIDE

export class AssistView implements AssistInstruction {
  readonly #memory: HostMemory
  readonly #state: CpuState
  #record = 0
  #blockRip = 0n
  #long = false
  /** Of the memory operand in its segment; undefined in 64-bit mode, which has no limits. */
  #offset: number | undefined
  #address = 0n
  #located = false

  constructor(memory: HostMemory, state: CpuState) {
    this.#memory = memory
    this.#state = state
  }

  at(record: number, blockRip: bigint, long: boolean): this {
    this.#record = record
    this.#located = false
    this.#blockRip = blockRip
    this.#long = long
    return this
  }

  /** Number of the assist. */
  get assist(): number {
    return this.#memory.u16[(this.#record + R.ASSIST) >> 1] & 0x7fff
  }

  /** Checked when it is asked for first: what an assist refuses before, such as #NM, comes before a segment fault. */
  get address(): bigint {
    if (!this.#located) this.#locate(this.#state)
    return this.#address
  }

  /** Computes {@link address}, and checks the segment's limit and rights. */
  #locate(state: CpuState, extra = 0n): void {
    const { u16, u8, i32 } = this.#memory
    const record = this.#record
    const register = (field: number) => state.get64(u16[(record + field) >> 1])
    const offset =
      register(R.BASE) +
      (register(R.INDEX) << BigInt(u8[record + R.SCALE])) +
      BigInt(i32[(record + R.DISPLACEMENT) >> 2]) +
      extra
    const segment = u16[(record + R.SEGMENT) >> 1]
    const base = () => state.get64(segment + S.SEGMENT_BASE)
    const { AddressKind } = R
    this.#offset = undefined
    this.#located = true
    switch (u8[record + R.ADDRESS_KIND]) {
      case AddressKind.plain64:
        this.#address = BigInt.asUintN(64, offset)
        return
      case AddressKind.based64:
        this.#address = BigInt.asUintN(64, offset + base())
        return
      case AddressKind.narrow64:
        this.#address = BigInt.asUintN(64, (offset & LOW_32) + (segment >= FS ? base() : 0n))
        return
      case AddressKind.flat32:
        this.#address = offset & LOW_32
        this.#offset = Number(this.#address)
        return
      case AddressKind.flat16:
        this.#address = offset & 0xffffn
        this.#offset = Number(this.#address)
        return
      case AddressKind.checked32:
        this.#checked(state, segment, offset & LOW_32)
        return
      default:
        this.#checked(state, segment, offset & 0xffffn)
    }
  }

  #checked(state: CpuState, segment: number, offset: bigint): void {
    const bytes = this.#memory.u8[this.#record + R.ACCESS_SIZE]
    const writes = (this.#memory.u16[(this.#record + R.ASSIST) >> 1] & 0x8000) !== 0
    this.#offset = Number(offset)
    if (bytes > 0) checkSegmentAccess(state, segment, this.#offset, bytes, writes)
    this.#address = (state.get64(segment + S.SEGMENT_BASE) + offset) & LOW_32
  }

  checkSegment(state: CpuState, bytes: number, write: boolean, flush = false): void {
    if (this.hasMemory && !this.#located) this.#locate(state)
    if (!this.hasMemory || this.#offset === undefined) return
    checkSegmentAccess(state, this.#memory.u16[(this.#record + R.SEGMENT) >> 1], this.#offset, bytes, write, flush)
  }

  addressAt(state: CpuState, offset: bigint, bytes: number, write: boolean): bigint {
    this.#locate(state, offset)
    this.checkSegment(state, bytes, write)
    return this.address
  }

  get scale(): number {
    return 1 << this.#memory.u8[this.#record + R.SCALE]
  }

  get #attributes(): number {
    return this.#memory.u8[this.#record + R.ATTRIBUTES]
  }
  get operandSize(): 16 | 32 | 64 {
    return SIZES[this.#attributes & 3]
  }
  get addressSize(): 16 | 32 | 64 {
    return SIZES[(this.#attributes >> 2) & 3]
  }
  get repeat(): 0 | 1 | 2 {
    const repeat = (this.#attributes >> 4) & 3
    return repeat === 1 || repeat === 2 ? repeat : 0
  }
  get hasMemory(): boolean {
    return (this.#attributes & 0x40) !== 0
  }
  get length(): number {
    return this.#memory.u8[this.#record + R.LENGTH]
  }
  get rip(): bigint {
    return this.#wrap(this.#blockRip + BigInt(this.#memory.u16[(this.#record + R.RIP_OFFSET) >> 1]))
  }
  get nextRip(): bigint {
    return this.#wrap(this.rip + BigInt(this.length))
  }
  #wrap(rip: bigint): bigint {
    return this.#long ? BigInt.asUintN(64, rip) : rip & LOW_32
  }
  get immediate(): bigint {
    return this.isFarPointer
      ? this.#memory.view.getBigUint64(this.#record + R.WIDE, true)
      : BigInt(this.#memory.i32[(this.#record + R.IMMEDIATE) >> 2])
  }
  /** Far pointers take the room of displacement and immediate; the slot of the scale marks them. */
  get isFarPointer(): boolean {
    return this.#memory.u8[this.#record + R.ADDRESS_KIND] === R.FAR_POINTER
  }
  get segment(): SegmentIndex {
    const index = (this.#memory.u16[(this.#record + R.SEGMENT) >> 1] - S.SEGMENTS) / S.SEGMENT_STRIDE
    switch (index) {
      case 0:
      case 1:
      case 2:
      case 4:
      case 5:
        return index
      default:
        return Segment.DS
    }
  }
  register(operand: 0 | 1 | 2): number {
    return this.#memory.u16[(this.#record + R.OPERAND[operand]) >> 1]
  }
  get register0(): number {
    return this.#memory.u16[(this.#record + R.OPERAND[0]) >> 1]
  }
  get register1(): number {
    return this.#memory.u16[(this.#record + R.OPERAND[1]) >> 1]
  }
}
