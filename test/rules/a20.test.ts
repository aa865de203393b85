/** The A20M# pin: address bit 20 is kept low, as in the first PCs, until a guest turns the line on. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
import { Guest, Host } from '../engine/guest/guest.ts'
import { enablePaging, P, PageTables, RW } from '../engine/guest/page-tables.ts'
import { rule } from './rule.ts'

const guest = new Guest(new Host(), { bytes: 2 ** 21, cpus: 2, exceptionBitmap: 0xffff_ffff })
const { vcpu } = guest
afterAll(() => guest.release())

const SECTION = 'SDM vol. 3, 21.1.1'
const CODE = 0x1000
const MEGABYTE = 2 ** 20

beforeEach(() => {
  vcpu.reset()
  vcpu.registers.setSegment('cs', { selector: 0, base: 0n, limit: 0xffff, rights: 0x9b })
  vcpu.registers.setSegment('ds', { selector: 0xffff, base: 0xffff0n, limit: 0xffff, rights: 0x93 })
  guest.write32(0x500, 0x1111)
  guest.write32(MEGABYTE + 0x500, 0x2222)
})

/** AX after mov ax, [510h] with DS FFFFh: linear 100500h. */
function wrapped(): bigint {
  guest.write(CODE, [0xa1, 0x10, 0x05])
  guest.setRegisters({ rip: CODE, rax: 0 })
  expect(guest.run(1)).toEqual({ reason: 'budget' })
  return guest.register('rax')
}

describe('A20', () => {
  rule('modes', SECTION, 'With A20 on, real-mode addresses reach the 64 KBytes above 1 MByte', () => {
    expect(wrapped()).toBe(0x2222n)
  })

  rule('modes', SECTION, 'With A20 off, addresses above 1 MByte wrap to 0, for reads, writes and fetches', () => {
    vcpu.setA20(false)
    expect(wrapped()).toBe(0x1111n)
    // mov [510h], ax
    guest.write(CODE, [0xa3, 0x10, 0x05])
    guest.setRegisters({ rip: CODE, rax: 0x3333 })
    guest.run(1)
    expect([guest.read32(0x500), guest.read32(MEGABYTE + 0x500)]).toEqual([0x3333, 0x2222])
    guest.write(0x600, [0xb8, 1, 0])
    guest.write(MEGABYTE + 0x600, [0xb8, 2, 0])
    vcpu.registers.setSegment('cs', { selector: 0xffff, base: 0xffff0n, limit: 0xffff, rights: 0x9b })
    guest.setRegisters({ rip: 0x610 })
    guest.run(1)
    expect(guest.register('rax')).toBe(1n)
  })

  rule(
    'modes',
    SECTION,
    'A change of A20 is seen by the next access, whatever was cached, and by code that has run',
    () => {
      for (const [enabled, expected] of [
        [true, 0x2222n],
        [false, 0x1111n],
        [true, 0x2222n],
      ] as const) {
        vcpu.setA20(enabled)
        for (let time = 0; time < 3; time++) expect(wrapped()).toBe(expected)
      }
    },
  )

  rule(
    'modes',
    SECTION,
    'With A20 off, the paging structures and the pages that they map have address bit 20 clear too',
    () => {
      const tables = new PageTables(guest, '32-bit', 0x80000)
      tables.map(BigInt(CODE), BigInt(CODE), P | RW)
      tables.map(0x4000_0000n, 0x10_0000n, P | RW)
      enablePaging(vcpu, tables)
      vcpu.setA20(false)
      guest.setRegisters({ cr3: 0x80000 + MEGABYTE, rip: CODE, rdi: 0x4000_0500 })
      guest.write(CODE, [0x8b, 0x07])
      expect(guest.run(1)).toEqual({ reason: 'budget' })
      expect(guest.register('rax')).toBe(0x1111n)
      vcpu.setA20(true)
      guest.setRegisters({ cr3: 0x80000, rip: CODE })
      guest.run(1)
      expect(guest.register('rax')).toBe(0x2222n)
    },
  )

  rule('modes', SECTION, 'Odd megabytes are those that wrap: only bit 20 is kept low', () => {
    vcpu.registers.setSegment('ds', { selector: 0, base: 0n, limit: 0xffff_ffff, rights: 0x8093 })
    vcpu.setA20(false)
    // mov ax, [dword edi]: beyond RAM the EPT violation tells the address
    guest.write(CODE, [0x67, 0x8b, 0x07])
    for (const [linear, gpa] of [
      [0x70_0000, 0x60_0000],
      [0x60_0000, 0x60_0000],
      [0xfed0_0000, 0xfec0_0000],
    ]) {
      guest.setRegisters({ rip: CODE, rdi: linear })
      expect(guest.run(1)).toMatchObject({ reason: 'ept-violation', gpa })
    }
  })

  rule('modes', SECTION, 'A20 is on after a reset, is left by INIT, and belongs to the saved state', () => {
    vcpu.setA20(false)
    const saved = vcpu.save()
    vcpu.acceptInterrupt({ mode: 'init', vector: 0, destination: 0, logical: false, level: false })
    vcpu.takeSignals()
    expect(guest.register('a20m')).toBe(1n)
    vcpu.reset()
    expect(guest.register('a20m')).toBe(0n)
    vcpu.restore(saved)
    expect(wrapped()).toBe(0x1111n)
  })
})
