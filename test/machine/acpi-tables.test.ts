import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ACPI_BASE, buildAcpiTables } from '../../src/machine/acpi/acpi-tables.ts'
import * as aml from '../../src/machine/acpi/aml.ts'
import { pciIrq } from '../../src/machine/acpi/interrupt-routing.ts'

const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0)
const text = (bytes: Uint8Array) => String.fromCharCode(...bytes)

/** The tables by signature, found as a system does: RSDP, then the root table, then the FADT. */
function walk(options: { cpus: number; hpet: boolean }, root: 'RSDT' | 'XSDT'): Map<string, Uint8Array> {
  const { bytes, rsdp } = buildAcpiTables({ ...options, base: ACPI_BASE })
  const data = new DataView(bytes.buffer)
  const at = (address: number, length?: number) => {
    const start = address - ACPI_BASE
    return bytes.subarray(start, start + (length ?? data.getUint32(start + 4, true)))
  }
  const pointer = at(rsdp, 36)
  expect(text(pointer.subarray(0, 8))).toBe('RSD PTR ')
  expect(sum(pointer.subarray(0, 20))).toBe(0)
  expect(sum(pointer)).toBe(0)
  const rootTable = at(data.getUint32(rsdp - ACPI_BASE + (root === 'RSDT' ? 16 : 24), true))
  const tables = new Map([[text(rootTable.subarray(0, 4)), rootTable]])
  const entrySize = root === 'RSDT' ? 4 : 8
  for (let entry = 36; entry < rootTable.length; entry += entrySize) {
    const address = new DataView(rootTable.buffer, rootTable.byteOffset).getUint32(entry, true)
    tables.set(text(at(address, 4)), at(address))
  }
  const fadt = tables.get('FACP') ?? new Uint8Array(44)
  const fadtData = new DataView(fadt.buffer, fadt.byteOffset)
  for (const field of [36, 40]) {
    const table = at(fadtData.getUint32(field, true))
    tables.set(text(table.subarray(0, 4)), table)
  }
  return tables
}

describe('the ACPI tables', () => {
  it.each(['RSDT', 'XSDT'] as const)('are found from the RSDP through the %s, with right checksums', root => {
    const tables = walk({ cpus: 2, hpet: true }, root)
    expect([...tables.keys()].sort()).toEqual(['APIC', 'DSDT', 'FACP', 'FACS', 'HPET', root].sort())
    for (const [signature, table] of tables) if (signature !== 'FACS') expect(sum(table), signature).toBe(0)
  })

  it('stay in the area that systems scan, beside the MP tables', () => {
    expect(ACPI_BASE + buildAcpiTables({ cpus: 255, hpet: true, base: ACPI_BASE }).bytes.length).toBeLessThan(0xf0000)
  })

  it('align the FACS to 64 bytes', () => {
    expect(() => buildAcpiTables({ cpus: 1, hpet: false, base: 0xe0010 })).toThrow(RangeError)
    expect((walk({ cpus: 1, hpet: false }, 'RSDT').get('FACS')?.byteOffset ?? 1) % 64).toBe(0)
  })

  it('have no HPET table without an HPET', () => {
    expect(walk({ cpus: 1, hpet: false }, 'XSDT').has('HPET')).toBe(false)
  })

  it('name each processor, the I/O APIC, the timer override and the level-triggered requests in the MADT', () => {
    const madt = walk({ cpus: 3, hpet: false }, 'XSDT').get('APIC') ?? new Uint8Array()
    const entries: number[][] = []
    for (let at = 44; at < madt.length; at += madt[at + 1]) entries.push([...madt.subarray(at, at + madt[at + 1])])
    expect(entries).toEqual([
      [0, 8, 0, 0, 1, 0, 0, 0],
      [0, 8, 1, 1, 1, 0, 0, 0],
      [0, 8, 2, 2, 1, 0, 0, 0],
      [1, 12, 3, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0],
      [2, 10, 0, 0, 2, 0, 0, 0, 0, 0],
      [2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0],
      [2, 10, 0, 10, 10, 0, 0, 0, 0x0d, 0],
      [2, 10, 0, 11, 11, 0, 0, 0, 0x0d, 0],
      [4, 6, 0xff, 0, 0, 1],
    ])
  })

  it('spread PCI pins over two ISA requests, rotated by slot', () => {
    expect([0, 1, 2, 3].map(pin => pciIrq(1, pin))).toEqual([10, 10, 11, 11])
    expect([1, 2, 3, 4, 5].map(slot => pciIrq(slot, 0))).toEqual([10, 10, 11, 11, 10])
  })

  const iasl = (() => {
    try {
      return execFileSync('iasl', ['-v'], { encoding: 'utf8' }) !== ''
    } catch {
      return false
    }
  })()
  it.skipIf(!iasl)(
    'survive disassembly and recompilation by iasl (skipped where acpica-tools is not installed)',
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'ringside-acpi-'))
      try {
        for (const [signature, table] of walk({ cpus: 2, hpet: true }, 'XSDT')) {
          const source = join(folder, `${signature}.dsl`)
          writeFileSync(join(folder, `${signature}.aml`), table)
          execFileSync('iasl', ['-d', join(folder, `${signature}.aml`)], { stdio: 'pipe' })
          const report = execFileSync('iasl', ['-p', join(folder, 'again'), source], {
            encoding: 'utf8',
            stdio: 'pipe',
          })
          expect(report, signature).toMatch(/0 Errors, 0 Warnings/)
          if (signature !== 'DSDT') continue
          const dsdt = readFileSync(source, 'utf8')
          expect(dsdt).toMatch(/Name \(\\_S5, Package \(0x04\).*\n *\{\n *0x05, \n *0x05,/)
          expect(dsdt).toContain('EisaId ("PNP0A03")')
        }
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
  )
})

describe('the AML encoder', () => {
  it('writes names with as many segments as they have', () => {
    expect(aml.path('_HID')).toEqual([0x5f, 0x48, 0x49, 0x44])
    expect(aml.path('\\A.B')).toEqual([0x5c, 0x2e, 0x41, 0x5f, 0x5f, 0x5f, 0x42, 0x5f, 0x5f, 0x5f])
    expect(aml.path('A.B.C').slice(0, 2)).toEqual([0x2f, 3])
    expect(() => aml.path('1A')).toThrow(RangeError)
  })

  it('chooses the shortest integer', () => {
    expect([0, 1, 2, 0x100, 0x10000].map(aml.integer)).toEqual([[0], [1], [10, 2], [11, 0, 1], [12, 0, 0, 1, 0]])
  })

  it('compresses plug-and-play ids', () => {
    expect(aml.eisaId('PNP0A03')).toEqual([0x0c, 0x41, 0xd0, 0x0a, 0x03])
  })

  it('encodes package lengths of one, two and three bytes, which count themselves', () => {
    expect(aml.buffer(new Array(10).fill(0)).slice(0, 2)).toEqual([0x11, 13])
    expect(aml.buffer(new Array(100).fill(0)).slice(0, 3)).toEqual([0x11, 0x48, 6])
    expect(aml.buffer(new Array(5000).fill(0)).slice(0, 4)).toEqual([0x11, 0x8e, 0x38, 1])
  })
})
