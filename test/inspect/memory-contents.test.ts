/** What lies where: guest-physical areas, and what of them and of an address space is in a range. */

import { describe, expect, test } from 'vitest'
import { AreaIndex, type MemoryArea } from '../../src/inspect/area-index.ts'
import { firmwareTables } from '../../src/inspect/firmware-tables.ts'
import type { MappedRange } from '../../src/inspect/mapping-ranges.ts'
import { physicalAreas } from '../../src/inspect/physical-areas.ts'
import { rangeContents } from '../../src/inspect/range-contents.ts'
import { buildAcpiTables } from '../../src/machine/acpi/acpi-tables.ts'
import { buildMpTable } from '../../src/machine/mp-table.ts'
import { FakeMachine } from '../support/fake-machine.ts'

function machineWithTables(): FakeMachine {
  const machine = new FakeMachine()
  machine.write(0xe0000, buildAcpiTables({ cpus: 2, hpet: true, base: 0xe0000 }).bytes)
  machine.write(0xf0000, buildMpTable({ cpus: 2, base: 0xf0000 }))
  return machine
}

describe('tables of firmware', () => {
  test('are found by their root pointers, each with its length', () => {
    const machine = machineWithTables()
    const tables = firmwareTables(machine)
    expect(tables.map(({ name }) => name).sort()).toEqual([
      ...['APIC', 'DSDT', 'FACP', 'FACS', 'HPET', 'RSDP', 'RSDT', 'XSDT'].map(name => `ACPI ${name}`),
      ...['MP configuration', 'MP floating pointer'],
    ])
    const madt = tables.find(({ name }) => name === 'ACPI APIC')
    expect(machine.readPhysical(madt?.start ?? 0, 4)).toEqual(new TextEncoder().encode('APIC'))
    expect(madt?.length).toBeGreaterThan(44)
  })

  test('that a guest has spoiled are left out, and a list of itself ends', () => {
    const machine = machineWithTables()
    const dsdt = firmwareTables(machine).find(({ name }) => name === 'ACPI DSDT')
    machine.write((dsdt?.start ?? 0) + 4, [0xff, 0xff, 0xff, 0xff])
    expect(firmwareTables(machine).map(({ name }) => name)).not.toContain('ACPI DSDT')
    const xsdt = firmwareTables(machine).find(({ name }) => name === 'ACPI XSDT')
    for (let at = 36; at < (xsdt?.length ?? 0); at += 8)
      machine.writeEntry((xsdt?.start ?? 0) + at, BigInt(xsdt?.start ?? 0))
    expect(firmwareTables(machine).filter(({ name }) => name === 'ACPI XSDT')).toHaveLength(1)
    machine.write(0xe0000, [0])
    expect(firmwareTables(machine).every(({ name }) => name.startsWith('MP'))).toBe(true)
  })

  test('are none where there is no memory', () => {
    expect(firmwareTables(new FakeMachine(4096))).toEqual([])
  })
})

describe('guest-physical areas', () => {
  test('are RAM, what firmware keeps, windows of devices and of PCI functions, and local APICs', () => {
    const machine = new FakeMachine()
    machine.memoryMap = [
      { start: 0, length: 0x9fc00, type: 1 },
      { start: 0x9fc00, length: 0x400, type: 2 },
      { start: 0xe0000, length: 0x20000, type: 2 },
    ]
    const registers = () => []
    machine.devices = [
      { name: 'hpet', memoryWindow: { base: 0xfed0_0000, size: 1024 }, registers },
      { name: 'pit', registers },
    ]
    const window = { bar: 4, kind: 'memory64', prefetchable: true, size: 0x4000 } as const
    machine.pci = [
      {
        ...{ name: 'virtio-blk0', slot: 3, number: 0, registers, messages: undefined, messageUses: [] },
        windows: [
          { ...window, mapped: 0xc000_0000 },
          { ...window, bar: 1, mapped: undefined },
          { ...window, bar: 0, kind: 'io', mapped: 0xc000 },
        ],
        configuration: () => new Uint8Array(256),
      },
    ]
    machine.vcpu.set({ msr_apic_base: 0xfee0_0900n })
    expect(physicalAreas(machine).map(({ kind, name, start, end }) => [kind, name, start, end])).toEqual([
      ['ram', 'RAM', 0n, 0x9fc00n],
      ['reserved', 'extended BIOS data area', 0x9fc00n, 0xa0000n],
      ['reserved', 'firmware', 0xe0000n, 0x100000n],
      ['device', 'virtio-blk0 (PCI 00:03.0, BAR 4)', 0xc000_0000n, 0xc000_4000n],
      ['device', 'hpet', 0xfed0_0000n, 0xfed0_0400n],
      ['device', 'local APIC', 0xfee0_0000n, 0xfee0_1000n],
    ])
  })

  test('have no local APIC that is off, or in x2APIC mode', () => {
    const machine = new FakeMachine()
    for (const off of [0xfee0_0000n, 0xfee0_0c00n]) {
      machine.vcpu.set({ msr_apic_base: off })
      expect(physicalAreas(machine)).toEqual([])
    }
  })
})

describe('what is in a range', () => {
  const area = (kind: MemoryArea['kind'], name: string, start: bigint, end: bigint): MemoryArea => ({
    ...{ kind, name, start, end },
  })
  const range: MappedRange = {
    ...{ start: 0x40_0000n, end: 0x40_4000n, target: 0x1000n, contiguous: true, rights: 'rw-s-', pageSizes: [4096] },
  }
  const NONE = new AreaIndex([])

  test('comes from its own addresses and from where it leads, cut to the range', () => {
    const own = new AreaIndex([
      area('section', '.text', 0x3f_0000n, 0x40_1000n),
      area('section', '.far', 0n, 0x40_0000n),
    ])
    const target = new AreaIndex([area('ram', 'RAM', 0n, 0x3000n), area('device', 'hpet', 0x3800n, 0x9000n)])
    expect(rangeContents(range, own, target)).toEqual({
      omitted: 0,
      contents: [
        area('section', '.text', 0x40_0000n, 0x40_1000n),
        area('ram', 'RAM', 0x40_0000n, 0x40_2000n),
        area('device', 'hpet', 0x40_2800n, 0x40_4000n),
      ],
    })
    expect(rangeContents(range, own, undefined).contents).toHaveLength(1)
  })

  test('of scattered pages is told once as long as they lead into the same area', () => {
    const extents = [
      { start: 0x40_0000n, end: 0x40_1000n, target: 0x9000n },
      { start: 0x40_1000n, end: 0x40_2000n, target: 0x5000n },
      { start: 0x40_2000n, end: 0x40_4000n, target: 0xf000_0000n },
    ]
    const scattered = { ...range, contiguous: false, scatter: { extents, omitted: 0, digest: 1 } }
    const target = new AreaIndex([area('ram', 'RAM', 0n, 0x10_0000n)])
    expect(rangeContents(scattered, NONE, target).contents).toEqual([area('ram', 'RAM', 0x40_0000n, 0x40_2000n)])
  })

  test('is bounded, and names what tells most', () => {
    const sections = Array.from({ length: 40 }, (_, i) =>
      area('section', `.s${i}`, 0x40_0000n + BigInt(i) * 16n, 0x40_0010n + BigInt(i) * 16n),
    )
    const target = new AreaIndex([area('device', 'hpet', 0x1000n, 0x2000n)])
    const { contents, omitted } = rangeContents(range, new AreaIndex(sections), target)
    expect([contents.length, omitted]).toEqual([24, 17])
    expect(contents.every(({ kind }) => kind === 'section')).toBe(true)
  })

  test('is found also inside an area that began long before', () => {
    const index = new AreaIndex([area('ram', 'all', 0n, 100n), area('ram', 'a', 1n, 2n), area('ram', 'b', 50n, 60n)])
    const names = (start: bigint, end: bigint) => [...index.overlapping(start, end)].map(({ name }) => name)
    expect(names(10n, 20n)).toEqual(['all'])
    expect(names(55n, 56n)).toEqual(['all', 'b'])
    expect(names(0n, 1n)).toEqual(['all'])
    expect(names(100n, 200n)).toEqual([])
  })
})
