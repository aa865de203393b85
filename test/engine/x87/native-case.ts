/** One x87 instruction with the state it starts from, for the host's processor and for ours. */

import { createRequire } from 'node:module'
import type { Float80 } from '../../../src/engine/float/format.ts'
import * as S from '../../../src/engine/state.ts'
import { readPhysical, writePhysical } from '../../../src/engine/x87/fpu.ts'
import { x87Assists, x87MemorySizes } from '../../../src/engine/x87/x87-assists.ts'
import { createFakeCpu, fakeInstruction, OPERAND } from './fake-cpu.ts'

const iced: typeof import('iced-x86') = createRequire(import.meta.url)('iced-x86')

export interface X87Case {
  /** Name of the iced-x86 Code. */
  readonly name: string
  /** The i of ST(i), where the instruction has one. */
  readonly register: number
  readonly control: number
  readonly status: number
  readonly tags: number
  readonly rflags: number
  /** ST(0) to ST(7). */
  readonly stack: readonly Float80[]
  /** Bytes at the memory operand, 128 of them. */
  readonly memory: Uint8Array
}

export interface X87Result {
  readonly status: number
  readonly tags: number
  readonly control: number
  readonly rflags: number
  readonly ax: number
  readonly stack: readonly Float80[]
  readonly memory: string
}

export const MEMORY_BYTES = 128
const RFLAGS_SHOWN = 0x8d5

const codes = new Map<string, number>(
  Object.entries(iced.Code).flatMap(([k, v]) => (typeof v === 'number' ? [[k, v]] : [])),
)

/** `Code` names of one instruction each (those with a WAIT in front are two to a processor). */
export const singleInstructions: readonly string[] = Object.keys(x87Assists).filter(
  name => !opcodeOf(name).startsWith('9B '),
)

/** The encoding as iced-x86 describes it, such as `D8 /0` or `DC C0+i`. */
function opcodeOf(name: string): string {
  const code = codes.get(name)
  if (code === undefined) throw new Error(`iced-x86 has no Code named ${name}`)
  const instruction = new iced.Instruction()
  instruction.code = code
  return instruction.opCode.opCodeString
}

/** Machine code for 64-bit mode, with the memory operand at [rax]. */
function encode(name: string, register: number): number[] {
  return opcodeOf(name)
    .split(' ')
    .flatMap(part => {
      if (part === 'o16') return [0x66]
      if (part === 'o32' || part === 'NP') return []
      if (part.startsWith('/')) return [Number(part.slice(1)) << 3]
      if (part.endsWith('+i')) return [Number.parseInt(part, 16) + register]
      return [Number.parseInt(part, 16)]
    })
}

const hex = (bytes: Iterable<number>): string => Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')

export function nativeLine(c: X87Case): string {
  const words = [c.control, c.status, c.tags, c.rflags].map(word => word.toString(16))
  const stack = c.stack.map(({ low, high }) => `${high.toString(16)} ${low.toString(16)}`)
  return [hex(encode(c.name, c.register)), ...words, ...stack, hex(c.memory)].join(' ')
}

export function parseNative(line: string): X87Result {
  const parts = line.split(' ')
  const [status, tags, control, rflags, ax] = parts.map(part => Number.parseInt(part, 16))
  const stack = Array.from({ length: 8 }, (_, i) => ({
    high: Number.parseInt(parts[5 + i * 2], 16),
    low: BigInt(`0x${parts[6 + i * 2]}`),
  }))
  return { status, tags, control, rflags, ax, stack, memory: parts[21] }
}

/** One for all cases: a WebAssembly memory takes longer to make than an instruction to run. */
const cpu = createFakeCpu()

export function runOurs(c: X87Case): X87Result {
  const { state } = cpu
  const top = (c.status >> 11) & 7
  state.set32(S.X87_CONTROL, c.control)
  state.set32(S.X87_STATUS, c.status & ~0x3800)
  state.set32(S.X87_TOP, top)
  state.set32(S.X87_TAGS, c.tags)
  state.rflags = c.rflags
  state.setGpr(0, 0n)
  c.stack.forEach((value, i) => {
    writePhysical(state, (top + i) & 7, value)
  })
  cpu.memory.writeBytes(OPERAND, c.memory)
  const hasMemory = x87MemorySizes[c.name] !== undefined
  // Both operands are ST(i) where there is one; the other, ST(0), has its place in the name.
  x87Assists[c.name](
    cpu,
    fakeInstruction({
      hasMemory,
      register0: c.name.includes('_st0_sti') ? 0 : c.register,
      register1: c.name.includes('_st0_sti') ? c.register : 0,
    }),
  )
  const newTop = state.get32(S.X87_TOP)
  return {
    status: state.get32(S.X87_STATUS) | (newTop << 11),
    tags: state.get32(S.X87_TAGS),
    control: state.get32(S.X87_CONTROL),
    rflags: state.rflags & RFLAGS_SHOWN,
    ax: state.gpr32(0) & 0xffff,
    stack: Array.from({ length: 8 }, (_, i) => readPhysical(state, (newTop + i) & 7)),
    memory: hex(cpu.memory.readBytes(OPERAND, MEMORY_BYTES)),
  }
}

/** Shows a result in one line; empty registers by a dash. */
export function show(result: X87Result): string {
  const top = (result.status >> 11) & 7
  const stack = result.stack.map(({ low, high }, i) =>
    result.tags & (1 << ((top + i) & 7)) ? `${high.toString(16)}:${low.toString(16)}` : '-',
  )
  const words = [result.status, result.tags, result.control, result.rflags, result.ax].map(word => word.toString(16))
  return [...words, ...stack, result.memory.replace(/(00)+$/, '')].join(' ')
}
