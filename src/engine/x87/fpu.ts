/** The x87 FPU of one vCPU while one instruction executes: its register stack, words and exceptions. SDM vol. 1, 8.1. */

import { CR0_EM, CR0_TS } from '../../x86/control-registers.ts'
import type { AssistCpu, AssistInstruction } from '../assist.ts'
import { type CpuState, Segment } from '../cpu-state.ts'
import { deviceNotAvailable, GuestFault, x87FloatingPoint } from '../fault.ts'
import {
  FLAG_INVALID,
  FLAG_OVERFLOW,
  FLAG_PRECISION,
  FLAG_UNDERFLOW,
  FLAGS_ALL,
  FLAGS_PRE_COMPUTATION,
  type FloatEnvironment,
  roundingMode,
} from '../float/environment.ts'
import { DEFAULT_NAN, type Float80, pack80, type Unpacked, unpack80 } from '../float/format.ts'
import * as S from '../state.ts'

/** Status word bits. SDM vol. 1, figure 8-4. */
export const STATUS_STACK_FAULT = 1 << 6
export const STATUS_ERROR_SUMMARY = 1 << 7
export const STATUS_C0 = 1 << 8
export const STATUS_C1 = 1 << 9
export const STATUS_C2 = 1 << 10
export const STATUS_TOP_SHIFT = 11
export const STATUS_C3 = 1 << 14
export const STATUS_BUSY = 1 << 15
export const STATUS_CONDITIONS = STATUS_C0 | STATUS_C1 | STATUS_C2 | STATUS_C3
const STATUS_TOP = 7 << STATUS_TOP_SHIFT

/** Control word: bits that exist, and the reserved one that reads as set. SDM vol. 1, figure 8-6. */
const CONTROL_IMPLEMENTED = 0x1f3f
const CONTROL_ALWAYS_SET = 0x40
/** After FNINIT: nearest, 64-bit precision, everything masked. */
export const CONTROL_DEFAULT = 0x37f

/** Unmasked exceptions that keep a result from being pushed by a load, from a register, or from memory. SDM vol. 1, 8.5. */
export const BLOCKS_LOAD = FLAG_INVALID
export const BLOCKS_REGISTER = FLAGS_PRE_COMPUTATION
export const BLOCKS_MEMORY = FLAGS_PRE_COMPUTATION | FLAG_OVERFLOW | FLAG_UNDERFLOW

/** Precision control field to significand bits; 1 is reserved. SDM vol. 1, table 8-2. */
function precision(control: number): 24 | 53 | 64 {
  switch ((control >> 8) & 3) {
    case 0:
      return 24
    case 2:
      return 53
    default:
      return 64
  }
}

export class Fpu {
  readonly state: CpuState
  readonly cpu: AssistCpu
  readonly instruction: AssistInstruction

  constructor(cpu: AssistCpu, instruction: AssistInstruction) {
    this.cpu = cpu
    this.state = cpu.state
    this.instruction = instruction
  }

  get control(): number {
    return this.state.get32(S.X87_CONTROL)
  }
  /** Sets the control word; exceptions that are flagged become pending or stop being so. */
  set control(value: number) {
    this.state.set32(S.X87_CONTROL, (value & CONTROL_IMPLEMENTED) | CONTROL_ALWAYS_SET)
    this.summarize()
  }

  /** Status word without TOP. */
  get status(): number {
    return this.state.get32(S.X87_STATUS)
  }
  set status(value: number) {
    this.state.set32(S.X87_STATUS, value)
  }

  get top(): number {
    return this.state.get32(S.X87_TOP)
  }
  set top(value: number) {
    this.state.set32(S.X87_TOP, value & 7)
  }

  get statusWord(): number {
    return this.status | (this.top << STATUS_TOP_SHIFT)
  }
  set statusWord(value: number) {
    this.status = value & 0xffff & ~STATUS_TOP
    this.top = value >> STATUS_TOP_SHIFT
  }

  /** Bit i is set when physical register i is not empty. */
  get tags(): number {
    return this.state.get32(S.X87_TAGS)
  }
  set tags(value: number) {
    this.state.set32(S.X87_TAGS, value & 0xff)
  }

  /** Derives ES and B from flags and masks. */
  summarize(): void {
    const pending = (this.status & ~this.control & FLAGS_ALL) !== 0
    const summary = STATUS_ERROR_SUMMARY | STATUS_BUSY
    this.status = pending ? this.status | summary : this.status & ~summary
  }

  #physical(index: number): number {
    return (this.top + index) & 7
  }

  isEmpty(index: number): boolean {
    return (this.tags & (1 << this.#physical(index))) === 0
  }

  /** Contents of ST(index), empty or not. */
  raw(index: number): Float80 {
    return readPhysical(this.state, this.#physical(index))
  }

  setRaw(index: number, value: Float80): void {
    const physical = this.#physical(index)
    writePhysical(this.state, physical, value)
    this.tags |= 1 << physical
  }

  /** Value of ST(index), or undefined if that is empty. */
  st(index: number): Unpacked | undefined {
    return this.isEmpty(index) ? undefined : unpack80(this.raw(index))
  }

  setSt(index: number, value: Unpacked): void {
    this.setRaw(index, pack80(value))
  }

  free(index: number): void {
    this.tags &= ~(1 << this.#physical(index))
  }

  pop(): void {
    this.free(0)
    this.top++
  }

  pushRaw(value: Float80): void {
    this.top--
    this.setRaw(0, value)
  }

  push(value: Unpacked): void {
    this.pushRaw(pack80(value))
  }

  /** Environment of arithmetic, under precision control. */
  arithmeticEnvironment(): FloatEnvironment {
    const control = this.control
    return {
      rounding: roundingMode(control >> 10),
      precision: precision(control),
      masks: control & FLAGS_ALL,
      flushToZero: false,
      denormalsAreZero: false,
      nanRule: 'x87',
      flags: 0,
      roundedUp: false,
    }
  }

  /** Environment of the instructions that always work with 64 bits. */
  fullEnvironment(): FloatEnvironment {
    return { ...this.arithmeticEnvironment(), precision: 64 }
  }

  clearC1(): void {
    this.status &= ~STATUS_C1
  }

  /** Sets C0 to C3 as given, in place. */
  setConditions(bits: number): void {
    this.status = (this.status & ~STATUS_CONDITIONS) | bits
  }

  /**
   * Reports what an operation raised, and the rounding direction in C1. Returns whether the destination may be
   * changed: not if one of the exceptions `blocks` is unmasked. Then the rounding did not take place, and neither
   * did what it would have raised.
   */
  settle(env: FloatEnvironment, blocks: number = BLOCKS_REGISTER): boolean {
    const blocking = env.flags & ~env.masks & blocks
    if (blocking === 0) {
      this.#raise(env.flags, env.roundedUp ? STATUS_C1 : 0)
      return true
    }
    const kept = blocking & FLAGS_PRE_COMPUTATION ? FLAGS_PRE_COMPUTATION : ~FLAG_PRECISION
    this.#raise(env.flags & kept, 0)
    return false
  }

  /**
   * Reports a stack fault; C1 tells overflow from underflow (SDM vol. 1, 8.5.1.1). True if it is masked: the response
   * then is {@link DEFAULT_NAN} in the destination.
   */
  stackFault(overflow: boolean): boolean {
    return this.#raise(FLAG_INVALID | STATUS_STACK_FAULT, overflow ? STATUS_C1 : 0) === 0
  }

  #raise(flags: number, c1: number): number {
    this.status = (this.status & ~STATUS_C1) | flags | c1
    const unmasked = flags & ~this.control & FLAGS_ALL
    if (unmasked) {
      this.#recordOpcode()
      this.status |= STATUS_ERROR_SUMMARY | STATUS_BUSY
    }
    return unmasked
  }

  /** Puts `value` into ST(index) unless the exceptions of `env` forbid it. Returns whether it did. */
  deliver(index: number, value: Unpacked, env: FloatEnvironment): boolean {
    if (!this.settle(env)) return false
    this.setSt(index, value)
    return true
  }

  /** The response to an empty source whose result would go to ST(index). Returns whether the NaN was put there. */
  underflow(index: number): boolean {
    if (!this.stackFault(false)) return false
    this.setSt(index, DEFAULT_NAN)
    return true
  }

  /** Makes sure of room for a push; without, responds to the stack overflow and returns false. */
  hasRoom(): boolean {
    if (this.isEmpty(7)) return true
    if (this.stackFault(true)) this.push(DEFAULT_NAN)
    return false
  }

  /** Last instruction and operand pointers, which every non-control instruction sets. SDM vol. 1, 8.1.8. */
  recordPointers(): void {
    const { state, instruction } = this
    state.set64(S.X87_IP, instruction.rip)
    state.set32(S.X87_CS, selector(state, Segment.CS))
    if (!instruction.hasMemory) return
    const segment = instruction.segment ?? Segment.DS
    const base = state.get64(S.SEGMENTS + segment * S.SEGMENT_STRIDE + S.SEGMENT_BASE)
    state.set64(S.X87_DP, BigInt.asUintN(instruction.addressSize, instruction.address - base))
    state.set32(S.X87_DS, selector(state, segment))
  }

  /**
   * FOP is recorded for unmasked exceptions only (SDM vol. 1, 8.1.9.1). The ModRM byte of a memory operand is known to
   * no one any more, so the instruction is read again; if it can't be read as data, FOP stays.
   */
  #recordOpcode(): void {
    const { cpu, instruction, state } = this
    const base = state.get64(S.SEGMENTS + Segment.CS * S.SEGMENT_STRIDE + S.SEGMENT_BASE)
    try {
      const bytes = cpu.memory.readBytes(BigInt.asUintN(64, base + instruction.rip), instruction.length)
      const at = bytes.findIndex(byte => byte >= 0xd8 && byte <= 0xdf)
      if (at >= 0) state.set32(S.X87_OPCODE, ((bytes[at] & 7) << 8) | bytes[at + 1])
    } catch (fault) {
      if (!(fault instanceof GuestFault)) throw fault
    }
  }
}

function selector(state: CpuState, segment: number): number {
  return state.get32(S.SEGMENTS + segment * S.SEGMENT_STRIDE + S.SEGMENT_SELECTOR) & 0xffff
}

/** Physical register R(index). */
export function readPhysical(state: CpuState, index: number): Float80 {
  const at = S.X87_REGISTERS + index * 16
  return { low: state.get64(at), high: state.get32(at + 8) & 0xffff }
}

export function writePhysical(state: CpuState, index: number, { low, high }: Float80): void {
  const at = S.X87_REGISTERS + index * 16
  state.set64(at, low)
  state.set32(at + 8, high)
}

/** #NM when the FPU is emulated or holds another task's state. SDM vol. 3, 2.5. */
export function requireDevice(cpu: AssistCpu): void {
  if (cpu.state.get32(S.CR0) & (CR0_EM | CR0_TS)) throw deviceNotAvailable()
}

/**
 * What a waiting instruction does first: #NM, then #MF for an exception that an earlier one left pending.
 * With CR0.NE clear a PC would raise IRQ 13 through external logic, which is not modelled: #MF then as well.
 */
export function wait(cpu: AssistCpu): void {
  requireDevice(cpu)
  if (cpu.state.get32(S.X87_STATUS) & STATUS_ERROR_SUMMARY) throw x87FloatingPoint()
}
