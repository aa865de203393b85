import { describe, expect, it } from 'vitest'
import { MODEL_NAMES, parseCpuModel } from '../../../src/engine/cpu-model.ts'
import type { CpuidResult } from '../../../src/engine/processor.ts'
import { cpuid } from '../../../src/engine/system/cpuid.ts'

const alone = { model: parseCpuModel('baseline'), apicId: 0, cpus: 1, apicEnabled: true, cr4: 0, xcr0: 1 }
const fourth = { ...alone, apicId: 3, cpus: 4 }

const text = (...words: number[]): string =>
  words
    .flatMap(word => [0, 8, 16, 24].map(shift => String.fromCharCode((word >>> shift) & 0xff)))
    .join('')
    .replace(/\0+$/, '')

const has = (register: number, bit: number): boolean => ((register >>> bit) & 1) === 1

describe('CPUID', () => {
  it('names vendor, family and brand', () => {
    const { ebx, edx, ecx } = cpuid(0, 0, alone)
    expect(text(ebx, edx, ecx)).toBe('AuthenticAMD')
    expect(cpuid(1, 0, alone).eax).toBe(0x60fb1)
    const brand = [2, 3, 4].map(i => cpuid(0x80000000 + i, 0, alone))
    expect(text(...brand.flatMap((r: CpuidResult) => [r.eax, r.ebx, r.ecx, r.edx]))).toBe('Ringside Virtual CPU')
  })

  it('reports the local APIC only while it is enabled', () => {
    expect(has(cpuid(1, 0, alone).edx, 9)).toBe(true)
    expect(has(cpuid(1, 0, { ...alone, apicEnabled: false }).edx, 9)).toBe(false)
  })

  it('reports what the model has', () => {
    for (const name of MODEL_NAMES) {
      const model = parseCpuModel(name)
      const { ecx, edx } = cpuid(1, 0, { ...alone, model })
      const seven = cpuid(7, 0, { ...alone, model })
      const extended = cpuid(0x80000001, 0, { ...alone, model })
      expect(has(ecx, 0), name).toBe(model.has('sse3'))
      expect(has(ecx, 28), name).toBe(model.has('avx'))
      expect(has(edx, 1), name).toBe(model.has('vme'))
      expect(has(seven.ebx, 5), name).toBe(model.has('avx2'))
      expect(has(seven.ecx, 2), name).toBe(model.has('umip'))
      expect(has(extended.ecx, 5), name).toBe(model.has('lzcnt'))
    }
    expect(cpuid(7, 1, alone).ebx).toBe(0)
  })

  it('shows what the system software has enabled', () => {
    const max = { ...alone, model: parseCpuModel('max') }
    expect(has(cpuid(1, 0, max).ecx, 27)).toBe(false)
    expect(has(cpuid(1, 0, { ...max, cr4: 1 << 18 }).ecx, 27)).toBe(true)
    expect(has(cpuid(7, 0, max).ecx, 4)).toBe(false)
    expect(has(cpuid(7, 0, { ...max, cr4: 1 << 22 }).ecx, 4)).toBe(true)
  })

  it('tells of monitored lines without a sleep state, so that no kernel idles in MWAIT, which ends at once', () => {
    expect(cpuid(5, 0, { ...alone, model: parseCpuModel('baseline,+monitor') })).toEqual({
      eax: 64,
      ebx: 64,
      ecx: 3,
      edx: 0,
    })
  })

  it('says that x87 pointers are saved without an exception, too', () => {
    expect(has(cpuid(0x80000008, 0, alone).ebx, 2)).toBe(true)
  })

  it('tells each processor its APIC id and the topology', () => {
    const { ebx, edx } = cpuid(1, 0, fourth)
    expect(ebx >>> 24).toBe(3)
    expect((ebx >>> 16) & 0xff).toBe(4)
    expect(has(edx, 28)).toBe(true)
    expect(cpuid(0xb, 0, fourth)).toEqual({ eax: 0, ebx: 1, ecx: 0x100, edx: 3 })
    expect(cpuid(0xb, 1, fourth)).toEqual({ eax: 2, ebx: 4, ecx: 0x201, edx: 3 })
    expect(cpuid(0xb, 2, fourth)).toEqual({ eax: 0, ebx: 0, ecx: 2, edx: 3 })
    expect(cpuid(0x80000008, 0, fourth).ecx).toBe(0x2003)
    expect(cpuid(0xb, 1, alone)).toEqual({ eax: 0, ebx: 1, ecx: 0x201, edx: 0 })
  })

  it('reads zero where there is no leaf', () => {
    for (const leaf of [5, 0xd, 0x80000009, 0xc0000000])
      expect(cpuid(leaf, 0, alone)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 })
  })
})
