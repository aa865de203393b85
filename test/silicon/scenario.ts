/**
 * A scenario is a few instructions of ring 3 that end in an exception: by what they do, or by the HLT behind them, which
 * ring 3 may not execute.
 */

export interface Scenario {
  readonly name: string
  /** Code segment at the start: 64-bit, or 32-bit compatibility mode. */
  readonly bits: 32 | 64
  /** nasm source. `start` is the address of the first instruction. */
  readonly code: string
}

export const in64 = (name: string, code: string): Scenario => ({ name: `64-bit: ${name}`, bits: 64, code })
export const in32 = (name: string, code: string): Scenario => ({ name: `32-bit: ${name}`, bits: 32, code })
export const inBoth = (name: string, code: string): Scenario[] => [in32(name, code), in64(name, code)]

export const hex = (value: number): string => `0x${value.toString(16)}`
