/** Protection keys of user pages: PKRU, its instructions, and the error code. */

import { afterAll, describe, expect } from 'vitest'
import { parseCpuModel } from '../../src/engine/cpu-model.ts'
import { cpuid } from '../../src/engine/system/cpuid.ts'
import { enterRing, NX, P, RW, US } from '../engine/guest/page-tables.ts'
import { ALL, GP, LONG_MODES, PagingGuest, TARGETS } from './paging-guest.ts'
import { rule } from './rule.ts'

const paging = new PagingGuest()
const { guest } = paging
afterAll(() => guest.release())

const KEYS = 'SDM vol. 3, 4.6.2'
const key = (number: number): bigint => BigInt(number) << 59n
const accessDisabled = (number: number): number => (1 << (2 * number)) >>> 0
const writeDisabled = (number: number): number => (2 << (2 * number)) >>> 0
const RDPKRU = [0x0f, 0x01, 0xee]
const WRPKRU = [0x0f, 0x01, 0xef]

describe('a page with a protection key', () => {
  for (const mode of LONG_MODES)
    rule(
      'paging',
      KEYS,
      `With ${mode} paging and CR4.PKE, the AD bit of a page's key forbids user and supervisor to read and write it`,
      () => {
        for (const number of [0, 7, 15]) {
          const situation = { mode, leaf: ALL | key(number), keys: true, pkru: accessDisabled(number) }
          paging.faults({ ...situation, user: true }, 'read', 0x25)
          paging.faults({ ...situation, user: true }, 'write', 0x27)
          paging.faults(situation, 'read', 0x21)
          paging.faults(situation, 'write', 0x23)
        }
      },
    )

  rule('paging', KEYS, "The WD bit of a page's key forbids the user to write it, whatever CR0.WP is", () => {
    for (const writeProtect of [false, true]) {
      const leaf = ALL | key(9)
      const situation = { mode: '4-level', leaf, keys: true, user: true, pkru: writeDisabled(9), writeProtect } as const
      paging.faults(situation, 'write', 0x27)
      paging.allows(situation, 'read')
    }
  })

  rule('paging', KEYS, "The WD bit of a page's key forbids the supervisor to write it only while CR0.WP is set", () => {
    const situation = { mode: '4-level', leaf: ALL | key(9), keys: true, pkru: writeDisabled(9) } as const
    paging.faults({ ...situation, writeProtect: true }, 'write', 0x23)
    paging.allows({ ...situation, writeProtect: true }, 'read')
    paging.allows(situation, 'write')
  })

  rule('paging', KEYS, 'Keys concern no fetch', () => {
    for (const user of [false, true])
      paging.allows({ mode: '4-level', leaf: ALL | key(3), keys: true, user, pkru: 0xffff_ffff }, 'fetch')
  })

  rule('paging', KEYS, 'Keys concern no supervisor page: U/S clear at any level', () => {
    const pkru = 0xffff_fffc
    paging.allows({ mode: '4-level', leaf: P | RW | key(3), keys: true, pkru }, 'write')
    for (const levels of [1, 2, 3]) {
      const above = { [levels]: { clear: US } }
      paging.allows({ mode: '4-level', leaf: ALL | key(3), above, keys: true, pkru }, 'write')
    }
  })

  rule('paging', KEYS, 'The key is that of the entry that maps the page; bits 62:59 of those above are ignored', () => {
    const above = { 1: { set: key(2) }, 2: { set: key(2) }, 3: { set: key(2) } }
    paging.allows({ mode: '4-level', leaf: ALL | key(1), above, keys: true, pkru: accessDisabled(2) }, 'write')
    paging.faults({ mode: '4-level', leaf: ALL | key(1), above, keys: true, pkru: accessDisabled(1) }, 'read', 0x21)
  })

  rule('paging', KEYS, 'While CR4.PKE is clear PKRU forbids nothing', () => {
    for (const user of [false, true])
      paging.allows({ mode: '4-level', leaf: ALL | key(3), user, pkru: 0xffff_ffff }, 'write')
  })

  rule('paging', KEYS, 'Bits 62:59 are no key in PAE paging, where they are reserved', () => {
    paging.faults({ mode: 'PAE', leaf: ALL | key(1), keys: true }, 'read', 9)
    paging.allows({ mode: 'PAE', leaf: ALL, keys: true, user: true, pkru: 0xffff_ffff }, 'write')
  })

  rule(
    'paging',
    'SDM vol. 3, 4.7',
    'PK of the error code tells that the key forbids the access, also where other rights are missing',
    () => {
      const situation = { mode: '4-level', keys: true, user: true, pkru: accessDisabled(4) } as const
      paging.faults({ ...situation, leaf: P | US | key(4) }, 'write', 0x27)
      paging.faults({ ...situation, leaf: P | US | key(5) }, 'write', 7)
      paging.faults({ ...situation, leaf: US | key(4) }, 'read', 4)
      paging.faults({ ...situation, leaf: ALL | NX | key(4) }, 'read', 13)
    },
  )

  rule('paging', KEYS, 'Keys and SMAP are apart: RFLAGS.AC lets nothing pass a key', () => {
    const situation = { mode: '4-level', leaf: ALL | key(4), keys: true, smap: true, pkru: accessDisabled(4) } as const
    paging.faults({ ...situation, alignmentCheck: true }, 'read', 0x21)
    paging.allows({ ...situation, alignmentCheck: true, pkru: accessDisabled(5) }, 'read')
  })

  rule('paging', KEYS, 'Keys hold for implicit accesses to user pages too', () => {
    paging.prepare({ mode: '4-level', leaf: ALL | key(4), keys: true, pkru: accessDisabled(4) })
    guest.vcpu.registers.setTable('gdtr', { base: TARGETS['4-level'] & ~0xfffn, limit: 0xff })
    enterRing(guest.vcpu, '4-level', 3)
    // mov ds, eax
    const exit = paging.execute([0x8e, 0xd8], { rax: 0x2b }, { user: true })
    expect(exit).toMatchObject({ vector: 14, errorCode: 0x21 })
  })
})

describe('PKRU', () => {
  const situation = { mode: '4-level', leaf: ALL | key(6), keys: true } as const
  const write = (value: number) => paging.execute(WRPKRU, { rax: value, rcx: 0, rdx: 0 })

  rule('tlb', KEYS, 'WRPKRU takes effect at the next access, for translations that are cached too', () => {
    paging.prepare(situation)
    for (const kind of ['read', 'write'] as const) {
      expect(write(0)).toEqual({ reason: 'budget' })
      expect(paging.access(situation, kind)).toEqual({ reason: 'budget' })
      expect(write(accessDisabled(6))).toEqual({ reason: 'budget' })
      expect(paging.access(situation, kind)).toMatchObject({ vector: 14, errorCode: kind === 'read' ? 0x21 : 0x23 })
    }
  })

  rule(
    'tlb',
    KEYS,
    'WRPKRU leaves cached translations of other keys: an entry that memory no longer has is used on',
    () => {
      const tables = paging.prepare(situation)
      expect(paging.access(situation, 'read')).toEqual({ reason: 'budget' })
      tables.map(TARGETS['4-level'], 0n, 0n)
      expect(write(accessDisabled(7) | writeDisabled(8))).toEqual({ reason: 'budget' })
      expect(paging.access(situation, 'read')).toEqual({ reason: 'budget' })
    },
  )

  rule('tlb', 'SDM vol. 3, 4.10.4.1', 'Setting CR4.PKE makes keys count for translations that are cached', () => {
    paging.prepare({ ...situation, keys: false, pkru: accessDisabled(6) })
    expect(paging.access(situation, 'read')).toEqual({ reason: 'budget' })
    // mov cr4, rax
    const cr4 = guest.register('cr4') | (1n << 22n)
    expect(paging.execute([0x0f, 0x22, 0xe0], { rax: cr4 })).toEqual({ reason: 'budget' })
    expect(paging.access(situation, 'read')).toMatchObject({ vector: 14, errorCode: 0x21 })
  })

  rule(
    'paging',
    'SDM vol. 2, RDPKRU',
    'RDPKRU loads EAX with PKRU, EDX with 0, and clears the upper halves of RAX and RDX',
    () => {
      paging.prepare({ ...situation, pkru: 0x8765_4321 })
      paging.execute(RDPKRU, { rax: -1, rdx: -1, rcx: 1n << 40n })
      expect([guest.register('rax'), guest.register('rdx')]).toEqual([0x8765_4321n, 0n])
    },
  )

  rule('paging', 'SDM vol. 2, WRPKRU', 'WRPKRU loads all 32 bits of PKRU from EAX, in any ring', () => {
    paging.prepare(situation)
    enterRing(guest.vcpu, '4-level', 3)
    // Key 0 is that of the code and stays open.
    const value = 0xdead_bee0
    expect(paging.execute(WRPKRU, { rax: value, rcx: 0, rdx: 0 }, { user: true })).toEqual({ reason: 'budget' })
    expect(guest.register('pkru')).toBe(BigInt(value))
  })

  rule('paging', 'SDM vol. 2, WRPKRU', 'RDPKRU and WRPKRU are #GP(0) unless ECX is 0', () => {
    paging.prepare(situation)
    for (const code of [RDPKRU, WRPKRU]) expect(paging.execute(code, { rax: 4, rcx: 1, rdx: 0 })).toMatchObject(GP)
    expect(guest.register('pkru')).toBe(0n)
  })

  rule('paging', 'SDM vol. 2, WRPKRU', 'WRPKRU is #GP(0) unless EDX is 0', () => {
    paging.prepare(situation)
    expect(paging.execute(WRPKRU, { rax: 4, rcx: 0, rdx: 1 })).toMatchObject(GP)
    expect(paging.execute(WRPKRU, { rax: 4, rcx: 0, rdx: 1n << 32n })).toEqual({ reason: 'budget' })
  })

  rule('paging', 'SDM vol. 2, WRPKRU', 'RDPKRU and WRPKRU are #UD while CR4.PKE is clear, whatever ECX is', () => {
    for (const rcx of [0, 1]) {
      paging.prepare({ ...situation, keys: false })
      for (const code of [RDPKRU, WRPKRU])
        expect(paging.execute(code, { rax: 0, rcx, rdx: 0 })).toMatchObject({ reason: 'exception', vector: 6 })
    }
  })

  rule('paging', 'SDM vol. 3, table 10-1', 'INIT leaves PKRU, and a reset clears it', () => {
    paging.prepare({ ...situation, pkru: 0x1234 })
    guest.vcpu.acceptInterrupt({ mode: 'init', vector: 0, destination: 0, logical: false, level: false })
    guest.vcpu.takeSignals()
    expect(guest.register('pkru')).toBe(0x1234n)
    guest.vcpu.reset()
    expect(guest.register('pkru')).toBe(0n)
  })

  rule('paging', 'SDM vol. 2, CPUID', 'CPUID leaf 7 reports PKU by the model and OSPKE by CR4.PKE', () => {
    const model = parseCpuModel('max')
    const ecx = (cr4: number) => cpuid(7, 0, { model, apicId: 0, cpus: 1, apicEnabled: true, cr4, xcr0: 1 }).ecx & 0x18
    expect([ecx(0), ecx(1 << 22)]).toEqual([0x08, 0x18])
  })
})
