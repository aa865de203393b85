/** Makes cases of a cell: an encoded instruction with random operands, and a state of the processor that suits it. */

import { Code, Decoder, DecoderOptions, Encoder, Instruction, OpKind, Register, RegisterExt } from 'iced-x86'
import { type Cell, nameOf, type Prefix } from './cells.ts'
import { addressRegisters, chooseSegments, type Draft, RAX, RSP } from './draft.ts'
import type { Mode } from './forms.ts'
import { chooseOperands } from './operands.ts'
import { type LanePool, Random } from './random.ts'
import { CaseRecord, CODE_PAGE } from './record.ts'
import { baseOf } from './segments.ts'
import { chooseStack, suit } from './suit.ts'

export interface Case {
  readonly cell: Cell
  readonly record: CaseRecord
  /** Linear address of the explicit memory operand. */
  readonly operand: number | undefined
}

/** Some combinations have no encoding, such as AH beside R8: drawn again so often before a cell is given up. */
const ATTEMPTS = 24
/** And so often when there has been a case of the cell. */
const MORE_ATTEMPTS = 400

const PREFIX_BYTES: Readonly<Partial<Record<Prefix, number>>> = {
  lock: 0xf0,
  rep: 0xf3,
  repne: 0xf2,
  'operand-size': 0x66,
  'address-size': 0x67,
}
const SEGMENT_BYTES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]

/** Before a VEX prefix these are #UD (SDM vol. 2, 2.3.2 to 2.3.4). */
const REFUSED_BY_VEX: ReadonlySet<Prefix> = new Set(['lock', 'rep', 'repne', 'operand-size'])

export class CaseMaker {
  readonly #pool: LanePool
  readonly #encoders: Readonly<Record<Mode, Encoder>> = {
    64: new Encoder(64),
    32: new Encoder(32),
    16: new Encoder(16),
  }

  constructor(pool: LanePool) {
    this.#pool = pool
  }

  /** Up to `count` cases of a cell, the same for the same seed; none when there is no such cell. */
  make(cell: Cell, count: number, seed: number): Case[] {
    const random = new Random(seed, hash(nameOf(cell)))
    const cases: Case[] = []
    for (let i = 0; i < count; i++) {
      const made = this.#makeCase(cell, random, i === 0 ? ATTEMPTS : MORE_ATTEMPTS)
      if (made === undefined) break
      cases.push(made)
    }
    return cases
  }

  #makeCase(cell: Cell, random: Random, attempts: number): Case | undefined {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const instruction = new Instruction()
      instruction.code = cell.form.code
      try {
        const made = this.#attempt(cell, instruction, random)
        if (made !== undefined) return made
      } finally {
        instruction.free()
      }
    }
    return undefined
  }

  #attempt(cell: Cell, instruction: Instruction, random: Random): Case | undefined {
    const record = new CaseRecord()
    randomState(record, this.#pool, random, cell.mode)
    const addressSize = addressSizeOf(cell)
    chooseSegments(record, cell.mode, addressSize, random)
    record.codeOffset = 0x100 + random.below(0xd00)
    const draft: Draft = { cell, instruction, record, random, addressSize, operand: undefined, target: undefined }
    record.rip = BigInt(CODE_PAGE + record.codeOffset - (cell.mode === 64 ? 0 : baseOf(record.selector(0))))
    chooseStack(draft)
    chooseOperands(draft)
    const code = this.#encode(cell, instruction, record.rip, random)
    if (code === undefined) return undefined
    if (isOpen(draft)) return undefined
    record.code = code
    suit(draft)
    return { cell, record, operand: draft.target }
  }

  #encode(cell: Cell, instruction: Instruction, rip: bigint, random: Random): Uint8Array | undefined {
    const encoder = this.#encoders[cell.mode]
    let bytes: Uint8Array
    try {
      encoder.encode(instruction, rip)
      bytes = encoder.takeBuffer()
    } catch {
      encoder.takeBuffer()
      return undefined
    }
    const { prefix, mode } = cell
    const before = prefixBytes(cell, instruction, random).filter(byte => !leads(bytes, byte))
    const code = Uint8Array.from([...before, ...bytes])
    if (code.length > 15) return undefined
    const decoded = decodedCode(code, mode)
    if (decoded === cell.form.code) return code
    const refused = prefix === 'lock' || (cell.form.vex && REFUSED_BY_VEX.has(prefix))
    return refused && decoded === Code.INVALID && decodedCode(bytes, mode) === cell.form.code ? code : undefined
  }
}

/**
 * EDX:EAX says which components XSAVE and its like are about; as part of the address it may ask for AVX-512's, which the
 * host has. And whether a far call from 64-bit to 32-bit code pushes by RSP or by ESP is each maker's own, as is
 * what of the address of a far bit must be canonical.
 */
function isOpen({ cell, instruction }: Draft): boolean {
  const registers = addressRegisters(instruction)
  if (/^Call_m16/.test(cell.form.name)) return registers.includes(RSP)
  if (/^Bt[crs]?_rm\d+_r\d+$/.test(cell.form.name) && instruction.opKind(0) === OpKind.Memory) {
    return registers.includes(RegisterExt.fullRegister(instruction.opRegister(1)) - Register.RAX)
  }
  return /^(Xsave|Xrstor)/.test(cell.form.name) && registers.includes(RAX)
}

/** Does a prefix already stand before the opcode? */
function leads(bytes: Uint8Array, prefix: number): boolean {
  const legacy = [0xf0, 0xf2, 0xf3, 0x66, 0x67, ...SEGMENT_BYTES]
  for (const byte of bytes) {
    if (!legacy.includes(byte)) return false
    if (byte === prefix) return true
  }
  return false
}

/** The prefix of the cell, unless it is already in the operand (address size, segment). */
function prefixBytes({ prefix }: Cell, instruction: Instruction, random: Random): number[] {
  const byte = PREFIX_BYTES[prefix]
  if (byte !== undefined) return [byte]
  return prefix === 'segment' && instruction.segmentPrefix === 0 ? [random.pick(SEGMENT_BYTES)] : []
}

/** With the prefix, the other size that the mode has. */
function addressSizeOf({ mode, prefix }: Cell): Mode {
  if (prefix !== 'address-size') return mode
  return mode === 32 ? 16 : 32
}

function decodedCode(bytes: Uint8Array, mode: Mode): Code | undefined {
  const decoder = new Decoder(mode, bytes, DecoderOptions.None)
  const instruction = decoder.decode()
  // What is longer or shorter than was encoded is another instruction.
  const code = instruction.length === bytes.length || instruction.isInvalid ? instruction.code : undefined
  instruction.free()
  decoder.free()
  return code
}

function randomState(record: CaseRecord, pool: LanePool, random: Random, mode: Mode): void {
  for (let index = 0; index < (mode === 64 ? 16 : 8); index++) {
    record.setGpr(index, mode === 64 ? random.integer() : BigInt.asUintN(32, random.integer()))
  }
  // Interrupts on and the bit that is always 1, as the host has them; CF, PF, AF, ZF, SF, DF, OF at random.
  record.rflags = 0x202 | (random.bits32() & 0xcd5)
  record.fcw = random.chance(0.6) ? 0x37f : random.pick([0x37f, 0x27f, 0x07f]) | (random.below(4) << 10)
  record.fsw = (random.below(8) << 11) | (random.chance(0.3) ? random.below(0x10000) & 0x473f : 0)
  record.ftw = random.chance(0.7) ? 0xff : random.below(256)
  if (random.chance(0.05)) {
    record.fcw &= ~(1 << random.below(6))
    record.fsw &= 0x7f00
  }
  record.mxcsr = random.chance(0.6) ? 0x1f80 : 0x1f80 | random.below(0x10000)
  // Seldom an exception is unmasked; its flag is clear, or it would only tell of the past.
  if (random.chance(0.1)) record.mxcsr &= ~(0x81 << random.below(6))
  record.bytes.set(pool.x87Registers(random), 32)
  // What lies between the 80-bit registers is no register.
  for (let index = 0; index < 8; index++) record.bytes.fill(0, 32 + index * 16 + 10, 48 + index * 16)
  const vectors = mode === 64 ? 16 : 8
  record.bytes.set(pool.lanes(random, vectors * 16), 160)
  if (random.chance(0.8)) record.bytes.set(pool.lanes(random, vectors * 16), 576)
  // Equal operands, which comparisons are about.
  if (random.chance(0.2)) record.xmm(random.below(vectors)).set(record.xmm(random.below(vectors)))
  record.window.set(pool.lanes(random, record.window.length))
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value
}
