/**
 * Random instructions of 64-bit mode. R15 points to data, R14 is a small index, R13 counts loops, RSP is the stack's:
 * none of the four is written. Memory operands stay within two pages, or reach into the hole behind them.
 */

import type { Random } from './random.ts'

/** Registers that random instructions may write. */
const FREE = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]
const [RCX, RSI, RDI, R14, R15] = [1, 6, 7, 14, 15]

/** Bytes of data behind R15 that are mapped. */
export const DATA_BYTES = 0x2000

export interface Encoding {
  /** 0x66, 0xf2 or 0xf3 before the opcode. */
  readonly prefix?: number
  readonly wide?: boolean
  readonly opcode: readonly number[]
  /** Number of the register operand, or the opcode's extension. */
  readonly reg: number
  /** Number of a register, or a memory operand. */
  readonly rm: number | { readonly offset: number; readonly scale?: number }
  readonly immediate?: readonly number[]
  /** Byte registers: SPL to DIL need a REX prefix. */
  readonly bytes?: boolean
}

export function encode({ prefix, wide, opcode, reg, rm, immediate = [], bytes }: Encoding): number[] {
  const memory = typeof rm === 'object'
  const indexed = memory && rm.scale !== undefined
  const base = memory ? R15 : rm
  const rex =
    0x40 | (wide ? 8 : 0) | (reg & 8 ? 4 : 0) | (indexed ? 2 : 0) | (base & 8 ? 1 : 0) | (bytes && reg > 3 ? 0x40 : 0)
  const out = prefix === undefined ? [] : [prefix]
  if (rex !== 0x40 || bytes) out.push(rex)
  out.push(...opcode)
  const field = (reg & 7) << 3
  if (!memory) out.push(0xc0 | field | (rm & 7))
  else {
    out.push(0x80 | field | (indexed ? 4 : 7))
    if (indexed) out.push(((rm.scale ?? 0) << 6) | ((R14 & 7) << 3) | 7)
    out.push(rm.offset & 0xff, (rm.offset >> 8) & 0xff, 0, 0)
  }
  return [...out, ...immediate]
}

export interface CodeStyle {
  /** Probability that a memory operand reaches into the hole. */
  readonly holes?: number
  /** Division and other instructions that may fault by their operands. */
  readonly division?: boolean
  readonly sse?: boolean
  readonly strings?: boolean
  /** No PUSH and POP: for code that must find its return address. */
  readonly balanced?: boolean
}

const immediateBytes = (random: Random, count: number): number[] =>
  Array.from({ length: count }, () => random.below(256))

export class RandomCode {
  readonly random: Random
  readonly style: CodeStyle

  constructor(random: Random, style: CodeStyle = {}) {
    this.random = random
    this.style = style
  }

  /** One instruction, or a few that belong together. */
  snippet(): number[][] {
    const { random, style } = this
    if (style.strings && random.chance(0.08)) return this.#string()
    if (style.sse && random.chance(0.3)) return [this.#sse()]
    return [this.instruction()]
  }

  /** One integer instruction that is no branch. */
  instruction(): number[] {
    const { random } = this
    const kinds = [
      () => this.#alu(),
      () => this.#alu(),
      () => this.#aluImmediate(),
      () => this.#move(),
      () => this.#move(),
      () => this.#shift(),
      () => this.#unary(),
      () => this.#twoByte(),
      () => this.#twoByte(),
      () => this.#lea(),
      () => this.#stackOrFlags(),
      () => this.#exchange(),
    ]
    return random.pick(kinds)()
  }

  register(): number {
    return this.random.pick(FREE)
  }

  #place(bytes: number, aligned = false): Encoding['rm'] {
    const { random, style } = this
    if (random.chance(0.5)) return this.register()
    return this.memory(bytes, aligned, random.chance(style.holes ?? 0))
  }

  memory(bytes: number, aligned = false, hole = false): { offset: number; scale?: number } {
    const { random } = this
    const align = (offset: number) => (aligned ? offset & ~15 : offset)
    if (hole) return { offset: align(DATA_BYTES - 4 + random.below(20)) }
    // Near the boundary between the two pages more often than chance would.
    const offset = random.chance(0.1) ? 0xff0 + random.below(32) : random.below(DATA_BYTES - 256)
    if (random.chance(0.3) && !aligned) return { offset: Math.min(offset, DATA_BYTES - 256), scale: random.below(4) }
    return { offset: align(Math.min(offset, DATA_BYTES - bytes)) }
  }

  /** Operand size: opcode bit 0 clear for bytes, prefix for 16 bits, REX.W for 64. */
  #sized(opcode: number, reg: number, immediate?: (bytes: number) => number[]): number[] {
    const size = this.random.below(4)
    const rm = this.#place(8)
    const common = { reg, rm, immediate: immediate?.([1, 2, 4, 4][size]) ?? [] }
    if (size === 0) return encode({ ...common, opcode: [opcode & ~1], bytes: true })
    if (size === 1) return encode({ ...common, opcode: [opcode | 1], prefix: 0x66 })
    return encode({ ...common, opcode: [opcode | 1], wide: size === 3 })
  }

  #alu(): number[] {
    const operation = this.random.below(8)
    return this.#sized((operation << 3) | (this.random.below(2) << 1), this.register())
  }

  #aluImmediate(): number[] {
    const { random } = this
    const operation = random.below(8)
    if (random.chance(0.5))
      return encode({
        opcode: [0x83],
        wide: random.chance(0.5),
        reg: operation,
        rm: this.#place(8),
        immediate: immediateBytes(random, 1),
      })
    return this.#sized(0x80, operation, bytes => immediateBytes(random, bytes))
  }

  #move(): number[] {
    const { random } = this
    switch (random.below(4)) {
      case 0:
        return this.#sized(0x88, this.register())
      case 1:
        return this.#sized(0x8a, this.register())
      case 2:
        return this.#sized(0xc6, 0, bytes => immediateBytes(random, bytes))
      default: {
        const register = this.register()
        return [0x48 | (register >> 3), 0xb8 | (register & 7), ...immediateBytes(random, 8)]
      }
    }
  }

  #shift(): number[] {
    const { random } = this
    const operation = random.below(8)
    if (random.chance(0.5)) return this.#sized(0xc0, operation, () => immediateBytes(random, 1))
    return this.#sized(random.chance(0.5) ? 0xd0 : 0xd2, operation)
  }

  #unary(): number[] {
    const { random, style } = this
    if (random.chance(0.4)) return this.#sized(0xfe, random.below(2))
    // TEST, NOT, NEG, MUL, IMUL, DIV, IDIV
    const operation = random.pick(style.division ? [0, 2, 3, 4, 5, 6, 7] : [0, 2, 3, 4, 5])
    return this.#sized(0xf6, operation, bytes => (operation === 0 ? immediateBytes(random, bytes) : []))
  }

  #twoByte(): number[] {
    const { random } = this
    const wide = random.chance(0.5)
    const [reg, rm] = [this.register(), this.#place(8)]
    switch (random.below(9)) {
      case 0:
        return encode({ opcode: [0x0f, 0x40 | random.below(16)], wide, reg, rm })
      case 1:
        return encode({ opcode: [0x0f, 0x90 | random.below(16)], reg: 0, rm, bytes: true })
      case 2:
        return encode({ opcode: [0x0f, random.pick([0xb6, 0xb7, 0xbe, 0xbf])], wide, reg, rm, bytes: true })
      case 3:
        return encode({ opcode: [0x0f, 0xaf], wide, reg, rm })
      case 4:
        return encode({ opcode: [0x0f, random.pick([0xa3, 0xab, 0xb3, 0xbb])], wide, reg, rm: this.register() })
      case 5:
        return encode({
          opcode: [0x0f, 0xba],
          wide,
          reg: 4 + random.below(4),
          rm,
          immediate: immediateBytes(random, 1),
        })
      case 6:
        return encode({
          opcode: [0x0f, random.pick([0xa4, 0xac])],
          wide,
          reg,
          rm,
          immediate: immediateBytes(random, 1),
        })
      case 7:
        return encode({ opcode: [0x0f, random.pick([0xbc, 0xbd])], wide, reg, rm })
      default:
        return encode({ prefix: 0xf3, opcode: [0x0f, 0xb8], wide, reg, rm })
    }
  }

  #lea(): number[] {
    const { random } = this
    if (random.chance(0.5)) return encode({ opcode: [0x8d], wide: true, reg: this.register(), rm: this.memory(1) })
    if (random.chance(0.5)) return encode({ opcode: [0x63], wide: true, reg: this.register(), rm: this.#place(4) })
    const bytes = random.chance(0.5) ? 1 : 4
    return encode({
      opcode: [bytes === 1 ? 0x6b : 0x69],
      wide: random.chance(0.5),
      reg: this.register(),
      rm: this.#place(8),
      immediate: immediateBytes(random, bytes),
    })
  }

  #stackOrFlags(): number[] {
    const { random } = this
    const register = this.register()
    const rex = register > 7 ? [0x41] : []
    const stack = [[...rex, 0x50 | (register & 7)], [...rex, 0x58 | (register & 7)], [0x9c]]
    return random.pick([
      ...(this.style.balanced ? [] : stack),
      [0x9f],
      [0x9e],
      [0xf5],
      [0xf8],
      [0xf9],
      [0x98],
      [0x48, 0x99],
    ])
  }

  #exchange(): number[] {
    const { random } = this
    const wide = random.chance(0.5)
    const [reg, rm] = [this.register(), this.#place(8)]
    switch (random.below(4)) {
      case 0:
        return this.#sized(0x86, reg)
      case 1:
        return encode({ opcode: [0x0f, 0xc1], wide, reg, rm })
      case 2:
        return encode({ opcode: [0x0f, 0xb1], wide, reg, rm })
      default:
        return encode({ opcode: [0x0f, 0xc7], reg: 1, rm: this.memory(8) })
    }
  }

  #sse(): number[] {
    const { random } = this
    const xmm = () => random.below(16)
    const rm = random.chance(0.5) ? xmm() : this.memory(16, true, random.chance(this.style.holes ?? 0))
    const form = random.pick(SSE)
    return encode({
      ...(form.prefix === undefined ? {} : { prefix: form.prefix }),
      opcode: [0x0f, form.opcode],
      reg: xmm(),
      rm,
      immediate: form.immediate ? immediateBytes(random, 1) : [],
    })
  }

  #string(): number[][] {
    const { random } = this
    const pointer = (register: number) => encode({ opcode: [0x8d], wide: true, reg: register, rm: this.memory(256) })
    const operation = random.pick([0xa4, 0xaa, 0xac, 0xa6, 0xae])
    const wide = random.below(3)
    const prefix = random.pick([[], [0xf3], [0xf3], [0xf2]])
    const count = [0xb8 | RCX, random.below(20), 0, 0, 0]
    return [
      pointer(RSI),
      pointer(RDI),
      count,
      [...prefix, ...(wide === 2 ? [0x48] : []), operation | (wide === 0 ? 0 : 1)],
    ]
  }
}

interface SseForm {
  readonly prefix?: number
  readonly opcode: number
  readonly immediate?: boolean
}

const ARITHMETIC = [0x51, 0x58, 0x59, 0x5c, 0x5d, 0x5e, 0x5f]
const INTEGER = [0x60, 0x61, 0x64, 0x67, 0x6b, 0xd4, 0xdb, 0xdf, 0xe0, 0xe4, 0xeb, 0xef, 0xf4, 0xf6, 0xfa, 0xfe]

/** Moves, arithmetic, logic and shuffles of SSE and SSE2. */
const SSE: readonly SseForm[] = [
  ...ARITHMETIC.flatMap(opcode => [
    { opcode },
    { opcode, prefix: 0x66 },
    { opcode, prefix: 0xf2 },
    { opcode, prefix: 0xf3 },
  ]),
  ...[0x28, 0x29, 0x10, 0x11, 0x54, 0x55, 0x56, 0x57, 0x14, 0x15, 0x2e, 0x2f].flatMap(opcode => [
    { opcode },
    { opcode, prefix: 0x66 },
  ]),
  ...INTEGER.map(opcode => ({ opcode, prefix: 0x66 })),
  ...[0x66, 0xf2, 0xf3].map(prefix => ({ opcode: 0x70, prefix, immediate: true })),
  { opcode: 0xc6, immediate: true },
  { opcode: 0xc2, prefix: 0xf2, immediate: true },
  { opcode: 0x5b },
  { opcode: 0xe6, prefix: 0xf3 },
  { opcode: 0x6f, prefix: 0x66 },
  { opcode: 0x7f, prefix: 0x66 },
  { opcode: 0x6f, prefix: 0xf3 },
]
