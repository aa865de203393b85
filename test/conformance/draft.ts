/** A case in the making: the segments it runs with, and memory operands that lie in the window. */

import { type Instruction, MemorySizeExt, Register, RegisterExt } from 'iced-x86'
import type { Cell } from './cells.ts'
import type { Mode } from './forms.ts'
import type { Random } from './random.ts'
import { type CaseRecord, CODE_PAGE, SEGMENT_ORDER, WINDOW, WINDOW_PAGE, WINDOW_SIZE, XSAVE_SIZE } from './record.ts'
import {
  baseOf,
  LDT,
  LDT_BASED,
  LDT_CODE_16,
  LDT_CODE_32,
  LDT_DATA,
  LDT_READ_ONLY,
  USER_CODE_32,
  USER_CODE_64,
  USER_DATA,
} from './segments.ts'

/** Middle of the window: stack and strings go both ways from here. */
export const MIDDLE = WINDOW + WINDOW_SIZE / 2

export const RAX = 0
export const RCX = 1
export const RDX = 2
export const RBX = 3
export const RSP = 4
export const RBP = 5
export const RSI = 6
export const RDI = 7

export interface Draft {
  readonly cell: Cell
  readonly instruction: Instruction
  readonly record: CaseRecord
  readonly random: Random
  readonly addressSize: Mode
  /** Linear address of the explicit memory operand, if there is one and it lies in the window with 16 bytes behind. */
  operand: number | undefined
  /** The same, wherever it lies. */
  target: number | undefined
}

const SEGMENT_REGISTERS: readonly Register[] = [
  ...[Register.CS, Register.SS, Register.DS, Register.ES, Register.FS, Register.GS],
]

const BASES_64 = [0n, 0x123n, BigInt(WINDOW_PAGE), 0x7fff00000000n, 0xffff900000000000n]
const BASES_32 = BASES_64.slice(0, 3)

export function chooseSegments(record: CaseRecord, mode: Mode, addressSize: Mode, random: Random): void {
  const set = (name: (typeof SEGMENT_ORDER)[number], selector: number) =>
    record.setSelector(SEGMENT_ORDER.indexOf(name), selector)
  if (mode === 64) {
    set('cs', USER_CODE_64)
    set('ss', USER_DATA)
    const bases = addressSize === 64 ? BASES_64 : BASES_32
    record.fsBase = random.pick(bases)
    record.gsBase = random.pick(bases)
    return
  }
  set('cs', mode === 16 ? random.pick(LDT_CODE_16) : random.chance(0.6) ? USER_CODE_32 : random.pick(LDT_CODE_32))
  // Only the segments of the LDT have the window where 16-bit offsets reach.
  const near = addressSize === 16
  const flat = !near && random.chance(0.4)
  const data = near ? LDT_DATA : [USER_DATA, LDT_BASED, ...LDT_DATA]
  set('ss', flat ? USER_DATA : random.pick(mode === 16 || random.chance(0.7) ? LDT_DATA : data))
  for (const name of ['ds', 'es'] as const)
    set(name, flat ? USER_DATA : random.chance(0.06) ? LDT_READ_ONLY : random.chance(0.02) ? 0 : random.pick(data))
  for (const name of ['fs', 'gs'] as const) set(name, random.chance(0.1) ? 0 : random.pick(data))
}

/** Linear address of offset 0 in a segment register. */
export function segmentBase({ cell, record }: Draft, segment: Register): bigint {
  if (cell.mode === 64) {
    if (segment === Register.FS) return record.fsBase
    return segment === Register.GS ? record.gsBase : 0n
  }
  return BigInt(baseOf(record.selector(SEGMENT_REGISTERS.indexOf(segment))))
}

/** Bits of the stack pointer: SDM vol. 1, 6.2.3. */
export function stackSize({ cell, record }: Draft): Mode {
  if (cell.mode === 64) return 64
  const selector = record.selector(SEGMENT_ORDER.indexOf('ss'))
  return (selector & 4) === 0 || LDT[selector >> 3].big ? 32 : 16
}

/** What a register must hold to be `offset` in an address of `size` bits: what lies above is garbage, where there is any. */
export function pointer({ cell, random }: Draft, offset: bigint, size: Mode): bigint {
  const low = BigInt.asUintN(size, offset)
  if (size === cell.mode || size === 64) return low
  const garbage = random.bits64() & ~((1n << BigInt(size)) - 1n)
  return low | BigInt.asUintN(cell.mode === 64 ? 64 : 32, garbage)
}

/** Offset in SS of a linear address, as RSP and RBP hold it. */
export function stackOffset(draft: Draft, linear: number): bigint {
  return BigInt.asUintN(stackSize(draft), BigInt(linear) - segmentBase(draft, Register.SS))
}

/** Is the stack in the middle of the window, and no edge of anything near? */
export function hasRoomOnStack(draft: Draft): boolean {
  return draft.record.gpr(RSP) === stackOffset(draft, MIDDLE)
}

/** Offset in CS of a place in the code page. */
export function codeOffset(draft: Draft, place: number): bigint {
  return BigInt(CODE_PAGE + place) - segmentBase(draft, Register.CS)
}

/** Somewhere in the code page, away from the instruction itself. */
export function codePlace({ record, random }: Draft): number {
  for (;;) {
    const place = 64 + random.below(4096 - 128)
    if (place < record.codeOffset - 16 || place >= record.codeOffset + 32) return place
  }
}

/** The segment that an explicit or string operand is in, and the override if the cell has one. */
export function chooseOverride(draft: Draft): Register {
  if (draft.cell.prefix !== 'segment') return Register.None
  const segment = draft.random.chance(0.5)
    ? draft.random.pick([Register.FS, Register.GS])
    : draft.random.pick(SEGMENT_REGISTERS)
  draft.instruction.segmentPrefix = segment
  return segment
}

/** Where an operand of `bytes` bytes may lie: mostly aligned and in the window, now and then across an end. */
export function chooseTarget({ random, cell }: Draft, bytes: number): number {
  if (/^X(save|rstor)/.test(cell.form.name)) {
    // How much of the area must be within limit and page, if not all is accessed, is each processor's own.
    if (random.chance(0.04)) return WINDOW_PAGE + 4096
    return (WINDOW + random.below(WINDOW_SIZE - XSAVE_SIZE)) & (random.chance(0.9) ? ~63 : ~7)
  }
  const room = WINDOW_SIZE - Math.max(bytes, 16)
  // A far pointer must be one that the case has chosen.
  const edges = !/^(Call|Jmp)_m16/.test(cell.form.name)
  if (edges && random.chance(0.02)) return WINDOW_PAGE + 4096 - random.below(bytes + 4)
  // The end of the window is the limit of the LDT's segments, and its beginning that of the expand-down ones.
  if (edges && cell.mode !== 64 && random.chance(0.06)) {
    return random.chance(0.5) ? WINDOW + WINDOW_SIZE - random.below(bytes + 4) : WINDOW - random.below(4)
  }
  const offset = random.below(room + 1)
  if (bytes >= 512) return WINDOW + (random.chance(0.9) ? offset & ~63 : offset)
  return WINDOW + (random.chance(0.75) ? offset & ~31 : offset)
}

const range = (first: Register, last: Register): Register[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index)

const GENERAL: Readonly<Record<Mode, readonly Register[]>> = {
  64: range(Register.RAX, Register.R15),
  32: range(Register.EAX, Register.R15D),
  16: range(Register.AX, Register.R15W),
}

/** Base and index of 16-bit addresses (SDM vol. 2, table 2-1), by their numbers; -1 for none. */
const PAIRS_16: readonly (readonly [number, number])[] = [
  [RBX, RSI],
  [RBX, RDI],
  [RBP, RSI],
  [RBP, RDI],
  [RSI, -1],
  [RDI, -1],
  [RBP, -1],
  [RBX, -1],
]

/** A memory operand in the window, and the registers that make it so. */
export function chooseAddress(draft: Draft): void {
  const { instruction, random, record, addressSize: size, cell } = draft
  const bytes = MemorySizeExt.size(instruction.memorySize) || 64
  // AMD's processors take SHA operands that are not aligned (SDM vol. 2, table 2-21, has #GP).
  const aligned = /^Sha/.test(cell.form.name)
  const target = chooseTarget(draft, bytes) & (aligned ? ~15 : -1)
  const override = chooseOverride(draft)
  const inWindow = target >= WINDOW && target + Math.max(bytes, 16) <= WINDOW + WINDOW_SIZE
  draft.operand = inWindow ? target : undefined
  draft.target = target
  const form = random.below(20)
  if (form < 2) {
    const relative = cell.mode === 64 && form === 0
    const base = segmentBase(draft, override === Register.None ? Register.DS : override)
    const offset = BigInt.asUintN(size, BigInt(target) - base)
    // An absolute displacement is sign-extended from 32 bits.
    if (relative || size !== 64 || BigInt.asUintN(64, BigInt.asIntN(32, offset)) === offset) {
      const register = relative ? (size === 64 ? Register.RIP : Register.EIP) : Register.None
      setMemory(instruction, register, Register.None, 1, offset, size / 8)
      // A pointer far from the code has no encoding: tried again with other operands.
      return
    }
  }
  const [base, index] = size === 16 ? random.pick(PAIRS_16) : chooseBaseAndIndex(draft)
  const scale = index < 0 || size === 16 ? 1 : random.pick([1, 2, 4, 8])
  const displacement = random.pick(size === 16 ? [0, 8, -16, 0x1234] : [0, 8, -16, 0x1234, -0x12345])
  const indexed = index < 0 ? 0 : random.below(64) - 32
  const segment = override !== Register.None ? override : base === RSP || base === RBP ? Register.SS : Register.DS
  const offset = BigInt(target) - segmentBase(draft, segment) - BigInt(displacement + indexed * scale)
  if (index >= 0) record.setGpr(index, pointer(draft, BigInt(indexed), size))
  record.setGpr(base, pointer(draft, offset, size))
  // Seldom an address that is not canonical.
  if (size === 64 && !aligned && random.chance(0.01)) record.setGpr(base, 0x8000_0000_0000n + random.bits64() / 4n)
  const registers = GENERAL[size]
  setMemory(
    instruction,
    registers[base],
    index < 0 ? Register.None : registers[index],
    scale,
    BigInt(displacement),
    size / 8,
  )
}

function chooseBaseAndIndex({ random, cell }: Draft): readonly [number, number] {
  const registers = cell.mode === 64 ? 16 : 8
  const base = random.below(registers)
  const index = random.below(registers)
  return index === base || index === RSP || random.chance(0.5) ? [base, -1] : [base, index]
}

/** An operand of vector indices (gathers): each index leads into the window, but for a few. */
export function chooseVectorAddress(draft: Draft, indexBits: 32 | 64, first: Register): void {
  const { instruction, random, record, addressSize: size, cell } = draft
  const override = chooseOverride(draft)
  const base = random.below(cell.mode === 64 ? 16 : 8)
  const index = random.below(cell.mode === 64 ? 16 : 8)
  const scale = random.pick([1, 2, 4, 8])
  const displacement = random.pick([0, 8, -16, 0x1234])
  const segment = override !== Register.None ? override : base === RSP || base === RBP ? Register.SS : Register.DS
  const offset = BigInt(MIDDLE) - segmentBase(draft, segment) - BigInt(displacement)
  record.setGpr(base, pointer(draft, offset, size))
  const reach = Math.floor(480 / scale)
  const strays = random.chance(0.08) ? random.below(8) : -1
  for (let element = 0; element < 256 / indexBits; element++) {
    const half = element * (indexBits / 8) < 16 ? record.xmm(index) : record.ymmHigh(index)
    const view = new DataView(half.buffer, half.byteOffset, 16)
    const at = (element * (indexBits / 8)) % 16
    const value = element === strays ? 0x100000 : random.below(2 * reach) - reach
    if (indexBits === 32) view.setInt32(at, value, true)
    else view.setBigInt64(at, BigInt(value), true)
  }
  setMemory(instruction, GENERAL[size][base], first + index, scale, BigInt(displacement), size / 8)
}

function setMemory(
  instruction: Instruction,
  base: Register,
  index: Register,
  scale: number,
  displacement: bigint,
  displacementSize: number,
): void {
  instruction.memoryBase = base
  instruction.memoryIndex = index
  instruction.memoryIndexScale = scale
  instruction.memoryDisplSize = displacement === 0n && base !== Register.None ? 0 : displacementSize
  instruction.memoryDisplacement = BigInt.asUintN(64, displacement)
}

/** Numbers of the general registers that the explicit memory operand's address is made of. */
export function addressRegisters(instruction: Instruction): number[] {
  return [instruction.memoryBase, instruction.memoryIndex]
    .filter(register => register !== Register.None && register !== Register.RIP && register !== Register.EIP)
    .map(register => RegisterExt.fullRegister(register) - Register.RAX)
}
