/** Chooses the operands of an instruction, by the kinds that its form has. */

import { type Instruction, Mnemonic, OpCodeOperandKind, OpKind, Register } from 'iced-x86'
import { REGISTER_OR_MEMORY } from './cells.ts'
import {
  chooseAddress,
  chooseOverride,
  chooseTarget,
  chooseVectorAddress,
  codeOffset,
  codePlace,
  type Draft,
  hasRoomOnStack,
  MIDDLE,
  pointer,
  RBX,
  RDI,
  RSI,
  segmentBase,
} from './draft.ts'
import type { Mode } from './forms.ts'
import { CODE_PAGE, SEGMENT_ORDER, WINDOW } from './record.ts'
import { baseOf, LDT_CODE_16, LDT_CODE_32, SELECTORS, USER_CODE_32, USER_CODE_64 } from './segments.ts'

const K = OpCodeOperandKind

const range = (first: Register, last: Register): readonly Register[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index)

const GENERAL_8 = range(Register.AL, Register.R15L)
const GENERAL_16 = range(Register.AX, Register.R15W)
const GENERAL_32 = range(Register.EAX, Register.R15D)
const GENERAL_64 = range(Register.RAX, Register.R15)
const MM = range(Register.MM0, Register.MM7)
const XMM = range(Register.XMM0, Register.XMM15)
const YMM = range(Register.YMM0, Register.YMM15)
const ST = range(Register.ST0, Register.ST7)
const SEGMENTS = range(Register.ES, Register.GS)

/** Registers that an operand of this kind may be in 64-bit mode. */
const REGISTERS: ReadonlyMap<OpCodeOperandKind, readonly Register[]> = new Map([
  ...[K.r8_or_mem, K.r8_reg, K.r8_opcode].map(kind => [kind, GENERAL_8] as const),
  ...[K.r16_or_mem, K.r16_reg, K.r16_rm, K.r16_opcode].map(kind => [kind, GENERAL_16] as const),
  ...[K.r32_or_mem, K.r32_reg, K.r32_rm, K.r32_opcode, K.r32_vvvv].map(kind => [kind, GENERAL_32] as const),
  ...[K.r64_or_mem, K.r64_reg, K.r64_rm, K.r64_opcode, K.r64_vvvv].map(kind => [kind, GENERAL_64] as const),
  ...[K.mm_or_mem, K.mm_reg, K.mm_rm].map(kind => [kind, MM] as const),
  ...[K.xmm_or_mem, K.xmm_reg, K.xmm_rm, K.xmm_vvvv, K.xmm_is4].map(kind => [kind, XMM] as const),
  ...[K.ymm_or_mem, K.ymm_reg, K.ymm_rm, K.ymm_vvvv, K.ymm_is4].map(kind => [kind, YMM] as const),
  ...([
    [K.al, [Register.AL]],
    [K.cl, [Register.CL]],
    [K.ax, [Register.AX]],
    [K.dx, [Register.DX]],
    [K.eax, [Register.EAX]],
    [K.rax, [Register.RAX]],
    [K.es, [Register.ES]],
    [K.cs, [Register.CS]],
    [K.ss, [Register.SS]],
    [K.ds, [Register.DS]],
    [K.fs, [Register.FS]],
    [K.gs, [Register.GS]],
    [K.seg_reg, SEGMENTS],
    [K.st0, [Register.ST0]],
    [K.sti_opcode, ST],
    [K.cr_reg, [0, 2, 3, 4, 8].map(number => Register.CR0 + number)],
    [K.dr_reg, range(Register.DR0, Register.DR7)],
  ] satisfies (readonly [OpCodeOperandKind, readonly Register[]])[]),
])

/** Of these only the first eight exist outside 64-bit mode. */
const EXTENDED: ReadonlySet<readonly Register[]> = new Set([GENERAL_8, GENERAL_16, GENERAL_32, GENERAL_64, XMM, YMM])

const IMMEDIATES: ReadonlyMap<OpCodeOperandKind, readonly [OpKind, number]> = new Map([
  [K.imm8, [OpKind.Immediate8, 8]],
  [K.imm8_const_1, [OpKind.Immediate8, 8]],
  [K.imm8sex16, [OpKind.Immediate8to16, 8]],
  [K.imm8sex32, [OpKind.Immediate8to32, 8]],
  [K.imm8sex64, [OpKind.Immediate8to64, 8]],
  [K.imm16, [OpKind.Immediate16, 16]],
  [K.imm32, [OpKind.Immediate32, 32]],
  [K.imm32sex64, [OpKind.Immediate32to64, 32]],
  [K.imm64, [OpKind.Immediate64, 64]],
])

export function chooseOperands(draft: Draft): void {
  const { cell, instruction, random } = draft
  let immediates = 0
  cell.form.operandKinds.forEach((kind, operand) => {
    const registers = REGISTERS.get(kind)
    if (registers !== undefined && !(REGISTER_OR_MEMORY.has(kind) && cell.operand === 'memory')) {
      const few = cell.mode !== 64 && EXTENDED.has(registers)
      instruction.setOpKind(operand, OpKind.Register)
      instruction.setOpRegister(operand, few ? registers[random.below(8)] : random.pick(registers))
      return
    }
    if (registers !== undefined || kind === K.mem) {
      instruction.setOpKind(operand, OpKind.Memory)
      chooseAddress(draft)
      return
    }
    const immediate = IMMEDIATES.get(kind)
    if (immediate !== undefined) chooseImmediate(draft, operand, kind, immediate, immediates++)
    else if (!chooseImplicit(draft, operand, kind)) chooseBranch(draft, operand, kind)
  })
}

function chooseImmediate(
  { instruction, random }: Draft,
  operand: number,
  kind: OpCodeOperandKind,
  [opKind, bits]: readonly [OpKind, number],
  position: number,
): void {
  instruction.setOpKind(operand, position === 0 ? opKind : OpKind.Immediate8_2nd)
  if (instruction.mnemonic === Mnemonic.Enter) {
    // A frame inside the window, and few levels of nesting.
    instruction.setImmediateU64(operand, BigInt(position === 0 ? random.below(32) : random.below(4)))
  } else if (instruction.mnemonic === Mnemonic.Ret || instruction.mnemonic === Mnemonic.Retf) {
    instruction.setImmediateU64(operand, BigInt(random.below(0x80)))
  } else if (kind === K.imm8_const_1) instruction.setImmediateU64(operand, 1n)
  else instruction.setImmediateI64(operand, BigInt.asIntN(bits, random.integer()))
}

const bySize = <T>(size: Mode, choices: Readonly<Record<Mode, T>>): T => choices[size]

/** Operands that the instruction does not encode: strings, XLAT, MASKMOVQ, and absolute addresses; false for others. */
function chooseImplicit(draft: Draft, operand: number, kind: OpCodeOperandKind): boolean {
  const { instruction, record, random, addressSize: size } = draft
  const { MemorySegSI, MemorySegESI, MemorySegRSI, MemorySegDI, MemorySegEDI, MemorySegRDI } = OpKind
  const place = (register: number, segment: Register, linear: number) =>
    record.setGpr(register, pointer(draft, BigInt(linear) - segmentBase(draft, segment), size))
  const near = random.chance(0.9) ? MIDDLE + random.below(64) - 32 : chooseTarget(draft, 8)
  switch (kind) {
    case K.mem_offs: {
      const segment = chooseOverride(draft)
      const base = segmentBase(draft, segment === Register.None ? Register.DS : segment)
      instruction.setOpKind(operand, OpKind.Memory)
      instruction.memoryDisplSize = size / 8
      instruction.memoryDisplacement = BigInt.asUintN(size, BigInt(near) - base)
      return true
    }
    case K.seg_rSI: {
      const segment = chooseOverride(draft)
      instruction.setOpKind(operand, bySize(size, { 16: MemorySegSI, 32: MemorySegESI, 64: MemorySegRSI }))
      place(RSI, segment === Register.None ? Register.DS : segment, near)
      return true
    }
    case K.es_rDI:
      instruction.setOpKind(
        operand,
        bySize(size, { 16: OpKind.MemoryESDI, 32: OpKind.MemoryESEDI, 64: OpKind.MemoryESRDI }),
      )
      place(RDI, Register.ES, near)
      return true
    case K.seg_rDI: {
      const segment = chooseOverride(draft)
      instruction.setOpKind(operand, bySize(size, { 16: MemorySegDI, 32: MemorySegEDI, 64: MemorySegRDI }))
      place(RDI, segment === Register.None ? Register.DS : segment, near)
      return true
    }
    case K.seg_rBX_al: {
      const segment = chooseOverride(draft)
      instruction.setOpKind(operand, OpKind.Memory)
      instruction.memoryBase = bySize(size, { 16: Register.BX, 32: Register.EBX, 64: Register.RBX })
      instruction.memoryIndex = Register.AL
      place(RBX, segment === Register.None ? Register.DS : segment, WINDOW + random.below(512))
      return true
    }
    case K.mem_vsib32x:
    case K.mem_vsib64x:
    case K.mem_vsib32y:
    case K.mem_vsib64y:
      instruction.setOpKind(operand, OpKind.Memory)
      chooseVectorAddress(
        draft,
        kind === K.mem_vsib32x || kind === K.mem_vsib32y ? 32 : 64,
        kind === K.mem_vsib32x || kind === K.mem_vsib64x ? Register.XMM0 : Register.YMM0,
      )
      return true
    default:
      return false
  }
}

function chooseBranch(draft: Draft, operand: number, kind: OpCodeOperandKind): void {
  const { instruction, record, random } = draft
  switch (kind) {
    case K.br16_1:
    case K.br32_1:
    case K.br64_1:
      setBranch(instruction, operand, kind, nearTarget(draft, codeOffset(draft, record.codeOffset)))
      return
    case K.br16_2:
    case K.br32_4:
    case K.br64_4: {
      const place = random.chance(0.95) || !hasRoomOnStack(draft) ? codePlace(draft) : random.below(0x20000) - 0x10000
      setBranch(instruction, operand, kind, codeOffset(draft, place))
      return
    }
    case K.farbr2_2:
    case K.farbr4_2: {
      const wide = kind === K.farbr4_2
      const { selector, offset } = chooseFarTarget(draft)
      instruction.setOpKind(operand, wide ? OpKind.FarBranch32 : OpKind.FarBranch16)
      instruction.farBranchSelector = selector
      if (wide) instruction.farBranch32 = Number(BigInt.asUintN(32, offset))
      else instruction.farBranch16 = Number(BigInt.asUintN(16, offset))
      return
    }
    default:
      throw new Error(`${draft.cell.form.name}: no operand for kind ${K[kind]}`)
  }
}

/** In reach of 8 bits, and not in the instruction itself. */
function nearTarget({ random }: Draft, from: bigint): bigint {
  return from + BigInt(random.chance(0.5) ? 32 + random.below(64) : -16 - random.below(64))
}

function setBranch(instruction: Instruction, operand: number, kind: OpCodeOperandKind, target: bigint): void {
  if (kind === K.br16_1 || kind === K.br16_2) {
    instruction.setOpKind(operand, OpKind.NearBranch16)
    instruction.nearBranch16 = Number(BigInt.asUintN(16, target))
  } else if (kind === K.br32_1 || kind === K.br32_4) {
    instruction.setOpKind(operand, OpKind.NearBranch32)
    instruction.nearBranch32 = Number(BigInt.asUintN(32, target))
  } else {
    instruction.setOpKind(operand, OpKind.NearBranch64)
    instruction.nearBranch64 = BigInt.asUintN(64, target)
  }
}

const SELECTORS_32 = SELECTORS.filter(selector => selector !== USER_CODE_64)

/** Target of a far transfer: mostly a code segment, and a place in the code page as that segment sees it. */
export function chooseFarTarget(draft: Draft): { readonly selector: number; readonly offset: bigint } {
  const { random, record } = draft
  // Not from 32-bit code to 64-bit code: where that faults, Linux may take it for an erratum and try again for ever
  // (arch/x86/mm/fault.c, is_errata100).
  const codes = [USER_CODE_32, ...LDT_CODE_32, ...LDT_CODE_16, record.selector(SEGMENT_ORDER.indexOf('cs'))]
  const selector = random.chance(0.85)
    ? random.pick(codes)
    : random.pick(draft.cell.mode === 64 ? SELECTORS : SELECTORS_32)
  const base = codes.includes(selector) ? baseOf(selector) : 0
  return { selector, offset: BigInt(CODE_PAGE + codePlace(draft) - base) }
}
