/** Adjusts a state to its instruction: keeps accesses in the window and makes the interesting outcomes likely. */

import { MemorySizeExt, Mnemonic, OpKind, Register, RegisterExt } from 'iced-x86'
import {
  addressRegisters,
  codeOffset,
  codePlace,
  type Draft,
  hasRoomOnStack,
  MIDDLE,
  pointer,
  RAX,
  RBP,
  RCX,
  RDX,
  RSP,
  stackOffset,
} from './draft.ts'
import { chooseFarTarget } from './operands.ts'
import { WINDOW, WINDOW_PAGE, WINDOW_SIZE, XSAVE_SIZE } from './record.ts'
import { SELECTORS } from './segments.ts'

const M = Mnemonic

/** Instructions whose memory operand is loaded into MXCSR, at this offset. */
const LOADS_MXCSR: ReadonlyMap<Mnemonic, number> = new Map([
  [M.Ldmxcsr, 0],
  [M.Vldmxcsr, 0],
  [M.Fxrstor, 24],
  [M.Fxrstor64, 24],
  [M.Xrstor, 24],
  [M.Xrstor64, 24],
])

/** What else suits an instruction. */
const ADJUSTMENTS: ReadonlyMap<Mnemonic, (draft: Draft) => void> = new Map([
  ...[M.Bt, M.Bts, M.Btr, M.Btc].map(mnemonic => [mnemonic, limitBitOffset] as const),
  ...[M.Div, M.Idiv].map(mnemonic => [mnemonic, suitDividend] as const),
  [M.Cmpxchg, matchAccumulator],
  ...[M.Cmpxchg8b, M.Cmpxchg16b].map(mnemonic => [mnemonic, matchPair] as const),
  ...[M.Leave, M.Enter].map(mnemonic => [mnemonic, suitFrame] as const),
  ...[M.Loop, M.Loope, M.Loopne, M.Jcxz, M.Jecxz, M.Jrcxz].map(mnemonic => [mnemonic, suitLoopCount] as const),
  [M.Bound, suitBounds],
  ...[M.Jmp, M.Call].map(mnemonic => [mnemonic, suitIndirectBranch] as const),
  [M.Ret, suitReturn],
  ...[M.Retf, M.Iret, M.Iretd, M.Iretq].map(mnemonic => [mnemonic, suitFarReturn] as const),
  ...[M.Xrstor, M.Xrstor64].map(mnemonic => [mnemonic, suitXrstor] as const),
  ...[M.Xsave, M.Xsave64, M.Xsaveopt, M.Xsaveopt64, M.Xsavec, M.Xsavec64].map(
    mnemonic => [mnemonic, limitComponents] as const,
  ),
])

export function suit(draft: Draft): void {
  const { instruction } = draft
  if (instruction.isStringInstruction) suitCount(draft)
  const mxcsr = LOADS_MXCSR.get(instruction.mnemonic)
  if (mxcsr !== undefined) suitMxcsr(draft, mxcsr)
  suitSelector(draft)
  ADJUSTMENTS.get(instruction.mnemonic)?.(draft)
}

/** Sets a register that is not part of an address. */
function setFree(draft: Draft, register: number, value: bigint): void {
  if (addressRegisters(draft.instruction).includes(register)) return
  draft.record.setGpr(register, BigInt.asUintN(draft.cell.mode === 64 ? 64 : 32, value))
}

/** A repeated string instruction goes on for a few elements. */
function suitCount(draft: Draft): void {
  const { random, addressSize } = draft
  const count = random.chance(0.98) ? random.below(6) : random.below(3000)
  draft.record.setGpr(RCX, pointer(draft, BigInt(count), addressSize))
}

/** Bits that are reserved give #GP: not most of the time. Bit 17 is AMD's misaligned exception mask. */
function suitMxcsr({ operand, record, random }: Draft, offset: number): void {
  if (operand === undefined) return
  const value = Number(record.windowWord(operand + offset) & 0xffffffffn)
  const wanted = random.chance(0.9) ? 0xffff : ~(1 << 17)
  const rest = record.windowWord(operand + offset) & ~0xffffffffn
  record.setWindowWord(operand + offset, rest | BigInt((value & wanted) >>> 0))
}

/** Where an instruction reads a selector: mostly one of those that there are. */
function suitSelector(draft: Draft): void {
  const { instruction, random, record, operand } = draft
  const { mnemonic } = instruction
  if (random.chance(0.1)) return
  const selector = BigInt(random.pick(SELECTORS) ^ (random.chance(0.2) ? random.below(4) : 0))
  if (mnemonic === M.Pop && instruction.opKind(0) === OpKind.Register && isSegment(instruction.opRegister(0))) {
    writeStack(draft, [[selector | (random.bits64() & ~0xffffn), 64]])
    return
  }
  const queries = [M.Lar, M.Lsl].includes(mnemonic)
  const source = queries || mnemonic === M.Mov || mnemonic === M.Arpl ? 1 : 0
  const reads =
    queries ||
    [M.Verr, M.Verw, M.Lldt, M.Ltr, M.Arpl].includes(mnemonic) ||
    (mnemonic === M.Mov && isSegment(instruction.opRegister(0)))
  if (reads) {
    if (instruction.opKind(source) === OpKind.Register) {
      const register = RegisterExt.fullRegister(instruction.opRegister(source)) - Register.RAX
      if (register >= 0 && register < 16) setFree(draft, register, selector | (random.bits64() & ~0xffffn))
    } else if (operand !== undefined) {
      record.setWindowWord(operand, (record.windowWord(operand) & ~0xffffn) | selector)
    }
    return
  }
  if ([M.Lds, M.Les, M.Lfs, M.Lgs, M.Lss].includes(mnemonic) && operand !== undefined) {
    const offset = MemorySizeExt.size(instruction.memorySize) - 2
    record.window.set([Number(selector) & 0xff, Number(selector) >> 8], operand - WINDOW + offset)
  }
}

const isSegment = (register: Register): boolean => register >= Register.ES && register <= Register.GS

/**
 * A bit offset in a register reaches memory far from the operand: limited to what lies in the page, unless the register
 * is part of the address, too.
 */
function limitBitOffset(draft: Draft): void {
  const { instruction, random } = draft
  if (instruction.opKind(0) !== OpKind.Memory || instruction.opKind(1) !== OpKind.Register) return
  const register = RegisterExt.fullRegister(instruction.opRegister(1)) - Register.RAX
  setFree(draft, register, BigInt(random.below(2048) - 1024))
}

/** A random dividend nearly always overflows: makes it small. */
function suitDividend(draft: Draft): void {
  const { instruction, random } = draft
  if (random.chance(0.3)) return
  const negative = instruction.mnemonic === M.Idiv && random.chance(0.5)
  setFree(draft, RDX, negative ? -1n : 0n)
  // Of an 8-bit division AX is the dividend.
  if (random.chance(0.5)) setFree(draft, RAX, random.bits64() & 0x7fn)
}

function matchAccumulator(draft: Draft): void {
  const { operand, random, record } = draft
  if (random.chance(0.5) && operand !== undefined) setFree(draft, RAX, record.windowWord(operand))
}

function matchPair(draft: Draft): void {
  const { instruction, operand, random, record } = draft
  if (random.chance(0.5) || operand === undefined) return
  const low = record.windowWord(operand)
  const wide = instruction.mnemonic === M.Cmpxchg16b
  setFree(draft, RAX, wide ? low : low & 0xffffffffn)
  setFree(draft, RDX, wide ? record.windowWord(operand + 8) : low >> 32n)
}

/** Makes the index lie between the bounds half of the time. */
function suitBounds({ instruction, operand, random, record }: Draft): void {
  if (operand === undefined || random.chance(0.5)) return
  const bits = RegisterExt.size(instruction.opRegister(0)) * 8
  const index = BigInt.asIntN(bits, record.gpr(RegisterExt.fullRegister(instruction.opRegister(0)) - Register.RAX))
  const [low, high] = [index - BigInt(random.below(2)), index + BigInt(random.below(2))].map(bound =>
    BigInt.asUintN(bits, bound),
  )
  record.setWindowWord(
    operand,
    ((record.windowWord(operand) >> BigInt(2 * bits)) << BigInt(2 * bits)) | (high << BigInt(bits)) | low,
  )
}

function suitFrame(draft: Draft): void {
  setFree(draft, RBP, stackOffset(draft, MIDDLE + 32))
}

/** Loops end soon, and often at once. */
function suitLoopCount(draft: Draft): void {
  const { random } = draft
  setFree(draft, RCX, random.chance(0.8) ? BigInt(random.below(3)) : random.bits64())
}

function suitReturn(draft: Draft): void {
  writeStack(draft, [[returnTarget(draft), returnSize(draft)]])
}

/** A place in the code page, or seldom somewhere else. */
function returnTarget(draft: Draft): bigint {
  // Not where the stack may fault, too: which of both comes first is each maker's own (SDM and APM, CALL).
  if (hasRoomOnStack(draft) && draft.random.chance(0.04)) return draft.random.integer()
  return codeOffset(draft, codePlace(draft))
}

function returnSize({ cell }: Draft): number {
  return /w(_|$)/.test(cell.form.name) ? 16 : /q(_|$)/.test(cell.form.name) ? 64 : 32
}

function suitIndirectBranch(draft: Draft): void {
  const { instruction, operand, record } = draft
  const far = /m16(16|32|64)$/.exec(draft.cell.form.name)
  if (far !== null) {
    if (operand === undefined) return
    const size = BigInt(far[1])
    const { selector, offset } = chooseFarTarget(draft)
    const pointed = BigInt.asUintN(Number(size), offset) | (BigInt(selector) << size)
    record.setWindowWord(operand, BigInt.asUintN(64, pointed))
    if (size === 64n) record.setWindowWord(operand + 8, BigInt(selector))
    return
  }
  const kind = instruction.opKind(0)
  if (kind === OpKind.Register) {
    const register = RegisterExt.fullRegister(instruction.opRegister(0)) - Register.RAX
    if (register !== RSP) setFree(draft, register, returnTarget(draft))
  } else if (kind === OpKind.Memory && operand !== undefined)
    record.setWindowWord(operand, BigInt.asUintN(64, returnTarget(draft)))
}

/** Frames of RETF and IRET: offset and selector; flags; and what 64-bit mode pops always, stack pointer and SS. */
function suitFarReturn(draft: Draft): void {
  const { instruction, random, record, cell } = draft
  const size = returnSize(draft)
  const { selector, offset } = chooseFarTarget(draft)
  const frame: [bigint, number][] = [
    [offset, size],
    [BigInt(selector), size],
  ]
  if (instruction.mnemonic !== M.Retf) {
    // Not TF, which would end the next instruction, nor AC.
    frame.push([(random.bits64() & ~0x40100n) | 2n, size])
    if (cell.mode === 64) {
      frame.push([random.chance(0.5) ? record.gpr(RSP) : random.bits64(), size])
      frame.push([BigInt(random.chance(0.7) ? record.selector(1) : random.pick(SELECTORS)), size])
    }
  }
  writeStack(draft, frame)
}

/** Writes values of so many bits to where the stack pointer points. */
function writeStack(draft: Draft, values: readonly (readonly [bigint, number])[]): void {
  const { record } = draft
  if (!hasRoomOnStack(draft)) return
  let at = MIDDLE
  for (const [value, bits] of values) {
    const mask = (1n << BigInt(bits)) - 1n
    record.setWindowWord(at, (record.windowWord(at) & ~mask) | (value & mask))
    at += bits / 8
  }
}

/** Components of XSAVE and its like: AVX-512's, which the host has, are left out. */
function limitComponents(draft: Draft): void {
  const { random } = draft
  setFree(draft, RAX, (random.bits64() & 0xffffff00n & ~0xe0n) | BigInt(random.below(8)))
  if (!addressRegisters(draft.instruction).includes(RAX)) setFree(draft, RDX, random.bits64() & 0xffffffffn)
}

/** An XSAVE area in the standard or the compacted format, mostly a valid one (SDM vol. 1, 13.8). */
function suitXrstor(draft: Draft): void {
  const { operand, random, record } = draft
  limitComponents(draft)
  if (operand === undefined || operand + XSAVE_SIZE > WINDOW + WINDOW_SIZE) return
  for (let offset = 512; offset < 576; offset += 8) record.setWindowWord(operand + offset, 0n)
  record.setWindowWord(operand + 512, BigInt(random.below(8)))
  if (random.chance(0.3)) record.setWindowWord(operand + 520, (1n << 63n) | BigInt(random.below(8)))
  if (random.chance(0.1)) record.setWindowWord(operand + 512 + 8 * random.below(8), random.bits64())
}

/**
 * What has been pushed or popped when a later part of the instruction faults is each maker's own, and how much of its
 * word POP of a segment register reads; and a far return must find its frame.
 */
const NEEDS_STACK = /^(Call_(m|ptr)16|Retf|Iret|Pusha|Popa|Enter|Pop[wdq]_[DEFGS]S$)/

/** Where the stack points, seldom near an end of its page or segment. */
export function chooseStack(draft: Draft): void {
  const { random, record } = draft
  const edge = !NEEDS_STACK.test(draft.cell.form.name) && random.chance(0.03)
  const linear = edge ? random.pick([WINDOW_PAGE, WINDOW, WINDOW + WINDOW_SIZE]) + random.below(16) - 4 : MIDDLE
  record.setGpr(RSP, stackOffset(draft, linear))
}
