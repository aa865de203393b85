/** Every cause of a page fault, its error code and address, and accessed and dirty bits (SDM vol. 3, 4.6 to 4.8). */

import { afterAll, describe, expect, it } from 'vitest'
import type { Exit } from '../../src/engine/processor.ts'
import { Guest, Host } from './guest/guest.ts'
import {
  A,
  D,
  enablePaging,
  enterRing,
  MODES,
  type Mode,
  NX,
  P,
  PageTables,
  type PagingOptions,
  PS,
  RW,
  US,
} from './guest/page-tables.ts'

const host = new Host()
const guest = new Guest(host, { exceptionBitmap: 0xffff_ffff })
afterAll(() => guest.release())

const CODE = 0x10000
/** Linear addresses of the code for the supervisor and for the user. */
const CODE_SUPERVISOR = 0x10000
const CODE_USER = 0x11000
const TARGETS: Readonly<Record<Mode, bigint>> = {
  '32-bit': 0x4060_3abcn,
  PAE: 0x4060_3abcn,
  '4-level': 0x0080_4060_3abcn,
}
const FRAME = 0x30000n
const TABLES = 0x80000

type Kind = 'read' | 'write' | 'fetch'
/** mov eax, [rdi]; mov [rdi], eax; jmp rdi, each followed by NOPs. */
const INSTRUCTIONS: Readonly<Record<Kind, readonly number[]>> = {
  read: [0x8b, 0x07],
  write: [0x89, 0x07],
  fetch: [0xff, 0xe7],
}

interface Situation extends PagingOptions {
  readonly mode: Mode
  /** Flags of the entry that maps the target. */
  readonly leaf: bigint
  /** Flags to clear in the entry above it, or to set. */
  readonly clearAbove?: bigint
  readonly setAbove?: bigint
  readonly user?: boolean
  readonly alignmentCheck?: boolean
}

function prepare(situation: Situation): PageTables {
  const { mode } = situation
  const target = TARGETS[mode]
  const tables = new PageTables(guest, mode, TABLES)
  guest.write(Number(FRAME), new Uint8Array(0x1000).fill(0x90))
  tables.map(BigInt(CODE_SUPERVISOR), BigInt(CODE), P | RW)
  tables.map(BigInt(CODE_USER), BigInt(CODE), P | RW | US)
  tables.map(target, FRAME, situation.leaf)
  const path = tables.entries(target)
  const above = path[path.length - 2]
  tables.set(above, (tables.get(above) & ~(situation.clearAbove ?? 0n)) | (situation.setAbove ?? 0n))
  enablePaging(guest.vcpu, tables, situation)
  return tables
}

/** Makes one access to the target. */
function access(situation: Situation, kind: Kind): Exit {
  const target = TARGETS[situation.mode]
  guest.write(CODE, [...INSTRUCTIONS[kind], 0x90, 0x90])
  if (situation.user) enterRing(guest.vcpu, situation.mode, 3)
  guest.setRegisters({
    rip: situation.user ? CODE_USER : CODE_SUPERVISOR,
    rdi: target,
    rflags: situation.alignmentCheck ? 0x4_0002 : 2,
  })
  guest.clock.count = 0
  const exit = guest.run(kind === 'fetch' ? 2 : 1)
  if (exit.reason === 'budget' && kind === 'fetch') expect(guest.register('rip')).toBe(target + 1n)
  return exit
}

function expectFault(situation: Situation, kind: Kind, errorCode: number): void {
  const target = TARGETS[situation.mode]
  const tables = prepare(situation)
  const before = tables.entries(target).map(entry => tables.get(entry))
  const exit = access(situation, kind)
  expect(exit, kind).toEqual({ reason: 'exception', vector: 14, errorCode, address: target })
  expect(
    tables.entries(target).map(entry => tables.get(entry)),
    'a faulting access marks nothing',
  ).toEqual(before)
}

function expectAllowed(situation: Situation, kind: Kind): PageTables {
  const tables = prepare(situation)
  expect(access(situation, kind), kind).toEqual({ reason: 'budget' })
  return tables
}

const ALL = P | RW | US
const KINDS: readonly Kind[] = ['read', 'write', 'fetch']
const codeOf = (kind: Kind, code: number, reportsFetch: boolean): number =>
  code | (kind === 'write' ? 2 : 0) | (kind === 'fetch' && reportsFetch ? 16 : 0)

describe.each(MODES)('%s paging', mode => {
  const target = TARGETS[mode]
  const hasNx = mode !== '32-bit'

  it('faults with P clear where a page is not present, at each level', () => {
    for (const kind of KINDS)
      for (const user of [false, true])
        for (const levels of [0, 1]) {
          const situation = { mode, user, leaf: levels === 0 ? RW | US : ALL, clearAbove: levels === 1 ? P : 0n }
          expectFault(situation, kind, codeOf(kind, user ? 4 : 0, false))
        }
  })

  it('reports fetches in the error code only where NX or SMEP makes a difference', () => {
    const situation = { mode, leaf: RW | US }
    expectFault({ ...situation, noExecute: true }, 'fetch', hasNx ? 16 : 0)
    expectFault({ ...situation, smep: true }, 'fetch', 16)
    expectFault(situation, 'fetch', 0)
  })

  it('lets the supervisor write to a read-only page only while CR0.WP is clear', () => {
    const situation = { mode, leaf: P | US }
    expectAllowed(situation, 'write')
    expectFault({ ...situation, writeProtect: true }, 'write', 3)
    expectAllowed({ ...situation, writeProtect: true }, 'read')
    expectFault({ mode, leaf: ALL, clearAbove: RW, writeProtect: true }, 'write', 3)
  })

  it('lets the user write only where every level allows it', () => {
    for (const writeProtect of [false, true]) {
      expectFault({ mode, leaf: P | US, user: true, writeProtect }, 'write', 7)
      expectFault({ mode, leaf: ALL, clearAbove: RW, user: true, writeProtect }, 'write', 7)
      expectAllowed({ mode, leaf: ALL, user: true, writeProtect }, 'write')
    }
  })

  it('keeps the user out of supervisor pages', () => {
    for (const kind of KINDS) {
      expectFault({ mode, leaf: P | RW, user: true }, kind, codeOf(kind, 5, false))
      expectFault({ mode, leaf: ALL, clearAbove: US, user: true }, kind, codeOf(kind, 5, false))
      expectAllowed({ mode, leaf: ALL, user: true }, kind)
      expectAllowed({ mode, leaf: P | RW }, kind)
    }
  })

  if (hasNx) {
    it('refuses fetches from a page with NX at any level', () => {
      for (const [user, code] of [
        [false, 17],
        [true, 21],
      ] as const) {
        expectFault({ mode, leaf: ALL | NX, user, noExecute: true }, 'fetch', code)
        expectFault({ mode, leaf: ALL, setAbove: NX, user, noExecute: true }, 'fetch', code)
        expectAllowed({ mode, leaf: ALL | NX, user, noExecute: true }, 'read')
        expectAllowed({ mode, leaf: ALL | NX, user, noExecute: true }, 'write')
      }
    })

    it('takes NX for a reserved bit while EFER.NXE is clear', () => {
      for (const kind of KINDS) expectFault({ mode, leaf: ALL | NX }, kind, codeOf(kind, 9, false))
      expectFault({ mode, leaf: ALL | NX, user: true }, 'read', 13)
    })

    it('faults on address bits that the processor does not have', () => {
      for (const bit of [40n, 45n, 51n]) {
        expectFault({ mode, leaf: ALL | (1n << bit) }, 'read', 9)
        expectFault({ mode, leaf: ALL, setAbove: 1n << bit, user: true }, 'write', 15)
      }
    })

    it('finds a reserved bit before it finds missing rights', () => {
      expectFault({ mode, leaf: P | (1n << 45n), user: true }, 'write', 15)
    })

    it('faults on reserved bits of a large page', () => {
      const tables = prepare({ mode, leaf: ALL })
      for (const bit of [13n, 20n]) {
        tables.map(target, 1n << bit, ALL | PS, 1)
        host.processor.invept(guest.ept.root)
        expect(access({ mode, leaf: ALL }, 'read')).toMatchObject({ vector: 14, errorCode: 9 })
      }
    })
  }

  it('keeps the supervisor from fetching user pages under SMEP', () => {
    expectFault({ mode, leaf: ALL, smep: true }, 'fetch', 17)
    expectAllowed({ mode, leaf: P | RW, smep: true }, 'fetch')
    expectAllowed({ mode, leaf: ALL, smep: true }, 'read')
    expectAllowed({ mode, leaf: ALL, smep: true, user: true }, 'fetch')
    // A page is the user's only if every level says so.
    expectAllowed({ mode, leaf: ALL, clearAbove: US, smep: true }, 'fetch')
  })

  it('keeps the supervisor from user data under SMAP, unless RFLAGS.AC is set', () => {
    expectFault({ mode, leaf: ALL, smap: true }, 'read', 1)
    expectFault({ mode, leaf: ALL, smap: true }, 'write', 3)
    for (const kind of ['read', 'write'] as const) {
      expectAllowed({ mode, leaf: ALL, smap: true, alignmentCheck: true }, kind)
      expectAllowed({ mode, leaf: P | RW, smap: true }, kind)
      expectAllowed({ mode, leaf: ALL, smap: true, user: true }, kind)
    }
    expectAllowed({ mode, leaf: ALL, smap: true }, 'fetch')
  })

  it('does not let RFLAGS.AC excuse implicit supervisor accesses from SMAP', () => {
    // mov ds, eax in ring 3 reads a descriptor as the supervisor does.
    prepare({ mode, leaf: ALL, smap: true })
    guest.vcpu.registers.setTable('gdtr', { base: target & ~0xfffn, limit: 0xff })
    guest.write(CODE, [0x8e, 0xd8])
    enterRing(guest.vcpu, mode, 3)
    guest.setRegisters({ rip: CODE_USER, rax: 0x2b, rflags: 0x4_0002 })
    expect(guest.run(1)).toMatchObject({ vector: 14, errorCode: 1, address: (target & ~0xfffn) + 0x28n })
  })

  it('sets accessed at each level, and dirty in the last for a write alone', () => {
    for (const kind of KINDS) {
      const tables = expectAllowed({ mode, leaf: ALL }, kind)
      const path = tables.entries(target)
      for (const [level, entry] of path.entries()) {
        const value = tables.get(entry)
        const hasAccessed = !(mode === 'PAE' && level === 0)
        expect((value & A) !== 0n, `accessed at ${level}`).toBe(hasAccessed)
        expect((value & D) !== 0n, `dirty at ${level}`).toBe(kind === 'write' && level === path.length - 1)
      }
    }
  })

  it('sets dirty when a page is written that was read before', () => {
    const situation = { mode, leaf: ALL }
    const tables = expectAllowed(situation, 'read')
    const leaf = tables.entries(target).at(-1) ?? 0
    expect(tables.get(leaf) & (A | D)).toBe(A)
    access(situation, 'write')
    expect(tables.get(leaf) & (A | D)).toBe(A | D)
  })

  it('does not set dirty for the read half of what turns out to be no write', () => {
    const tables = prepare({ mode, leaf: ALL })
    guest.write(CODE, [0x3b, 0x07]) // cmp eax, [rdi]
    guest.setRegisters({ rip: CODE_SUPERVISOR, rdi: target })
    guest.run(1)
    expect(tables.get(tables.entries(target).at(-1) ?? 0) & (A | D)).toBe(A)
  })

  it('maps a large page, marks its one entry, and takes rights from it', () => {
    const size = mode === '32-bit' ? 22n : 21n
    // Beyond the guest's RAM: the EPT violation tells the address.
    const base = 0x40_0000n << 1n
    const tables = prepare({ mode, leaf: ALL, pse: true })
    tables.map(target, base, ALL | PS, 1)
    const expected = Number(base + (target & ((1n << size) - 1n)))
    expect(access({ mode, leaf: ALL }, 'write')).toMatchObject({ reason: 'ept-violation', gpa: expected })
    const entry = tables.entries(target, 1).at(-1) ?? 0
    expect(tables.get(entry) & (A | D)).toBe(A | D)
    tables.map(target, base, P | PS, 1)
    guest.setRegisters({ cr3: tables.root })
    expect(access({ mode, leaf: ALL, user: true }, 'read')).toMatchObject({ vector: 14, errorCode: 5 })
  })

  it('reports the second page of an access that crosses into it, and writes neither', () => {
    const tables = prepare({ mode, leaf: ALL, writeProtect: true })
    const edge = (target | 0xfffn) - 1n
    guest.write(CODE, INSTRUCTIONS.write)
    guest.setRegisters({ rip: CODE_SUPERVISOR, rdi: edge, rax: 0 })
    expect(guest.run(1)).toMatchObject({ vector: 14, errorCode: 2, address: edge + 2n })
    expect(guest.read32(Number(FRAME) + 0xffc)).toBe(0x9090_9090)
    tables.map(edge + 2n, 0x31000n, ALL)
    expect(guest.run(1)).toEqual({ reason: 'budget' })
    expect(guest.read32(Number(FRAME) + 0xffc)).toBe(0x0000_9090)
    expect(guest.read32(0x31000) & 0xffff).toBe(0)
  })
})

describe('32-bit paging', () => {
  const target = TARGETS['32-bit']

  it('takes bits 20:13 of a large page for address bits 39:32 (PSE-36)', () => {
    const tables = prepare({ mode: '32-bit', leaf: ALL, pse: true })
    tables.map(target, 0x0180_0000n | (0xa5n << 13n), ALL | PS, 1)
    const gpa = 0xa5 * 2 ** 32 + 0x0180_0000 + Number(target & 0x3f_ffffn)
    expect(access({ mode: '32-bit', leaf: ALL }, 'read')).toMatchObject({ reason: 'ept-violation', gpa })
  })

  it('has bit 21 of a large page reserved', () => {
    const tables = prepare({ mode: '32-bit', leaf: ALL, pse: true })
    tables.map(target, 1n << 21n, ALL | PS, 1)
    expect(access({ mode: '32-bit', leaf: ALL }, 'read')).toMatchObject({ vector: 14, errorCode: 9 })
  })

  it('has no large pages while CR4.PSE is clear', () => {
    const tables = prepare({ mode: '32-bit', leaf: ALL })
    const [entry] = tables.entries(target, 1)
    tables.set(entry, tables.get(entry) | PS)
    expect(access({ mode: '32-bit', leaf: ALL }, 'read')).toEqual({ reason: 'budget' })
  })
})

describe('4-level paging', () => {
  const target = TARGETS['4-level']

  it('maps 1 GiB pages', () => {
    const tables = prepare({ mode: '4-level', leaf: ALL })
    const linear = 0x40_1234_5678n
    tables.map(linear, 3n << 30n, ALL | PS, 2)
    guest.write(CODE, INSTRUCTIONS.read)
    guest.setRegisters({ rip: CODE_SUPERVISOR, rdi: linear })
    const gpa = 3 * 2 ** 30 + Number(linear & 0x3fff_ffffn)
    expect(guest.run(1)).toMatchObject({ reason: 'ept-violation', gpa, linear })
    tables.map(linear, (3n << 30n) | (1n << 20n), ALL | PS, 2)
    guest.setRegisters({ cr3: tables.root })
    expect(guest.run(1)).toMatchObject({ vector: 14, errorCode: 9, address: linear })
  })

  it('has PS reserved in the top level', () => {
    const tables = prepare({ mode: '4-level', leaf: ALL })
    const linear = 0x0000_1000_0000_0000n
    tables.map(linear, FRAME, ALL)
    const [top] = tables.entries(linear)
    tables.set(top, tables.get(top) | PS)
    guest.write(CODE, INSTRUCTIONS.read)
    guest.setRegisters({ rip: CODE_SUPERVISOR, rdi: linear })
    expect(guest.run(1)).toMatchObject({ vector: 14, errorCode: 9, address: linear })
  })

  it('translates the upper half of canonical addresses and refuses what is not canonical', () => {
    const tables = prepare({ mode: '4-level', leaf: ALL })
    const high = 0xffff_8000_0000_0000n
    tables.map(high, FRAME, ALL)
    guest.write(CODE, INSTRUCTIONS.read)
    guest.setRegisters({ rip: CODE_SUPERVISOR, rdi: high })
    expect(guest.run(1)).toEqual({ reason: 'budget' })
    for (const linear of [0x0000_8000_0000_0000n, 0xffff_7fff_ffff_ffffn, 0x1234_0000_0000_0000n]) {
      guest.setRegisters({ rip: CODE_SUPERVISOR, rdi: linear })
      expect(guest.run(1)).toMatchObject({ vector: 13, errorCode: 0 })
    }
  })

  it('refuses an access that begins in the lower half and ends beyond it', () => {
    const tables = prepare({ mode: '4-level', leaf: ALL })
    tables.map(0x0000_7fff_ffff_f000n, FRAME, ALL)
    for (const instruction of [INSTRUCTIONS.read, INSTRUCTIONS.write]) {
      guest.write(CODE, instruction)
      guest.setRegisters({ rip: CODE_SUPERVISOR, rdi: 0x0000_7fff_ffff_fffen })
      expect(guest.run(1)).toMatchObject({ vector: 13, errorCode: 0 })
    }
  })

  it('refuses to fetch an instruction that ends beyond the lower half', () => {
    const tables = prepare({ mode: '4-level', leaf: ALL })
    tables.map(0x0000_7fff_ffff_f000n, FRAME, ALL)
    guest.write(Number(FRAME) + 0xffe, [0x8b, 0x87])
    guest.setRegisters({ rip: 0x0000_7fff_ffff_fffen, rdi: target })
    expect(guest.run(1)).toMatchObject({ vector: 13, errorCode: 0 })
  })

  it('refuses stack accesses that are not canonical with #SS', () => {
    prepare({ mode: '4-level', leaf: ALL })
    for (const code of [
      [0x50], // push rax
      [0x58], // pop rax
      [0xe8, 0, 0, 0, 0], // call
      [0xc3], // ret
      [0x9c], // pushfq
      [0x8b, 0x45, 0x00], // mov eax, [rbp]
      [0x8b, 0x04, 0x24], // mov eax, [rsp]
      [0xff, 0x37], // push qword [rdi]
    ]) {
      guest.write(CODE, code)
      guest.setRegisters({
        rip: CODE_SUPERVISOR,
        rsp: 0x8000_0000_0000_0000n,
        rbp: 0x8000_0000_0000_0000n,
        rdi: target,
      })
      expect(guest.run(1), Buffer.from(code).toString('hex')).toMatchObject({ vector: 12, errorCode: 0 })
    }
  })
})

describe('CR2', () => {
  it('holds the linear address when the handler is entered, with the error code on its stack', () => {
    const delivering = new Guest(host)
    const tables = new PageTables(delivering, '4-level', TABLES)
    for (const page of [0x5000n, 0x6000n, 0x10000n, 0x20000n]) tables.map(page, page, P | RW)
    enablePaging(delivering.vcpu, tables)
    const { registers } = delivering.vcpu
    delivering.write64(0x6008, 0x00af_9b00_0000_ffffn)
    delivering.write64(0x5000 + 14 * 16, 0x0001_8e00_0008_0800n)
    registers.setTable('gdtr', { base: 0x6000n, limit: 15 })
    registers.setTable('idtr', { base: 0x5000n, limit: 0xfff })
    delivering.write(CODE, INSTRUCTIONS.write)
    // mov rax, cr2; pop rbx; hlt
    delivering.write(CODE + 0x800, [0x0f, 0x20, 0xd0, 0x5b, 0xf4])
    delivering.setRegisters({ rip: CODE, rdi: 0xffff_ffff_8123_4567n, rsp: 0x20800 })
    expect(delivering.run(100)).toEqual({ reason: 'hlt' })
    expect(delivering.register('rax')).toBe(0xffff_ffff_8123_4567n)
    expect(delivering.register('rbx')).toBe(2n)
    expect(delivering.clock.count).toBe(3)
    delivering.release()
  })
})
