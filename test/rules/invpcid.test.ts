/** INVPCID: what each of its four types drops and leaves, and which operands it refuses. */

import { afterAll, describe, expect } from 'vitest'
import { enterRing, G, type PageTables, PS } from '../engine/guest/page-tables.ts'
import { ALL, CODE, GP } from './paging-guest.ts'
import { type Area, rule as declare } from './rule.ts'
import { FRESH, GONE, NEW, OLD, PAGE, STALE, TlbGuest, USES } from './tlb-guest.ts'

const tlb = new TlbGuest()
const { guest } = tlb
afterAll(() => guest.release())

const SOURCE = 'SDM vol. 2, INVPCID'
const BUDGET = { reason: 'budget' }
/** Two pages that are used with PCID 1, two with PCID 2, and a global one with PCID 1: each has a place of its own. */
const ONE = [PAGE, PAGE + 0x1000n] as const
const TWO = [PAGE + 0x2000n, PAGE + 0x3000n] as const
const GLOBAL = PAGE + 0x4000n

let tables: PageTables
/** Done before each rule that follows. */
let prepare = (): void => {}

/** A rule that holds for pages of data and of code. */
function rule(area: Area, source: string, text: string, test: () => void): void {
  const first = prepare
  declare(area, source, text, () => {
    for (const uses of USES) {
      tlb.uses = uses
      first()
      test()
    }
  })
}

/** All of them cached from the old frame, and then otherwise in memory. PCID 1 is current. */
prepare = () => {
  tables = tlb.prepareTables('4-level', { pcid: true, global: true })
  const map = (frame: bigint) => {
    for (const page of [...ONE, ...TWO]) tables.map(page, frame, ALL)
    tables.map(GLOBAL, frame, ALL | G)
  }
  map(OLD)
  for (const [pcid, pages] of [
    [2, TWO],
    [1, [...ONE, GLOBAL]],
  ] as const) {
    tlb.loadCr3(tables.root | pcid)
    for (const page of pages) expect(tlb.all(page)).toEqual(STALE)
  }
  map(NEW)
}

/** What is seen of a page with the PCID that uses it. */
function see(page: bigint): number[] {
  const pcid = TWO.some(each => each === page) ? 2 : 1
  tlb.loadCr3(tables.root | pcid, true)
  return tlb.all(page)
}

describe('type 0, an address in a PCID', () => {
  rule('tlb', SOURCE, 'INVPCID 0 drops the page in the PCID that it names, the current one or another', () => {
    expect(tlb.invpcid(0, 1, ONE[0] + 0x123n)).toEqual(BUDGET)
    expect(see(ONE[0])).toEqual(FRESH)
    expect(tlb.invpcid(0, 2, TWO[0] + 0xfffn)).toEqual(BUDGET)
    expect(see(TWO[0])).toEqual(FRESH)
  })

  rule('tlb', SOURCE, 'INVPCID 0 leaves the page in other PCIDs', () => {
    tlb.invpcid(0, 1, TWO[0])
    tlb.invpcid(0, 0, TWO[0])
    expect(see(TWO[0])).toEqual(STALE)
  })

  rule('tlb', SOURCE, 'INVPCID 0 leaves other pages', () => {
    tlb.invpcid(0, 1, ONE[0])
    expect(see(ONE[1])).toEqual(STALE)
  })

  rule('tlb', SOURCE, 'INVPCID 0 leaves global pages', () => {
    tlb.invpcid(0, 1, GLOBAL)
    expect(see(GLOBAL)).toEqual(STALE)
  })

  rule('tlb', SOURCE, 'INVPCID 0 of any address of a large page drops all that is cached of it', () => {
    const large = 0x80_0000n
    for (const offset of [0n, OLD, 0x1f_ffffn]) {
      tables.map(large, 0n, ALL | PS, 1)
      tlb.loadCr3(tables.root | 1)
      expect(tlb.all(large + OLD)).toEqual(STALE)
      tables.map(large, 0n, 0n, 1)
      expect(tlb.all(large + OLD)).toEqual(STALE)
      tlb.invpcid(0, 1, large + offset)
      expect(tlb.all(large + OLD)).toEqual(GONE)
    }
  })

  rule('tlb', SOURCE, 'INVPCID 0 of an address that is not canonical is #GP(0)', () => {
    expect(tlb.invpcid(0, 1, 0x0100_0000_0000_0000n)).toMatchObject(GP)
    expect(tlb.invpcid(1, 1, 0x0100_0000_0000_0000n)).toEqual(BUDGET)
  })
})

describe('the other types', () => {
  rule('tlb', SOURCE, 'INVPCID 1 drops a PCID but for global pages, and leaves the others', () => {
    expect(tlb.invpcid(1, 2)).toEqual(BUDGET)
    expect(TWO.map(see)).toEqual([FRESH, FRESH])
    expect(ONE.map(see)).toEqual([STALE, STALE])
    tlb.invpcid(1, 1)
    expect(ONE.map(see)).toEqual([FRESH, FRESH])
    expect(see(GLOBAL)).toEqual(STALE)
  })

  rule('tlb', SOURCE, 'INVPCID 2 drops every PCID, global pages included', () => {
    expect(tlb.invpcid(2)).toEqual(BUDGET)
    for (const page of [...ONE, ...TWO, GLOBAL]) expect(see(page)).toEqual(FRESH)
  })

  rule('tlb', SOURCE, 'INVPCID 3 drops every PCID but for global pages', () => {
    expect(tlb.invpcid(3)).toEqual(BUDGET)
    for (const page of [...ONE, ...TWO]) expect(see(page)).toEqual(FRESH)
    expect(see(GLOBAL)).toEqual(STALE)
  })
})

describe('what is refused', () => {
  rule('tlb', SOURCE, 'A type above 3 is #GP(0), by all 64 bits of the register in 64-bit mode', () => {
    for (const type of [4n, 0xffn, 1n << 32n, 1n << 63n]) expect(tlb.invpcid(type)).toMatchObject(GP)
    expect(tlb.all(PAGE)).toEqual(STALE)
  })

  rule('tlb', SOURCE, 'A descriptor with any of bits 63:12 set is #GP(0), for every type', () => {
    for (const type of [0, 1, 2, 3])
      for (const bit of [12n, 31n, 32n, 63n]) expect(tlb.invpcid(type, 1n << bit)).toMatchObject(GP)
  })

  rule('tlb', SOURCE, 'While CR4.PCIDE is clear types 0 and 1 take PCID 0 only, and types 2 and 3 any', () => {
    tables = tlb.prepareTables('4-level')
    for (const [type, pcid, exit] of [
      [0, 0, BUDGET],
      [1, 0, BUDGET],
      [0, 1, GP],
      [1, 1, GP],
      [2, 1, BUDGET],
      [3, 1, BUDGET],
    ] as const)
      expect(tlb.invpcid(type, pcid)).toMatchObject(exit)
  })

  rule('tlb', SOURCE, 'INVPCID is #GP(0) outside ring 0, before its operand is looked at', () => {
    enterRing(guest.vcpu, '4-level', 3)
    expect(tlb.run('invpcid', { rax: 0, rdi: 0x7000_0000 })).toMatchObject(GP)
  })

  rule(
    'tlb',
    SOURCE,
    'INVPCID reads its 16-byte descriptor as any instruction does: it may fault in its second half',
    () => {
      const edge = 0x20ff8n
      expect(tlb.run('invpcid', { rax: 2, rdi: edge })).toMatchObject({ vector: 14, errorCode: 0, address: 0x21000n })
    },
  )

  rule('tlb', SOURCE, 'INVPCID works in protected mode with 32-bit operands', () => {
    tables = tlb.prepareTables('32-bit')
    tables.map(PAGE, OLD, ALL)
    expect(tlb.all(PAGE)).toEqual(STALE)
    tables.map(PAGE, NEW, ALL)
    expect(tlb.invpcid(1n << 32n, 0, PAGE)).toEqual(BUDGET)
    expect(tlb.all(PAGE)).toEqual(FRESH)
    expect(tlb.invpcid(4)).toMatchObject(GP)
  })

  rule('tlb', SOURCE, 'INVPCID works in real mode', () => {
    guest.vcpu.reset()
    guest.vcpu.registers.setSegment('cs', { selector: 0x1000, base: BigInt(CODE), limit: 0xffff, rights: 0x9b })
    // invpcid eax, [0500h]
    guest.write(CODE, [0x66, 0x0f, 0x38, 0x82, 0x06, 0x00, 0x05])
    guest.write(0x500, new Uint8Array(16))
    guest.setRegisters({ rip: 0, rax: 2 })
    expect(guest.run(1)).toEqual(BUDGET)
    guest.setRegisters({ rip: 0, rax: 4 })
    expect(guest.run(1)).toMatchObject(GP)
  })

  rule('tlb', SOURCE, 'INVPCID is #GP(0) in virtual-8086 mode', () => {
    tables = tlb.prepareTables('32-bit')
    const v86 = { selector: 0x1000, base: BigInt(CODE), limit: 0xffff, rights: 0xf3 }
    tables.map(BigInt(CODE), BigInt(CODE), ALL)
    for (const name of ['cs', 'ss', 'ds', 'es'] as const) guest.vcpu.registers.setSegment(name, v86)
    guest.write(CODE, [0x66, 0x0f, 0x38, 0x82, 0x06, 0x00, 0x05])
    guest.setRegisters({ rip: 0, rflags: 0x2_0002, rax: 2 })
    expect(guest.run(1)).toMatchObject(GP)
  })

  rule('tlb', SOURCE, 'INVPCID is #UD where CPUID does not report it, and with a register for a descriptor', () => {
    const plain = new TlbGuest('max,-invpcid')
    plain.prepareTables('4-level', { pcid: true })
    expect(plain.invpcid(2)).toMatchObject({ vector: 6 })
    plain.guest.release()
    // invpcid rax, rdi
    expect(tlb.execute([0x66, 0x0f, 0x38, 0x82, 0xc7], { rax: 2 })).toMatchObject({ vector: 6 })
  })
})
