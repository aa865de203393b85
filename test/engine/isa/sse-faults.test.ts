import { describe, expect, it } from 'vitest'
import { CpuState } from '../../../src/engine/cpu-state.ts'
import { GuestFault } from '../../../src/engine/fault.ts'
import { createSseSlowPath } from '../../../src/engine/sse-slow-path.ts'
import * as S from '../../../src/engine/state.ts'
import { CR4_OSXMMEXCPT } from '../../../src/x86/control-registers.ts'
import { sseCodes } from './sse-cases.ts'
import { type CompiledForm, compileForms, formOf, MEMORY_AT, Raised } from './sse-harness.ts'

const XMM0 = S.VECTORS
const XMM1 = S.VECTORS + S.VECTOR_STRIDE
const ONE = 0x3ff0_0000_0000_0000n
const UNMAPPED = MEMORY_AT + 4096

async function machine(...forms: CompiledForm[]) {
  const { memory, run } = await compileForms(forms, host => createSseSlowPath(new CpuState(host)), UNMAPPED)
  memory.u32[S.MXCSR >> 2] = 0x1f80
  /** Vector of the exception that a form raises, or undefined. */
  const vectorOf = (index: number, address = MEMORY_AT): number | undefined => {
    try {
      run(index, 0, address)
      return undefined
    } catch (error) {
      if (error instanceof Raised || error instanceof GuestFault) return error.vector
      throw error
    }
  }
  return { memory, run, vectorOf }
}

describe('An SSE instruction', () => {
  it('raises what the system software asked for before it touches memory', async () => {
    const { memory, vectorOf } = await machine(formOf('Addps_xmm_xmmm128', 'rm', [0]))
    memory.u32[S.VECTOR_CHECK >> 2] = 7
    expect(vectorOf(0, UNMAPPED)).toBe(7)
    memory.u32[S.VECTOR_CHECK >> 2] = 6
    expect(vectorOf(0, UNMAPPED)).toBe(6)
    memory.u32[S.VECTOR_CHECK >> 2] = 0
    expect(vectorOf(0, UNMAPPED)).toBe(14)
  })

  it('needs 16 bytes of memory to be aligned, but for the moves that say otherwise', async () => {
    const { vectorOf } = await machine(
      formOf('Paddb_xmm_xmmm128', 'rm', [0]),
      formOf('Movaps_xmmm128_xmm', 'mr', [0, 0]),
      formOf('Movups_xmm_xmmm128', 'rm', [0]),
      formOf('Movdqu_xmmm128_xmm', 'mr', [0, 0]),
      formOf('Addsd_xmm_xmmm64', 'rm', [0]),
      formOf('Maskmovdqu_rDI_xmm_xmm', 'mrr', [0, 0, 1]),
    )
    const misaligned = [0, 1, 2, 3, 4, 5].map(index => vectorOf(index, MEMORY_AT + 8))
    expect(misaligned).toEqual([13, 13, undefined, undefined, undefined, undefined])
    expect(vectorOf(0, UNMAPPED + 8)).toBe(13)
  })

  it('of SSE3 to SSE4.2, AES or SHA needs aligned memory too, but for LDDQU and string comparisons', async () => {
    const aligned = [
      'Haddps_xmm_xmmm128',
      'Pshufb_xmm_xmmm128',
      'Pabsb_xmm_xmmm128',
      'Pblendvb_xmm_xmmm128',
      'Ptest_xmm_xmmm128',
      'Movntdqa_xmm_m128',
      'Roundps_xmm_xmmm128_imm8',
      'Palignr_xmm_xmmm128_imm8',
      'Aesenc_xmm_xmmm128',
      'Aeskeygenassist_xmm_xmmm128_imm8',
      'Pclmulqdq_xmm_xmmm128_imm8',
      'Sha256rnds2_xmm_xmmm128',
    ]
    const unaligned = [
      'Lddqu_xmm_m128',
      'Movddup_xmm_xmmm64',
      'Pmovzxbd_xmm_xmmm32',
      'Roundss_xmm_xmmm32_imm8',
      'Insertps_xmm_xmmm32_imm8',
      'Pinsrd_xmm_rm32_imm8',
      'Pcmpistri_xmm_xmmm128_imm8',
      'Pcmpestrm_xmm_xmmm128_imm8',
    ]
    const codes = [...aligned, ...unaligned]
    const { memory, vectorOf } = await machine(
      ...codes.map(code => formOf(code, code.endsWith('imm8') ? 'rmi' : 'rm', [0])),
    )
    const vectors = codes.map((_, index) => vectorOf(index, MEMORY_AT + 1))
    expect(vectors).toEqual(codes.map(code => (aligned.includes(code) ? 13 : undefined)))
    // Alignment comes before paging, and whether SSE is enabled before both.
    expect(vectorOf(1, UNMAPPED + 1)).toBe(13)
    memory.u32[S.VECTOR_CHECK >> 2] = 6
    expect(codes.map((_, index) => vectorOf(index, UNMAPPED + 1))).toEqual(codes.map(() => 6))
  })

  it('that stores a lane is as wide as the lane', async () => {
    const stores = [
      'Pextrb_r32m8_xmm_imm8',
      'Pextrw_r32m16_xmm_imm8',
      'Pextrq_rm64_xmm_imm8',
      'Extractps_rm32_xmm_imm8',
    ]
    const { vectorOf } = await machine(...stores.map(code => formOf(code, 'mri', [0, 0])))
    expect(stores.map((_, index) => vectorOf(index, UNMAPPED - 1))).toEqual([undefined, 14, 14, 14])
  })

  it('refuses reserved bits of MXCSR and keeps the old value', async () => {
    const { memory, vectorOf } = await machine(formOf('Ldmxcsr_m32', 'm', []))
    memory.u32[MEMORY_AT >> 2] = 0x1_1f80
    expect(vectorOf(0)).toBe(13)
    expect(memory.u32[S.MXCSR >> 2]).toBe(0x1f80)
  })

  it('raises #XM for an unmasked exception, #UD without OSXMMEXCPT, and writes nothing but the flag', async () => {
    const { memory, vectorOf } = await machine(formOf('Divsd_xmm_xmmm64', 'rr', [0, 1]))
    memory.u64[XMM0 >> 3] = ONE
    memory.u64[XMM1 >> 3] = 0n
    memory.u32[S.MXCSR >> 2] = 0x1d80
    expect(vectorOf(0)).toBe(6)
    memory.u64[S.CR4 >> 3] = BigInt(CR4_OSXMMEXCPT)
    expect(vectorOf(0)).toBe(19)
    expect(memory.u64[XMM0 >> 3]).toBe(ONE)
    expect(memory.u32[S.MXCSR >> 2]).toBe(0x1d84)
  })

  it('stops for an unmasked exception of any lane', async () => {
    const { memory, vectorOf } = await machine(formOf('Divpd_xmm_xmmm128', 'rr', [0, 1]))
    memory.u64[S.CR4 >> 3] = BigInt(CR4_OSXMMEXCPT)
    memory.u64.set([ONE, ONE], XMM0 >> 3)
    memory.u64.set([ONE, 0n], XMM1 >> 3)
    memory.u32[S.MXCSR >> 2] = 0x1d80
    expect(vectorOf(0)).toBe(19)
    expect([...memory.u64.subarray(XMM0 >> 3, (XMM0 >> 3) + 2)]).toEqual([ONE, ONE])
  })

  it('need not be enabled when it has no vector operand', async () => {
    const free = sseCodes().filter(code => /^(Prefetch|Sfence|Lfence|Mfence)/.test(code))
    const { memory, vectorOf } = await machine(
      formOf('Movnti_m32_r32', 'mr', [0, 0]),
      ...free.map(code => formOf(code, code.startsWith('Prefetch') ? 'm' : '', [])),
    )
    memory.u32[S.VECTOR_CHECK >> 2] = 6
    memory.u32[S.MMX_CHECK >> 2] = 6
    expect(Array.from({ length: free.length + 1 }, (_, i) => vectorOf(i))).toEqual(
      Array(free.length + 1).fill(undefined),
    )
  })

  it('does not fault when it is a prefetch of an unmapped page', async () => {
    const { vectorOf } = await machine(formOf('Prefetcht0_m8', 'm', []))
    expect(vectorOf(0, UNMAPPED)).toBeUndefined()
  })
})

describe('An MMX instruction', () => {
  const MM0 = S.X87_REGISTERS

  it('raises #UD, #NM or a pending x87 exception before it touches memory', async () => {
    const { memory, vectorOf } = await machine(formOf('Paddb_mm_mmm64', 'rm', [0]))
    memory.u32[S.X87_STATUS >> 2] = 0x80
    expect(vectorOf(0, UNMAPPED)).toBe(16)
    memory.u32[S.MMX_CHECK >> 2] = 7
    expect(vectorOf(0, UNMAPPED)).toBe(7)
    memory.u32[S.MMX_CHECK >> 2] = 6
    expect(vectorOf(0, UNMAPPED)).toBe(6)
  })

  it('of SSSE3 is one like the others', async () => {
    const { memory, vectorOf } = await machine(
      formOf('Pshufb_mm_mmm64', 'rm', [0]),
      formOf('Pabsw_mm_mmm64', 'rm', [0]),
      formOf('Phaddw_mm_mmm64', 'rm', [0]),
      formOf('Palignr_mm_mmm64_imm8', 'rmi', [0]),
    )
    for (const index of [0, 1, 2, 3]) {
      memory.u32[S.X87_TOP >> 2] = 5
      expect(vectorOf(index, UNMAPPED)).toBe(14)
      expect(memory.u32[S.X87_TOP >> 2]).toBe(5)
      // No alignment is needed.
      expect(vectorOf(index, MEMORY_AT + 1)).toBeUndefined()
      expect(memory.u32[S.X87_TOP >> 2]).toBe(0)
      memory.u32[S.X87_STATUS >> 2] = 0x80
      expect(vectorOf(index, UNMAPPED)).toBe(16)
      memory.u32[S.X87_STATUS >> 2] = 0
    }
  })

  it('makes the x87 registers valid, and puts ones above the 64 bits it writes', async () => {
    const { memory, vectorOf } = await machine(formOf('Movq_mm_mmm64', 'rm', [0]))
    memory.u32[S.X87_TOP >> 2] = 5
    memory.u32[S.X87_TAGS >> 2] = 0
    memory.u64[MEMORY_AT >> 3] = 0x0123_4567_89ab_cdefn
    expect(vectorOf(0)).toBeUndefined()
    expect(memory.u64[MM0 >> 3]).toBe(0x0123_4567_89ab_cdefn)
    expect(memory.u16[(MM0 + 8) >> 1]).toBe(0xffff)
    expect(memory.u32[S.X87_TOP >> 2]).toBe(0)
    expect(memory.u32[S.X87_TAGS >> 2]).toBe(0xff)
  })

  it('leaves the x87 state alone when it faults', async () => {
    const { memory, vectorOf } = await machine(
      formOf('Pxor_mm_mmm64', 'rm', [0]),
      formOf('Movq_mmm64_mm', 'mr', [0, 0]),
    )
    memory.u32[S.X87_TOP >> 2] = 5
    for (const index of [0, 1]) expect(vectorOf(index, UNMAPPED)).toBe(14)
    expect(memory.u32[S.X87_TOP >> 2]).toBe(5)
    expect(memory.u16[(MM0 + 8) >> 1]).toBe(0)
  })

  it('turns the x87 state into MMX state when it only reads a register, but not for conversions from memory', async () => {
    const { memory, vectorOf } = await machine(
      formOf('Pextrw_r32_mm_imm8', 'rri', [0, 1]),
      formOf('Movq2dq_xmm_mm', 'rr', [0, 0]),
      formOf('Movntq_m64_mm', 'mr', [0, 0]),
      formOf('Cvtpi2pd_xmm_mmm64', 'rr', [0, 0]),
      formOf('Cvtpi2ps_xmm_mmm64', 'rm', [0]),
      formOf('Cvtpi2pd_xmm_mmm64', 'rm', [0]),
    )
    const tops = [0, 1, 2, 3, 4, 5].map(index => {
      memory.u32[S.X87_TOP >> 2] = 5
      expect(vectorOf(index)).toBeUndefined()
      return memory.u32[S.X87_TOP >> 2]
    })
    expect(tops).toEqual([0, 0, 0, 0, 5, 5])
  })
})
