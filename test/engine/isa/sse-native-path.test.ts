import { describe, expect, it } from 'vitest'
import type { HostMemory } from '../../../src/engine/host-memory.ts'
import * as S from '../../../src/engine/state.ts'
import { compileForms, formOf } from './sse-harness.ts'

const XMM0 = S.VECTORS
const XMM1 = S.VECTORS + S.VECTOR_STRIDE

/** Runs forms whose software floating point only counts its calls. */
async function counted(codes: readonly string[], mxcsr: number) {
  let calls = 0
  const forms = codes.map(code => formOf(code, code.endsWith('imm8') ? 'rri' : 'rr', [0, 1]))
  const { memory, run } = await compileForms(forms, () => () => {
    calls++
  })
  memory.u32[S.MXCSR >> 2] = mxcsr
  const runAll = (a: number, b: number) =>
    codes.map((_, index) => {
      setDouble(memory, XMM0, a)
      setDouble(memory, XMM1, b)
      run(index)
      return memory.f64[XMM0 >> 3]
    })
  return { runAll, calls: () => calls }
}

function setDouble(memory: HostMemory, at: number, value: number): void {
  memory.f64[at >> 3] = value
  memory.f64[(at >> 3) + 1] = value
}

const ARITHMETIC = ['Addsd', 'Subsd', 'Mulsd', 'Divsd'].map(name => `${name}_xmm_xmmm64`)

describe('SSE arithmetic', () => {
  it('is native for ordinary numbers once the precision flag is set, also for flush-to-zero', async () => {
    for (const mxcsr of [0x1fa0, 0x9fe0]) {
      const { runAll, calls } = await counted(ARITHMETIC, mxcsr)
      expect(runAll(0.1, 0.7)).toEqual([0.1 + 0.7, 0.1 - 0.7, 0.1 * 0.7, 0.1 / 0.7])
      expect(runAll(0, 3)).toEqual([3, -3, 0, 0])
      expect(calls()).toBe(0)
    }
  })

  it('is native for whole numbers while the precision flag is clear', async () => {
    const { runAll, calls } = await counted([...ARITHMETIC, 'Sqrtpd_xmm_xmmm128', 'Cvttsd2si_r32_xmmm64'], 0x1f80)
    expect(runAll(96, 16).slice(0, 5)).toEqual([112, 80, 1536, 6, 4])
    expect(calls()).toBe(0)
  })

  it('is left to software where a flag, a rounding mode or a special value may matter', async () => {
    for (const [mxcsr, a, b] of [
      [0x1f80, 0.1, 0.7],
      [0x3fa0, 0.1, 0.7],
      [0x0fa0, 0.1, 0.7],
      [0x1fa0, Number.NaN, 1],
      [0x1fa0, 5e-324, 1],
      [0x1fa0, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    ]) {
      const { runAll, calls } = await counted(ARITHMETIC, mxcsr)
      runAll(a, b)
      expect(calls()).toBe(ARITHMETIC.length)
    }
  })

  it('chooses and compares natively in every rounding mode', async () => {
    const { runAll, calls } = await counted(
      ['Minsd_xmm_xmmm64', 'Maxsd_xmm_xmmm64', 'Comisd_xmm_xmmm64', 'Cmpsd_xmm_xmmm64_imm8'],
      0x7f80,
    )
    runAll(0.1, 0.7)
    expect(calls()).toBe(0)
  })

  it('is native within a register, too, and where it rounds to integers', async () => {
    const codes = ['Haddpd_xmm_xmmm128', 'Addsubpd_xmm_xmmm128', 'Dppd_xmm_xmmm128_imm8', 'Roundsd_xmm_xmmm64_imm8']
    const rounded = await counted(codes, 0x1fa0)
    expect(rounded.runAll(0.1, 0.7)).toEqual([0.2, 0.1 - 0.7, 0, 1])
    expect(rounded.calls()).toBe(0)
    // Whole numbers, the precision flag clear.
    const exact = await counted(codes, 0x1f80)
    expect(exact.runAll(96, 16)).toEqual([192, 80, 0, 16])
    expect(exact.calls()).toBe(0)
  })

  it('rounds to integers in software where a flag must be set', async () => {
    const { runAll, calls } = await counted(['Roundsd_xmm_xmmm64_imm8'], 0x1f80)
    runAll(0.1, 0.7)
    expect(calls()).toBe(1)
  })
})
