/**
 * Packed integer operations on whole vectors, shared by SSE2 and MMX: MMX runs them on the low 64 bits, so all of
 * them work lane by lane, but for those that `sse-integer.ts` and `mmx.ts` complete each in its own way.
 */

import type { SimdOperation } from '../wasm/opcodes.ts'
import { i32, simd, type Value } from '../wasm/value.ts'
import { repeated } from './sse-operands.ts'

export type Vector = Value<'v128'>
/** Operands are named values: they may be used more than once. `a` is the destination. */
export type PackedOperation = (a: Vector, b: Vector) => Vector

const direct =
  (operation: SimdOperation): PackedOperation =>
  (a, b) =>
    simd('v128', operation, [a, b])

/** The upper halves of the eight 32-bit products. */
function highProducts(low: SimdOperation, high: SimdOperation): PackedOperation {
  const upperWords = [2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31]
  return (a, b) => simd('v128', 'i8x16.shuffle', [simd('v128', low, [a, b]), simd('v128', high, [a, b])], upperWords)
}

/** The even doublewords multiplied to quadwords. */
const multiplyDoublewords: PackedOperation = (a, b) => {
  const even = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]
  const evenOf = (v: Vector) => simd('v128', 'i8x16.shuffle', [v, v], even)
  return simd('v128', 'i64x2.extmul_low_i32x4_u', [evenOf(a), evenOf(b)])
}

/** |a - b| of the bytes, summed over each quadword. */
const sumOfDifferences: PackedOperation = (a, b) => {
  const difference = simd('v128', 'v128.or', [
    simd('v128', 'i8x16.sub_sat_u', [a, b]),
    simd('v128', 'i8x16.sub_sat_u', [b, a]),
  ])
  const words = simd('v128', 'i16x8.extadd_pairwise_i8x16_u', [difference])
  const doublewords = simd('v128', 'i32x4.extadd_pairwise_i16x8_u', [words])
  return simd('v128', 'i64x2.add', [
    simd('v128', 'v128.and', [doublewords, repeated(0xffff_ffffn)]),
    simd('v128', 'i64x2.shr_u', [doublewords, i32(32)]),
  ])
}

/** Operations by mnemonic with one destination and one source of the same size. */
export const PACKED_OPERATIONS: Readonly<Record<string, PackedOperation>> = {
  Paddb: direct('i8x16.add'),
  Paddw: direct('i16x8.add'),
  Paddd: direct('i32x4.add'),
  Paddq: direct('i64x2.add'),
  Psubb: direct('i8x16.sub'),
  Psubw: direct('i16x8.sub'),
  Psubd: direct('i32x4.sub'),
  Psubq: direct('i64x2.sub'),
  Paddsb: direct('i8x16.add_sat_s'),
  Paddsw: direct('i16x8.add_sat_s'),
  Paddusb: direct('i8x16.add_sat_u'),
  Paddusw: direct('i16x8.add_sat_u'),
  Psubsb: direct('i8x16.sub_sat_s'),
  Psubsw: direct('i16x8.sub_sat_s'),
  Psubusb: direct('i8x16.sub_sat_u'),
  Psubusw: direct('i16x8.sub_sat_u'),
  Pminub: direct('i8x16.min_u'),
  Pmaxub: direct('i8x16.max_u'),
  Pminsw: direct('i16x8.min_s'),
  Pmaxsw: direct('i16x8.max_s'),
  Pavgb: direct('i8x16.avgr_u'),
  Pavgw: direct('i16x8.avgr_u'),
  Pmullw: direct('i16x8.mul'),
  Pmulhw: highProducts('i32x4.extmul_low_i16x8_s', 'i32x4.extmul_high_i16x8_s'),
  Pmulhuw: highProducts('i32x4.extmul_low_i16x8_u', 'i32x4.extmul_high_i16x8_u'),
  Pmuludq: multiplyDoublewords,
  Pmaddwd: direct('i32x4.dot_i16x8_s'),
  Psadbw: sumOfDifferences,
  Pcmpeqb: direct('i8x16.eq'),
  Pcmpeqw: direct('i16x8.eq'),
  Pcmpeqd: direct('i32x4.eq'),
  Pcmpgtb: direct('i8x16.gt_s'),
  Pcmpgtw: direct('i16x8.gt_s'),
  Pcmpgtd: direct('i32x4.gt_s'),
  Pand: direct('v128.and'),
  Por: direct('v128.or'),
  Pxor: direct('v128.xor'),
  // x86 complements the destination, WebAssembly the second operand.
  Pandn: (a, b) => simd('v128', 'v128.andnot', [b, a]),
}

/** Those that programs execute so often that the interpreter has them in its loop. */
export const HOT_OPERATIONS: ReadonlySet<string> = new Set(['Pxor', 'Por', 'Pand'])

/** Narrowing with saturation: the lanes of `a`, then those of `b`. */
export const PACK_OPERATIONS: Readonly<Record<string, PackedOperation>> = {
  Packsswb: direct('i8x16.narrow_i16x8_s'),
  Packuswb: direct('i8x16.narrow_i16x8_u'),
  Packssdw: direct('i16x8.narrow_i32x4_s'),
}

/** Lane indices of `i8x16.shuffle` that interleave the lanes of two halves, from byte `start`. */
function interleave(laneBytes: number, start: number): number[] {
  const lanes: number[] = []
  for (let at = start; at < start + 8; at += laneBytes)
    for (const base of [at, at + 16]) for (let i = 0; i < laneBytes; i++) lanes.push(base + i)
  return lanes
}

/** Bytes of a lane by the suffix of PUNPCKL and PUNPCKH. */
export const UNPACK_LANES = { bw: 1, wd: 2, dq: 4, qdq: 8 } as const

/** Interleaves the lanes of the low or high 64 bits of `a` and `b`. */
export function unpack(laneBytes: number, high: boolean): PackedOperation {
  const lanes = interleave(laneBytes, high ? 8 : 0)
  return (a, b) => simd('v128', 'i8x16.shuffle', [a, b], lanes)
}

/** Shifts of lanes by one count. A count beyond the lane clears it, or fills it with the sign. */
export interface PackedShift {
  readonly operation: SimdOperation
  readonly laneBits: 16 | 32 | 64
  readonly arithmetic: boolean
}

export const PACKED_SHIFTS: Readonly<Record<string, PackedShift>> = {
  Psllw: { operation: 'i16x8.shl', laneBits: 16, arithmetic: false },
  Pslld: { operation: 'i32x4.shl', laneBits: 32, arithmetic: false },
  Psllq: { operation: 'i64x2.shl', laneBits: 64, arithmetic: false },
  Psrlw: { operation: 'i16x8.shr_u', laneBits: 16, arithmetic: false },
  Psrld: { operation: 'i32x4.shr_u', laneBits: 32, arithmetic: false },
  Psrlq: { operation: 'i64x2.shr_u', laneBits: 64, arithmetic: false },
  Psraw: { operation: 'i16x8.shr_s', laneBits: 16, arithmetic: true },
  Psrad: { operation: 'i32x4.shr_s', laneBits: 32, arithmetic: true },
}
