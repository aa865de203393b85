import { describe, expect, test } from 'vitest'
import { eptMappings } from '../../src/inspect/ept-mappings.ts'
import { mappings } from '../../src/inspect/mappings.ts'
import { FakeMachine } from '../support/fake-machine.ts'

const P = 1n
const RW = 2n
const US = 4n
const PS = 0x80n
const G = 0x100n
const XD = 1n << 63n
const ROOT = 0x1000

/** 4-level tables at 0x1000, 0x2000, 0x3000, 0x4000, each entry with all rights down to the last. */
function fourLevels(top = 0): FakeMachine {
  const machine = new FakeMachine()
  machine.vcpu.longMode(BigInt(ROOT))
  machine.writeEntry(ROOT + top * 8, 0x2000n | P | RW | US)
  machine.writeEntry(0x2000, 0x3000n | P | RW | US)
  machine.writeEntry(0x3000, 0x4000n | P | RW | US)
  return machine
}

const listed = (machine: FakeMachine, start = 0n, limit = 100) => mappings(machine, machine.vcpu, { start, limit })

describe('mappings of an address space', () => {
  test('join neighbours with the same rights, and say where those end', () => {
    const machine = fourLevels()
    machine.writeEntry(0x4000, 0x8000n | P | RW | XD)
    machine.writeEntry(0x4008, 0x9000n | P | RW | XD)
    machine.writeEntry(0x4010, 0x20000n | P | RW | XD)
    machine.writeEntry(0x4018, 0x5000n | P | US)
    machine.writeEntry(0x4028, 0x6000n | P | US | G)
    expect(listed(machine).ranges).toEqual([
      {
        ...{ start: 0n, end: 0x3000n, target: 0x8000n, contiguous: false, rights: 'rw-s-', pageSizes: [4096] },
        scatter: {
          extents: [
            { start: 0n, end: 0x2000n, target: 0x8000n },
            { start: 0x2000n, end: 0x3000n, target: 0x20000n },
          ],
          omitted: 0,
          digest: expect.any(Number),
        },
      },
      { start: 0x3000n, end: 0x4000n, target: 0x5000n, contiguous: true, rights: 'r-xu-', pageSizes: [4096] },
      { start: 0x5000n, end: 0x6000n, target: 0x6000n, contiguous: true, rights: 'r-xug', pageSizes: [4096] },
    ])
  })

  test('tell of scattered pages the first pieces, and by a digest whether any is elsewhere', () => {
    const machine = fourLevels()
    const scatter = () => listed(machine).ranges[0].scatter
    for (let i = 0; i < 100; i++) machine.writeEntry(0x4000 + i * 8, BigInt(i * 0x2000 + 0x10_0000) | P)
    const before = scatter()
    expect([before?.extents.length, before?.omitted]).toEqual([64, 36])
    expect(before?.extents[63]).toEqual({ start: 0x3f000n, end: 0x40000n, target: 0x17_e000n })
    expect(scatter()).toEqual(before)
    machine.writeEntry(0x4000 + 90 * 8, 0x9000n | P)
    expect(scatter()?.extents).toEqual(before?.extents)
    expect(scatter()?.digest).not.toBe(before?.digest)
  })

  test('list a bounded number of pieces in all', () => {
    const machine = fourLevels()
    for (let table = 0; table < 16; table++) {
      machine.writeEntry(0x3000 + table * 8, BigInt(0x4000 + table * 0x1000) | P | RW | US)
      for (let i = 0; i < 512; i++)
        machine.writeEntry(0x4000 + table * 0x1000 + i * 8, BigInt(i * 0x2000) | P | (i % 64 === 0 ? 0n : RW) | US)
    }
    const { ranges } = listed(machine, 0n, 1000)
    expect(ranges.reduce((sum, { scatter }) => sum + (scatter?.extents.length ?? 0), 0)).toBe(4096)
    for (const { start, end, scatter } of ranges)
      if (scatter) expect(scatter.extents.length + scatter.omitted).toBe(Number((end - start) / 4096n))
  })

  test('are limited by every level, and mix page sizes', () => {
    const machine = fourLevels()
    machine.writeEntry(0x3000, 0x4000n | P | RW)
    for (let i = 0; i < 512; i++) machine.writeEntry(0x4000 + i * 8, BigInt(i * 4096) | P | RW | US)
    machine.writeEntry(0x3008, 0x20_0000n | P | RW | PS)
    expect(listed(machine).ranges).toEqual([
      { start: 0n, end: 0x40_0000n, target: 0n, contiguous: true, rights: 'rwxs-', pageSizes: [4096, 0x20_0000] },
    ])
  })

  test('of the upper half have canonical addresses, and the last ends at 2^64', () => {
    const machine = fourLevels(511)
    machine.writeEntry(0x2000 + 511 * 8, 0x4000_0000n | P | RW | PS)
    const { ranges } = listed(machine, 0xffff_8000_0000_0000n)
    expect(ranges.at(-1)).toMatchObject({ start: 0xffff_ffff_c000_0000n, end: 1n << 64n, target: 0x4000_0000n })
  })

  test('come in portions that together are the whole', () => {
    const machine = fourLevels()
    for (const i of [0, 2, 4, 6]) machine.writeEntry(0x4000 + i * 8, 0x8000n | P)
    const whole = listed(machine).ranges
    expect(whole).toHaveLength(4)
    const first = listed(machine, 0n, 3)
    expect(first.next).toBe(0x6000n)
    expect([...first.ranges, ...listed(machine, first.next).ranges]).toEqual(whole)
  })

  test('end somewhere when tables contain themselves', () => {
    const machine = new FakeMachine()
    machine.vcpu.longMode(BigInt(ROOT))
    for (let i = 0; i < 512; i++) machine.writeEntry(ROOT + i * 8, BigInt(ROOT) | P | RW)
    const portion = listed(machine)
    expect(portion.ranges.length).toBeLessThan(100)
    expect(portion.next).toBeGreaterThan(0n)
  })

  test('of 32-bit paging have 4 MiB pages when CR4.PSE is set', () => {
    const machine = new FakeMachine()
    machine.vcpu.protectedMode().set({ cr0: 0x8000_0011n, cr3: 0x1000n, cr4: 0x10n })
    const entries = [0x40_0083n, 0x2003n]
    for (const [i, entry] of entries.entries())
      machine.write(
        0x1000 + i * 4,
        [0, 8, 16, 24].map(shift => Number((entry >> BigInt(shift)) & 0xffn)),
      )
    machine.write(0x2000, [5, 0x50, 0, 0])
    expect(listed(machine).ranges).toEqual([
      { start: 0n, end: 0x40_0000n, target: 0x40_0000n, contiguous: true, rights: 'rwxs-', pageSizes: [0x40_0000] },
      { start: 0x40_0000n, end: 0x40_1000n, target: 0x5000n, contiguous: true, rights: 'r-xs-', pageSizes: [4096] },
    ])
  })

  test('of PAE take no rights from the page-directory-pointer table', () => {
    const machine = new FakeMachine()
    machine.vcpu.protectedMode().set({ cr0: 0x8000_0011n, cr3: 0x1020n, cr4: 0x20n })
    machine.writeEntry(0x1020, 0x2000n | P)
    machine.writeEntry(0x2000, 0x20_0000n | P | RW | US | PS)
    expect(listed(machine).ranges).toMatchObject([{ start: 0n, end: 0x20_0000n, rights: 'rwxu-' }])
  })

  test('without paging are one', () => {
    const machine = new FakeMachine()
    machine.vcpu.protectedMode()
    expect(listed(machine).ranges).toMatchObject([{ start: 0n, end: 1n << 32n, target: 0n }])
  })

  test('may be those of another CR3', () => {
    const machine = fourLevels()
    machine.writeEntry(0x4000, 0x8000n | P)
    machine.vcpu.set({ cr3: 0n })
    expect(listed(machine).ranges).toEqual([])
    expect(mappings(machine, machine.vcpu, { start: 0n, limit: 9, cr3: BigInt(ROOT) }).ranges).toHaveLength(1)
  })
})

describe('mappings of EPT', () => {
  test('have the rights that all levels give', () => {
    const machine = new FakeMachine()
    machine.eptPointer = 0x1000
    machine.writeEntry(0x1000, 0x2000n | 7n)
    machine.writeEntry(0x2000, 0x3000n | 7n)
    machine.writeEntry(0x3000, 0x4000n | 5n)
    machine.writeEntry(0x3008, 0x60_0000n | 0xb7n)
    machine.writeEntry(0x4000, 0x9000n | 7n)
    machine.writeEntry(0x4010, 0xa000n | 1n)
    expect(eptMappings(machine, 0n, 100)?.ranges).toEqual([
      { start: 0n, end: 0x1000n, target: 0x9000n, contiguous: true, rights: 'r-x', pageSizes: [4096] },
      { start: 0x2000n, end: 0x3000n, target: 0xa000n, contiguous: true, rights: 'r--', pageSizes: [4096] },
      {
        start: 0x20_0000n,
        end: 0x40_0000n,
        target: 0x60_0000n,
        contiguous: true,
        rights: 'rwx',
        pageSizes: [0x20_0000],
      },
    ])
    expect(eptMappings(machine, 0x3000n, 1)?.ranges).toMatchObject([{ start: 0x20_0000n }])
    expect(eptMappings(machine, 0n, 1)?.next).toBe(0x2000n)
    expect(eptMappings(machine, (1n << 64n) - 1n, 1)).toEqual({ ranges: [] })
  })

  test('are none where there is no EPT', () => {
    expect(eptMappings(new FakeMachine(), 0n, 1)).toBeUndefined()
  })
})
