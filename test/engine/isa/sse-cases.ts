/** The forms of MMX instructions and of SSE's legacy encodings, and random machine states to run them in. */

import { Code, CpuidFeature, Encoder, Instruction, MemoryOperand, OpCodeOperandKind, Register } from 'iced-x86'
import type { RandomFloats } from '../float/random-floats.ts'

/** Offsets in a state, as `sse-native.c` lays it out. */
export const XMM = 0
export const MM = 32
export const GENERAL = 48
export const MEMORY = 64
export const MEMORY_SIZE = 32
export const MXCSR = 96
export const FLAGS = 100
export const RDX = 104
export const RAISED = 112
export const STATE_BYTES = 128

/** One encoding of an instruction with the operands that the tests give it. */
export interface Form {
  readonly code: string
  /** As in `InstructionScope`: r register, m memory, i immediate. */
  readonly shape: string
  /** Number of each register operand in its file. */
  readonly registers: readonly number[]
  readonly encode: (immediate: number) => Uint8Array
  /** Bytes of the memory operand, 0 without one. */
  readonly memoryBytes: number
}

const FEATURES: ReadonlySet<number> = new Set([
  CpuidFeature.MMX,
  CpuidFeature.SSE,
  CpuidFeature.SSE2,
  CpuidFeature.SSE3,
  CpuidFeature.SSSE3,
  CpuidFeature.SSE4_1,
  CpuidFeature.SSE4_2,
  CpuidFeature.AES,
  CpuidFeature.PCLMULQDQ,
  CpuidFeature.SHA,
])

/** Names of all `Code`s that belong to MMX or SSE alone, but for CRC32, whose operands are general registers. */
export function sseCodes(): string[] {
  return Object.keys(Code).filter(name => {
    const code = codeOf(name)
    if (code === undefined) return false
    const instruction = new Instruction()
    instruction.code = code
    const features = [...instruction.cpuidFeatures()]
    return features.length > 0 && features.every(feature => FEATURES.has(feature)) && !name.startsWith('Crc32')
  })
}

function codeOf(name: string): Code | undefined {
  const value: unknown = Reflect.get(Code, name)
  return typeof value === 'number' ? value : undefined
}

/** Registers by file; index 0 is the destination's, 1 the source's. */
const FILES = {
  xmm: [Register.XMM0, Register.XMM1],
  mm: [Register.MM0, Register.MM1],
  r32: [Register.EAX, Register.ECX],
  r64: [Register.RAX, Register.RCX],
} as const

interface OperandChoice {
  readonly kind: 'r' | 'm' | 'i'
  readonly file: keyof typeof FILES
}

/** What an operand kind of iced-x86 can be, memory last. */
function choices(kind: string): OperandChoice[] {
  const file = kind.startsWith('xmm') ? 'xmm' : kind.startsWith('mm') ? 'mm' : kind.startsWith('r64') ? 'r64' : 'r32'
  if (kind === 'imm8') return [{ kind: 'i', file }]
  if (kind === 'mem' || kind === 'seg_rDI') return [{ kind: 'm', file }]
  const register: OperandChoice = { kind: 'r', file }
  return kind.endsWith('_or_mem') ? [register, { kind: 'm', file }] : [register]
}

const IMPLICIT_XMM0 = /^(Pblendvb|Blendvp[sd]|Sha256rnds2)_/

/** The register and memory forms of a code; with two registers also the form that names one register twice. */
export function formsOf(code: string): Form[] {
  const value = codeOf(code)
  if (value === undefined) throw new Error(`${code} is no Code of iced-x86`)
  const probe = new Instruction()
  probe.code = value
  const kinds = Array.from({ length: probe.opCode.opCount }, (_, i) => OpCodeOperandKind[probe.opCode.opKind(i)])
  if (kinds[0] === 'seg_rDI') return [maskedStore(code)]
  let shapes: OperandChoice[][] = [[]]
  for (const kind of kinds) shapes = shapes.flatMap(shape => choices(kind).map(choice => [...shape, choice]))
  return shapes.flatMap(operands => {
    const numbers = operands.map((_, i) => Math.min(i, 1))
    const forms = [form(code, value, operands, numbers)]
    const files = operands.filter(operand => operand.kind === 'r').map(operand => operand.file)
    if (files.length === 2 && files[0] === files[1]) forms.push(form(code, value, operands, [0, 0, 0]))
    // The implicit XMM0 is otherwise the destination.
    if (IMPLICIT_XMM0.test(code))
      forms.push(
        form(
          code,
          value,
          operands,
          operands.map((_, i) => 1 - i),
        ),
      )
    return forms
  })
}

function form(code: string, value: Code, operands: readonly OperandChoice[], registers: readonly number[]): Form {
  const shape = operands.map(operand => operand.kind).join('')
  const build = (immediate: number) => instructionOf(value, operands, registers, immediate)
  const memoryBytes = shape.includes('m') ? bytesOfMemory(build(0)) : 0
  return { code, shape, registers, encode: immediate => encode(build(immediate)), memoryBytes }
}

function maskedStore(code: string): Form {
  const build = () =>
    code === 'Maskmovq_rDI_mm_mm'
      ? Instruction.createMaskmovq(64, Register.MM0, Register.MM1, Register.None)
      : Instruction.createMaskmovdqu(64, Register.XMM0, Register.XMM1, Register.None)
  const memoryBytes = code === 'Maskmovq_rDI_mm_mm' ? 8 : 16
  return { code, shape: 'mrr', registers: [0, 0, 1], encode: () => encode(build()), memoryBytes }
}

function instructionOf(
  code: Code,
  operands: readonly OperandChoice[],
  registers: readonly number[],
  immediate: number,
): Instruction {
  const memory = new MemoryOperand(Register.RDI, Register.None, 1, 0n, 0, false, Register.None)
  const register = (i: number) => FILES[operands[i].file][registers[i]]
  switch (operands.map(operand => operand.kind).join('')) {
    case '':
      return Instruction.create(code)
    case 'm':
      return Instruction.createMem(code, memory)
    case 'rr':
      return Instruction.createRegReg(code, register(0), register(1))
    case 'rm':
      return Instruction.createRegMem(code, register(0), memory)
    case 'mr':
      return Instruction.createMemReg(code, memory, register(1))
    case 'mri':
      return Instruction.createMemRegI32(code, memory, register(1), immediate)
    case 'ri':
      return Instruction.createRegI32(code, register(0), immediate)
    case 'rri':
      return Instruction.createRegRegI32(code, register(0), register(1), immediate)
    case 'rmi':
      return Instruction.createRegMemI32(code, register(0), memory, immediate)
    default:
      throw new Error(`${Code[code]}: no such combination of operands`)
  }
}

/** Memory sizes by what the disassembly says: iced-x86 has them as an enum whose values are sizes by name only. */
function bytesOfMemory(instruction: Instruction): number {
  const text = instruction.opCode.instructionString
  const found = /\bm(8|16|32|64|128)\b/.exec(text)
  if (!found) throw new Error(`${text}: memory operand of unknown size`)
  return Number(found[1]) / 8
}

function encode(instruction: Instruction): Uint8Array {
  const encoder = new Encoder(64)
  encoder.encode(instruction, 0n)
  return encoder.takeBuffer()
}

const STRINGS = /^Pcmp[ei]str/

/** What the lanes of random operands are. */
export type Content = 'integers' | 'strings' | 'binary32' | 'binary64'

export function contentOf(code: string): Content {
  if (STRINGS.test(code)) return 'strings'
  if (/^(Cvt|Cvtt)(ps|ss|dq2ps|pi2ps)/.test(code)) return code.includes('si2') ? 'integers' : 'binary32'
  if (/^Cvtt?(pd|sd)/.test(code)) return 'binary64'
  if (/(ps|ss)_/.test(code)) return 'binary32'
  if (/^(P|Mov|Cvt)/.test(code)) return 'integers'
  if (/(pd|sd)_/.test(code)) return 'binary64'
  return 'integers'
}

/** A random state. MXCSR is random but for its masks, with the usual values favoured. */
export function randomState(
  random: RandomFloats,
  content: Content,
  code: string,
  exceptions: 'masked' | 'unmasked',
): Uint8Array {
  const state = new Uint8Array(STATE_BYTES)
  const view = new DataView(state.buffer)
  for (const at of [XMM, XMM + 8, XMM + 16, XMM + 24, MM, MM + 8, MEMORY, MEMORY + 8, MEMORY + 16, MEMORY + 24])
    view.setBigUint64(at, quadword(random, content), true)
  for (const at of [GENERAL, GENERAL + 8, RDX])
    view.setBigUint64(at, content === 'strings' ? length(random) : integer(random), true)
  if (/^P(s[rl][la])/.test(code) && random.below(4) > 0)
    for (const at of [XMM + 16, MM + 8, MEMORY]) view.setBigUint64(at, BigInt(random.below(70)), true)
  const control = random.pick([
    0x1f80,
    0x1fa0,
    0x1fa0,
    0x1fa0,
    0x1fa0,
    0x9fe0,
    0x1f80 | (random.below(0x10000) & 0xe07f),
  ])
  const unmasked = exceptions === 'unmasked' ? random.below(64) << 7 : 0
  view.setUint32(MXCSR, code.startsWith('Ldmxcsr') ? 0x1f80 : control & ~unmasked, true)
  if (code.startsWith('Ldmxcsr')) view.setUint32(MEMORY, 0x1f80 | (random.below(0x10000) & 0xe07f), true)
  view.setUint32(FLAGS, 0, true)
  return state
}

function quadword(random: RandomFloats, content: Content): bigint {
  switch (content) {
    case 'binary64':
      return random.binary64()
    case 'binary32':
      return (random.binary32() << 32n) | random.binary32()
    case 'strings':
      return characters(random)
    case 'integers':
      return integer(random)
  }
}

/** Bytes or words of a small alphabet with an end now and then; some are ranges or differ in sign. */
function characters(random: RandomFloats): bigint {
  const { bits, alphabet } = random.pick([
    { bits: 8, alphabet: [0x61, 0x61, 0x61, 0x62, 0x63, 0x41] },
    { bits: 8, alphabet: [0x61, 0x62, 0x7a, 0x80, 0xff, 0x61, 0x62, 0x00] },
    { bits: 16, alphabet: [0x61, 0x62, 0x162, 0x8000, 0x61, 0x0000, 0x61, 0x62] },
  ])
  let value = 0n
  for (let at = 0; at < 64; at += bits) value |= BigInt(random.pick(alphabet)) << BigInt(at)
  return value
}

/** Of a string of 16 bytes or 8 words: also negative, beyond it, and with garbage above 32 bits. */
function length(random: RandomFloats): bigint {
  const short = BigInt(random.below(40) - 20)
  return (
    random.pick([
      BigInt.asUintN(64, short),
      BigInt.asUintN(64, short),
      BigInt.asUintN(32, short) | (random.bits() << 32n),
      random.bits(),
      0x8000_0000_8000_0000n,
    ]) & 0xffff_ffff_ffff_ffffn
  )
}

/** Random bits, short numbers of both signs, and lanes at the ends of their range. */
function integer(random: RandomFloats): bigint {
  const bits = random.bits()
  switch (random.below(4)) {
    case 0:
      return bits
    case 1:
      return BigInt.asUintN(64, BigInt.asIntN(64, bits) >> BigInt(random.below(64)))
    case 2:
      return bits & 0x0000_0003_ffff_ffffn
    default: {
      let value = 0n
      for (let i = 0n; i < 64n; i += 16n)
        value |= BigInt(random.pick([0, 1, 0xffff, 0x7fff, 0x8000, 0x8001, 0x7f80, 0x80ff, 0x00ff])) << i
      return value
    }
  }
}
