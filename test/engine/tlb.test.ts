/**
 * Translations that the TLB holds: what must drop them (SDM vol. 3, 4.10.4) is shown with entries that memory no longer
 * has. Where a processor is free to drop more, nothing is asserted.
 */

import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { Exit, Vcpu } from '../../src/engine/processor.ts'
import { Guest, Host } from './guest/guest.ts'
import {
  enablePaging,
  enterRing,
  G,
  type Mode,
  P,
  PageTables,
  type PagingOptions,
  PS,
  RW,
  US,
} from './guest/page-tables.ts'

const host = new Host()
const guest = new Guest(host, { cpus: 2, exceptionBitmap: 0xffff_ffff })
afterAll(() => guest.release())

const CODE = 0x10000
const TABLES = 0x80000
const [OLD, NEW] = [0x30000n, 0x31000n]
const ALL = P | RW | US
/** Linear address under test: a 4 KiB page. */
const PAGE = 0x4060_3000n
const LARGE_PAGE = 0x80_0000n

/** Small programs, each in its own slot of the code page. */
const READ = CODE // mov eax, [rdi]
const WRITE = CODE + 0x10 // mov [rdi], eax
const CALL = CODE + 0x20 // call rdi, which returns at once
const INVLPG = CODE + 0x30 // invlpg [rdi]
const LOAD_CR3 = CODE + 0x40 // mov cr3, rax
const LOAD_CR4 = CODE + 0x50
const LOAD_CR0 = CODE + 0x60

function run(rip: number, registers: Readonly<Record<string, bigint | number>>, vcpu = guest.vcpu, count = 1): Exit {
  guest.setRegisters({ ...registers, rip }, vcpu)
  return guest.run(count, vcpu)
}

/** What the processor reads at a linear address: 1 from the old frame, 2 from the new one. */
function read(linear: bigint, vcpu: Vcpu = guest.vcpu): number {
  expect(run(READ, { rdi: linear }, vcpu)).toEqual({ reason: 'budget' })
  return Number(guest.register('rax', vcpu) & 0xffn)
}

/** What code at a linear address leaves in EBX: 1 in the old frame, 2 in the new one. */
function execute(linear: bigint, vcpu: Vcpu = guest.vcpu): number {
  // mov eax, n at 0x800 of both frames, then ret
  expect(run(CALL, { rdi: linear + 0x800n, rbx: 0 }, vcpu, 3)).toEqual({ reason: 'budget' })
  return Number(guest.register('rbx', vcpu))
}

const OPERATIONS: Readonly<Record<string, (linear: bigint) => Exit>> = {
  read: linear => run(READ, { rdi: linear }),
  write: linear => run(WRITE, { rdi: linear }),
  fetch: linear => run(CALL, { rdi: linear + 0x800n }, guest.vcpu, 3),
}

let tables: PageTables

function prepare(mode: Mode, options: PagingOptions = {}, vcpu = guest.vcpu): PageTables {
  const made = new PageTables(guest, mode, TABLES)
  made.map(BigInt(CODE), BigInt(CODE), P | RW)
  made.map(0x20000n, 0x20000n, P | RW)
  for (const [frame, number] of [
    [OLD, 1],
    [NEW, 2],
  ] as const) {
    guest.write32(Number(frame), number)
    guest.write(Number(frame) + 0x800, [0xbb, number, 0, 0, 0, 0xc3])
  }
  guest.write(READ, [0x8b, 0x07])
  guest.write(WRITE, [0x89, 0x07])
  guest.write(CALL, [0xff, 0xd7, 0x90])
  guest.write(INVLPG, [0x0f, 0x01, 0x3f])
  guest.write(LOAD_CR3, [0x0f, 0x22, 0xd8])
  guest.write(LOAD_CR4, [0x0f, 0x22, 0xe0])
  guest.write(LOAD_CR0, [0x0f, 0x22, 0xc0])
  enablePaging(vcpu, made, options)
  vcpu.registers.set('rsp', 0x20800n)
  return made
}

describe('a translation that memory no longer has', () => {
  beforeEach(() => {
    tables = prepare('4-level', { writeProtect: true, noExecute: true })
    tables.map(PAGE, OLD, ALL)
  })

  it('persists until it is dropped, for reads and fetches', () => {
    expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
    tables.map(PAGE, NEW, ALL)
    expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
    tables.map(PAGE, 0n, 0n)
    expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
  })

  it('persists until it is dropped, for writes', () => {
    run(WRITE, { rdi: PAGE + 8n, rax: 7 })
    tables.map(PAGE, NEW, ALL)
    run(WRITE, { rdi: PAGE + 8n, rax: 9 })
    expect([guest.read32(Number(OLD) + 8), guest.read32(Number(NEW) + 8)]).toEqual([9, 0])
  })

  it('is dropped by INVLPG of any byte of the page, for reads, writes and fetches', () => {
    for (const offset of [0n, 0x7ffn, 0xfffn]) {
      tables.map(PAGE, OLD, ALL)
      run(INVLPG, { rdi: PAGE })
      expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
      run(WRITE, { rdi: PAGE + 8n, rax: 7 })
      tables.map(PAGE, NEW, ALL)
      run(INVLPG, { rdi: PAGE + offset })
      expect([read(PAGE), execute(PAGE)]).toEqual([2, 2])
      run(WRITE, { rdi: PAGE + 8n, rax: 9 })
      expect(guest.read32(Number(NEW) + 8)).toBe(9)
    }
  })

  it('is dropped by MOV to CR3, even of the same value', () => {
    expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
    tables.map(PAGE, NEW, ALL)
    run(LOAD_CR3, { rax: tables.root })
    expect([read(PAGE), execute(PAGE)]).toEqual([2, 2])
  })

  it('is dropped by a change of CR0.WP, CR0.PG, CR4.PGE, CR4.PSE and CR4.SMEP', () => {
    const toggles = [
      () => run(LOAD_CR0, { rax: guest.register('cr0') ^ (1n << 16n) }),
      () => run(LOAD_CR4, { rax: guest.register('cr4') ^ (1n << 7n) }),
      () => run(LOAD_CR4, { rax: guest.register('cr4') ^ (1n << 4n) }),
      () => run(LOAD_CR4, { rax: guest.register('cr4') ^ (1n << 20n) }),
    ]
    for (const toggle of toggles) {
      tables.map(PAGE, OLD, P | RW)
      run(INVLPG, { rdi: PAGE })
      expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
      tables.map(PAGE, NEW, P | RW)
      expect(toggle()).toEqual({ reason: 'budget' })
      expect([read(PAGE), execute(PAGE)]).toEqual([2, 2])
    }
  })

  it('is dropped by the page fault of an access to it, whatever the access', () => {
    // SDM vol. 3, 4.10.4.1: a page fault invalidates the entries of its page.
    for (const [name, operation] of Object.entries(OPERATIONS)) {
      tables.map(PAGE, OLD, P | US)
      run(INVLPG, { rdi: PAGE })
      const others = Object.keys(OPERATIONS).filter(each => each !== name && each !== 'write')
      for (const other of others) expect(OPERATIONS[other](PAGE)).toEqual({ reason: 'budget' })
      tables.map(PAGE, 0n, 0n)
      const exit = operation(PAGE)
      expect(exit, name).toMatchObject({ reason: 'exception', vector: 14 })
      for (const other of others)
        expect(OPERATIONS[other](PAGE), `${other} after ${name}`).toMatchObject({ reason: 'exception', vector: 14 })
    }
  })

  it('grants no more rights than it was made with: the processor looks again before it faults', () => {
    tables.map(PAGE, OLD, P)
    expect(read(PAGE)).toBe(1)
    expect(run(WRITE, { rdi: PAGE })).toMatchObject({ vector: 14, errorCode: 3 })
    tables.map(PAGE, OLD, P | RW)
    expect(run(WRITE, { rdi: PAGE, rax: 1 })).toEqual({ reason: 'budget' })
  })

  it('lets a write through that was allowed when the entry was made', () => {
    expect(run(WRITE, { rdi: PAGE, rax: 1 })).toEqual({ reason: 'budget' })
    tables.map(PAGE, OLD, P)
    expect(run(WRITE, { rdi: PAGE, rax: 1 })).toEqual({ reason: 'budget' })
    run(INVLPG, { rdi: PAGE })
    expect(run(WRITE, { rdi: PAGE, rax: 1 })).toMatchObject({ vector: 14, errorCode: 3 })
  })

  it('does not mark the page dirty again until it is dropped', () => {
    run(WRITE, { rdi: PAGE, rax: 1 })
    tables.map(PAGE, OLD, ALL)
    run(WRITE, { rdi: PAGE, rax: 1 })
    const leaf = tables.entries(PAGE).at(-1) ?? 0
    expect(tables.get(leaf)).toBe(OLD | ALL)
    run(INVLPG, { rdi: PAGE })
    run(WRITE, { rdi: PAGE, rax: 1 })
    expect(tables.get(leaf)).toBe(OLD | ALL | 0x60n)
  })

  it('is not used by another privilege', () => {
    tables.map(PAGE, OLD, P | RW)
    tables.map(0x11000n, BigInt(CODE), ALL)
    expect(read(PAGE)).toBe(1)
    enterRing(guest.vcpu, '4-level', 3)
    expect(run(0x11000, { rdi: PAGE })).toMatchObject({ vector: 14, errorCode: 5 })
    enterRing(guest.vcpu, '4-level', 0)
    expect(read(PAGE)).toBe(1)
  })
})

describe('a large page', () => {
  it.each([
    ['32-bit', 22],
    ['PAE', 21],
    ['4-level', 21],
  ] as const)('is dropped whole by INVLPG of any address in it (%s)', (mode, shift) => {
    const size = 1n << BigInt(shift)
    tables = prepare(mode, { pse: true })
    // The page is the guest's first RAM: where the frames are, seen at another linear address.
    for (const [used, invalidated] of [
      [OLD, OLD],
      [OLD, 0n],
      [OLD, size - 1n],
      [OLD, size / 2n + 5n],
    ]) {
      tables.map(LARGE_PAGE, 0n, ALL | PS, 1)
      run(LOAD_CR3, { rax: tables.root })
      expect([read(LARGE_PAGE + used), execute(LARGE_PAGE + used)]).toEqual([1, 1])
      run(WRITE, { rdi: LARGE_PAGE + used + 8n, rax: 1 })
      const [entry] = tables.entries(LARGE_PAGE, 1).slice(-1)
      tables.set(entry, 0n)
      expect([read(LARGE_PAGE + used), execute(LARGE_PAGE + used)]).toEqual([1, 1])
      run(INVLPG, { rdi: LARGE_PAGE + invalidated })
      for (const operation of Object.values(OPERATIONS))
        expect(operation(LARGE_PAGE + used), `invlpg at ${invalidated}`).toMatchObject({ vector: 14 })
    }
  })

  it('of 1 GiB is dropped whole by INVLPG of any address in it', () => {
    tables = prepare('4-level')
    const base = 0x1_4000_0000n
    for (const offset of [OLD, 0x3fff_ffffn, 0x2000_0000n]) {
      tables.map(base, 0n, ALL | PS, 2)
      run(LOAD_CR3, { rax: tables.root })
      expect([read(base + OLD), execute(base + OLD)]).toEqual([1, 1])
      tables.map(base, 0n, 0n, 2)
      run(INVLPG, { rdi: base + offset })
      for (const operation of Object.values(OPERATIONS)) expect(operation(base + OLD)).toMatchObject({ vector: 14 })
    }
  })
})

describe('a global page', () => {
  it('is dropped by INVLPG and by a change of CR4.PGE', () => {
    tables = prepare('4-level', { global: true })
    tables.map(PAGE, OLD, ALL | G)
    expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
    tables.map(PAGE, NEW, ALL | G)
    run(INVLPG, { rdi: PAGE })
    expect([read(PAGE), execute(PAGE)]).toEqual([2, 2])
    tables.map(PAGE, OLD, ALL | G)
    run(LOAD_CR4, { rax: guest.register('cr4') & ~0x80n })
    expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
  })

  it('is found again after MOV to CR3 in the tables that map it', () => {
    tables = prepare('4-level', { global: true })
    tables.map(PAGE, OLD, ALL | G)
    expect(read(PAGE)).toBe(1)
    run(LOAD_CR3, { rax: tables.root })
    expect(read(PAGE)).toBe(1)
  })
})

describe('process-context identifiers', () => {
  const NO_FLUSH = 1n << 63n

  beforeEach(() => {
    tables = prepare('4-level', { pcid: true })
    tables.map(PAGE, OLD, ALL)
  })

  it('keep the translations of each apart', () => {
    const other = new PageTables(guest, '4-level', 0xc0000)
    other.map(BigInt(CODE), BigInt(CODE), P | RW)
    other.map(0x20000n, 0x20000n, P | RW)
    other.map(PAGE, NEW, ALL)
    for (let turn = 0; turn < 3; turn++) {
      run(LOAD_CR3, { rax: BigInt(tables.root | 1) | NO_FLUSH })
      expect(guest.register('cr3')).toBe(BigInt(tables.root | 1))
      expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
      run(LOAD_CR3, { rax: BigInt(other.root | 2) | NO_FLUSH })
      expect([read(PAGE), execute(PAGE)]).toEqual([2, 2])
    }
  })

  it('stay when CR3 is loaded with bit 63 set, and are dropped without it, each alone', () => {
    const elsewhere = PAGE + 0x1000n
    tables.map(elsewhere, OLD, ALL)
    run(LOAD_CR3, { rax: tables.root | 1 })
    expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
    run(LOAD_CR3, { rax: tables.root | 2 })
    expect([read(elsewhere), execute(elsewhere)]).toEqual([1, 1])
    tables.map(PAGE, NEW, ALL)
    tables.map(elsewhere, NEW, ALL)
    run(LOAD_CR3, { rax: BigInt(tables.root | 1) | NO_FLUSH })
    expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
    run(LOAD_CR3, { rax: tables.root | 1 })
    expect([read(PAGE), execute(PAGE)]).toEqual([2, 2])
    run(LOAD_CR3, { rax: BigInt(tables.root | 2) | NO_FLUSH })
    expect([read(elsewhere), execute(elsewhere)]).toEqual([1, 1])
  })

  it('are all dropped when CR4.PCIDE is cleared', () => {
    run(LOAD_CR3, { rax: tables.root })
    expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
    tables.map(PAGE, NEW, ALL)
    run(LOAD_CR4, { rax: guest.register('cr4') & ~(1n << 17n) })
    expect([read(PAGE), execute(PAGE)]).toEqual([2, 2])
  })

  it('do not keep INVLPG from dropping the page in the current one', () => {
    run(LOAD_CR3, { rax: tables.root | 5 })
    expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
    tables.map(PAGE, NEW, ALL)
    run(INVLPG, { rdi: PAGE })
    expect([read(PAGE), execute(PAGE)]).toEqual([2, 2])
  })

  it('stay correct when more of them live than the TLB has tags for', () => {
    for (let pcid = 0; pcid < 4096; pcid += 3) {
      run(LOAD_CR3, { rax: tables.root | pcid })
      if (pcid % 64 === 0) expect(read(PAGE)).toBe(1)
    }
    tables.map(PAGE, NEW, ALL)
    run(LOAD_CR3, { rax: tables.root | 3 })
    expect(read(PAGE)).toBe(2)
  })
})

describe('processors with VPIDs of their own', () => {
  it('see their own translations, and their own invalidations alone', () => {
    const [first, second] = guest.vcpus
    tables = prepare('4-level')
    tables.map(PAGE, OLD, ALL)
    enablePaging(second, tables)
    second.registers.set('rsp', 0x20c00n)
    second.registers.set('rip', BigInt(CODE))
    // The second processor waits for a SIPI after its reset.
    second.restore({ ...second.save(), state: first.save().state })
    expect([read(PAGE, first), execute(PAGE, first), read(PAGE, second), execute(PAGE, second)]).toEqual([1, 1, 1, 1])
    tables.map(PAGE, NEW, ALL)
    run(INVLPG, { rdi: PAGE }, second)
    expect([read(PAGE, second), execute(PAGE, second)]).toEqual([2, 2])
    run(LOAD_CR3, { rax: tables.root }, first)
    expect([read(PAGE, first), execute(PAGE, first)]).toEqual([2, 2])
  })

  it('in two guests never see each other', () => {
    const other = new Guest(host, { exceptionBitmap: 0xffff_ffff })
    tables = prepare('4-level')
    tables.map(PAGE, OLD, ALL)
    expect([read(PAGE), execute(PAGE)]).toEqual([1, 1])
    // The same tables at the same guest-physical addresses, over other frames.
    other.write(0, guest.read(0, guest.bytes))
    other.write32(Number(OLD), 42)
    other.vcpu.restore(guest.vcpu.save())
    for (let turn = 0; turn < 3; turn++) {
      other.setRegisters({ rip: READ, rdi: PAGE })
      expect(other.run(1)).toEqual({ reason: 'budget' })
      expect(other.register('rax')).toBe(42n)
      expect(read(PAGE)).toBe(1)
    }
    other.release()
  })
})
