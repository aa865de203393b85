/** How a scenario ended, and as a line of text. */

import { DATA, IMAGE, IMAGE_BYTES, INITIAL_FLAGS, initialRegister, NOPS, PAGE, USER_DATA } from './layout.ts'
import type { Scenario } from './scenario.ts'

export interface Outcome {
  readonly vector: number
  /** 0 where the exception has none. */
  readonly error: number
  /** CR2 of a page fault, 0 otherwise. */
  readonly address: bigint
  readonly rip: bigint
  readonly flags: number
  /** In encoding order. */
  readonly registers: readonly bigint[]
  readonly selectors: Readonly<Record<'cs' | 'ss' | 'ds' | 'es' | 'fs' | 'gs', number>>
  /** Hash of the writable memory. */
  readonly memory: number
}

const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ')
const START_SELECTORS = { ss: USER_DATA, ds: USER_DATA, es: USER_DATA, fs: 0, gs: 0 }
const WITH_ERROR_CODE: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17])

const hex = (value: bigint | number): string => value.toString(16)

/** Everything that is not as at the start. `untouched` is the hash of the memory at the start. */
export function describeOutcome(scenario: Scenario, start: number, outcome: Outcome, untouched: number): string {
  const { vector, error, address, rip, flags, registers, selectors, memory } = outcome
  const words = [
    `#${vector}${WITH_ERROR_CODE.has(vector) ? `(${hex(error)})` : ''}`,
    place(rip, start),
    `cs=${hex(selectors.cs)}`,
  ]
  if (vector === 14) words.push(`cr2=${location(address)}`)
  if (flags !== INITIAL_FLAGS) words.push(`flags=${hex(flags)}`)
  registers.forEach((value, index) => {
    if (value !== BigInt(initialRegister(index))) words.push(`${NAMES[index]}=${inImage(value, start)}`)
  })
  for (const name of ['ss', 'ds', 'es', 'fs', 'gs'] as const)
    if (selectors[name] !== START_SELECTORS[name]) words.push(`${name}=${hex(selectors[name])}`)
  if (memory !== untouched) words.push(`memory=${hex(memory)}`)
  return `${scenario.name}: ${words.join(' ')}`
}

/** An address relative to the scenario: what an outcome says should not depend on the scenarios before it. */
function place(rip: bigint, start: number): string {
  const offset = rip - BigInt(start)
  return offset >= 0n && offset < 0x400n ? `+${hex(offset)}` : `at ${location(rip)}`
}

const inImage = (value: bigint, start: number): string => {
  const offset = value - BigInt(start)
  return offset >= 0n && offset < 0x400n ? `start+${hex(offset)}` : hex(value)
}

function location(address: bigint): string {
  for (const [name, base, bytes] of [
    ['image', IMAGE, IMAGE_BYTES],
    ['data', DATA, 0x3000],
    ['nops', NOPS, 2 * PAGE],
  ] as const)
    if (address >= BigInt(base) && address < BigInt(base + bytes)) return `${name}+${hex(address - BigInt(base))}`
  return hex(address)
}
