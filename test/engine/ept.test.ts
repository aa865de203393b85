/** EPT is real: its entries decide each access of a guest that runs behind page tables of its own. */

import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { EptResult, walkEpt } from '../../src/engine/mmu/ept-walk.ts'
import {
  EPT_QUALIFICATION_EXECUTABLE as EXECUTABLE,
  EPT_QUALIFICATION_FETCH as FETCH,
  EPT_QUALIFICATION_LINEAR_VALID as LINEAR_VALID,
  EPT_QUALIFICATION_READ as READ,
  EPT_QUALIFICATION_READABLE as READABLE,
  EPT_QUALIFICATION_TRANSLATED as TRANSLATED,
  EPT_QUALIFICATION_WRITABLE as WRITABLE,
  EPT_QUALIFICATION_WRITE as WRITE,
} from '../../src/engine/processor.ts'
import { EPT_EXECUTE, EPT_READ, EPT_RIGHTS, EPT_WRITE } from '../../src/vmm/ept.ts'
import { Guest, Host, registersOf } from './guest/guest.ts'
import {
  CODE,
  DATA,
  enterLongMode,
  PAGE_DIRECTORY,
  PAGE_TABLE,
  PDPT,
  PML4,
  STACK,
  setGate,
  VMCALL,
} from './guest/long-mode.ts'

const host = new Host()
const guest = new Guest(host)
afterAll(() => guest.release())

const STORE = [0x89, 0x07] // mov [rdi], eax
const LOAD = [0x8b, 0x07] // mov eax, [rdi]
/** Linear address of the page under test; it maps the page of the same guest-physical address. */
const TARGET = DATA + 0x120

/** HPAs of the EPT entries that map a guest-physical address, from the root down. */
function eptEntries(gpa: number): number[] {
  const entries: number[] = []
  walkEpt(guest.ept.root, gpa, host.memory.u32, new EptResult(), (_level, _table, _index, entry) => {
    entries.push(entry)
  })
  return entries
}

const eptEntry = (gpa: number): number => eptEntries(gpa)[3]

/** Leaf entry of the guest's own page table for a linear address below 2 MiB. */
const guestEntry = (linear: number): number => PAGE_TABLE + (linear >>> 12) * 8

/** Marks every entry of the guest's tables accessed and dirty, so that walks write nothing. */
function markAll(): void {
  for (const entry of [PML4, PDPT, PAGE_DIRECTORY]) guest.write64(entry, guest.read64(entry) | 0x20n)
  for (let page = 0; page < 512; page++)
    guest.write64(PAGE_TABLE + page * 8, guest.read64(PAGE_TABLE + page * 8) | 0x60n)
}

function prepare(code: readonly number[]): void {
  guest.write(CODE, [...code, ...VMCALL])
  guest.setRegisters({ rip: CODE, rdi: TARGET, rax: 0x1234_5678 })
  guest.write32(TARGET, 0xaaaa_aaaa)
  guest.clock.count = 0
}

beforeEach(() => {
  for (let gpa = 0; gpa < guest.bytes; gpa += 4096) guest.ept.setRights(gpa, EPT_RIGHTS)
  enterLongMode(guest)
})

describe('a page of the guest', () => {
  it('whose W is cleared exits at the next write, with nothing of the instruction done', () => {
    prepare([...STORE, ...STORE])
    expect(guest.run(1)).toEqual({ reason: 'budget' })
    guest.ept.setRights(DATA, EPT_READ | EPT_EXECUTE)
    guest.setRegisters({ rax: 0x8765_4321 })
    const before = registersOf(guest.vcpu)
    expect(guest.run(10)).toEqual({
      reason: 'ept-violation',
      gpa: TARGET,
      linear: BigInt(TARGET),
      qualification: WRITE | READABLE | EXECUTABLE | LINEAR_VALID | TRANSLATED,
      access: { write: true, size: 4, value: 0x8765_4321n },
    })
    expect(registersOf(guest.vcpu)).toEqual(before)
    expect(guest.clock.count).toBe(1)
    expect(guest.read32(TARGET)).toBe(0x1234_5678)
  })

  it('can be read and run from meanwhile', () => {
    prepare(LOAD)
    guest.write(DATA, [0xc3])
    guest.ept.setRights(DATA, EPT_READ | EPT_EXECUTE)
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
    prepare([0xe8, ...new Uint8Array(Int32Array.of(DATA - CODE - 5).buffer)])
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
  })

  it('whose R is cleared exits at the next read', () => {
    prepare([...LOAD, ...LOAD])
    guest.run(1)
    guest.ept.setRights(DATA, EPT_EXECUTE)
    expect(guest.run(10)).toEqual({
      reason: 'ept-violation',
      gpa: TARGET,
      linear: BigInt(TARGET),
      qualification: READ | EXECUTABLE | LINEAR_VALID | TRANSLATED,
      access: { write: false, size: 4, value: 0n },
    })
  })

  it('whose X is cleared exits at the next fetch, also in the middle of a loop that runs there', () => {
    prepare([0xff, 0xc0, 0xeb, 0xfc]) // inc eax; jmp
    expect(guest.run(1000)).toEqual({ reason: 'budget' })
    guest.ept.setRights(CODE, EPT_READ | EPT_WRITE)
    const rip = Number(guest.register('rip'))
    expect(guest.run(1000)).toEqual({
      reason: 'ept-violation',
      gpa: rip,
      linear: BigInt(rip),
      qualification: FETCH | READABLE | WRITABLE | LINEAR_VALID | TRANSLATED,
    })
    expect(guest.clock.count).toBe(1000)
    guest.ept.setRights(CODE, EPT_RIGHTS)
    expect(guest.run(1000)).toEqual({ reason: 'budget' })
    expect(guest.register('rax')).toBe(0x1234_5678n + 1000n)
  })

  it('goes on correctly when its rights are given back', () => {
    prepare([...STORE, ...LOAD, 0xff, 0xc0])
    guest.ept.setRights(DATA, 0)
    for (let attempt = 0; attempt < 3; attempt++) {
      const exit = guest.run(10)
      expect(exit).toMatchObject({
        reason: 'ept-violation',
        gpa: TARGET,
        qualification: WRITE | LINEAR_VALID | TRANSLATED,
      })
      expect(guest.clock.count).toBe(0)
    }
    guest.ept.setRights(DATA, EPT_RIGHTS)
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
    expect(guest.read32(TARGET)).toBe(0x1234_5678)
    expect(guest.register('rax')).toBe(0x1234_5679n)
  })

  it('keeps the rights it had until INVEPT', () => {
    prepare([...STORE, ...STORE, ...STORE])
    guest.run(1)
    const entry = eptEntry(DATA)
    host.memory.u32[entry >>> 2] &= ~EPT_WRITE
    expect(guest.run(1)).toEqual({ reason: 'budget' })
    host.processor.invept(guest.ept.root)
    expect(guest.run(1)).toMatchObject({ reason: 'ept-violation', gpa: TARGET })
  })

  it('gets another frame by changing its entry', () => {
    prepare([...LOAD, 0x89, 0xc3, ...LOAD])
    guest.run(2)
    const entry = eptEntry(DATA)
    const other = guest.hpa(DATA + 0x1000)
    const old = host.memory.u32[entry >>> 2]
    host.memory.view.setUint32(other + (TARGET & 0xfff), 0xbbbb_bbbb, true)
    host.memory.u32[entry >>> 2] = other | (old & 0xfff)
    host.processor.invept(guest.ept.root)
    guest.run(10)
    host.memory.u32[entry >>> 2] = old
    host.processor.invept(guest.ept.root)
    expect([guest.register('rbx'), guest.register('rax')]).toEqual([0xaaaa_aaaan, 0xbbbb_bbbbn])
  })

  it('makes a write that crosses into it exit before its first half is written', () => {
    prepare(STORE)
    guest.setRegisters({ rdi: DATA + 0xffe })
    guest.ept.setRights(DATA + 0x1000, EPT_READ)
    const before = guest.read(DATA + 0xff0, 16)
    expect(guest.run(1)).toMatchObject({
      reason: 'ept-violation',
      gpa: DATA + 0x1000,
      qualification: WRITE | READABLE | LINEAR_VALID | TRANSLATED,
    })
    expect(guest.read(DATA + 0xff0, 16)).toEqual(before)
    guest.ept.setRights(DATA + 0x1000, EPT_RIGHTS)
    expect(guest.run(1)).toEqual({ reason: 'budget' })
    expect([...guest.read(DATA + 0xffe, 4)]).toEqual([0x78, 0x56, 0x34, 0x12])
  })

  it('makes a read-modify-write exit as a write, with nothing changed', () => {
    prepare([0x01, 0x07]) // add [rdi], eax
    guest.ept.setRights(DATA, EPT_READ)
    expect(guest.run(1)).toMatchObject({ reason: 'ept-violation', gpa: TARGET })
    guest.ept.setRights(DATA, EPT_RIGHTS)
    expect(guest.run(1)).toEqual({ reason: 'budget' })
    expect(guest.read32(TARGET)).toBe((0xaaaa_aaaa + 0x1234_5678) >>> 0)
  })
})

describe("the guest's own page tables", () => {
  const ACCESSED = 0x20n
  const DIRTY = 0x40n

  it('are written by the processor to mark a page accessed or dirty, which EPT can refuse', () => {
    for (const [code, marks] of [
      [LOAD, ACCESSED],
      [STORE, ACCESSED | DIRTY],
    ] as const) {
      enterLongMode(guest)
      prepare(code)
      // Nothing else has to be marked in that table: the code page is marked already.
      guest.write64(guestEntry(CODE), guest.read64(guestEntry(CODE)) | ACCESSED | DIRTY)
      guest.ept.setRights(PAGE_TABLE, EPT_READ | EPT_EXECUTE)
      expect(guest.run(1)).toEqual({
        reason: 'ept-violation',
        gpa: guestEntry(TARGET),
        linear: BigInt(TARGET),
        qualification: WRITE | READABLE | EXECUTABLE | LINEAR_VALID,
      })
      expect(guest.read64(guestEntry(TARGET)) & (ACCESSED | DIRTY)).toBe(0n)
      guest.ept.setRights(PAGE_TABLE, EPT_RIGHTS)
      expect(guest.run(1)).toEqual({ reason: 'budget' })
      expect(guest.read64(guestEntry(TARGET)) & (ACCESSED | DIRTY)).toBe(marks)
    }
  })

  it('are not written where they are marked already', () => {
    prepare([...STORE, ...LOAD])
    for (const linear of [CODE, TARGET])
      guest.write64(guestEntry(linear), guest.read64(guestEntry(linear)) | ACCESSED | DIRTY)
    guest.ept.setRights(PAGE_TABLE, EPT_READ)
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
  })

  it('must be readable for the walk', () => {
    prepare(LOAD)
    guest.ept.setRights(PAGE_TABLE, 0)
    expect(guest.run(1)).toEqual({
      reason: 'ept-violation',
      gpa: guestEntry(CODE),
      linear: BigInt(CODE),
      qualification: READ | LINEAR_VALID,
    })
    guest.ept.setRights(PAGE_TABLE, EPT_RIGHTS)
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
  })

  it('may be anywhere that CR3 says: where nothing is mapped the walk exits', () => {
    prepare(LOAD)
    guest.setRegisters({ cr3: 0x12_3456_7000 })
    expect(guest.run(1)).toEqual({
      reason: 'ept-violation',
      gpa: 0x12_3456_7000,
      linear: BigInt(CODE),
      qualification: READ | LINEAR_VALID,
    })
    guest.setRegisters({ cr3: PML4 })
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
  })
})

describe('an EPT entry', () => {
  it('that allows writes but not reads is a misconfiguration', () => {
    prepare(LOAD)
    const entry = eptEntry(DATA)
    const old = host.memory.u32[entry >>> 2]
    host.memory.u32[entry >>> 2] = (old & ~7) | EPT_WRITE
    host.processor.invept(guest.ept.root)
    expect(guest.run(1)).toEqual({ reason: 'ept-misconfiguration', gpa: TARGET })
    host.memory.u32[entry >>> 2] = old
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
  })

  it('above the page table takes rights from everything below', () => {
    prepare(STORE)
    const entries = eptEntries(DATA)
    expect(entries).toHaveLength(4)
    // All of the guest's memory lies below these entries: its code can still be fetched, and the data not be written.
    for (const entry of entries.slice(0, 3)) {
      prepare(STORE)
      markAll()
      host.memory.u32[entry >>> 2] &= ~EPT_WRITE
      host.processor.invept(guest.ept.root)
      expect(guest.run(1)).toMatchObject({
        gpa: TARGET,
        qualification: WRITE | READABLE | EXECUTABLE | LINEAR_VALID | TRANSLATED,
      })
      host.memory.u32[entry >>> 2] |= EPT_WRITE
      host.processor.invept(guest.ept.root)
      expect(guest.run(10)).toEqual({ reason: 'vmcall' })
    }
  })

  it('may map 2 MiB at once', () => {
    const directoryEntry = eptEntries(DATA)[2]
    // The next 2 MiB of guest-physical memory: the host's frames from a 2 MiB boundary on.
    const base = Math.ceil(guest.hpa(0) / 2 ** 21) * 2 ** 21
    host.memory.u32[(directoryEntry + 8) >>> 2] = base | 0x80 | (6 << 3) | EPT_READ
    guest.write64(PAGE_TABLE + 0x1ff * 8, BigInt(0x20_0000 + 0x5000) | 3n)
    host.memory.view.setUint32(base + 0x5010, 0x1357_9bdf, true)
    prepare(LOAD)
    guest.setRegisters({ rdi: 0x1f_f010 })
    expect(guest.run(1)).toEqual({ reason: 'budget' })
    expect(guest.register('rax')).toBe(0x1357_9bdfn)
    prepare(STORE)
    guest.setRegisters({ rdi: 0x1f_f010 })
    expect(guest.run(1)).toMatchObject({ reason: 'ept-violation', gpa: 0x20_5010, linear: 0x1f_f010n })
    host.memory.u32[(directoryEntry + 8) >>> 2] = 0
    host.processor.invept(guest.ept.root)
  })
})

describe('the delivery of an exception', () => {
  it('that meets an EPT violation is delivered once the rights are there, and only once', () => {
    prepare([0x0f, 0x0b]) // ud2
    setGate(guest, 6, 0x7400)
    guest.write(0x7400, [0xff, 0xc3, ...VMCALL]) // inc ebx
    guest.setRegisters({ rbx: 0 })
    markAll()
    guest.ept.setRights(STACK - 0x1000, EPT_READ)
    for (let attempt = 0; attempt < 2; attempt++)
      expect(guest.run(10)).toMatchObject({
        reason: 'ept-violation',
        qualification: WRITE | READABLE | LINEAR_VALID | TRANSLATED,
      })
    guest.ept.setRights(STACK - 0x1000, EPT_RIGHTS)
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
    expect(guest.register('rbx')).toBe(1n)
    expect(guest.register('rsp')).toBe(BigInt(STACK - 40))
    expect(guest.read64(STACK - 40)).toBe(BigInt(CODE))
  })
})
