/** The forms of vector instructions with a VEX prefix, and random machine states to run them in. */

import {
  Code,
  CodeExt,
  CpuidFeature,
  Encoder,
  EncodingKind,
  Instruction,
  OpCodeOperandKind,
  OpKind,
  Register,
} from 'iced-x86'
import type { RandomFloats } from '../float/random-floats.ts'

/** Offsets in a state, as `avx-native.c` lays it out. */
export const MEMORY = 0
export const MEMORY_SIZE = 64
export const YMM = 64
export const REGISTERS = 4
export const GENERAL = 192
export const MXCSR = 208
export const FLAGS = 212
export const RAISED = 216
export const STATE_BYTES = 256

const FEATURES: ReadonlySet<string> = new Set(['AVX', 'AVX2', 'FMA', 'F16C', 'AES', 'PCLMULQDQ'])

/** Names of all `Code`s of these features. */
export function avxCodes(): string[] {
  return Object.entries(Code).flatMap(([name, code]) => {
    if (typeof code !== 'number') return []
    const info = CodeExt.opCode(code)
    const vex = info.encoding === EncodingKind.VEX
    info.free()
    if (!vex) return []
    const instruction = Instruction.create(code)
    const features = [...instruction.cpuidFeatures()].map(feature => CpuidFeature[feature])
    instruction.free()
    return features.length > 0 && features.every(feature => FEATURES.has(feature)) ? [name] : []
  })
}

/** One encoding of an instruction with the operands that the tests give it. */
export interface Form {
  readonly code: string
  /** r register, m memory, i immediate; then the numbers of the vector registers. */
  readonly description: string
  readonly bytes: readonly number[]
}

const FIRST_OF_FILE: Readonly<Record<string, Register>> = {
  xmm: Register.XMM0,
  ymm: Register.YMM0,
  r32: Register.EAX,
  r64: Register.RAX,
}

/** The register and memory forms of a code, with all registers different and with all the same. */
export function formsOf(code: string, immediate: number): Form[] {
  const value: unknown = Reflect.get(Code, code)
  if (typeof value !== 'number') throw new Error(`${code} is no Code of iced-x86`)
  const info = CodeExt.opCode(value)
  const kinds = Array.from({ length: info.opCount }, (_, i) => OpCodeOperandKind[info.opKind(i)])
  info.free()
  const inMemory = kinds.map(kind => /^mem|_or_mem$|^seg_rDI$/.test(kind))
  const always = kinds.map(kind => /^mem|^seg_rDI$/.test(kind))
  const choices = inMemory.includes(true) ? (always.includes(true) ? [true] : [false, true]) : [false]
  const gathers = kinds.some(kind => kind.startsWith('mem_vsib'))
  return choices.flatMap(memory =>
    (gathers
      ? [[0, 2, 1, 3]]
      : [
          [0, 1, 2, 3],
          [1, 1, 1, 1],
          [3, 0, 3, 1],
        ]
    ).flatMap(numbers => {
      const instruction = new Instruction()
      instruction.code = value
      const letters = kinds.map((kind, operand) => {
        if (kind === 'imm8') {
          instruction.setOpKind(operand, OpKind.Immediate8)
          instruction.immediate8 = immediate
          return 'i'
        }
        if (kind === 'seg_rDI') {
          instruction.setOpKind(operand, OpKind.MemorySegRDI)
          return 'm'
        }
        if (memory && inMemory[operand]) {
          instruction.setOpKind(operand, OpKind.Memory)
          instruction.memoryBase = Register.RDI
          if (gathers) {
            instruction.memoryIndex = FIRST_OF_FILE[kind.endsWith('y') ? 'ymm' : 'xmm'] + numbers[operand]
            instruction.memoryIndexScale = 4
          }
          return 'm'
        }
        instruction.setOpKind(operand, OpKind.Register)
        const file = kind.slice(0, 3)
        const number = file.startsWith('r') ? numbers[operand] & 1 : numbers[operand]
        instruction.setOpRegister(operand, FIRST_OF_FILE[file] + number)
        return 'r'
      })
      const encoder = new Encoder(64)
      encoder.encode(instruction, 0n)
      const bytes = [...encoder.takeBuffer()]
      instruction.free()
      encoder.free()
      return [{ code, description: `${letters.join('')} ${numbers.join()}`, bytes }]
    }),
  )
}

export type Content = 'integers' | 'binary16' | 'binary32' | 'binary64' | 'indices'

/** What the lanes of an instruction's operands are. */
export function contentOf(code: string): Content {
  const name = code.slice('VEX_V'.length)
  if (name.includes('gather')) return 'indices'
  if (name.startsWith('cvtph')) return 'binary16'
  if (/^cvtt?(ps|ss)/.test(name)) return 'binary32'
  if (/^cvtt?(pd|sd)/.test(name)) return 'binary64'
  if (/^cvt/.test(name)) return 'integers'
  if (/(ps|ss)_/.test(name) && !name.startsWith('perm')) return 'binary32'
  if (/(pd|sd)_/.test(name) && !name.startsWith('perm') && !/^mov/.test(name)) return 'binary64'
  return 'integers'
}

/** A random state. MXCSR mostly masks all exceptions and is often what programs have. */
export function randomState(random: RandomFloats, code: string): Uint8Array {
  const content = contentOf(code)
  const state = new Uint8Array(STATE_BYTES)
  const view = new DataView(state.buffer)
  // A scalar's or a multiplicand's neighbours are often like it, so that sums cancel.
  for (let at = MEMORY; at < GENERAL; at += 8) view.setBigUint64(at, quadword(random, content), true)
  if (random.below(4) === 0 && (content === 'binary32' || content === 'binary64'))
    for (let at = MEMORY; at < GENERAL; at += 8) view.setBigUint64(at, special(random, content), true)
  if (random.below(3) === 0)
    for (let at = YMM + 32; at < GENERAL; at += 8)
      if (random.below(2) === 0) view.setBigUint64(at, view.getBigUint64(at - 32, true) ^ sparse(random), true)
  for (const at of [GENERAL, GENERAL + 8]) view.setBigUint64(at, integer(random), true)
  if (/^VEX_Vps[rl][la][wdq]_/.test(code) && random.below(4) > 0)
    for (const at of [MEMORY, YMM, YMM + 32, YMM + 64, YMM + 96]) view.setBigUint64(at, BigInt(random.below(70)), true)
  if (/^VEX_Vps[rl][la]v/.test(code))
    for (let at = MEMORY; at < GENERAL; at += 4)
      if (random.below(3) > 0) view.setUint32(at, random.pick([random.below(70), random.below(32), 0]), true)
  if (content === 'indices') setIndices(random, view, code)
  const masks = random.below(4) === 0 ? random.below(0x10000) & 0x1f80 : 0x1f80
  const control = random.pick([0, 0x20, 0x20, 0x20, 0x8060, random.below(0x10000) & 0xe07f])
  view.setUint32(MXCSR, masks | control, true)
  if (code.includes('ldmxcsr')) {
    view.setUint32(MXCSR, 0x1f80, true)
    view.setUint32(MEMORY, 0x1f80 | (random.below(0x10000) & 0xe07f), true)
  }
  return state
}

/** Register 2 has indices of memory that is there; register 1 selects. */
function setIndices(random: RandomFloats, view: DataView, code: string): void {
  const wide = /gatherq/.test(code)
  for (let at = YMM + 64; at < YMM + 96; at += wide ? 8 : 4) {
    const index = random.below(15)
    if (wide) view.setBigInt64(at, BigInt(index), true)
    else view.setInt32(at, index, true)
  }
}

/** Zeros, infinities, NaNs of both kinds, the ends of the range, and one; of either sign. */
function special(random: RandomFloats, content: 'binary32' | 'binary64'): bigint {
  const sign = () => BigInt(random.below(2))
  if (content === 'binary64') return random.pick(SPECIAL_64) | (sign() << 63n)
  const single = () => random.pick(SPECIAL_32) | (sign() << 31n)
  return (single() << 32n) | single()
}

const SPECIAL_32 = [0n, 1n, 0x7fffffn, 0x800000n, 0x3f800000n, 0x7f7fffffn, 0x7f800000n, 0x7fc00001n, 0x7f800002n]
const SPECIAL_64 = [
  ...[0n, 1n, 0xf_ffff_ffff_ffffn, 0x10_0000_0000_0000n, 0x3ff0_0000_0000_0000n],
  ...[0x7fef_ffff_ffff_ffffn, 0x7ff0_0000_0000_0000n, 0x7ff8_0000_0000_0001n, 0x7ff0_0000_0000_0002n],
]

const sparse = (random: RandomFloats): bigint => 1n << BigInt(random.below(64))

function quadword(random: RandomFloats, content: Content): bigint {
  switch (content) {
    case 'binary64':
      return random.binary64()
    case 'binary32':
      return (random.binary32() << 32n) | random.binary32()
    case 'binary16': {
      const half = () =>
        (random.bits() & 0x8000n) |
        (BigInt(random.pick([0, 1, 15, 30, 31, random.below(32)])) << 10n) |
        random.fraction(10)
      return (half() << 48n) | (half() << 32n) | (half() << 16n) | half()
    }
    default:
      return integer(random)
  }
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
