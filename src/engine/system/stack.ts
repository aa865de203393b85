/**
 * A stack as far transfers and event delivery use it: any number of pushes or pops is checked and translated before
 * the first byte or register changes.
 */

import { RIGHTS_DB, RIGHTS_EXPAND_DOWN, RIGHTS_UNUSABLE } from '../../x86/segment-rights.ts'
import type { AssistCpu } from '../assist.ts'
import { Segment, type SegmentCache } from '../cpu-state.ts'
import { stackFault } from '../fault.ts'
import { isCanonical, mode64 } from './cpu-mode.ts'

export const RSP = 4

export type StackWidth = 16 | 32 | 64
/** Bytes of one element. */
export type ElementSize = 2 | 4 | 8

/** What an instruction of an operand size pushes or pops. */
export const elementSize = (operandSize: 16 | 32 | 64): ElementSize =>
  operandSize === 64 ? 8 : operandSize === 32 ? 4 : 2

/** Width of the stack pointer with this SS outside 64-bit mode. */
export const stackWidth = (rights: number): StackWidth => (rights & RIGHTS_DB ? 32 : 16)

interface PendingPush {
  readonly address: bigint
  readonly size: ElementSize
  readonly value: bigint
}

export class Stack {
  readonly width: StackWidth
  /** Stack pointer after the pushes and pops so far; the register changes only with {@link commit}. */
  pointer: bigint
  readonly #cpu: AssistCpu
  readonly #segment: SegmentCache
  readonly #system: boolean
  readonly #faultCode: number
  readonly #pushes: PendingPush[] = []

  /**
   * @param system access with supervisor rights, for the stack of an inner ring
   * @param faultCode error code of #SS when the stack has no room
   */
  constructor(
    cpu: AssistCpu,
    segment: SegmentCache,
    width: StackWidth,
    pointer: bigint,
    system = false,
    faultCode = 0,
  ) {
    this.#cpu = cpu
    this.#segment = segment
    this.width = width
    this.pointer = BigInt.asUintN(width, pointer)
    this.#system = system
    this.#faultCode = faultCode
  }

  /** The stack in use, accessed with the rights of the current privilege level. */
  static current(cpu: AssistCpu, faultCode = 0): Stack {
    const segment = cpu.state.segment(Segment.SS)
    const width = mode64(cpu.state) ? 64 : stackWidth(segment.rights)
    return new Stack(cpu, segment, width, cpu.state.gpr(RSP), false, faultCode)
  }

  push(value: bigint, size: ElementSize): void {
    this.pointer = BigInt.asUintN(this.width, this.pointer - BigInt(size))
    const address = this.#linear(this.pointer, size)
    this.#cpu.memory.probeWrite(address, size, this.#system)
    this.#pushes.push({ address, size, value })
  }

  pop(size: ElementSize): bigint {
    const value = this.peek(0, size)
    this.skip(size)
    return value
  }

  /** Element `offset` bytes above the top. */
  peek(offset: number, size: ElementSize): bigint {
    const address = this.#linear(BigInt.asUintN(this.width, this.pointer + BigInt(offset)), size)
    const { memory } = this.#cpu
    if (size === 8) return memory.read64(address, this.#system)
    return BigInt(size === 4 ? memory.read32(address, this.#system) : memory.read16(address, this.#system))
  }

  skip(bytes: number): void {
    this.pointer = BigInt.asUintN(this.width, this.pointer + BigInt(bytes))
  }

  /** Checks that the top of the stack is writable, without pushing. */
  probeTop(size: ElementSize): void {
    this.#cpu.memory.probeWrite(this.#linear(this.pointer, size), size, this.#system)
  }

  /** Writes what was pushed. Every address was checked: nothing here faults. */
  flush(): void {
    const { memory } = this.#cpu
    for (const { address, size, value } of this.#pushes) {
      if (size === 8) memory.write64(address, value, this.#system)
      else if (size === 4) memory.write32(address, Number(value & 0xffffffffn), this.#system)
      else memory.write16(address, Number(value & 0xffffn), this.#system)
    }
    this.#pushes.length = 0
  }

  /** Loads the stack pointer: as many bits of RSP as the stack is wide. */
  commit(): void {
    setStackPointer(this.#cpu, this.width, this.pointer)
  }

  #linear(offset: bigint, size: number): bigint {
    const { base, limit, rights } = this.#segment
    if (this.width === 64) {
      const { state } = this.#cpu
      if (!isCanonical(state, offset) || !isCanonical(state, offset + BigInt(size - 1)))
        throw stackFault(this.#faultCode)
      return offset
    }
    const first = Number(offset)
    const last = first + size - 1
    const inside =
      rights & RIGHTS_EXPAND_DOWN ? first > limit && last <= (rights & RIGHTS_DB ? 0xffffffff : 0xffff) : last <= limit
    if (!inside || rights & RIGHTS_UNUSABLE) throw stackFault(this.#faultCode)
    return (base + offset) & 0xffffffffn
  }
}

export function setStackPointer(cpu: AssistCpu, width: StackWidth, pointer: bigint): void {
  if (width === 16) cpu.state.setGpr16(RSP, Number(pointer & 0xffffn))
  else if (width === 32) cpu.state.setGpr32(RSP, Number(pointer & 0xffffffffn))
  else cpu.state.setGpr(RSP, pointer)
}
