/** Packed BCD integers of 18 digits. SDM vol. 1, 4.7. */

import { FLAG_INVALID, FLAG_PRECISION, type FloatEnvironment } from '../float/environment.ts'
import { type Float80, finite, pack80, type Unpacked } from '../float/format.ts'
import { roundShift } from '../float/round.ts'

export interface BcdInteger {
  readonly negative: boolean
  readonly magnitude: bigint
}

const DIGIT_BYTES = 9
const LIMIT = 10n ** 18n

/** Takes the 10 bytes of an operand apart. Digits above 9 are undefined by the SDM; they count as what they are. */
export function decodeBcd(bytes: Uint8Array): BcdInteger {
  let magnitude = 0n
  for (let i = DIGIT_BYTES - 1; i >= 0; i--)
    magnitude = magnitude * 100n + BigInt((bytes[i] >> 4) * 10 + (bytes[i] & 15))
  return { negative: (bytes[DIGIT_BYTES] & 0x80) !== 0, magnitude }
}

export function fromBcd({ negative, magnitude }: BcdInteger): Float80 {
  return pack80(finite(negative, magnitude, 0))
}

/** `value` rounded to an integer of 18 digits, or undefined (and invalid) if it has no such integer. */
export function toBcd(env: FloatEnvironment, value: Unpacked): BcdInteger | undefined {
  env.roundedUp = false
  if (value.kind === 'zero') return { negative: value.negative, magnitude: 0n }
  if ((value.kind === 'normal' || value.kind === 'denormal') && value.exponent <= 0) {
    const rounded = roundShift(value.significand, -value.exponent, value.negative, env.rounding)
    if (rounded.value < LIMIT) {
      if (rounded.inexact) env.flags |= FLAG_PRECISION
      env.roundedUp = rounded.up
      return { negative: value.negative, magnitude: rounded.value }
    }
  }
  env.flags |= FLAG_INVALID
  return undefined
}

export function encodeBcd({ negative, magnitude }: BcdInteger): Uint8Array {
  const bytes = new Uint8Array(DIGIT_BYTES + 1)
  let rest = magnitude
  for (let i = 0; i < DIGIT_BYTES; i++) {
    const pair = Number(rest % 100n)
    bytes[i] = (Math.floor(pair / 10) << 4) | (pair % 10)
    rest /= 100n
  }
  bytes[DIGIT_BYTES] = negative ? 0x80 : 0
  return bytes
}

/** Packed BCD integer indefinite: the masked response to an invalid FBSTP. SDM vol. 1, 4.8.3.5 and table 4-4. */
export function bcdIndefinite(): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff)
}
