/** The scenarios assembled into one image, and the memory around it. */

import { assemble } from '../engine/guest/assemble.ts'
import * as L from './layout.ts'
import type { Scenario } from './scenario.ts'

export interface Image {
  readonly bytes: Uint8Array
  /** Linear address of each scenario's first instruction. */
  readonly starts: readonly number[]
}

/** A range of linear addresses with the rights of its pages. */
export interface Region {
  readonly address: number
  readonly bytes: number
  readonly read: boolean
  readonly write: boolean
  readonly execute: boolean
  /** Content of each byte; the image has its own. */
  readonly fill: number
}

const NOTHING = { read: false, write: false, execute: false, fill: L.FILL }
export const REGIONS: readonly Region[] = [
  { ...NOTHING, address: L.IMAGE, bytes: L.IMAGE_BYTES, read: true, execute: true, fill: 0xf4 },
  { ...NOTHING, address: L.DATA, bytes: L.DATA_BYTES, read: true, write: true },
  { ...NOTHING, address: L.READ_ONLY, bytes: L.PAGE, read: true },
  { ...NOTHING, address: L.NOPS, bytes: L.PAGE, read: true, write: true, execute: true, fill: L.NOP },
  { ...NOTHING, address: L.FORBIDDEN, bytes: L.PAGE },
  { ...NOTHING, address: L.STACK, bytes: L.PAGE, read: true, write: true },
]

/** Scenarios start at multiples of 16 with HLT between them; the addresses follow the code. */
export function buildImage(scenarios: readonly Scenario[]): Image {
  const code = scenarios.map(
    ({ bits, code }, index) => `align 16, db 0xf4\nbits ${bits}\nscenario${index}:\n${body(code, index)}\nhlt\n`,
  )
  const table = scenarios.map((_, index) => `dd scenario${index}\n`)
  const assembled = assemble(
    `[warning -prefix-lock]\n[warning -prefix-seg]\norg ${L.IMAGE}\nimage:\ndefault abs\n${code.join('')}align 16, db 0xf4\ntable:\n${table.join('')}dd table - image\n`,
  )
  const view = new DataView(assembled.buffer, assembled.byteOffset, assembled.length)
  const length = view.getUint32(assembled.length - 4, true)
  if (length > L.IMAGE_BYTES) throw new RangeError(`the scenarios need ${length} bytes, ${L.IMAGE_BYTES} are there`)
  return {
    bytes: assembled.subarray(0, length),
    starts: scenarios.map((_, index) => view.getUint32(length + index * 4, true)),
  }
}

const body = (code: string, index: number): string => code.replaceAll(/\bstart\b/g, `scenario${index}`)

/** FNV-1a over the memory that a scenario may have written. */
export function hashMemory(read: (region: Region) => Uint8Array): number {
  let hash = 0x811c9dc5
  for (const region of REGIONS) {
    if (!region.write) continue
    for (const byte of read(region)) hash = Math.imul(hash ^ byte, 0x01000193)
  }
  return hash >>> 0
}
