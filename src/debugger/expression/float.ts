/** Floating-point numbers in the guest's formats, as JavaScript's. */

const view = new DataView(new ArrayBuffer(16))

/** @param raw little-endian; `size` is 2, 4, 8, or 10 to 16 for the x87's format with padding. */
export function decodeFloat(raw: bigint, size: number): number {
  view.setBigUint64(0, BigInt.asUintN(64, raw), true)
  if (size === 2) return decodeHalf(Number(BigInt.asUintN(16, raw)))
  if (size === 4) return view.getFloat32(0, true)
  if (size === 8) return view.getFloat64(0, true)
  return decodeExtended(raw)
}

export function encodeFloat(value: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  const target = new DataView(bytes.buffer)
  if (size === 4) target.setFloat32(0, value, true)
  else if (size === 8) target.setFloat64(0, value, true)
  else encodeExtended(value, target)
  return bytes
}

/** binary16: sign, 5 bits of exponent, 10 of fraction. */
function decodeHalf(bits: number): number {
  const sign = (bits & 0x8000) !== 0 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25)
}

/** Double extended precision: a significand of 64 bits with its integer bit (SDM vol. 1, 4.2.2). */
function decodeExtended(raw: bigint): number {
  const significand = BigInt.asUintN(64, raw)
  const exponent = Number(BigInt.asUintN(15, raw >> 64n))
  const sign = ((raw >> 79n) & 1n) === 1n ? -1 : 1
  if (exponent === 0x7fff) return BigInt.asUintN(63, significand) === 0n ? sign * Infinity : Number.NaN
  // In two steps: 2 ** -16445 alone would be 0.
  const scale = exponent - 16383 - 63
  const half = Math.trunc(scale / 2)
  return sign * Number(significand) * 2 ** half * 2 ** (scale - half)
}

function encodeExtended(value: number, target: DataView): void {
  const { exponent, significand } = extendedParts(Math.abs(value))
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  target.setBigUint64(0, significand, true)
  target.setUint16(8, sign | exponent, true)
}

function extendedParts(magnitude: number): { exponent: number; significand: bigint } {
  if (Number.isNaN(magnitude)) return { exponent: 0x7fff, significand: 0xc000_0000_0000_0000n }
  if (magnitude === Infinity) return { exponent: 0x7fff, significand: 0x8000_0000_0000_0000n }
  if (magnitude === 0) return { exponent: 0, significand: 0n }
  view.setFloat64(0, magnitude, true)
  const bits = view.getBigUint64(0, true)
  const stored = Number(bits >> 52n)
  // A denormal double is normal here: its leading one moves up to bit 63.
  let significand = (BigInt.asUintN(52, bits) | (stored === 0 ? 0n : 1n << 52n)) << 11n
  let exponent = Math.max(stored, 1) - 1023 + 16383
  while (significand >> 63n === 0n) {
    significand <<= 1n
    exponent--
  }
  return { exponent, significand }
}
