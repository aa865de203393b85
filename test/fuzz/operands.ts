/** Operands of random instructions: mostly within the RAM and the descriptor tables of guests of noise. */

import type { Random } from '../engine/guest/random.ts'

export type CodeBits = 16 | 32 | 64

/** RAM of a guest of noise, in bytes. */
export const RAM = 0x40000

/** Little-endian. */
export const bytesOf = (value: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff)

export const randomBytes = (random: Random, count: number): number[] =>
  Array.from({ length: count }, () => random.below(256))

export const address = (random: Random, bytes: number): number[] => bytesOf(random.below(RAM), bytes)
/** A selector of the tables that noise has, with any RPL, sometimes of the LDT. */
export const selector = (random: Random): number[] =>
  bytesOf((random.below(random.chance(0.9) ? 16 : 512) << 3) | random.below(random.chance(0.5) ? 4 : 8), 2)

/** ModRM with what follows: memory operands lead into RAM more often than registers, by now random, would. */
export function modrm(random: Random, bits: CodeBits, address16: boolean, reg = random.below(8)): number[] {
  const field = reg << 3
  if (random.chance(0.45)) return [0xc0 | field | random.below(8)]
  if (random.chance(0.25)) return [(random.below(3) << 6) | field | random.below(8), ...randomBytes(random, 1)]
  const target = random.chance(0.5) ? random.below(RAM) & ~63 : random.below(RAM)
  if (address16) return [field | 6, ...bytesOf(target, 2)]
  // In 64-bit mode either relative to RIP or, with a SIB byte that has neither base nor index, absolute.
  if (bits === 64 && random.chance(0.5)) return [field | 4, 0x25, ...bytesOf(target, 4)]
  return [field | 5, ...bytesOf(bits === 64 ? target - RAM / 2 : target, 4)]
}
