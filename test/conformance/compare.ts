/** Compares what an instruction left on the host and in the engine, as far as the architecture defines it. */

import { Decoder, DecoderOptions, type Instruction } from 'iced-x86'
import { type CaseRecord, WINDOW_SIZE } from './record.ts'
import {
  destinationRegister,
  undefinedDestination,
  undefinedFlags,
  undefinedMmxState,
  undefinedStatusWord,
} from './undefined-flags.ts'

const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ')

/** CF, PF, AF, ZF, SF, DF and OF. */
const COMPARED_FLAGS = 0xcd5n

/** One line for each difference, the host's value first; none when both agree. */
export function differences(before: CaseRecord, host: CaseRecord, engine: CaseRecord): string[] {
  const decoder = new Decoder(64, before.code, DecoderOptions.None)
  const instruction = decoder.decode()
  const found = [
    ...vectorDifference(host, engine),
    ...generalDifferences(instruction, before, host, engine),
    ...x87Differences(instruction, host, engine),
    ...vectorRegisterDifferences(host, engine),
    ...windowDifference(instruction, before, host, engine),
  ]
  instruction.free()
  decoder.free()
  return found
}

function vectorDifference(host: CaseRecord, engine: CaseRecord): string[] {
  if (host.vector === engine.vector) return []
  const name = (record: CaseRecord) => (BigInt.asIntN(64, record.vector) < 0n ? 'none' : `${record.vector}`)
  return [`exception: ${name(host)}, not ${name(engine)}`]
}

function generalDifferences(
  instruction: Instruction,
  before: CaseRecord,
  host: CaseRecord,
  engine: CaseRecord,
): string[] {
  const ignored = undefinedDestination(instruction, before, host) ? destinationRegister(instruction) : undefined
  const found = NAMES.flatMap((name, index) =>
    index === ignored || host.gpr(index) === engine.gpr(index)
      ? []
      : [`${name}: ${hexadecimal(host.gpr(index))}, not ${hexadecimal(engine.gpr(index))}`],
  )
  const flags = (record: CaseRecord) => record.rflags & COMPARED_FLAGS & ~undefinedFlags(instruction, before)
  if (flags(host) !== flags(engine)) {
    found.push(`rflags: ${flagNames(flags(host))}, not ${flagNames(flags(engine))}`)
  }
  return found
}

function x87Differences(instruction: Instruction, host: CaseRecord, engine: CaseRecord): string[] {
  if (undefinedMmxState(instruction, host)) return []
  const found: string[] = []
  const status = (record: CaseRecord) => record.fsw & ~undefinedStatusWord(instruction)
  if (host.fcw !== engine.fcw) found.push(`fcw: ${host.fcw.toString(16)}, not ${engine.fcw.toString(16)}`)
  if (status(host) !== status(engine)) {
    found.push(`fsw: ${status(host).toString(16)}, not ${status(engine).toString(16)}`)
  }
  if (host.ftw !== engine.ftw) found.push(`ftw: ${host.ftw.toString(16)}, not ${engine.ftw.toString(16)}`)
  const top = (host.fsw >> 11) & 7
  for (let index = 0; index < 8; index++) {
    // What an empty register holds is nobody's business.
    const empty = ((host.ftw >> ((top + index) & 7)) & 1) === 0
    if (!empty && !equal(host.st(index), engine.st(index))) {
      found.push(`st${index}: ${bytes(host.st(index))}, not ${bytes(engine.st(index))}`)
    }
  }
  return found
}

function vectorRegisterDifferences(host: CaseRecord, engine: CaseRecord): string[] {
  const found: string[] = []
  if (host.mxcsr !== engine.mxcsr) found.push(`mxcsr: ${host.mxcsr.toString(16)}, not ${engine.mxcsr.toString(16)}`)
  for (let index = 0; index < 16; index++) {
    if (!equal(host.xmm(index), engine.xmm(index))) {
      found.push(`xmm${index}: ${bytes(host.xmm(index))}, not ${bytes(engine.xmm(index))}`)
    }
  }
  return found
}

function windowDifference(
  instruction: Instruction,
  before: CaseRecord,
  host: CaseRecord,
  engine: CaseRecord,
): string[] {
  if (undefinedDestination(instruction, before, host) && destinationRegister(instruction) === undefined) return []
  for (let offset = 0; offset < WINDOW_SIZE; offset += 16) {
    const [expected, actual] = [host, engine].map(record => record.window.subarray(offset, offset + 16))
    if (!equal(expected, actual)) return [`memory at +${offset}: ${bytes(expected)}, not ${bytes(actual)}`]
  }
  return []
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, index) => byte === b[index])
}

/** As one number, most significant byte first. */
function bytes(value: Uint8Array): string {
  return [...value]
    .reverse()
    .map(byte => byte.toString(16).padStart(2, '0'))
    .join('')
}

function hexadecimal(value: bigint): string {
  return `0x${value.toString(16)}`
}

function flagNames(flags: bigint): string {
  const names: readonly (readonly [string, number])[] = [
    ['CF', 0],
    ['PF', 2],
    ['AF', 4],
    ['ZF', 6],
    ['SF', 7],
    ['DF', 10],
    ['OF', 11],
  ]
  const set = names.filter(([, bit]) => (flags >> BigInt(bit)) & 1n).map(([name]) => name)
  return set.length === 0 ? 'none' : set.join(' ')
}
