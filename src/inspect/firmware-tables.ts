/**
 * Tables that firmware has left in memory, found as a guest finds them: ACPI by its root pointer (ACPI 6.5, 5.2.5 to
 * 5.2.10), those of the MultiProcessor Specification 1.4 by theirs (4.1, 4.2). A guest may have overwritten them with
 * anything: what does not add up is left out.
 */

import type { MachineView } from './machine-view.ts'

export interface FirmwareTable {
  /** `ACPI FACP`, `MP configuration`. */
  readonly name: string
  /** Guest-physical. */
  readonly start: number
  readonly length: number
}

/** Where both root pointers are looked for, on 16-byte boundaries. */
const SEARCHED = { start: 0xe_0000, length: 0x2_0000 }
const ALIGNMENT = 16
const MOST_TABLES = 64
const LONGEST_TABLE = 2 ** 24

const RSDP = 'RSD PTR '
const RSDP_SIZE = 36
const RSDP_OLD_SIZE = 20
const TABLE_HEADER = 36
const MP_POINTER = '_MP_'
const MP_POINTER_SIZE = 16
const MP_HEADER = 44

export function firmwareTables(machine: MachineView): FirmwareTable[] {
  const bytes = machine.readPhysical(SEARCHED.start, SEARCHED.length)
  if (bytes === undefined) return []
  const tables: FirmwareTable[] = []
  const found = { acpi: false, mp: false }
  for (let at = 0; at + RSDP_SIZE <= bytes.length && !(found.acpi && found.mp); at += ALIGNMENT) {
    if (!found.acpi && begins(bytes, at, RSDP) && sumsUp(bytes, at, RSDP_OLD_SIZE)) {
      found.acpi = true
      tables.push(...acpiTables(machine, SEARCHED.start + at, bytes.subarray(at, at + RSDP_SIZE)))
    } else if (!found.mp && begins(bytes, at, MP_POINTER) && sumsUp(bytes, at, MP_POINTER_SIZE)) {
      found.mp = true
      tables.push(...mpTables(machine, SEARCHED.start + at, bytes.subarray(at, at + MP_POINTER_SIZE)))
    }
  }
  return tables
}

function acpiTables(machine: MachineView, start: number, rsdp: Uint8Array): FirmwareTable[] {
  const pointer = view(rsdp)
  const extended = rsdp[15] >= 2
  const tables: FirmwareTable[] = [{ name: 'ACPI RSDP', start, length: extended ? RSDP_SIZE : RSDP_OLD_SIZE }]
  const seen = new Set<number>([0])
  const add = (address: number): DataView | undefined => {
    if (seen.has(address) || tables.length >= MOST_TABLES) return undefined
    seen.add(address)
    const table = acpiTable(machine, address)
    if (table === undefined) return undefined
    tables.push({ name: `ACPI ${table.name}`, start: address, length: table.contents.byteLength })
    return table.contents
  }
  const lists = [{ address: pointer.getUint32(16, true), entry: 4 }]
  if (extended) lists.push({ address: address64(pointer, 24), entry: 8 })
  for (const { address, entry } of lists) {
    const list = add(address)
    if (list === undefined) continue
    for (let at = TABLE_HEADER; at + entry <= list.byteLength && tables.length < MOST_TABLES; at += entry) {
      const table = add(entry === 8 ? address64(list, at) : list.getUint32(at, true))
      // The FADT leads to two more: FACS and DSDT (ACPI 6.5, 5.2.9).
      if (table === undefined || tables.at(-1)?.name !== 'ACPI FACP' || table.byteLength < 44) continue
      add(table.getUint32(36, true))
      add(table.getUint32(40, true))
    }
  }
  return tables
}

function acpiTable(machine: MachineView, address: number): { name: string; contents: DataView } | undefined {
  const header = machine.readPhysical(address, 8)
  if (header === undefined) return undefined
  const length = view(header).getUint32(4, true)
  const name = String.fromCharCode(...header.subarray(0, 4))
  if (length < 8 || length > LONGEST_TABLE || !/^[A-Z0-9_]{4}$/.test(name)) return undefined
  const contents = machine.readPhysical(address, length)
  return contents === undefined ? undefined : { name, contents: view(contents) }
}

function mpTables(machine: MachineView, start: number, pointer: Uint8Array): FirmwareTable[] {
  const tables = [{ name: 'MP floating pointer', start, length: MP_POINTER_SIZE }]
  const address = view(pointer).getUint32(4, true)
  const header = machine.readPhysical(address, MP_HEADER)
  if (address !== 0 && header !== undefined && begins(header, 0, 'PCMP'))
    tables.push({
      name: 'MP configuration',
      start: address,
      length: Math.max(MP_HEADER, view(header).getUint16(4, true)),
    })
  return tables
}

const begins = (bytes: Uint8Array, at: number, text: string): boolean =>
  [...text].every((letter, index) => bytes[at + index] === letter.charCodeAt(0))

/** Checksums of both kinds: all bytes add up to 0. */
const sumsUp = (bytes: Uint8Array, at: number, length: number): boolean =>
  (bytes.subarray(at, at + length).reduce((sum, byte) => sum + byte, 0) & 0xff) === 0

/** An address that RAM can have; 0, which is none, for others. */
function address64(data: DataView, at: number): number {
  const value = data.getBigUint64(at, true)
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? 0 : Number(value)
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
