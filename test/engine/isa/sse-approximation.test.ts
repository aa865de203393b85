import { describe, expect, it } from 'vitest'
import * as S from '../../../src/engine/state.ts'
import { RandomFloats } from '../float/random-floats.ts'
import { compileForms, formOf } from './sse-harness.ts'

/** SDM vol. 2, RCPPS and RSQRTPS. */
const RELATIVE_ERROR = 1.5 * 2 ** -12
const SMALLEST_NORMAL = 2 ** -126

const [RECIPROCAL, ROOT] = [0, 1]
const { memory, run } = await compileForms(
  [formOf('Rcpps_xmm_xmmm128', 'rr', [0, 1]), formOf('Rsqrtss_xmm_xmmm32', 'rr', [0, 1])],
  () => () => {
    throw new Error('an approximation has no exceptions')
  },
)

const floats = new Float32Array(memory.memory.buffer)

function approximate(index: number, x: number): number {
  floats.fill(x, (S.VECTORS + S.VECTOR_STRIDE) >> 2, ((S.VECTORS + S.VECTOR_STRIDE) >> 2) + 4)
  run(index)
  return floats[S.VECTORS >> 2]
}

function bitsOf(index: number, bits: number): number {
  memory.u32.fill(bits, (S.VECTORS + S.VECTOR_STRIDE) >> 2, ((S.VECTORS + S.VECTOR_STRIDE) >> 2) + 4)
  run(index)
  return memory.u32[S.VECTORS >> 2]
}

describe('Approximations', () => {
  it('stay within the error that the architecture allows', () => {
    const random = new RandomFloats(5)
    for (let i = 0; i < 2000; i++) {
      floats[0] = 2 ** (random.below(240) - 120) * (1 + random.below(1 << 20) / (1 << 20))
      const x = floats[0]
      expect(Math.abs(approximate(RECIPROCAL, x) * x - 1)).toBeLessThan(RELATIVE_ERROR)
      expect(Math.abs(approximate(ROOT, x) * Math.sqrt(x) - 1)).toBeLessThan(RELATIVE_ERROR)
    }
  })

  it('take denormals for zeros and give infinities of the same sign', () => {
    for (const [operand, result] of [
      [0x00000000, 0x7f800000],
      [0x80000000, 0xff800000],
      [0x00000001, 0x7f800000],
      [0x807fffff, 0xff800000],
    ])
      for (const index of [RECIPROCAL, ROOT]) expect(bitsOf(index, operand)).toBe(result)
  })

  it('give zeros for infinities and for what would be tiny', () => {
    expect(bitsOf(RECIPROCAL, 0x7f800000)).toBe(0)
    expect(bitsOf(RECIPROCAL, 0xff800000)).toBe(0x80000000)
    expect(bitsOf(ROOT, 0x7f800000)).toBe(0)
    expect(approximate(RECIPROCAL, 1.5 / SMALLEST_NORMAL)).toBe(0)
  })

  it('quieten NaNs, and make the default NaN of the root of a negative number', () => {
    for (const index of [RECIPROCAL, ROOT]) expect(bitsOf(index, 0x7f800001)).toBe(0x7fc00001)
    expect(bitsOf(ROOT, 0xbf800000)).toBe(0xffc00000)
    expect(bitsOf(ROOT, 0xff800000)).toBe(0xffc00000)
  })

  it('compute one lane or four', () => {
    memory.u32.fill(0, S.VECTORS >> 2, (S.VECTORS >> 2) + 4)
    expect(approximate(ROOT, 4)).toBe(0.5)
    expect([...floats.subarray(S.VECTORS >> 2, (S.VECTORS >> 2) + 4)]).toEqual([0.5, 0, 0, 0])
    approximate(RECIPROCAL, 4)
    expect([...floats.subarray(S.VECTORS >> 2, (S.VECTORS >> 2) + 4)]).toEqual([0.25, 0.25, 0.25, 0.25])
  })
})
