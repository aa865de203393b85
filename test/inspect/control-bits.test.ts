import { describe, expect, test } from 'vitest'
import { decodeRegister, summarizeFields } from '../../src/inspect/control-bits.ts'

const longMode = { cr4: 0x20n, efer: 0x500n }

const summary = (name: Parameters<typeof decodeRegister>[0], value: bigint, context = longMode) =>
  summarizeFields(decodeRegister(name, value, context))

describe('registers taken apart', () => {
  test('CR0, CR4 and EFER name the bits that are set', () => {
    expect(summary('cr0', 0x80050033n)).toBe('PE MP ET NE WP AM PG')
    expect(summary('cr4', 0x3006b0n)).toBe('PSE PAE PGE OSFXSR OSXMMEXCPT SMEP SMAP')
    expect(summary('efer', 0xd01n)).toBe('SCE LME LMA NXE')
  })

  test('RFLAGS shows IOPL as a number', () => {
    expect(summary('rflags', 0x3246n)).toBe('PF ZF IF IOPL=3')
  })

  test('CR3 has a PCID only when CR4.PCIDE is set', () => {
    expect(summary('cr3', 0x1ab4003n)).toBe('BASE=0x1ab4000')
    expect(summary('cr3', 0x1ab4018n)).toBe('PWT PCD BASE=0x1ab4000')
    expect(summary('cr3', 0x1ab4003n, { ...longMode, cr4: 0x20020n })).toBe('PCID=3 BASE=0x1ab4000')
  })

  test('CR3 of PAE paging points to 32-byte aligned entries', () => {
    expect(summary('cr3', 0x1ab40e0n, { cr4: 0x20n, efer: 0n })).toBe('BASE=0x1ab40e0')
  })

  test('DR7 pairs enable bits with kind and length', () => {
    expect(summary('dr7', 0xd0402n)).toContain('G0')
    expect(decodeRegister('dr7', 0xd0402n, longMode).find(field => field.name === 'R/W0')?.value).toBe(1n)
    expect(decodeRegister('dr7', 0xd0402n, longMode).find(field => field.name === 'LEN0')?.value).toBe(3n)
  })

  test('every field says what it means', () => {
    for (const name of ['cr0', 'cr3', 'cr4', 'efer', 'rflags', 'dr6', 'dr7'] as const)
      for (const field of decodeRegister(name, 0n, longMode)) expect(field.meaning).not.toBe('')
  })
})
