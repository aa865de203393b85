/** Runs scenarios on the processor of the host, as user code of Linux. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Image, REGIONS } from './image.ts'
import * as L from './layout.ts'
import type { Outcome } from './outcome.ts'
import type { Scenario } from './scenario.ts'

const SOURCE = fileURLToPath(new URL('native.c', import.meta.url))
const OPTIONS = ['-O1', '-mno-red-zone', '-fno-stack-protector', '-mfsgsbase']

const [PROT_READ, PROT_WRITE, PROT_EXEC] = [1, 2, 4]
/** A region that is filled before each scenario. */
const REFILLED = 0x100

// struct input, struct scenario and struct outcome of native.c
const REGISTERS_AT = 32
const FLAGS_AT = REGISTERS_AT + 16 * 8
const REGIONS_AT = FLAGS_AT + 8
const REGION_SIZE = 24
const SEGMENTS_AT = REGIONS_AT + 8 * REGION_SIZE
const SEGMENT_SIZE = 16
const INPUT_SIZE = SEGMENTS_AT + 64 * SEGMENT_SIZE
const OUTCOME_SIZE = 184

/** Why the host can't run scenarios, or undefined. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the host is not Linux on x86-64'
  if (!/\bfsgsbase\b/.test(readFileSync('/proc/cpuinfo', 'utf8'))) return 'the processor of the host has no FSGSBASE'
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' })
  } catch {
    return 'gcc is not installed'
  }
  return undefined
}

export function runOnHost(scenarios: readonly Scenario[], image: Image): Outcome[] {
  const directory = mkdtempSync(join(tmpdir(), 'ringside-silicon-'))
  try {
    const [program, input, output] = ['native', 'input', 'output'].map(name => join(directory, name))
    execFileSync('gcc', [...OPTIONS, '-o', program, SOURCE])
    writeFileSync(input, inputOf(scenarios, image))
    execFileSync(program, [input, output])
    const bytes = readFileSync(output)
    return scenarios.map((_, index) => outcomeAt(new DataView(bytes.buffer, bytes.byteOffset + index * OUTCOME_SIZE)))
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function inputOf(scenarios: readonly Scenario[], image: Image): Uint8Array {
  const view = new DataView(new ArrayBuffer(INPUT_SIZE + scenarios.length * 8 + image.bytes.length))
  const u32 = (at: number, value: number) => view.setUint32(at, value, true)
  const u64 = (at: number, value: number) => view.setBigUint64(at, BigInt(value), true)
  const counts = [scenarios.length, L.SEGMENT_NAMES.length, REGIONS.length, image.bytes.length]
  for (const [index, count] of counts.entries()) u32(index * 4, count)
  u64(16, L.IMAGE)
  u64(24, L.STACK_POINTER)
  for (let index = 0; index < 16; index++) u64(REGISTERS_AT + index * 8, L.initialRegister(index))
  u64(FLAGS_AT, L.INITIAL_FLAGS)
  REGIONS.forEach(({ address, bytes, read, write, execute, fill }, index) => {
    const at = REGIONS_AT + index * REGION_SIZE
    u64(at, address)
    u32(at + 8, bytes)
    u32(at + 12, (read ? PROT_READ : 0) | (write ? PROT_WRITE : 0) | (execute ? PROT_EXEC : 0))
    u32(at + 16, fill | (write ? REFILLED : 0))
  })
  L.SEGMENT_NAMES.forEach((name, index) => {
    const at = SEGMENTS_AT + index * SEGMENT_SIZE
    const segment: L.LocalSegment = L.SEGMENTS[name]
    u32(at, index + 1)
    u32(at + 4, segment.base)
    u32(at + 8, segment.limit)
    u32(at + 12, userDescriptorFlags(segment))
  })
  scenarios.forEach(({ bits }, index) => {
    u32(INPUT_SIZE + index * 8, image.starts[index])
    u32(INPUT_SIZE + index * 8 + 4, bits === 64 ? L.USER_CODE : L.USER_CODE_32)
  })
  const bytes = new Uint8Array(view.buffer)
  bytes.set(image.bytes, INPUT_SIZE + scenarios.length * 8)
  return bytes
}

/** The bit fields of struct user_desc (asm/ldt.h). */
function userDescriptorFlags({ kind, restricted, absent, big, pages }: L.LocalSegment): number {
  const contents = ['data', 'expand-down', 'code', 'conforming code'].indexOf(kind)
  return (big ? 1 : 0) | (contents << 1) | (restricted ? 8 : 0) | (pages ? 0x10 : 0) | (absent ? 0x20 : 0)
}

function outcomeAt(view: DataView): Outcome {
  const u64 = (at: number) => view.getBigUint64(at, true)
  const u16 = (at: number) => view.getUint16(at, true)
  return {
    registers: Array.from({ length: 16 }, (_, index) => u64(index * 8)),
    rip: u64(128),
    flags: Number(u64(136)),
    address: u64(144),
    memory: Number(u64(152)),
    vector: view.getUint32(160, true),
    error: view.getUint32(164, true),
    selectors: { cs: u16(168), ss: u16(170), ds: u16(172), es: u16(174), fs: u16(176), gs: u16(178) },
  }
}
