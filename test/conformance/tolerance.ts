/**
 * Results that are approximations: the architecture bounds their error, and makers differ within the bound. Here stands
 * by how much the engine may differ from the host.
 */

import { type Instruction, Mnemonic } from 'iced-x86'

const M = Mnemonic

/** SDM vol. 1, 8.3.10: an error of less than one unit in the last place; so two of them may lie two units apart. */
const TRANSCENDENTAL: ReadonlySet<Mnemonic> = new Set([
  ...[M.Fsin, M.Fcos, M.Fsincos, M.Fptan, M.Fpatan, M.F2xm1, M.Fyl2x, M.Fyl2xp1],
])
const TRANSCENDENTAL_UNITS = 2n

/** SDM vol. 2, RCPPS: a relative error of at most 1.5 * 2^-12; so two of them may differ by twice that. */
const APPROXIMATE: ReadonlySet<Mnemonic> = new Set([
  ...[M.Rcpps, M.Rcpss, M.Rsqrtps, M.Rsqrtss, M.Vrcpps, M.Vrcpss, M.Vrsqrtps, M.Vrsqrtss],
])
const APPROXIMATE_ERROR = 3 * 2 ** -12

export function isApproximate(instruction: Instruction): boolean {
  return TRANSCENDENTAL.has(instruction.mnemonic) || APPROXIMATE.has(instruction.mnemonic)
}

/** Ten bytes each. */
export function toleratedX87(instruction: Instruction, a: Uint8Array, b: Uint8Array): boolean {
  if (!TRANSCENDENTAL.has(instruction.mnemonic)) return false
  const [x, y] = [a, b].map(units)
  const distance = x > y ? x - y : y - x
  return distance <= TRANSCENDENTAL_UNITS
}

/** An 80-bit value as a count of units in the last place, which grows by one from each value to the next. */
function units(value: Uint8Array): bigint {
  const view = new DataView(value.buffer, value.byteOffset, 10)
  const exponent = view.getUint16(8, true)
  const significand = view.getBigUint64(0, true)
  // The integer bit is part of the exponent's step.
  const magnitude = (BigInt(exponent & 0x7fff) << 63n) + (significand & 0x7fffffffffffffffn)
  return (exponent & 0x8000) !== 0 ? -magnitude : magnitude
}

/** 16 bytes each. */
export function toleratedXmm(instruction: Instruction, a: Uint8Array, b: Uint8Array): boolean {
  if (!APPROXIMATE.has(instruction.mnemonic)) return false
  const [x, y] = [a, b].map(value => new DataView(value.buffer, value.byteOffset, 16))
  return [0, 4, 8, 12].every(
    at => x.getUint32(at, true) === y.getUint32(at, true) || isNear(x.getFloat32(at, true), y.getFloat32(at, true)),
  )
}

function isNear(a: number, b: number): boolean {
  return Number.isFinite(a) && Math.abs(a - b) <= Math.abs(a) * APPROXIMATE_ERROR
}
