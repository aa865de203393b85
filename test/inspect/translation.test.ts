import { describe, expect, test } from 'vitest'
import { readLinear } from '../../src/inspect/linear-memory.ts'
import { translate } from '../../src/inspect/translation.ts'
import { FakeMachine } from '../support/fake-machine.ts'

const PRESENT = 1n
const WRITABLE = 2n
const USER = 4n
const USED = 0x60n
const LARGE = 0x80n
const XD = 1n << 63n
const LINEAR = 0xffff_8000_0040_3123n

/** Tables at 0x1000, 0x2000, 0x3000, 0x4000 map LINEAR's page to 0x9000. */
function fourLevels(leaf = 0x9000n | PRESENT | WRITABLE | USED): FakeMachine {
  const machine = new FakeMachine()
  machine.vcpu.longMode(0x1000n)
  machine.writeEntry(0x1000 + 256 * 8, 0x2000n | PRESENT | WRITABLE | USER | USED)
  machine.writeEntry(0x2000 + 0 * 8, 0x3000n | PRESENT | WRITABLE | USER | USED)
  machine.writeEntry(0x3000 + 2 * 8, 0x4000n | PRESENT | WRITABLE | USER | USED)
  machine.writeEntry(0x4000 + 3 * 8, leaf)
  machine.write(0x9123, [1, 2, 3, 4])
  return machine
}

/** The same guest behind EPT: tables at 0x80000, guest pages 0x1000-0x9000 in frames 0x40000 higher. */
function behindEpt(rights = 7n): FakeMachine {
  const machine = fourLevels()
  for (let page = 0x1000; page <= 0x9000; page += 0x1000) {
    machine.write(0x40000 + page, machine.readHost(page, 4096) ?? [])
    machine.write(page, new Uint8Array(4096).fill(0xee))
    machine.mapGuest(page, 0x40000 + page)
    machine.writeEntry(0x83000 + (page / 4096) * 8, BigInt(0x40000 + page) | 0x30n | 7n)
  }
  machine.writeEntry(0x80000, 0x81007n)
  machine.writeEntry(0x81000, 0x82007n)
  machine.writeEntry(0x82000, 0x83007n)
  machine.writeEntry(0x83000 + 9 * 8, 0x49030n | rights)
  machine.eptPointer = 0x80000
  return machine
}

describe('the way of a linear address through 4-level paging', () => {
  test('has one step a level, each with its entry, and ends at the page', () => {
    const machine = fourLevels()
    const { levels, page, fault } = translate(machine, machine.vcpu, LINEAR)
    expect(levels.map(l => [l.level, l.table, l.index, l.entryAddress, l.flags])).toEqual([
      ['PML4', 0x1000n, 256, 0x1800n, 'P RW US A'],
      ['PDPT', 0x2000n, 0, 0x2000n, 'P RW US A'],
      ['PD', 0x3000n, 2, 0x3010n, 'P RW US A'],
      ['PT', 0x4000n, 3, 0x4018n, 'P RW A D'],
    ])
    expect(levels[3].entry).toBe(0x9063n)
    expect(levels[2].accumulated).toEqual({ writable: true, user: true, executable: true })
    expect(levels[3].accumulated).toEqual({ writable: true, user: false, executable: true })
    expect(page).toMatchObject({ gpa: 0x9123n, hpa: 0x9123n, size: 4096, global: false })
    expect(fault).toBeUndefined()
  })

  test('ends at the level that maps a large page', () => {
    const machine = fourLevels()
    machine.writeEntry(0x3010, 0x20_0000n | PRESENT | USED | LARGE | XD)
    const { levels, page } = translate(machine, machine.vcpu, LINEAR)
    expect(levels).toHaveLength(3)
    expect(levels[2].flags).toBe('P A D PS XD')
    expect(page).toMatchObject({ gpa: 0x20_3123n, size: 2 ** 21 })
    expect(page?.permissions).toEqual({ writable: false, user: false, executable: false })
  })

  test('can be asked for in another address space', () => {
    const machine = fourLevels()
    machine.vcpu.set({ cr3: 0x7000n })
    expect(translate(machine, machine.vcpu, LINEAR).fault).toMatchObject({ why: 'the PML4 entry is not present' })
    expect(translate(machine, machine.vcpu, LINEAR, { cr3: 0x1000n }).page?.gpa).toBe(0x9123n)
    expect([...readLinear(machine, machine.vcpu, LINEAR, 4, 0x1000n)]).toEqual([1, 2, 3, 4])
  })

  test('marks nothing accessed', () => {
    const machine = fourLevels(0x9000n | PRESENT)
    const everything = () => Buffer.from(machine.readHost(0, 2 ** 20) ?? [])
    const before = everything()
    translate(machine, machine.vcpu, LINEAR, { access: 'write' })
    readLinear(machine, machine.vcpu, LINEAR, 16)
    expect(everything().equals(before)).toBe(true)
  })
})

describe('the page fault that an access would raise', () => {
  test('says which entry is not present', () => {
    const machine = fourLevels(0n)
    const { levels, page, fault } = translate(machine, machine.vcpu, LINEAR, { access: 'write' })
    expect(levels.at(-1)).toMatchObject({ level: 'PT', flags: 'not present' })
    expect(page).toBeUndefined()
    expect(fault).toEqual({ kind: 'page-fault', errorCode: 2, errorBits: 'W', why: 'the PT entry is not present' })
  })

  test('names the permission that is missing', () => {
    const user = fourLevels()
    user.vcpu.cpl = 3
    expect(translate(user, user.vcpu, LINEAR).fault).toMatchObject({
      errorCode: 5,
      errorBits: 'P U',
      why: 'the page is for the supervisor and the access is from CPL 3',
    })
    const readOnly = fourLevels(0x9000n | PRESENT | USED)
    expect(translate(readOnly, readOnly.vcpu, LINEAR, { access: 'write' }).fault).toMatchObject({
      errorCode: 3,
      why: 'the page is read-only and CR0.WP is set',
    })
    const data = fourLevels(0x9000n | PRESENT | USED | XD)
    expect(translate(data, data.vcpu, LINEAR, { access: 'execute' }).fault).toMatchObject({
      errorCode: 17,
      why: 'the page may not be executed (XD)',
    })
  })

  test('knows SMEP and SMAP', () => {
    const machine = fourLevels(0x9000n | PRESENT | WRITABLE | USER | USED)
    machine.vcpu.set({ cr4: 0x3006b0n })
    expect(translate(machine, machine.vcpu, LINEAR).fault).toMatchObject({ why: expect.stringContaining('SMAP') })
    expect(translate(machine, machine.vcpu, LINEAR, { access: 'execute' }).fault).toMatchObject({
      errorBits: 'P I/D',
      why: expect.stringContaining('SMEP'),
    })
    machine.vcpu.set({ rflags: 0x40002n })
    expect(translate(machine, machine.vcpu, LINEAR).fault).toBeUndefined()
  })

  test('reports reserved bits', () => {
    const machine = fourLevels(0x9000n | PRESENT | (1n << 51n))
    expect(translate(machine, machine.vcpu, LINEAR).fault).toMatchObject({
      errorBits: 'P RSVD',
      why: 'a reserved bit is set in the PT entry',
    })
  })

  test('is a general protection fault for an address that is not canonical', () => {
    const machine = fourLevels()
    expect(translate(machine, machine.vcpu, 0x8000_0000_0000n)).toMatchObject({
      levels: [],
      fault: { kind: 'non-canonical' },
    })
  })
})

describe('EPT under the guest tables', () => {
  test('translates every entry and the page, four steps each', () => {
    const machine = behindEpt()
    const { levels, page, fault } = translate(machine, machine.vcpu, LINEAR)
    expect(fault).toBeUndefined()
    expect(levels.map(l => [l.entryAddress, l.ept?.hpa, l.ept?.steps.length])).toEqual([
      [0x1800n, 0x41800n, 4],
      [0x2000n, 0x42000n, 4],
      [0x3010n, 0x43010n, 4],
      [0x4018n, 0x44018n, 4],
    ])
    expect(page).toMatchObject({ gpa: 0x9123n, hpa: 0x49123n })
    expect(page?.ept?.steps.map(s => [s.level, s.entryAddress, s.rights])).toEqual([
      ['PML4', 0x80000n, 'rwx'],
      ['PDPT', 0x81000n, 'rwx'],
      ['PD', 0x82000n, 'rwx'],
      ['PT', 0x83048n, 'rwx'],
    ])
    expect([...(machine.readHost(0x49123, 4) ?? [])]).toEqual([...readLinear(machine, machine.vcpu, LINEAR, 4)])
  })

  test('says which right is missing for the page', () => {
    const machine = behindEpt(5n)
    expect(translate(machine, machine.vcpu, LINEAR).fault).toBeUndefined()
    expect(translate(machine, machine.vcpu, LINEAR, { access: 'write' }).fault).toEqual({
      kind: 'ept-violation',
      gpa: 0x9123n,
      // Write, readable, executable, linear address valid, translated: SDM vol. 3, table 28-7.
      qualification: 0b1_1010_1010,
      why: 'EPT allows r-x for the page at guest-physical 0x9123, and a write is asked for',
    })
  })

  test('stops where a table of the guest has no frame', () => {
    const machine = behindEpt()
    machine.writeEntry(0x83000 + 3 * 8, 0n)
    const { levels, fault } = translate(machine, machine.vcpu, LINEAR)
    expect(levels.map(l => l.level)).toEqual(['PML4', 'PDPT'])
    expect(fault).toMatchObject({ kind: 'ept-violation', gpa: 0x3010n, qualification: 0b1000_0001 })
  })

  test('applies to setting accessed and dirty bits', () => {
    const machine = behindEpt()
    machine.writeEntry(0x44018, 0x9000n | PRESENT | WRITABLE | 0x20n)
    machine.writeEntry(0x83000 + 4 * 8, 0x44000n | 0x30n | 5n)
    expect(translate(machine, machine.vcpu, LINEAR).fault).toBeUndefined()
    expect(translate(machine, machine.vcpu, LINEAR, { access: 'write' }).fault).toMatchObject({
      kind: 'ept-violation',
      gpa: 0x4018n,
    })
  })

  test('may be misconfigured', () => {
    const machine = behindEpt(2n)
    expect(translate(machine, machine.vcpu, LINEAR).fault).toMatchObject({ kind: 'ept-misconfiguration', gpa: 0x9123n })
  })
})

describe('other kinds of paging', () => {
  test('none: linear is physical', () => {
    const machine = new FakeMachine()
    machine.vcpu.protectedMode()
    expect(translate(machine, machine.vcpu, 0x7c00n)).toMatchObject({
      paging: 'no paging',
      levels: [],
      page: { gpa: 0x7c00n, hpa: 0x7c00n },
    })
  })

  test('32-bit with two levels, and 4 MiB pages', () => {
    const machine = new FakeMachine()
    machine.vcpu.protectedMode().set({ cr0: 0x8000_0011n, cr3: 0x1000n, cr4: 0x10n })
    machine.write(0x1000 + 4, [0x23, 0x20, 0, 0]) // PD[1]: table at 0x2000, P RW A
    machine.write(0x2000 + 3 * 4, [0x61, 0x50, 0, 0]) // PT[3]: page 0x5000, P A D
    machine.write(0x1000 + 8, [0xe3, 0, 0x80, 0]) // PD[2]: 4 MiB page at 0x800000
    expect(translate(machine, machine.vcpu, 0x403abcn)).toMatchObject({
      levels: [
        { level: 'PD', index: 1, flags: 'P RW A' },
        { level: 'PT', index: 3, flags: 'P A D' },
      ],
      page: { gpa: 0x5abcn, permissions: { writable: false } },
    })
    expect(translate(machine, machine.vcpu, 0x812345n)).toMatchObject({
      levels: [{ level: 'PD', flags: 'P RW A D PS' }],
      page: { gpa: 0x812345n, size: 2 ** 22 },
    })
  })

  /** PAE tables whose top entry 3 is in the register, and is another one in memory. */
  function paeTables(): FakeMachine {
    const machine = new FakeMachine()
    machine.vcpu.protectedMode().set({ cr0: 0x8000_0011n, cr3: 0x1020n, cr4: 0x20n, pdpte3: 0x2000n | PRESENT })
    machine.writeEntry(0x1020 + 3 * 8, 0x5000n | PRESENT)
    machine.writeEntry(0x2000, 0x3000n | PRESENT | WRITABLE | USED)
    machine.writeEntry(0x3008, 0x7000n | PRESENT | WRITABLE | USED)
    return machine
  }

  test('PAE, from the loaded registers, which are not what memory has', () => {
    const machine = paeTables()
    const { levels } = translate(machine, machine.vcpu, 0xc000_1042n)
    expect(levels[0]).toMatchObject({ level: 'PDPT', register: 'PDPTE3', entry: 0x2000n | PRESENT })
    expect(levels[1]).not.toHaveProperty('register')
    // Of another address space there are no registers.
    machine.writeEntry(0x1100 + 3 * 8, 0x2000n | PRESENT)
    const other = translate(machine, machine.vcpu, 0xc000_1042n, { cr3: 0x1100n })
    expect(other.levels[0]).not.toHaveProperty('register')
    expect(other.page?.gpa).toBe(0x7042n)
  })

  test('5 levels, where addresses have 57 bits', () => {
    const machine = fourLevels()
    machine.writeEntry(0x8000 + 0x101 * 8, 0x1000n | PRESENT | WRITABLE | USER | USED)
    machine.vcpu.set({ cr3: 0x8000n, cr4: 0x16b0n })
    const linear = 0xff01_8000_0040_3123n
    const { levels, page, paging } = translate(machine, machine.vcpu, linear)
    expect([paging, levels[0].level, levels[0].index, page?.gpa]).toEqual(['5-level paging', 'PML5', 0x101, 0x9123n])
    expect(translate(machine, machine.vcpu, 0x0100_0000_0000_0000n).fault).toMatchObject({
      kind: 'non-canonical',
      why: 'bits 63:56 of 0x100000000000000 are not all the same',
    })
    expect([...readLinear(machine, machine.vcpu, linear, 4)]).toEqual([1, 2, 3, 4])
  })

  test('protection keys, and the fault of one that PKRU locks', () => {
    const machine = fourLevels(0x9000n | PRESENT | WRITABLE | USER | USED | (5n << 59n))
    machine.vcpu.set({ cr4: 0x40_06b0n })
    expect(translate(machine, machine.vcpu, LINEAR).page).toMatchObject({ key: 5 })
    machine.vcpu.set({ pkru: 1n << 11n })
    machine.vcpu.cpl = 3
    expect(translate(machine, machine.vcpu, LINEAR).fault).toBeUndefined()
    expect(translate(machine, machine.vcpu, LINEAR, { access: 'write' }).fault).toMatchObject({
      errorBits: 'P W U PK',
      why: 'PKRU forbids a write of pages with protection key 5',
    })
  })

  test('what a debugger reads, whatever PKRU and SMAP deny the guest', () => {
    const machine = fourLevels(0x9000n | PRESENT | WRITABLE | USER | USED | (5n << 59n))
    // CR4.PKE, SMAP and SMEP; all keys are locked.
    machine.vcpu.set({ cr4: 0x70_06b0n, pkru: 0xffff_ffffn })
    expect([...readLinear(machine, machine.vcpu, LINEAR, 4)]).toEqual([1, 2, 3, 4])
    expect(translate(machine, machine.vcpu, LINEAR).fault).toMatchObject({ errorBits: 'P PK' })
    machine.vcpu.cpl = 3
    expect([...readLinear(machine, machine.vcpu, LINEAR, 4)]).toEqual([1, 2, 3, 4])
    expect(translate(machine, machine.vcpu, LINEAR).fault).toMatchObject({ errorBits: 'P U PK' })
  })

  test('the A20M# pin, which keeps address bit 20 low', () => {
    const machine = new FakeMachine(2 ** 21)
    machine.vcpu.set({ a20m: 1n })
    expect(translate(machine, machine.vcpu, 0x10_0042n).page?.gpa).toBe(0x42n)
    machine.vcpu.set({ a20m: 0n })
    expect(translate(machine, machine.vcpu, 0x10_0042n).page?.gpa).toBe(0x10_0042n)
  })

  test('PAE, whose top level has no permissions', () => {
    const machine = paeTables()
    expect(translate(machine, machine.vcpu, 0xc000_1042n, { access: 'write' })).toMatchObject({
      paging: 'PAE paging',
      levels: [
        { level: 'PDPT', index: 3, flags: 'P', accumulated: { writable: true } },
        { level: 'PD', index: 0 },
        { level: 'PT', index: 1 },
      ],
      page: { gpa: 0x7042n },
    })
  })
})

describe('reading linear memory', () => {
  test('goes on across pages and stops at the first that is not mapped', () => {
    const machine = fourLevels()
    machine.writeEntry(0x4000 + 4 * 8, 0xb000n | PRESENT)
    machine.write(0x9ffe, [0xaa, 0xbb])
    machine.write(0xb000, [0xcc])
    const edge = LINEAR - 0x123n + 0xffen
    expect([...readLinear(machine, machine.vcpu, edge, 3)]).toEqual([0xaa, 0xbb, 0xcc])
    expect(readLinear(machine, machine.vcpu, edge, 3 * 4096)).toHaveLength(2 + 4096)
    expect(readLinear(machine, machine.vcpu, 0x8000_0000_0000n, 8)).toHaveLength(0)
  })

  test('takes a large page as one piece, as far as there is RAM', () => {
    const machine = fourLevels()
    machine.writeEntry(0x3000 + 2 * 8, PRESENT | WRITABLE | USED | LARGE)
    machine.write(0xf_fffd, [1, 2, 3])
    const large = 0xffff_8000_0040_0000n
    expect([...readLinear(machine, machine.vcpu, large + 0xf_fffdn, 3)]).toEqual([1, 2, 3])
    // The machine has 1 MiB, half of the page.
    expect([...readLinear(machine, machine.vcpu, large + 0xf_fffdn, 8)]).toEqual([1, 2, 3])
    const upToTheEnd = readLinear(machine, machine.vcpu, large + 0xf_eff0n, 2 ** 20)
    expect(upToTheEnd).toHaveLength(0x1010)
    expect([...upToTheEnd.subarray(-3)]).toEqual([1, 2, 3])
  })

  test('does not take a large page as one piece while the A20 gate folds it', () => {
    const machine = fourLevels()
    machine.vcpu.set({ a20m: 1n })
    machine.writeEntry(0x3000 + 2 * 8, PRESENT | WRITABLE | USED | LARGE)
    machine.write(0, [7])
    machine.write(0xf_ffff, [6])
    expect([...readLinear(machine, machine.vcpu, 0xffff_8000_004f_ffffn, 2)]).toEqual([6, 7])
  })
})
