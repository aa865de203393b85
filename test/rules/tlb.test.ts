/**
 * Translations that the TLB holds: what drops them, and what goes on to be used though memory no longer has it
 * (SDM vol. 3, 4.10). A processor may drop more than it must; that ours keeps what it may keep is what lets a stale
 * entry be seen here.
 */

import { afterAll, describe, expect } from 'vitest'
import { enterRing, G, MODES, P, type PageTables, PS, RW, US } from '../engine/guest/page-tables.ts'
import { ALL, GP } from './paging-guest.ts'
import { type Area, rule as declare } from './rule.ts'
import { FRESH, GONE, NEW, OLD, PAGE, STALE, TlbGuest, USES, type Uses } from './tlb-guest.ts'

const tlb = new TlbGuest()
const { guest } = tlb
afterAll(() => guest.release())

const INVALIDATION = 'SDM vol. 3, 4.10.4.1'
const BUDGET = { reason: 'budget' }
const ELSEWHERE = PAGE + 0x1000n

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

/** A rule of pages with one use only. */
const ruleOf =
  (uses: Uses) =>
  (area: Area, source: string, text: string, test: () => void): void => {
    const first = prepare
    declare(area, source, text, () => {
      tlb.uses = uses
      first()
      test()
    })
  }
const dataRule = ruleOf('data')
const codeRule = ruleOf('code')

/** The page as the TLB has it, and then otherwise in memory. */
function cacheThenMove(flags = ALL): void {
  tables.map(PAGE, OLD, flags)
  tlb.invlpg(PAGE)
  expect(tlb.all(PAGE)).toEqual(STALE)
  tables.map(PAGE, NEW, flags)
}

describe('a cached translation', () => {
  prepare = () => {
    tables = tlb.prepareTables('4-level', { writeProtect: true, noExecute: true })
    cacheThenMove()
  }

  rule('tlb', 'SDM vol. 3, 4.10.2.2', 'Reads go on to the old frame until the translation is dropped', () => {
    expect(tlb.read(PAGE)).toBe(1)
    tables.map(PAGE, 0n, 0n)
    expect(tlb.read(PAGE)).toBe(1)
  })

  dataRule('tlb', 'SDM vol. 3, 4.10.2.2', 'Writes go on to the old frame until the translation is dropped', () => {
    expect(tlb.write(PAGE)).toBe(1)
  })

  codeRule('tlb', 'SDM vol. 3, 4.10.2.2', 'Fetches go on from the old frame until the translation is dropped', () => {
    expect(tlb.fetch(PAGE)).toBe(1)
    tables.map(PAGE, 0n, 0n)
    expect(tlb.fetch(PAGE)).toBe(1)
  })

  dataRule('tlb', 'SDM vol. 3, 4.10.2.2', 'Rights that were taken away in memory are still there', () => {
    tables.map(PAGE, OLD, P)
    expect(tlb.write(PAGE)).toBe(1)
    tlb.invlpg(PAGE)
    expect(tlb.write(PAGE)).toBe(14)
  })

  dataRule(
    'tlb',
    'SDM vol. 3, 4.10.2.3',
    'Rights that were added in memory are found before an access faults for the lack of them',
    () => {
      tables.map(PAGE, OLD, P)
      tlb.invlpg(PAGE)
      expect([tlb.read(PAGE), tlb.write(PAGE)]).toEqual([1, 14])
      expect(tlb.read(PAGE)).toBe(1)
      tables.map(PAGE, OLD, P | RW)
      expect(tlb.write(PAGE)).toBe(1)
    },
  )

  rule(
    'tlb',
    'SDM vol. 3, 4.10.2.3',
    'A page that was not present is found once it is, without an invalidation',
    () => {
      tables.map(PAGE, 0n, 0n)
      tlb.invlpg(PAGE)
      for (const outcome of [() => tlb.read(PAGE), () => tlb.write(PAGE), () => tlb.fetch(PAGE)]) {
        tables.map(PAGE, 0n, 0n)
        tlb.invlpg(PAGE)
        expect(outcome()).toBe(14)
        tables.map(PAGE, NEW, ALL)
        expect(outcome()).toBe(2)
      }
    },
  )

  dataRule(
    'tlb',
    'SDM vol. 3, 4.8',
    'A page that was written is not marked dirty again, nor one that was read accessed, until the translation is dropped',
    () => {
      tables.map(PAGE, OLD, ALL)
      const leaf = tables.entries(PAGE).at(-1) ?? 0
      tlb.write(PAGE)
      tlb.read(PAGE)
      expect(tables.get(leaf)).toBe(OLD | ALL)
      tlb.invlpg(PAGE)
      tlb.write(PAGE)
      expect(tables.get(leaf)).toBe(OLD | ALL | 0x60n)
    },
  )

  rule('tlb', 'SDM vol. 3, 4.6', 'A translation that the supervisor has cached gives the user no rights', () => {
    tables.map(PAGE, OLD, P | RW)
    tlb.invlpg(PAGE)
    expect(tlb.all(PAGE)).toEqual(STALE)
    enterRing(guest.vcpu, '4-level', 3)
    expect(tlb.run('read', { rdi: PAGE })).toMatchObject({ vector: 14, errorCode: 5 })
    expect(tlb.run('write', { rdi: PAGE })).toMatchObject({ vector: 14, errorCode: 7 })
  })

  for (const [name, operation] of [
    ['read', () => tlb.read(PAGE)],
    ['write', () => tlb.write(PAGE)],
    ['fetch', () => tlb.fetch(PAGE)],
  ] as const)
    dataRule(
      'tlb',
      INVALIDATION,
      `A page fault of a ${name} drops what is cached of its page for other accesses`,
      () => {
        // Another linear address of the frame keeps the accesses apart: what is cached here is not of the faulting kind.
        tables.map(PAGE, OLD, ALL)
        tlb.invlpg(PAGE)
        const others = [() => tlb.read(PAGE), () => tlb.fetch(PAGE)].filter((_, i) => ['read', 'fetch'][i] !== name)
        for (const other of others) expect(other()).toBe(1)
        tables.map(PAGE, 0n, 0n)
        for (const other of others) expect(other()).toBe(1)
        expect(operation()).toBe(14)
        for (const other of others) expect(other()).toBe(14)
      },
    )
})

describe('INVLPG', () => {
  prepare = () => {
    tables = tlb.prepareTables('4-level', { writeProtect: true })
    cacheThenMove()
  }

  for (const offset of [0n, 0x7ffn, 0xfffn])
    rule('tlb', INVALIDATION, `INVLPG of byte ${offset} of a page drops it for reads, writes and fetches`, () => {
      expect(tlb.invlpg(PAGE + offset)).toEqual(BUDGET)
      expect(tlb.all(PAGE)).toEqual(FRESH)
    })

  rule('tlb', INVALIDATION, 'INVLPG leaves the translations of other pages', () => {
    tables.map(ELSEWHERE, OLD, ALL)
    expect(tlb.read(ELSEWHERE)).toBe(1)
    tlb.invlpg(ELSEWHERE)
    expect(tlb.all(PAGE)).toEqual(STALE)
  })

  rule('tlb', INVALIDATION, 'INVLPG drops a global page', () => {
    tables = tlb.prepareTables('4-level', { global: true })
    cacheThenMove(ALL | G)
    tlb.invlpg(PAGE)
    expect(tlb.all(PAGE)).toEqual(FRESH)
  })

  rule('tlb', 'SDM vol. 2, INVLPG', 'INVLPG is #GP(0) outside ring 0', () => {
    enterRing(guest.vcpu, '4-level', 3)
    expect(tlb.invlpg(PAGE)).toMatchObject(GP)
  })

  rule('tlb', 'SDM vol. 2, INVLPG', 'INVLPG does not access its operand: no page need be there', () => {
    expect(tlb.invlpg(0x7000_0000n)).toEqual(BUDGET)
  })

  for (const [mode, shift, name] of [
    ['32-bit', 22, '4-MByte'],
    ['PAE', 21, '2-MByte'],
    ['4-level', 21, '2-MByte'],
    ['5-level', 21, '2-MByte'],
    ['4-level', 30, '1-GByte'],
  ] as const)
    rule(
      'tlb',
      'SDM vol. 3, 4.10.2.3',
      `INVLPG of any address of a ${name} page drops all that is cached of it, with ${mode} paging`,
      () => {
        const size = 1n << BigInt(shift)
        const large = shift === 30 ? 0x1_4000_0000n : 0x80_0000n
        const level = shift === 30 ? 2 : 1
        tables = tlb.prepareTables(mode, { pse: true })
        for (const invalidated of [OLD, 0n, size - 1n, size / 2n + 5n]) {
          // The page is the guest's first RAM, seen at another linear address.
          tables.map(large, 0n, ALL | PS, level)
          tlb.loadCr3(tables.root)
          expect(tlb.all(large + OLD)).toEqual(STALE)
          tables.map(large, 0n, 0n, level)
          expect(tlb.all(large + OLD)).toEqual(STALE)
          tlb.invlpg(large + invalidated)
          expect(tlb.all(large + OLD)).toEqual(GONE)
        }
      },
    )
})

describe('MOV to CR3', () => {
  prepare = () => {}

  rule(
    'tlb',
    INVALIDATION,
    'MOV to CR3 drops every translation that is not global, also with the value that CR3 has',
    () => {
      for (const mode of MODES) {
        tables = tlb.prepareTables(mode, { global: true })
        cacheThenMove()
        expect(tlb.loadCr3(tables.root)).toEqual(BUDGET)
        expect(tlb.all(PAGE)).toEqual(FRESH)
      }
    },
  )

  rule('tlb', INVALIDATION, 'MOV to CR3 keeps global translations while CR4.PGE is set', () => {
    for (const mode of MODES) {
      tables = tlb.prepareTables(mode, { global: true })
      cacheThenMove(ALL | G)
      tlb.loadCr3(tables.root)
      expect(tlb.all(PAGE)).toEqual(STALE)
      // Also in other tables, that map nothing there.
      const other = tlb.makeTables(mode, 0xc0000)
      tlb.loadCr3(other.root)
      expect(tlb.all(PAGE)).toEqual(STALE)
    }
  })

  rule('tlb', 'SDM vol. 3, 4.10.2.4', 'While CR4.PGE is clear no page is global', () => {
    tables = tlb.prepareTables('4-level')
    cacheThenMove(ALL | G)
    tlb.loadCr3(tables.root)
    expect(tlb.all(PAGE)).toEqual(FRESH)
  })

  rule('tlb', 'SDM vol. 3, 4.10.2.4', 'G of an entry that maps no page makes nothing global', () => {
    tables = tlb.prepareTables('4-level', { global: true })
    cacheThenMove()
    for (const entry of tables.entries(PAGE).slice(1, -1)) tables.set(entry, tables.get(entry) | G)
    tlb.invlpg(PAGE)
    tables.map(PAGE, OLD, ALL)
    tlb.loadCr3(tables.root)
    expect(tlb.all(PAGE)).toEqual(STALE)
    tables.map(PAGE, NEW, ALL)
    tlb.loadCr3(tables.root)
    expect(tlb.all(PAGE)).toEqual(FRESH)
  })

  rule('tlb', 'SDM vol. 3, 4.10.2.4', 'A large page is global by G of its entry', () => {
    tables = tlb.prepareTables('4-level', { global: true })
    const large = 0x80_0000n
    tables.map(large, 0n, ALL | PS | G, 1)
    expect(tlb.all(large + OLD)).toEqual(STALE)
    tables.map(large, 0n, 0n, 1)
    tlb.loadCr3(tables.root)
    expect(tlb.all(large + OLD)).toEqual(STALE)
  })

  rule('tasks', INVALIDATION, 'A task switch that changes CR3 drops every translation that is not global', () => {
    for (const mode of ['32-bit', 'PAE'] as const) {
      tables = tlb.prepareTables(mode, { global: true })
      tables.map(ELSEWHERE, OLD, ALL | G)
      cacheThenMove()
      expect(tlb.read(ELSEWHERE)).toBe(1)
      const other = tlb.makeTables(mode, 0xc0000)
      other.map(PAGE, NEW, ALL)
      expect(tlb.switchTask(other.root)).toEqual(BUDGET)
      expect(guest.register('cr3')).toBe(BigInt(other.root))
      expect(tlb.all(PAGE)).toEqual(FRESH)
      expect(tlb.read(ELSEWHERE)).toBe(1)
    }
  })
})

describe('changes of mode', () => {
  prepare = () => {}

  for (const [name, register, bit] of [
    ['CR4.PGE', 4, 7],
    ['CR4.PSE', 4, 4],
  ] as const)
    for (const before of [false, true])
      rule(
        'tlb',
        INVALIDATION,
        `A MOV that ${before ? 'clears' : 'sets'} ${name} drops every translation, global ones included`,
        () => {
          tables = tlb.prepareTables('4-level', { global: before || name !== 'CR4.PGE', pse: before })
          cacheThenMove(ALL | G)
          expect(tlb.toggle(register, bit)).toEqual(BUDGET)
          expect(tlb.all(PAGE)).toEqual(FRESH)
        },
      )

  rule('tlb', INVALIDATION, 'A MOV to CR0 that clears PG drops every translation, global ones included', () => {
    tables = tlb.prepareTables('32-bit', { global: true })
    cacheThenMove(ALL | G)
    expect(tlb.toggle(0, 31)).toEqual(BUDGET)
    expect(tlb.toggle(0, 31)).toEqual(BUDGET)
    expect(tlb.all(PAGE)).toEqual(FRESH)
  })

  rule(
    'tlb',
    INVALIDATION,
    'Setting CR4.SMEP drops what is cached: the supervisor fetches no user page any more',
    () => {
      tables = tlb.prepareTables('4-level')
      tables.map(PAGE, OLD, ALL)
      expect(tlb.fetch(PAGE)).toBe(1)
      tlb.toggle(4, 20)
      expect(tlb.fetch(PAGE)).toBe(14)
    },
  )

  rule('tlb', 'SDM vol. 3, 4.6.1', 'A change of CR4.SMAP counts for cached translations', () => {
    tables = tlb.prepareTables('4-level')
    tables.map(PAGE, OLD, ALL)
    for (const expected of [1, 14, 1]) {
      expect([tlb.read(PAGE), tlb.write(PAGE)]).toEqual([expected, expected])
      tlb.toggle(4, 21)
    }
  })

  rule(
    'tlb',
    'SDM vol. 3, 4.6.1',
    'A change of RFLAGS.AC under SMAP counts at the next access, whatever is cached',
    () => {
      tables = tlb.prepareTables('4-level', { smap: true })
      tables.map(PAGE, OLD, ALL)
      // stac; mov eax, [rdi]; clac; mov eax, [rdi]
      const program = [0x0f, 0x01, 0xcb, 0x8b, 0x07, 0x0f, 0x01, 0xca, 0x8b, 0x07]
      for (let time = 0; time < 3; time++) {
        expect(tlb.execute(program, { rdi: PAGE }, { count: 4 })).toMatchObject({ vector: 14, errorCode: 1 })
        expect(guest.register('rip')).toBe(0x10008n)
      }
    },
  )

  dataRule('tlb', 'SDM vol. 3, 4.6.1', 'A change of CR0.WP counts for cached translations', () => {
    tables = tlb.prepareTables('4-level')
    tables.map(PAGE, OLD, P)
    for (const expected of [1, 14, 1]) {
      expect(tlb.write(PAGE)).toBe(expected)
      tlb.toggle(0, 16)
    }
  })

  rule('tlb', 'SDM vol. 3, 4.6.1', 'A change of EFER.NXE counts for cached translations', () => {
    tables = tlb.prepareTables('4-level', { noExecute: true })
    tables.map(PAGE, OLD, ALL | (1n << 63n))
    const writeEfer = (efer: number) => tlb.run('wrmsr', { rcx: 0xc000_0080, rax: efer, rdx: 0 })
    expect([tlb.read(PAGE), tlb.fetch(PAGE)]).toEqual([1, 14])
    expect(writeEfer(0x500)).toEqual(BUDGET)
    // XD is reserved now.
    expect(tlb.run('read', { rdi: PAGE })).toMatchObject({ vector: 14, errorCode: 9 })
    expect(writeEfer(0xd00)).toEqual(BUDGET)
    expect(tlb.read(PAGE)).toBe(1)
  })

  rule('tlb', INVALIDATION, 'A MOV to CR4 that changes nothing of paging keeps what is cached', () => {
    tables = tlb.prepareTables('4-level')
    cacheThenMove()
    for (const bit of [2, 3, 9, 10]) expect(tlb.toggle(4, bit)).toEqual(BUDGET)
    expect(tlb.all(PAGE)).toEqual(STALE)
  })

  rule('tlb', INVALIDATION, 'A MOV to CR0 that changes neither PG nor WP keeps what is cached', () => {
    tables = tlb.prepareTables('4-level')
    cacheThenMove()
    for (const bit of [1, 3, 18, 30]) expect(tlb.toggle(0, bit)).toEqual(BUDGET)
    expect(tlb.all(PAGE)).toEqual(STALE)
  })
})

describe('process-context identifiers', () => {
  const rootWith = (pcid: number): number => tables.root | pcid

  prepare = () => {
    tables = tlb.prepareTables('4-level', { pcid: true, global: true })
    tables.map(PAGE, OLD, ALL)
  }

  rule('tlb', 'SDM vol. 3, 4.10.1', 'Translations of different PCIDs are kept apart', () => {
    const other = tlb.makeTables('4-level', 0xc0000)
    other.map(PAGE, NEW, ALL)
    for (let turn = 0; turn < 3; turn++) {
      tlb.loadCr3(rootWith(1), true)
      expect(tlb.all(PAGE)).toEqual(STALE)
      tlb.loadCr3(other.root | 2, true)
      expect(tlb.all(PAGE)).toEqual(FRESH)
    }
  })

  rule('tlb', INVALIDATION, 'MOV to CR3 with bit 63 set keeps what is cached of the new PCID', () => {
    tlb.loadCr3(rootWith(1))
    expect(tlb.all(PAGE)).toEqual(STALE)
    tables.map(PAGE, NEW, ALL)
    tlb.loadCr3(rootWith(2), true)
    tlb.loadCr3(rootWith(1), true)
    expect(tlb.all(PAGE)).toEqual(STALE)
  })

  rule(
    'tlb',
    INVALIDATION,
    'MOV to CR3 with bit 63 clear drops what is cached of the new PCID, and of no other',
    () => {
      tables.map(ELSEWHERE, OLD, ALL)
      tlb.loadCr3(rootWith(1))
      expect(tlb.all(PAGE)).toEqual(STALE)
      tlb.loadCr3(rootWith(2))
      expect(tlb.all(ELSEWHERE)).toEqual(STALE)
      tables.map(PAGE, NEW, ALL)
      tables.map(ELSEWHERE, NEW, ALL)
      tlb.loadCr3(rootWith(1))
      expect(tlb.all(PAGE)).toEqual(FRESH)
      tlb.loadCr3(rootWith(2), true)
      expect(tlb.all(ELSEWHERE)).toEqual(STALE)
    },
  )

  rule('tlb', INVALIDATION, 'Clearing CR4.PCIDE drops every translation', () => {
    tables.map(PAGE, OLD, ALL | G)
    tlb.loadCr3(rootWith(0))
    expect(tlb.all(PAGE)).toEqual(STALE)
    tables.map(PAGE, NEW, ALL | G)
    expect(tlb.toggle(4, 17)).toEqual(BUDGET)
    expect(tlb.all(PAGE)).toEqual(FRESH)
  })

  rule('tlb', INVALIDATION, 'INVLPG drops the page in the current PCID', () => {
    tlb.loadCr3(rootWith(5))
    expect(tlb.all(PAGE)).toEqual(STALE)
    tables.map(PAGE, NEW, ALL)
    tlb.invlpg(PAGE)
    expect(tlb.all(PAGE)).toEqual(FRESH)
  })

  rule('tlb', 'SDM vol. 3, 4.10.1', 'All 4096 PCIDs can be in use, more than the TLB has tags for', () => {
    for (let pcid = 0; pcid < 4096; pcid += 3) {
      tlb.loadCr3(rootWith(pcid))
      if (pcid % 64 === 0) expect(tlb.read(PAGE)).toBe(1)
    }
    tables.map(PAGE, NEW, ALL)
    tlb.loadCr3(rootWith(3))
    expect(tlb.read(PAGE)).toBe(2)
  })

  rule(
    'tlb',
    'SDM vol. 3, 4.10.1',
    'Outside long mode, and without CR4.PCIDE, all translations have PCID 0: bits 11:0 of CR3 tell nothing apart',
    () => {
      tables = tlb.prepareTables('4-level', { global: true })
      cacheThenMove()
      tlb.loadCr3(rootWith(0x18))
      expect(tlb.all(PAGE)).toEqual(FRESH)
      expect(guest.register('cr3')).toBe(BigInt(rootWith(0x18)))
    },
  )
})

describe('the user', () => {
  prepare = () => {}

  rule('tlb', 'SDM vol. 3, 4.10.2.2', 'The user sees stale translations of its own until the kernel drops them', () => {
    tables = tlb.prepareTables('4-level')
    tables.map(PAGE, OLD, P | US)
    enterRing(guest.vcpu, '4-level', 3)
    expect([tlb.read(PAGE), tlb.fetch(PAGE)]).toEqual([1, 1])
    tables.map(PAGE, NEW, P | US)
    expect([tlb.read(PAGE), tlb.fetch(PAGE)]).toEqual([1, 1])
    enterRing(guest.vcpu, '4-level', 0)
    tlb.invlpg(PAGE)
    enterRing(guest.vcpu, '4-level', 3)
    expect([tlb.read(PAGE), tlb.fetch(PAGE)]).toEqual([2, 2])
  })
})
