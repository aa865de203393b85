/** The four PDPTE registers of PAE paging: what loads them, with which checks, and what does not. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { EPT_RIGHTS } from '../../src/vmm/ept.ts'
import { P, PageTables, RW } from '../engine/guest/page-tables.ts'
import { ALL, CODE, FRAME, GP, OTHER_FRAME, PagingGuest, TABLES, TARGETS } from './paging-guest.ts'
import { rule } from './rule.ts'

const paging = new PagingGuest()
const { guest } = paging
afterAll(() => guest.release())

const SECTION = 'SDM vol. 3, 4.4.1'
const TARGET = TARGETS.PAE
const SITUATION = { mode: 'PAE', leaf: ALL } as const
const MOV_CR0 = [0x0f, 0x22, 0xc0]
const MOV_CR3 = [0x0f, 0x22, 0xd8]
const MOV_CR4 = [0x0f, 0x22, 0xe0]

let tables: PageTables
/** Image in memory of the PDPTE that covers the target. */
let image: number

beforeEach(() => {
  tables = paging.prepare(SITUATION)
  image = tables.entries(TARGET)[0]
  guest.write32(Number(FRAME) + 0xabc, 1)
  guest.write32(Number(OTHER_FRAME) + 0xabc, 2)
})

/** Other tables map the target to the other frame: the image is made to lead there. */
function changeImage(extra = 0n): void {
  const other = new PageTables(guest, 'PAE', 0xc0000)
  other.map(TARGET, OTHER_FRAME, ALL)
  guest.write64(image, guest.read64(other.entries(TARGET)[0]) | extra)
}

/** 1 while the old PDPTE is in the register, 2 with the new one. */
function seen(): number {
  // invlpg [edi]: whatever is seen is not from the TLB
  expect(paging.execute([0x0f, 0x01, 0x3f], { rdi: TARGET })).toEqual({ reason: 'budget' })
  expect(paging.access(SITUATION, 'read')).toEqual({ reason: 'budget' })
  return Number(guest.register('rax'))
}

describe('the PDPTE registers', () => {
  rule('paging', SECTION, 'A change of a PDPTE in memory is not seen by any walk, INVLPG or not', () => {
    changeImage()
    expect(seen()).toBe(1)
    guest.write64(image, 0n)
    expect(seen()).toBe(1)
  })

  rule('paging', SECTION, 'MOV to CR3 loads the PDPTEs, also with the value that CR3 has', () => {
    changeImage()
    expect(paging.execute(MOV_CR3, { rax: tables.root })).toEqual({ reason: 'budget' })
    expect(seen()).toBe(2)
  })

  rule('paging', SECTION, 'MOV to CR0 that sets PG under PAE paging loads the PDPTEs', () => {
    const cr0 = guest.register('cr0')
    // The code goes on at the same addresses without paging.
    expect(paging.execute(MOV_CR0, { rax: cr0 & 0x7fff_ffffn })).toEqual({ reason: 'budget' })
    changeImage()
    expect(paging.execute(MOV_CR0, { rax: cr0 })).toEqual({ reason: 'budget' })
    expect(seen()).toBe(2)
  })

  rule('paging', SECTION, 'MOV to CR0 that changes CD or NW loads the PDPTEs', () => {
    for (const cr0 of [guest.register('cr0') | 0x4000_0000n, guest.register('cr0') | 0x6000_0000n]) {
      changeImage()
      expect(paging.execute(MOV_CR0, { rax: cr0 })).toEqual({ reason: 'budget' })
      expect(seen()).toBe(2)
    }
  })

  rule('paging', SECTION, 'MOV to CR0 that changes none of PG, CD and NW leaves the PDPTEs', () => {
    changeImage()
    for (const bit of [3n, 16n, 18n]) paging.execute(MOV_CR0, { rax: guest.register('cr0') ^ (1n << bit) })
    expect(seen()).toBe(1)
  })

  for (const [name, bit] of [
    ['PSE', 4n],
    ['PGE', 7n],
    ['SMEP', 20n],
  ] as const)
    rule('paging', SECTION, `MOV to CR4 that changes ${name} loads the PDPTEs`, () => {
      changeImage()
      tables.map(BigInt(CODE), BigInt(CODE), P | RW)
      expect(paging.execute(MOV_CR4, { rax: guest.register('cr4') ^ (1n << bit) })).toEqual({ reason: 'budget' })
      expect(seen()).toBe(2)
    })

  rule('paging', SECTION, 'MOV to CR4 that changes PAE loads the PDPTEs', () => {
    // 32-bit paging takes bits 31:12 of CR3, PAE paging bits 31:5: one CR3 names a directory, and PDPTEs in its unused
    // second half.
    const flat = new PageTables(guest, '32-bit', 0xe0000)
    flat.map(BigInt(CODE), BigInt(CODE), P | RW)
    for (let i = 0; i < 4; i++) guest.write64(flat.root + 0x800 + i * 8, guest.read64(tables.root + i * 8))
    guest.setRegisters({ cr4: 0, cr3: flat.root + 0x800, pdpte1: 0 })
    expect(paging.execute(MOV_CR4, { rax: 0x20 })).toEqual({ reason: 'budget' })
    expect(seen()).toBe(1)
  })

  rule('paging', SECTION, 'MOV to CR4 that changes none of PSE, PAE, PGE and SMEP leaves the PDPTEs', () => {
    changeImage()
    for (const bit of [2n, 3n, 21n]) paging.execute(MOV_CR4, { rax: guest.register('cr4') ^ (1n << bit) })
    expect(guest.register('pdpte1')).not.toBe(guest.read64(image))
  })

  rule('paging', SECTION, 'MOV to CR3 without paging does not load the PDPTEs', () => {
    const loaded = guest.register('pdpte1')
    guest.setRegisters({ cr0: guest.register('cr0') & 0x7fff_ffffn })
    changeImage()
    paging.execute(MOV_CR3, { rax: tables.root })
    expect(guest.register('pdpte1')).toBe(loaded)
  })

  rule(
    'paging',
    'SDM vol. 3, table 4-7',
    'CR3 bits 31:5 are the address of the PDPTE images; bits 4:0 and 63:32 are none of it',
    () => {
      changeImage()
      const moved = TABLES + 0x1e0
      for (let i = 0; i < 4; i++) guest.write64(moved + i * 8, guest.read64(tables.root + i * 8))
      for (const low of [0, 0x18, 0x1f]) {
        expect(paging.execute(MOV_CR3, { rax: BigInt(moved + low) | (1n << 40n) })).toEqual({ reason: 'budget' })
        expect(guest.register('pdpte1')).toBe(guest.read64(image))
      }
    },
  )

  for (const [name, code, value] of [
    ['MOV to CR3', MOV_CR3, () => BigInt(tables.root)],
    ['MOV to CR0', MOV_CR0, () => guest.register('cr0') | 0x4000_0000n],
    ['MOV to CR4', MOV_CR4, () => guest.register('cr4') ^ 0x80n],
  ] as const)
    rule(
      'paging',
      SECTION,
      `${name} that meets a reserved bit in a present PDPTE is #GP(0), and nothing is loaded`,
      () => {
        for (const bit of [1n, 2n, 5n, 6n, 7n, 8n, 40n, 51n, 52n, 63n]) {
          changeImage(1n << bit)
          const names = ['cr0', 'cr3', 'cr4', 'pdpte0', 'pdpte1', 'pdpte2', 'pdpte3']
          const before = names.map(each => guest.register(each))
          expect(paging.execute(code, { rax: value() }), `bit ${bit}`).toMatchObject(GP)
          expect(names.map(each => guest.register(each))).toEqual(before)
        }
      },
    )

  rule(
    'paging',
    SECTION,
    'PWT, PCD and the ignored bits 11:9 of a PDPTE are not reserved, and nothing is in one that is not present',
    () => {
      changeImage((3n << 3n) | (7n << 9n))
      expect(paging.execute(MOV_CR3, { rax: tables.root })).toEqual({ reason: 'budget' })
      expect(seen()).toBe(2)
      guest.write64(tables.root + 24, 0xffff_ffff_ffff_fffen)
      expect(paging.execute(MOV_CR3, { rax: tables.root })).toEqual({ reason: 'budget' })
    },
  )

  rule('paging', SECTION, 'All four PDPTEs are checked, whichever is used', () => {
    for (const index of [0, 1, 2, 3]) {
      const old = guest.read64(tables.root + index * 8)
      guest.write64(tables.root + index * 8, old | P | 2n)
      expect(paging.execute(MOV_CR3, { rax: tables.root })).toMatchObject(GP)
      guest.write64(tables.root + index * 8, old)
    }
  })

  rule('paging', SECTION, 'A PDPTE register that is not present makes its 1 GByte not present', () => {
    guest.write64(image, 0n)
    paging.execute(MOV_CR3, { rax: tables.root })
    expect(paging.access(SITUATION, 'write')).toMatchObject({ vector: 14, errorCode: 2, address: TARGET })
  })

  rule(
    'virtualization',
    'SDM vol. 3, 29.2.1',
    'A load of the PDPTEs that EPT forbids exits before anything is loaded, with no linear address in its qualification',
    () => {
      changeImage()
      guest.ept.setRights(TABLES, 0)
      expect(paging.execute(MOV_CR3, { rax: tables.root })).toEqual({
        reason: 'ept-violation',
        gpa: TABLES,
        linear: 0n,
        qualification: 1,
      })
      guest.ept.setRights(TABLES, EPT_RIGHTS)
      expect(guest.run(1)).toEqual({ reason: 'budget' })
      expect(seen()).toBe(2)
    },
  )

  rule('virtualization', 'SDM vol. 3, 25.4.2', 'The PDPTE registers are part of the saved state of a processor', () => {
    changeImage()
    const saved = guest.vcpu.save()
    paging.execute(MOV_CR3, { rax: tables.root })
    expect(seen()).toBe(2)
    guest.vcpu.restore(saved)
    expect(seen()).toBe(1)
  })
})

describe('a task switch under PAE paging', () => {
  const [GDT, OLD_TSS, NEW_TSS, IDT] = [0x20000, 0x20100, 0x20200, 0x20300]
  const HANDLER = CODE + 0x200
  const descriptor = (base: number, type: number): bigint =>
    BigInt(((base & 0xffff) << 16) | 0x67) | (BigInt((base >>> 16) | (type << 8)) << 32n)

  /** jmp far 18h, to a task at CODE_AFTER with other tables. */
  function jump(cr3: number) {
    guest.write64(GDT + 8, 0x00cf_9b00_0000_ffffn)
    guest.write64(GDT + 16, 0x00cf_9300_0000_ffffn)
    guest.write64(GDT + 24, descriptor(NEW_TSS, 0x89))
    guest.write64(GDT + 32, descriptor(OLD_TSS, 0x8b))
    guest.write(NEW_TSS, new Uint8Array(0x68))
    guest.write32(NEW_TSS + 28, cr3)
    guest.write32(NEW_TSS + 32, CODE + 0x100)
    guest.write32(NEW_TSS + 36, 2)
    guest.write32(NEW_TSS + 56, 0x20c00)
    for (const [offset, selector] of [
      [72, 16],
      [76, 8],
      [80, 16],
      [84, 16],
    ])
      guest.write32(NEW_TSS + offset, selector)
    guest.vcpu.registers.setTable('gdtr', { base: BigInt(GDT), limit: 39 })
    guest.vcpu.registers.setSegment('tr', { selector: 32, base: BigInt(OLD_TSS), limit: 0x67, rights: 0x8b })
    return paging.execute([0xea, 0, 0, 0, 0, 0x18, 0], {})
  }

  rule('tasks', SECTION, 'A task switch loads the PDPTEs that the new CR3 names', () => {
    changeImage()
    expect(jump(tables.root)).toEqual({ reason: 'budget' })
    expect(guest.register('rip')).toBe(BigInt(CODE + 0x100))
    expect(guest.register('pdpte1')).toBe(guest.read64(image))
  })

  rule(
    'tasks',
    SECTION,
    'A task switch whose PDPTEs have a reserved bit set is #GP(0) in the new task, and none is loaded',
    () => {
      const loaded = guest.register('pdpte1')
      changeImage(2n)
      guest.write32(IDT + 13 * 8, (8 << 16) | (HANDLER & 0xffff))
      guest.write32(IDT + 13 * 8 + 4, ((HANDLER & 0xffff_0000) | 0x8e00) >>> 0)
      guest.vcpu.registers.setTable('idtr', { base: BigInt(IDT), limit: 0x7f })
      guest.vcpu.controls.exceptionBitmap = 0
      expect(jump(tables.root)).toEqual({ reason: 'budget' })
      guest.vcpu.controls.exceptionBitmap = 0xffff_ffff
      expect([guest.register('rip'), guest.register('tr')]).toEqual([BigInt(HANDLER), 0x18n])
      // The error code, and the EIP of the new task.
      const top = Number(guest.register('rsp'))
      expect([guest.read32(top), guest.read32(top + 4)]).toEqual([0, CODE + 0x100])
      expect(guest.register('pdpte1')).toBe(loaded)
    },
  )
})
