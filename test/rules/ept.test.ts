/** EPT is real: its entries decide each access of a guest that runs behind page tables of its own. */

import { afterAll, beforeEach, describe, expect } from 'vitest'
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
import { Guest, Host, registersOf } from '../engine/guest/guest.ts'
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
} from '../engine/guest/long-mode.ts'
import { ALL } from './paging-guest.ts'
import { rule } from './rule.ts'
import { NEW, OLD, PAGE, TlbGuest } from './tlb-guest.ts'

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
  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.2',
    'A write to a page without W in its EPT entry exits, with nothing of the instruction done',
    () => {
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
    },
  )

  rule('virtualization', 'SDM vol. 3, 29.3.3.2', 'A page without W in its EPT entry can be read and run from', () => {
    prepare(LOAD)
    guest.write(DATA, [0xc3])
    guest.ept.setRights(DATA, EPT_READ | EPT_EXECUTE)
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
    prepare([0xe8, ...new Uint8Array(Int32Array.of(DATA - CODE - 5).buffer)])
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
  })

  rule('virtualization', 'SDM vol. 3, 29.3.3.2', 'A read of a page without R in its EPT entry exits', () => {
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

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.2',
    'A fetch from a page without X in its EPT entry exits, also in the middle of a loop that runs there',
    () => {
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
    },
  )

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.2',
    'An instruction that met an EPT violation happens once and wholly after the rights are given back',
    () => {
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
    },
  )

  rule('virtualization', 'SDM vol. 3, 29.4.3.1', 'Rights that an EPT entry had are cached until INVEPT', () => {
    prepare([...STORE, ...STORE, ...STORE])
    guest.run(1)
    const entry = eptEntry(DATA)
    host.memory.u32[entry >>> 2] &= ~EPT_WRITE
    expect(guest.run(1)).toEqual({ reason: 'budget' })
    host.processor.invept(guest.ept.root)
    expect(guest.run(1)).toMatchObject({ reason: 'ept-violation', gpa: TARGET })
  })

  rule(
    'virtualization',
    'SDM vol. 3, 29.4.3.1',
    'After INVEPT a page is in the frame that its EPT entry has now',
    () => {
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
    },
  )

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.2',
    'A write that crosses into a page without W in its EPT entry exits before its first half is written',
    () => {
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
    },
  )

  rule('virtualization', 'SDM vol. 3, 29.3.3.2', 'A read-modify-write exits as a write, with nothing changed', () => {
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

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.2',
    'Setting accessed and dirty flags of the guest is a write to its tables, which EPT can refuse',
    () => {
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
    },
  )

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.2',
    "A walk that has nothing to mark reads the guest's tables only",
    () => {
      prepare([...STORE, ...LOAD])
      for (const linear of [CODE, TARGET])
        guest.write64(guestEntry(linear), guest.read64(guestEntry(linear)) | ACCESSED | DIRTY)
      guest.ept.setRights(PAGE_TABLE, EPT_READ)
      expect(guest.run(10)).toEqual({ reason: 'vmcall' })
    },
  )

  rule('virtualization', 'SDM vol. 3, 29.3.3.2', "The walk of the guest's tables needs R in their EPT entries", () => {
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

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.2',
    "A walk of guest tables where EPT maps nothing exits with the entry's guest-physical address",
    () => {
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
    },
  )
})

describe('an EPT entry', () => {
  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.1',
    'An EPT entry that allows writes and not reads is a misconfiguration',
    () => {
      prepare(LOAD)
      const entry = eptEntry(DATA)
      const old = host.memory.u32[entry >>> 2]
      host.memory.u32[entry >>> 2] = (old & ~7) | EPT_WRITE
      host.processor.invept(guest.ept.root)
      expect(guest.run(1)).toEqual({ reason: 'ept-misconfiguration', gpa: TARGET })
      host.memory.u32[entry >>> 2] = old
      expect(guest.run(10)).toEqual({ reason: 'vmcall' })
    },
  )

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.2',
    'An EPT entry above the last one takes rights from everything below it',
    () => {
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
    },
  )

  rule('virtualization', 'SDM vol. 3, 29.3.2', 'An EPT PDE with bit 7 set maps 2 MBytes', () => {
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

describe('an EPT entry with a reserved combination', () => {
  const misconfigured = (level: number, change: (low: number) => number, high = 0): void => {
    prepare(LOAD)
    const entry = eptEntries(DATA)[level] >>> 2
    const { u32 } = host.memory
    const [low, oldHigh] = [u32[entry], u32[entry + 1]]
    u32[entry] = change(low) >>> 0
    u32[entry + 1] = high
    host.processor.invept(guest.ept.root)
    const exit = guest.run(1)
    u32[entry] = low
    u32[entry + 1] = oldHigh
    host.processor.invept(guest.ept.root)
    // Above the last level the code's page, or the tables', is misconfigured before the data's.
    expect(exit).toMatchObject(
      level === 3 ? { reason: 'ept-misconfiguration', gpa: TARGET } : { reason: 'ept-misconfiguration' },
    )
  }

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.1',
    'Bits beyond the physical-address width are misconfigured in EPT entries of every level',
    () => {
      for (const level of [0, 1, 2, 3]) for (const bit of [8, 19]) misconfigured(level, low => low, 1 << bit)
    },
  )

  rule('virtualization', 'SDM vol. 3, 29.3.3.1', 'Bits 63:52 of an EPT entry are ignored', () => {
    const entry = eptEntry(DATA)
    host.memory.u32[(entry >>> 2) + 1] = 0x7ff0_0000
    host.processor.invept(guest.ept.root)
    prepare(LOAD)
    expect(guest.run(10)).toEqual({ reason: 'vmcall' })
    host.memory.u32[(entry >>> 2) + 1] = 0
  })

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.1',
    'Bits 6:3 are misconfigured in an EPT entry that references a table, and bit 7 in a PML4E',
    () => {
      for (const level of [0, 1, 2]) for (const bit of [3, 6]) misconfigured(level, low => low | (1 << bit))
      misconfigured(0, low => low | 0x80)
    },
  )

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.1',
    'Memory types 2, 3 and 7 of an EPT entry that maps a page are misconfigured',
    () => {
      for (const type of [2, 3, 7]) misconfigured(3, low => (low & ~0x38) | (type << 3))
    },
  )

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.1',
    'Address bits below its size are misconfigured in an EPT entry that maps a large page',
    () => {
      for (const bit of [12, 20]) misconfigured(2, () => (1 << bit) | 0x80 | (6 << 3) | EPT_RIGHTS)
      for (const bit of [12, 21, 29]) misconfigured(1, () => (1 << bit) | 0x80 | (6 << 3) | EPT_RIGHTS)
    },
  )

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.2',
    'An EPT entry with bits 2:0 clear is not present, whatever its other bits are: a violation',
    () => {
      prepare(LOAD)
      const entry = eptEntry(DATA) >>> 2
      const old = host.memory.u32[entry]
      host.memory.u32[entry] = (old & ~7) | 0x38
      host.processor.invept(guest.ept.root)

      expect(guest.run(1)).toMatchObject({
        reason: 'ept-violation',
        gpa: TARGET,
        qualification: READ | LINEAR_VALID | TRANSLATED,
      })
      host.memory.u32[entry] = old
    },
  )
})

describe('accessed and dirty flags of EPT', () => {
  const [EPT_A, EPT_D] = [1 << 8, 1 << 9]
  const { controls } = guest.vcpu
  const bystander = new Guest(host, { bytes: 4096 })
  afterAll(() => bystander.release())

  /** The flags of the entries that lead to a guest-physical address, from the root. */
  const flags = (gpa: number): number[] => eptEntries(gpa).map(entry => host.memory.u32[entry >>> 2] & (EPT_A | EPT_D))

  /** Runs with bit 6 of the EPT pointer set, all flags clear before. */
  function withFlags(test: () => void): void {
    for (let gpa = 0; gpa < guest.bytes; gpa += 4096)
      for (const entry of eptEntries(gpa)) host.memory.u32[entry >>> 2] &= ~(EPT_A | EPT_D)
    controls.eptPointer = guest.ept.root | 0x40
    select()
    try {
      test()
    } finally {
      controls.eptPointer = guest.ept.root
      select()
    }
  }

  /** Makes the control block's EPT pointer current, as at the begin of a processor's turn. */
  function select(): void {
    bystander.register('rip')
    host.processor.invept(guest.ept.root)
  }

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.5',
    'With bit 6 of the EPT pointer a read sets the accessed flag in every EPT entry used, and no dirty flag',
    () => {
      prepare(LOAD)
      withFlags(() => {
        expect(guest.run(1)).toEqual({ reason: 'budget' })
        expect(flags(DATA)).toEqual([EPT_A, EPT_A, EPT_A, EPT_A])
        expect(flags(CODE)[3]).toBe(EPT_A)
        expect(flags(STACK - 0x1000)[3]).toBe(0)
      })
    },
  )

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.5',
    'A write sets the dirty flag of the EPT entry that maps the page, also after a read',
    () => {
      prepare([...LOAD, ...STORE])
      withFlags(() => {
        guest.run(1)
        expect(flags(DATA)[3]).toBe(EPT_A)
        guest.run(1)
        expect(flags(DATA)).toEqual([EPT_A, EPT_A, EPT_A, EPT_A | EPT_D])
      })
    },
  )

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.2',
    "The walker's accesses to the guest's tables count as writes: they set the dirty flag",
    () => {
      prepare(LOAD)
      markAll()
      withFlags(() => {
        guest.run(1)
        for (const table of [PML4, PDPT, PAGE_DIRECTORY, PAGE_TABLE]) expect(flags(table)[3]).toBe(EPT_A | EPT_D)
      })
    },
  )

  rule(
    'virtualization',
    'SDM vol. 3, 29.3.3.2',
    "With accessed and dirty flags of EPT the walker's reads of the guest's tables need W, and a violation tells a read and a write",
    () => {
      prepare(LOAD)
      markAll()
      guest.ept.setRights(PAGE_TABLE, EPT_READ)
      withFlags(() => {
        const exit = guest.run(1)
        expect(exit).toMatchObject({ reason: 'ept-violation', qualification: READ | WRITE | READABLE | LINEAR_VALID })
      })
      // Without the flags a read is a read.
      expect(guest.run(1)).toEqual({ reason: 'budget' })
    },
  )

  rule('virtualization', 'SDM vol. 3, 29.3.5', 'Without bit 6 of the EPT pointer no EPT entry is marked', () => {
    prepare(STORE)
    withFlags(() => undefined)
    guest.run(1)
    expect(flags(DATA)).toEqual([0, 0, 0, 0])
  })

  rule('virtualization', 'SDM vol. 3, 29.3.5', 'An access that EPT refuses sets no dirty flag', () => {
    prepare(STORE)
    guest.ept.setRights(DATA, EPT_READ)
    withFlags(() => {
      expect(guest.run(1)).toMatchObject({ reason: 'ept-violation', gpa: TARGET })
      expect(flags(DATA)[3] & EPT_D).toBe(0)
    })
  })
})

describe('virtual-processor identifiers', () => {
  rule(
    'virtualization',
    'SDM vol. 3, 29.1',
    'Processors with VPIDs of their own have translations of their own, and drop none of each other',
    () => {
      const pair = new TlbGuest('max', 2)
      const [first, second] = pair.guest.vcpus
      const tables = pair.prepareTables('4-level')
      tables.map(PAGE, OLD, ALL)
      second.restore({ ...second.save(), state: first.save().state })
      expect([pair.read(PAGE, first), pair.fetch(PAGE, second)]).toEqual([1, 1])
      tables.map(PAGE, NEW, ALL)
      pair.invlpg(PAGE + 0x1000n, second)
      pair.run('loadCr3', { rax: tables.root }, second)
      expect([pair.read(PAGE, first), pair.fetch(PAGE, second)]).toEqual([1, 2])
      pair.run('loadCr3', { rax: tables.root }, first)
      expect(pair.read(PAGE, first)).toBe(2)
      pair.guest.release()
    },
  )

  rule(
    'virtualization',
    'SDM vol. 3, 29.4.2',
    'Guests with the same tables at the same addresses never see each other',
    () => {
      const one = new TlbGuest()
      const tables = one.prepareTables('4-level')
      tables.map(PAGE, OLD, ALL)
      const other = new Guest(one.host, { exceptionBitmap: 0xffff_ffff })
      other.write(0, one.guest.read(0, one.guest.bytes))
      other.write32(Number(OLD), 42)
      other.vcpu.restore(one.guest.vcpu.save())
      for (let turn = 0; turn < 3; turn++) {
        expect(one.read(PAGE)).toBe(1)
        other.setRegisters({ rip: one.guest.register('rip') - 2n, rdi: PAGE })
        expect(other.run(1)).toEqual({ reason: 'budget' })
        expect(other.register('rax')).toBe(42n)
      }
      other.release()
      one.guest.release()
    },
  )
})

describe('the delivery of an exception', () => {
  rule(
    'virtualization',
    'SDM vol. 3, 28.2.4',
    'An event whose delivery meets an EPT violation is delivered once the rights are there, and only once',
    () => {
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
    },
  )
})
