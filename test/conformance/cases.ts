/** Makes cases: an encoded instruction form with random operands, and a state of the processor that suits it. */

import {
  Code,
  CodeExt,
  Encoder,
  Instruction,
  Mnemonic,
  OpCodeOperandKind,
  OpKind,
  Register,
  RegisterExt,
} from 'iced-x86'
import { Random } from './random.ts'
import { CaseRecord, CODE_PAGE, WINDOW } from './record.ts'

export interface Case {
  readonly code: Code
  /** Disassembly, for messages. */
  readonly text: string
  readonly record: CaseRecord
}

const RAX = 0
const RCX = 1
const RDX = 2
const RBX = 3
const RSP = 4
const RBP = 5
const RSI = 6
const RDI = 7

/** Middle of the window: stack and strings go both ways from here. */
const MIDDLE = WINDOW + 64

const GENERAL_8 = range(Register.AL, Register.R15L)
const GENERAL_16 = range(Register.AX, Register.R15W)
const GENERAL_32 = range(Register.EAX, Register.R15D)
const GENERAL_64 = range(Register.RAX, Register.R15)
const XMM = range(Register.XMM0, Register.XMM15)
const MM = range(Register.MM0, Register.MM7)

/** Registers that an operand of this kind may be, and whether it may be memory instead. */
const REGISTER_KINDS: ReadonlyMap<number, { readonly registers: readonly Register[]; readonly memory?: true }> =
  new Map([
    [OpCodeOperandKind.r8_or_mem, { registers: GENERAL_8, memory: true }],
    [OpCodeOperandKind.r16_or_mem, { registers: GENERAL_16, memory: true }],
    [OpCodeOperandKind.r32_or_mem, { registers: GENERAL_32, memory: true }],
    [OpCodeOperandKind.r64_or_mem, { registers: GENERAL_64, memory: true }],
    [OpCodeOperandKind.mm_or_mem, { registers: MM, memory: true }],
    [OpCodeOperandKind.xmm_or_mem, { registers: XMM, memory: true }],
    [OpCodeOperandKind.r8_reg, { registers: GENERAL_8 }],
    [OpCodeOperandKind.r8_opcode, { registers: GENERAL_8 }],
    [OpCodeOperandKind.r16_reg, { registers: GENERAL_16 }],
    [OpCodeOperandKind.r16_rm, { registers: GENERAL_16 }],
    [OpCodeOperandKind.r16_opcode, { registers: GENERAL_16 }],
    [OpCodeOperandKind.r32_reg, { registers: GENERAL_32 }],
    [OpCodeOperandKind.r32_rm, { registers: GENERAL_32 }],
    [OpCodeOperandKind.r32_opcode, { registers: GENERAL_32 }],
    [OpCodeOperandKind.r64_reg, { registers: GENERAL_64 }],
    [OpCodeOperandKind.r64_rm, { registers: GENERAL_64 }],
    [OpCodeOperandKind.r64_opcode, { registers: GENERAL_64 }],
    [OpCodeOperandKind.xmm_reg, { registers: XMM }],
    [OpCodeOperandKind.xmm_rm, { registers: XMM }],
    [OpCodeOperandKind.mm_reg, { registers: MM }],
    [OpCodeOperandKind.mm_rm, { registers: MM }],
    [OpCodeOperandKind.al, { registers: [Register.AL] }],
    [OpCodeOperandKind.cl, { registers: [Register.CL] }],
    [OpCodeOperandKind.ax, { registers: [Register.AX] }],
    [OpCodeOperandKind.dx, { registers: [Register.DX] }],
    [OpCodeOperandKind.eax, { registers: [Register.EAX] }],
    [OpCodeOperandKind.rax, { registers: [Register.RAX] }],
    [OpCodeOperandKind.st0, { registers: [Register.ST0] }],
    [OpCodeOperandKind.sti_opcode, { registers: range(Register.ST0, Register.ST7) }],
  ])

const IMMEDIATE_KINDS: ReadonlyMap<number, OpKind> = new Map([
  [OpCodeOperandKind.imm8, OpKind.Immediate8],
  [OpCodeOperandKind.imm8_const_1, OpKind.Immediate8],
  [OpCodeOperandKind.imm8sex16, OpKind.Immediate8to16],
  [OpCodeOperandKind.imm8sex32, OpKind.Immediate8to32],
  [OpCodeOperandKind.imm8sex64, OpKind.Immediate8to64],
  [OpCodeOperandKind.imm16, OpKind.Immediate16],
  [OpCodeOperandKind.imm32, OpKind.Immediate32],
  [OpCodeOperandKind.imm32sex64, OpKind.Immediate32to64],
  [OpCodeOperandKind.imm64, OpKind.Immediate64],
])

/** `count` cases of one form, the same for the same seed. */
export function makeCases(code: Code, count: number, seed: number): Case[] {
  const random = new Random(code * 65537 + seed)
  return Array.from({ length: count }, () => makeCase(code, random))
}

function makeCase(code: Code, random: Random): Case {
  const record = randomState(random)
  // Some combinations have no encoding, such as AH beside R8: draw again.
  for (;;) {
    const instruction = new Instruction()
    instruction.code = code
    chooseOperands(instruction, record, random)
    const bytes = encode(instruction)
    if (bytes !== undefined) {
      record.code = bytes
      suit(instruction, record, random)
      const text = instruction.toString()
      instruction.free()
      return { code, text, record }
    }
    instruction.free()
  }
}

function encode(instruction: Instruction): Uint8Array | undefined {
  const encoder = new Encoder(64)
  try {
    encoder.encode(instruction, BigInt(CODE_PAGE))
    return encoder.takeBuffer()
  } catch {
    return undefined
  } finally {
    encoder.free()
  }
}

function randomState(random: Random): CaseRecord {
  const record = new CaseRecord()
  for (let index = 0; index < 16; index++) record.setGpr(index, random.integer())
  record.setGpr(RSP, BigInt(MIDDLE))
  // Interrupts on and the bit that is always 1, as the host has them; CF, PF, AF, ZF, SF, DF, OF at random.
  record.rflags = 0x202n | (random.bits64() & 0xcd5n)
  record.fcw = random.chance(0.6) ? 0x37f : random.pick([0x37f, 0x27f, 0x07f]) | (random.below(4) << 10)
  record.fsw = (random.below(8) << 11) | (random.chance(0.3) ? random.below(0x10000) & 0x473f : 0)
  record.ftw = random.chance(0.7) ? 0xff : random.below(256)
  if (random.chance(0.05)) {
    record.fcw &= ~(1 << random.below(6))
    record.fsw &= 0x7f00
  }
  record.mxcsr = random.chance(0.6) ? 0x1f80 : (0x1f80 | random.below(0x10000)) & 0xffff
  // Seldom an exception is unmasked; its flag is clear, or it would only tell of the past.
  if (random.chance(0.1)) record.mxcsr &= ~(0x81 << random.below(6))
  for (let index = 0; index < 8; index++) {
    const [exponent, significand] = random.extended()
    const view = new DataView(record.st(index).buffer, record.st(index).byteOffset, 10)
    view.setBigUint64(0, significand, true)
    view.setUint16(8, exponent, true)
  }
  for (let index = 0; index < 16; index++) {
    new BigUint64Array(record.bytes.buffer, record.xmm(index).byteOffset, 2).set([random.lane(), random.lane()])
  }
  for (let offset = 0; offset < 128; offset += 8) record.setWindowWord(WINDOW + offset, random.lane())
  return record
}

function chooseOperands(instruction: Instruction, record: CaseRecord, random: Random): void {
  const form = CodeExt.opCode(instruction.code)
  let immediates = 0
  for (let operand = 0; operand < form.opCount; operand++) {
    const kind = form.opKind(operand)
    const choice = REGISTER_KINDS.get(kind)
    if (choice !== undefined && !(choice.memory && random.chance(0.5))) {
      instruction.setOpKind(operand, OpKind.Register)
      instruction.setOpRegister(operand, random.pick(choice.registers))
      continue
    }
    if (choice?.memory || kind === OpCodeOperandKind.mem) {
      instruction.setOpKind(operand, OpKind.Memory)
      chooseAddress(instruction, record, random)
      if (form.canUseLockPrefix && operand === 0 && random.chance(0.3)) instruction.hasLockPrefix = true
      continue
    }
    const immediate = IMMEDIATE_KINDS.get(kind)
    if (immediate !== undefined) {
      chooseImmediate(instruction, operand, kind, immediate, immediates++, random)
      continue
    }
    chooseImplicitMemory(instruction, operand, kind, record, random)
  }
  if (instruction.isStringInstruction && random.chance(0.6)) {
    record.setGpr(RCX, BigInt(random.below(5)))
    if (form.canUseRepnePrefix && random.chance(0.5)) instruction.hasRepnePrefix = true
    else if (form.canUseRepPrefix) instruction.hasRepPrefix = true
  }
  form.free()
}

function chooseImmediate(
  instruction: Instruction,
  operand: number,
  kind: OpCodeOperandKind,
  opKind: OpKind,
  position: number,
  random: Random,
): void {
  const value = random.integer()
  instruction.setOpKind(operand, position === 0 ? opKind : OpKind.Immediate8_2nd)
  if (instruction.mnemonic === Mnemonic.Enter) {
    // A frame inside the window, and few levels of nesting.
    if (position === 0) instruction.setImmediateU64(operand, BigInt(random.below(32)))
    else instruction.setImmediateU64(operand, BigInt(random.below(4)))
    return
  }
  if (kind === OpCodeOperandKind.imm8_const_1) instruction.setImmediateU64(operand, 1n)
  else instruction.setImmediateI64(operand, BigInt.asIntN(immediateBits(opKind), value))
}

function immediateBits(kind: OpKind): number {
  switch (kind) {
    case OpKind.Immediate16:
      return 16
    case OpKind.Immediate32:
    case OpKind.Immediate32to64:
      return 32
    case OpKind.Immediate64:
      return 64
    default:
      return 8
  }
}

function chooseImplicitMemory(
  instruction: Instruction,
  operand: number,
  kind: OpCodeOperandKind,
  record: CaseRecord,
  random: Random,
): void {
  const near = () => BigInt(MIDDLE + random.below(16) - 8)
  switch (kind) {
    case OpCodeOperandKind.mem_offs:
      instruction.setOpKind(operand, OpKind.Memory)
      instruction.memoryDisplSize = 8
      instruction.memoryDisplacement = near()
      return
    case OpCodeOperandKind.seg_rSI:
      instruction.setOpKind(operand, OpKind.MemorySegRSI)
      record.setGpr(RSI, near())
      return
    case OpCodeOperandKind.es_rDI:
      instruction.setOpKind(operand, OpKind.MemoryESRDI)
      record.setGpr(RDI, near())
      return
    case OpCodeOperandKind.seg_rDI:
      instruction.setOpKind(operand, OpKind.MemorySegRDI)
      record.setGpr(RDI, near())
      return
    case OpCodeOperandKind.seg_rBX_al:
      instruction.setOpKind(operand, OpKind.Memory)
      instruction.memoryBase = Register.RBX
      instruction.memoryIndex = Register.AL
      record.setGpr(RBX, BigInt(WINDOW))
      record.setGpr(RAX, random.bits64() & ~0x80n)
      return
    default:
      throw new Error(`${Code[instruction.code]}: no operand for kind ${OpCodeOperandKind[kind]}`)
  }
}

/** A memory operand inside the window, and the registers that make it so. */
function chooseAddress(instruction: Instruction, record: CaseRecord, random: Random): void {
  // Most of the time aligned to 16 bytes, which many SSE forms insist on.
  const target = WINDOW + (random.chance(0.8) ? 16 * random.below(4) : random.below(64))
  const displacement = random.pick([0, 8, -16, 0x1234, -0x12345])
  if (random.chance(0.1)) {
    setMemory(instruction, Register.RIP, Register.None, 1, BigInt(target))
    return
  }
  const narrow = random.chance(0.1)
  const registers = narrow ? GENERAL_32 : GENERAL_64
  const base = random.below(16)
  let index = random.below(16)
  if (index === base || index === RSP || random.chance(0.5)) index = -1
  const scale = index < 0 ? 1 : random.pick([1, 2, 4, 8])
  const offset = index < 0 ? 0 : random.below(32) - 16
  if (index >= 0) record.setGpr(index, BigInt.asUintN(64, BigInt(offset)))
  const pointer = BigInt(target - displacement - offset * scale)
  // 32-bit addresses wrap, so what the upper half holds must not matter.
  record.setGpr(base, narrow ? pointer | ((random.bits64() << 32n) & 0xffffffff00000000n) : pointer)
  const indexRegister = index < 0 ? Register.None : registers[index]
  setMemory(instruction, registers[base], indexRegister, scale, BigInt(displacement))
}

function setMemory(
  instruction: Instruction,
  base: Register,
  index: Register,
  scale: number,
  displacement: bigint,
): void {
  instruction.memoryBase = base
  instruction.memoryIndex = index
  instruction.memoryIndexScale = scale
  instruction.memoryDisplSize = displacement === 0n ? 0 : base === Register.RIP || GENERAL_64.includes(base) ? 8 : 4
  instruction.memoryDisplacement = BigInt.asUintN(64, displacement)
}

/** Adjusts the state to the instruction: keeps accesses in the window and makes the interesting outcomes likely. */
function suit(instruction: Instruction, record: CaseRecord, random: Random): void {
  const address = windowAddress(instruction, record)
  switch (instruction.mnemonic) {
    case Mnemonic.Bt:
    case Mnemonic.Bts:
    case Mnemonic.Btr:
    case Mnemonic.Btc:
      limitBitOffset(instruction, record, random)
      return
    case Mnemonic.Div:
    case Mnemonic.Idiv:
      if (random.chance(0.7)) suitDividend(instruction, record, random)
      return
    case Mnemonic.Cmpxchg:
      if (random.chance(0.5) && address !== undefined) record.setGpr(RAX, record.windowWord(address))
      return
    case Mnemonic.Cmpxchg8b:
    case Mnemonic.Cmpxchg16b:
      if (random.chance(0.5) && address !== undefined) matchPair(instruction, record, address)
      return
    case Mnemonic.Popf:
    case Mnemonic.Popfq:
      // Not TF, NT nor AC: they would concern what comes after.
      record.setWindowWord(MIDDLE, record.windowWord(MIDDLE) & ~0x44100n & 0xffffn)
      return
    case Mnemonic.Leave:
    case Mnemonic.Enter:
      record.setGpr(RBP, BigInt(MIDDLE + 32))
      return
    case Mnemonic.Ldmxcsr:
      if (random.chance(0.8) && address !== undefined) {
        record.setWindowWord(address, record.windowWord(address) & 0xffffffff0000ffffn)
      }
      return
    default:
      return
  }
}

/**
 * A bit offset in a register reaches memory far from the operand: limited to what lies in the page, unless the register
 * is part of the address, too.
 */
function limitBitOffset(instruction: Instruction, record: CaseRecord, random: Random): void {
  if (instruction.opKind(0) !== OpKind.Memory || instruction.opKind(1) !== OpKind.Register) return
  const register = RegisterExt.fullRegister(instruction.opRegister(1))
  if (addressRegisters(instruction).includes(register)) return
  record.setGpr(register - Register.RAX, BigInt.asUintN(64, BigInt(random.below(512) - 256)))
}

/** A random dividend nearly always overflows: makes it small. */
function suitDividend(instruction: Instruction, record: CaseRecord, random: Random): void {
  const registers = addressRegisters(instruction)
  if (registers.includes(Register.RAX) || registers.includes(Register.RDX)) return
  const negative = instruction.mnemonic === Mnemonic.Idiv && random.chance(0.5)
  record.setGpr(RDX, negative ? 0xffffffffffffffffn : 0n)
  // Of an 8-bit division AX is the dividend.
  if (random.chance(0.5)) record.setGpr(RAX, random.bits64() & 0x7fn)
}

function matchPair(instruction: Instruction, record: CaseRecord, address: number): void {
  const low = record.windowWord(address)
  if (instruction.mnemonic === Mnemonic.Cmpxchg8b) {
    record.setGpr(RAX, low & 0xffffffffn)
    record.setGpr(RDX, low >> 32n)
  } else {
    record.setGpr(RAX, low)
    record.setGpr(RDX, record.windowWord(address + 8))
  }
}

/** The 64-bit registers that the explicit memory operand's address is made of. */
function addressRegisters(instruction: Instruction): Register[] {
  return [instruction.memoryBase, instruction.memoryIndex]
    .filter(register => register !== Register.None && register !== Register.RIP)
    .map(register => RegisterExt.fullRegister(register))
}

/** Linear address of the explicit memory operand, when it lies in the window and RAX and RDX are not part of it. */
function windowAddress(instruction: Instruction, record: CaseRecord): number | undefined {
  const registers = addressRegisters(instruction)
  if (instruction.memoryBase === Register.None) return undefined
  if (registers.includes(Register.RAX) || registers.includes(Register.RDX)) return undefined
  if (instruction.memoryBase === Register.RIP) return Number(instruction.memoryDisplacement)
  const [base, index = 0n] = registers.map(register => record.gpr(register - Register.RAX))
  const sum = base + index * BigInt(instruction.memoryIndexScale) + instruction.memoryDisplacement
  const address = Number(BigInt.asUintN(RegisterExt.size(instruction.memoryBase) * 8, sum))
  return address >= WINDOW && address < WINDOW + 112 ? address : undefined
}

function range(first: Register, last: Register): Register[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
