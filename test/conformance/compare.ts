/** Compares what an instruction left on the host and in the engine, as far as the architecture defines it. */

import { Decoder, DecoderOptions, type Instruction } from 'iced-x86'
import type { Case } from './cases.ts'
import type { Mode } from './forms.ts'
import { type CaseRecord, SEGMENT_ORDER, WINDOW, WINDOW_SIZE } from './record.ts'
import { USER_CODE_64 } from './segments.ts'
import { toleratedX87, toleratedXmm } from './tolerance.ts'
import {
  destinationRegister,
  isAlignedBeyondLimit,
  reportsAnyByte,
  undefinedDestination,
  undefinedDestinationBits,
  undefinedFlags,
  undefinedMemory,
  undefinedMmxState,
  undefinedStatusWord,
  undefinedTranscendental,
  undefinedVectors,
} from './undefined.ts'

const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ')

const PAGE_FAULT = 14
const KERNEL_HALF = 0xffff_8000_0000_0000n

/** CF, PF, AF, ZF, SF, TF, DF, OF, NT, AC and ID; the others are the operating system's. */
const COMPARED_FLAGS = 0x244dd5

/** One line for each difference, the host's value first; none when both agree. */
export function differences({ cell, record: before, operand }: Case, host: CaseRecord, engine: CaseRecord): string[] {
  const narrow = cell.mode !== 64 || host.selector(0) !== USER_CODE_64
  normalize(host, narrow)
  normalize(engine, narrow)
  if (equal(host.bytes, engine.bytes)) return []
  const decoder = new Decoder(cell.mode, before.code, DecoderOptions.None)
  const instruction = decoder.decode()
  const found = [
    ...exceptionDifferences(instruction, cell.mode, host, engine),
    ...generalDifferences(instruction, before, host, engine),
    ...segmentDifferences(host, engine),
    ...x87Differences(instruction, before, host, engine),
    ...vectorRegisterDifferences(instruction, before, host, engine),
    ...windowDifference(instruction, operand, before, host, engine),
  ]
  instruction.free()
  decoder.free()
  return found
}

/** Makes equal what can't be compared at all. */
function normalize(record: CaseRecord, narrow: boolean): void {
  record.rflags &= COMPARED_FLAGS
  // Linux tells of every page of the kernel's half that it is there (arch/x86/mm/fault.c, set_signal_archinfo).
  if (record.vector === PAGE_FAULT && record.cr2 >= KERNEL_HALF) record.errorCode |= 1
  // FOP, FIP and FDP: AMD's processors store them only when an unmasked exception waits, Intel's always (APM vol. 2,
  // 11.4.4; SDM vol. 1, 8.1.8). FTW and FSW tell the rest.
  record.x87Pointers.fill(0)
  // A return to user mode may turn every null selector into 0 (SDM vol. 2, IRET), and a kernel returns at any time.
  for (let index = 2; index < 6; index++) if (record.selector(index) < 4) record.setSelector(index, 0)
  if (!narrow) return
  // Outside 64-bit mode the upper halves and upper registers are out of reach (SDM vol. 1, 3.4.1.1).
  for (let index = 0; index < 16; index++) record.setGpr(index, index < 8 ? record.gpr(index) & 0xffffffffn : 0n)
  record.fsBase = 0n
  record.gsBase = 0n
}

function exceptionDifferences(instruction: Instruction, mode: Mode, host: CaseRecord, engine: CaseRecord): string[] {
  if (host.vector === PAGE_FAULT && reportsAnyByte(instruction))
    host.cr2 = engine.cr2 = host.cr2 >> 12n === engine.cr2 >> 12n ? 0n : host.cr2
  if (isAlignedBeyondLimit(instruction, mode, host, engine)) return []
  const shown = ({ vector, errorCode, cr2, rip }: CaseRecord) =>
    `#${vector}(${errorCode.toString(16)})${vector === PAGE_FAULT ? ` at ${hexadecimal(cr2)}` : ''}, rip ${hexadecimal(rip)}`
  return shown(host) === shown(engine) ? [] : [`ends by ${shown(host)}, not ${shown(engine)}`]
}

function generalDifferences(
  instruction: Instruction,
  before: CaseRecord,
  host: CaseRecord,
  engine: CaseRecord,
): string[] {
  const destination = destinationRegister(instruction)
  const undefinedBits = undefinedDestinationBits(instruction, before, host)
  const found = NAMES.flatMap((name, index) => {
    const ignored = index === destination ? undefinedBits : 0n
    const [expected, actual] = [host, engine].map(record => record.gpr(index) & ~ignored)
    return expected === actual ? [] : [`${name}: ${hexadecimal(expected)}, not ${hexadecimal(actual)}`]
  })
  const flags = (record: CaseRecord) => record.rflags & ~undefinedFlags(instruction, before)
  if (flags(host) !== flags(engine)) {
    found.push(`rflags: ${flagNames(flags(host))}, not ${flagNames(flags(engine))}`)
  }
  return found
}

function segmentDifferences(host: CaseRecord, engine: CaseRecord): string[] {
  const found = SEGMENT_ORDER.flatMap((name, index) =>
    host.selector(index) === engine.selector(index)
      ? []
      : [`${name}: ${host.selector(index).toString(16)}, not ${engine.selector(index).toString(16)}`],
  )
  for (const base of ['fsBase', 'gsBase'] as const)
    if (host[base] !== engine[base]) found.push(`${base}: ${hexadecimal(host[base])}, not ${hexadecimal(engine[base])}`)
  return found
}

function x87Differences(instruction: Instruction, before: CaseRecord, host: CaseRecord, engine: CaseRecord): string[] {
  if (undefinedMmxState(instruction, before, host) || undefinedTranscendental(instruction, before)) return []
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
    const [expected, actual] = [host.st(index), engine.st(index)]
    if (!empty && !equal(expected, actual) && !toleratedX87(instruction, expected, actual)) {
      found.push(`st${index}: ${bytes(expected)}, not ${bytes(actual)}`)
    }
  }
  return found
}

function vectorRegisterDifferences(
  instruction: Instruction,
  before: CaseRecord,
  host: CaseRecord,
  engine: CaseRecord,
): string[] {
  const found: string[] = []
  if (host.mxcsr !== engine.mxcsr) found.push(`mxcsr: ${host.mxcsr.toString(16)}, not ${engine.mxcsr.toString(16)}`)
  const ignored = undefinedVectors(instruction, before, host)
  for (let index = 0; index < 16; index++) {
    if (ignored.includes(index)) continue
    for (const [name, half] of [['xmm', 'xmm'] as const, ['upper ymm', 'ymmHigh'] as const]) {
      const [expected, actual] = [host[half](index), engine[half](index)]
      if (!equal(expected, actual) && !toleratedXmm(instruction, expected, actual)) {
        found.push(`${name}${index}: ${bytes(expected)}, not ${bytes(actual)}`)
      }
    }
  }
  return found
}

function windowDifference(
  instruction: Instruction,
  operand: number | undefined,
  before: CaseRecord,
  host: CaseRecord,
  engine: CaseRecord,
): string[] {
  if (undefinedDestination(instruction, before, host) && destinationRegister(instruction) === undefined) return []
  if (equal(host.window, engine.window)) return []
  const undefinedBytes = new Set<number>()
  if (operand !== undefined) {
    for (const [from, to] of undefinedMemory(instruction))
      for (let offset = from; offset < to; offset++) undefinedBytes.add(operand - WINDOW + offset)
  }
  for (let offset = 0; offset < WINDOW_SIZE; offset++) {
    if (host.window[offset] === engine.window[offset] || undefinedBytes.has(offset)) continue
    const at = Math.max(0, offset - 4)
    const [expected, actual] = [host, engine].map(record => bytes(record.window.subarray(at, at + 16)))
    const where =
      operand === undefined ? '' : ` (operand${offset < operand - WINDOW ? '' : '+'}${offset - (operand - WINDOW)})`
    return [`memory at +${offset}${where}: ${expected}, not ${actual}`]
  }
  return []
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** As one number, most significant byte first. */
function bytes(value: Uint8Array): string {
  return Buffer.from(value).reverse().toString('hex')
}

function hexadecimal(value: bigint): string {
  return `0x${value.toString(16)}`
}

function flagNames(flags: number): string {
  const names = 'CF - PF - AF - ZF SF TF IF DF OF - - NT - RF VM AC VIF VIP ID'.split(' ')
  const set = names.filter((_, bit) => (flags >> bit) & 1)
  return set.length === 0 ? 'none' : set.join(' ')
}
