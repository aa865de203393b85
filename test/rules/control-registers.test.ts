/** CR0, CR3, CR4, CR8 and EFER: which values are refused, and how long mode begins and ends. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { enterRing, P, PageTables, RW } from '../engine/guest/page-tables.ts'
import { ALL, CODE, GP, PagingGuest, TABLES } from './paging-guest.ts'
import { rule } from './rule.ts'

const paging = new PagingGuest()
const { guest } = paging
afterAll(() => guest.release())

const MOV = 'SDM vol. 2, MOV to control registers'
const BUDGET = { reason: 'budget' }
const [PE, NW, CD, PG] = [1n, 1n << 29n, 1n << 30n, 1n << 31n]
const [PAE, PGE, PCIDE] = [1n << 5n, 1n << 7n, 1n << 17n]
const [LME, LMA] = [0x100n, 0x400n]

/** MOV to a control register from RAX. */
const write = (register: 0 | 2 | 3 | 4 | 8, value: bigint, user = false) =>
  paging.execute(
    register === 8 ? [0x44, 0x0f, 0x22, 0xc0] : [0x0f, 0x22, 0xc0 | (register << 3)],
    { rax: value },
    { user },
  )
const writeEfer = (value: bigint) =>
  paging.execute([0x0f, 0x30], { rcx: 0xc000_0080, rax: value & 0xffff_ffffn, rdx: value >> 32n })
const cr = (register: number): bigint => guest.register(`cr${register}`)

const long = () => paging.prepare({ mode: '4-level', leaf: ALL })

/** Flat protected mode without paging at the same addresses, with 4-level tables at CR3. */
function protectedMode(): void {
  const tables = new PageTables(guest, '4-level', TABLES)
  tables.map(BigInt(CODE), BigInt(CODE), P | RW)
  guest.vcpu.reset()
  guest.setRegisters({ cr3: tables.root, cr0: 0x11 })
  enterRing(guest.vcpu, '32-bit', 0)
}

describe('CR0', () => {
  beforeEach(long)

  rule('modes', MOV, 'PG without PE is #GP(0)', () => {
    protectedMode()
    expect(write(0, PG)).toMatchObject(GP)
    expect(write(0, PG | PE | 0x10n)).toEqual(BUDGET)
  })

  rule('modes', MOV, 'Clearing PE while PG is set is #GP(0)', () => {
    expect(write(0, cr(0) & ~PE)).toMatchObject(GP)
  })

  rule('modes', MOV, 'NW without CD is #GP(0)', () => {
    expect(write(0, cr(0) | NW)).toMatchObject(GP)
    expect(write(0, cr(0) | NW | CD)).toEqual(BUDGET)
  })

  rule('modes', MOV, 'Any of bits 63:32 is #GP(0), and changes nothing', () => {
    const before = cr(0)
    for (const bit of [32n, 63n]) expect(write(0, before | (1n << bit))).toMatchObject(GP)
    expect(cr(0)).toBe(before)
  })

  rule('modes', 'SDM vol. 3, 2.5', 'Reserved bits of the lower half are ignored, and ET stays set', () => {
    const before = cr(0)
    expect(write(0, (before | 0x1ffa_ffc0n) & ~0x10n & ~(1n << 18n))).toEqual(BUDGET)
    expect(cr(0) & 0x1ffa_ffc0n).toBe(0n)
    expect(cr(0) & 0x10n).toBe(0x10n)
  })

  rule('modes', MOV, 'Clearing PG in 64-bit code is #GP(0)', () => {
    expect(write(0, cr(0) & ~PG)).toMatchObject(GP)
  })

  rule('modes', MOV, 'Clearing PG while CR4.PCIDE is set is #GP(0), also in compatibility mode', () => {
    for (const [cr4, outcome] of [
      [cr(4) | PCIDE, GP],
      [cr(4), BUDGET],
    ] as const) {
      long()
      guest.setRegisters({ cr4 })
      guest.vcpu.registers.setSegment('cs', { selector: 8, base: 0n, limit: 0xffff_ffff, rights: 0xc09b })
      expect(write(0, cr(0) & ~PG)).toMatchObject(outcome)
    }
  })

  rule('modes', 'SDM vol. 2, LMSW', 'LMSW sets PE and can not clear it, and changes nothing above bit 3', () => {
    const before = cr(0)
    // lmsw ax
    expect(paging.execute([0x0f, 0x01, 0xf0], { rax: 0xfff0 })).toEqual(BUDGET)
    expect(cr(0)).toBe(before & ~0xen)
    expect(paging.execute([0x0f, 0x01, 0xf0], { rax: 0x000f })).toEqual(BUDGET)
    expect(cr(0)).toBe(before | 0xfn)
  })
})

describe('long mode', () => {
  beforeEach(protectedMode)

  rule(
    'modes',
    'SDM vol. 3, 10.8.5',
    'Setting PG with EFER.LME and CR4.PAE sets LMA; clearing PG clears it and leaves LME',
    () => {
      guest.setRegisters({ cr4: PAE, efer: LME })
      expect(write(0, cr(0) | PG)).toEqual(BUDGET)
      expect(guest.register('efer')).toBe(LME | LMA)
      // The code is in compatibility mode now, as CS says.
      expect(write(0, cr(0) & ~PG)).toEqual(BUDGET)
      expect(guest.register('efer')).toBe(LME)
    },
  )

  rule('modes', MOV, 'Setting PG with EFER.LME and without CR4.PAE is #GP(0)', () => {
    guest.setRegisters({ cr4: 0, efer: LME })
    expect(write(0, cr(0) | PG)).toMatchObject(GP)
    expect(guest.register('efer')).toBe(LME)
  })

  rule('modes', MOV, 'Setting PG with EFER.LME while CS has L set is #GP(0)', () => {
    guest.setRegisters({ cr4: PAE, efer: LME })
    guest.vcpu.registers.setSegment('cs', { selector: 8, base: 0n, limit: 0xffff_ffff, rights: 0xe09b })
    expect(write(0, cr(0) | PG)).toMatchObject(GP)
  })

  rule('modes', MOV, 'Setting PG with EFER.LME while TR holds a 16-bit TSS is #GP(0)', () => {
    guest.setRegisters({ cr4: PAE, efer: LME })
    const tss = { selector: 24, base: 0n, limit: 0x67 }
    guest.vcpu.registers.setSegment('tr', { ...tss, rights: 0x83 })
    expect(write(0, cr(0) | PG)).toMatchObject(GP)
    guest.vcpu.registers.setSegment('tr', { ...tss, rights: 0x8b })
    expect(write(0, cr(0) | PG)).toEqual(BUDGET)
  })

  rule('modes', 'SDM vol. 3, 10.8.5', 'EFER.LME can not change while PG is set: #GP(0)', () => {
    expect(writeEfer(LME)).toEqual(BUDGET)
    long()
    expect(writeEfer(LMA)).toMatchObject(GP)
    paging.prepare({ mode: 'PAE', leaf: ALL })
    expect(writeEfer(LME)).toMatchObject(GP)
  })

  rule('modes', 'SDM vol. 3, 2.2.1', 'EFER.LMA is read-only: a write neither sets nor clears it', () => {
    expect(writeEfer(LMA)).toEqual(BUDGET)
    expect(guest.register('efer')).toBe(0n)
    long()
    expect(writeEfer(LME)).toEqual(BUDGET)
    expect(guest.register('efer')).toBe(LME | LMA)
  })

  rule('modes', 'SDM vol. 3, 2.2.1', 'Reserved bits of EFER are #GP(0)', () => {
    for (const bit of [1n, 7n, 9n, 12n, 31n, 32n, 63n]) expect(writeEfer(1n << bit), `bit ${bit}`).toMatchObject(GP)
    expect(writeEfer(0x801n)).toEqual(BUDGET)
  })
})

describe('CR3', () => {
  beforeEach(long)

  rule('modes', MOV, 'Bits beyond the physical-address width are #GP(0) in long mode', () => {
    for (const bit of [40n, 51n, 52n, 61n, 62n]) expect(write(3, cr(3) | (1n << bit)), `bit ${bit}`).toMatchObject(GP)
    expect(write(3, cr(3) | 0xfffn)).toEqual(BUDGET)
  })

  rule('modes', MOV, 'Bit 63 is #GP(0) while CR4.PCIDE is clear', () => {
    expect(write(3, cr(3) | (1n << 63n))).toMatchObject(GP)
  })

  rule('modes', MOV, 'Bit 63 is not kept while CR4.PCIDE is set', () => {
    const before = cr(3)
    guest.setRegisters({ cr4: cr(4) | PCIDE })
    expect(write(3, before | 5n | (1n << 63n))).toEqual(BUDGET)
    expect(cr(3)).toBe(before | 5n)
  })

  rule('modes', 'SDM vol. 3, 2.5', 'Outside 64-bit mode MOV to CR3 loads 32 bits', () => {
    paging.prepare({ mode: '32-bit', leaf: ALL })
    expect(write(3, BigInt(TABLES) | (1n << 40n))).toEqual(BUDGET)
    expect(cr(3)).toBe(BigInt(TABLES))
  })
})

describe('CR4', () => {
  beforeEach(long)

  rule('modes', MOV, 'Reserved bits, CET among them, and any of bits 63:32 are #GP(0)', () => {
    for (const bit of [13n, 15n, 19n, 23n, 24n, 25n, 31n, 32n, 63n])
      expect(write(4, cr(4) | (1n << bit)), `bit ${bit}`).toMatchObject(GP)
  })

  rule('modes', MOV, 'Clearing PAE in long mode is #GP(0)', () => {
    expect(write(4, cr(4) & ~PAE)).toMatchObject(GP)
  })

  rule('modes', MOV, 'Setting PCIDE outside long mode is #GP(0)', () => {
    for (const mode of ['32-bit', 'PAE'] as const) {
      paging.prepare({ mode, leaf: ALL })
      expect(write(4, cr(4) | PCIDE)).toMatchObject(GP)
    }
  })

  rule('modes', MOV, 'Setting PCIDE while bits 11:0 of CR3 are not 0 is #GP(0)', () => {
    for (const low of [1n, 0x18n, 0x800n]) {
      long()
      guest.setRegisters({ cr3: cr(3) | low })
      expect(write(4, cr(4) | PCIDE)).toMatchObject(GP)
    }
    long()
    expect(write(4, cr(4) | PCIDE)).toEqual(BUDGET)
    // Once it is set, they are the PCID.
    expect(write(3, cr(3) | 7n)).toEqual(BUDGET)
    expect(write(4, cr(4) | PGE)).toEqual(BUDGET)
  })

  rule('modes', 'SDM vol. 3, 4.1.4', 'Bits of features that CPUID does not report are reserved', () => {
    const plain = new PagingGuest('baseline,-vme,-pcid,-smep,-smap')
    plain.prepare({ mode: '4-level', leaf: ALL })
    for (const bit of [0n, 11n, 12n, 16n, 17n, 18n, 20n, 21n, 22n]) {
      const value = plain.guest.register('cr4') | (1n << bit)
      expect(plain.execute([0x0f, 0x22, 0xe0], { rax: value }), `bit ${bit}`).toMatchObject(GP)
    }
    plain.guest.release()
  })
})

describe('moves to and from control registers', () => {
  beforeEach(long)

  rule('modes', MOV, 'They are #GP(0) outside ring 0', () => {
    enterRing(guest.vcpu, '4-level', 3)
    for (const register of [0, 2, 3, 4, 8] as const) expect(write(register, cr(register), true)).toMatchObject(GP)
    // mov rax, cr0
    expect(paging.execute([0x0f, 0x20, 0xc0], {}, { user: true })).toMatchObject(GP)
  })

  rule('modes', MOV, 'CR1, CR5 to CR7 and CR9 to CR15 are #UD, also outside ring 0', () => {
    for (const user of [false, true]) {
      enterRing(guest.vcpu, '4-level', user ? 3 : 0)
      for (const number of [1, 5, 6, 7, 9, 15]) {
        const rex = number > 7 ? [0x44] : []
        for (const opcode of [0x20, 0x22])
          expect(paging.execute([...rex, 0x0f, opcode, 0xc0 | ((number & 7) << 3)], {}, { user })).toMatchObject({
            vector: 6,
          })
      }
    }
  })

  rule('modes', MOV, 'CR8 takes 0 to 15, anything else is #GP(0)', () => {
    expect(write(8, 15n)).toEqual(BUDGET)
    expect(write(8, 16n)).toMatchObject(GP)
    expect(cr(8)).toBe(15n)
  })

  rule('modes', MOV, 'In 64-bit mode all 64 bits are moved without a REX prefix, elsewhere 32', () => {
    expect(write(2, 0x1234_5678_9abc_def0n)).toEqual(BUDGET)
    expect(cr(2)).toBe(0x1234_5678_9abc_def0n)
    // mov rax, cr2
    paging.execute([0x0f, 0x20, 0xd0], { rax: 0 })
    expect(guest.register('rax')).toBe(0x1234_5678_9abc_def0n)
    paging.prepare({ mode: '32-bit', leaf: ALL })
    expect(write(2, 0x1_0000_0002n)).toEqual(BUDGET)
    expect(cr(2)).toBe(2n)
  })
})
