/** All ACPI tables of a machine, laid out one after the other behind the RSDP (ACPI 6.5, 5.2.5 to 5.2.10). */

import type { MmioWindow } from '../virtio-mmio-windows.ts'
import { ByteList, setChecksum } from './byte-list.ts'
import { buildDsdt } from './dsdt.ts'
import { buildFadt } from './fadt.ts'
import { buildHpetTable } from './hpet-table.ts'
import { buildMadt } from './madt.ts'
import { acpiTable, OEM_ID } from './table.ts'

/** Where a machine puts them: systems scan E0000h to FFFFFh for the RSDP. */
export const ACPI_BASE = 0xe0000

const RSDP_SIZE = 36
/** What revision 1 had, with a checksum of its own. */
const RSDP_OLD_SIZE = 20
const RSDP_CHECKSUM = 8
const RSDP_EXTENDED_CHECKSUM = 32
const FACS_SIZE = 64
const FACS_VERSION = 1
/** Strictest that any table asks for: the FACS. */
const ALIGNMENT = 64

export interface AcpiOptions {
  readonly cpus: number
  readonly hpet: boolean
  /** Windows of virtio-mmio devices; none by default. */
  readonly mmio?: readonly MmioWindow[]
  /** Guest-physical address of the first byte, 64-byte aligned, in E0000h to FFFFFh. */
  readonly base: number
}

export interface AcpiTables {
  /** To be written at `base`. */
  readonly bytes: Uint8Array
  /** Guest-physical address of the RSDP. */
  readonly rsdp: number
}

export function buildAcpiTables({ cpus, hpet, mmio = [], base }: AcpiOptions): AcpiTables {
  if (base % ALIGNMENT !== 0)
    throw new RangeError(`ACPI tables at 0x${base.toString(16)}: not ${ALIGNMENT}-byte aligned`)
  const image = new ByteList().zeroes(RSDP_SIZE)
  const append = (bytes: Uint8Array): number => {
    image.zeroes(-image.length & (ALIGNMENT - 1))
    const address = base + image.length
    image.bytes(bytes)
    return address
  }
  const facs = append(buildFacs())
  const dsdt = append(buildDsdt({ cpus, hpet, mmio }))
  const tables = [append(buildFadt(facs, dsdt)), append(buildMadt(cpus))]
  if (hpet) tables.push(append(buildHpetTable()))
  const rsdt = append(acpiTable('RSDT', 1, new ByteList().u32(...tables)))
  const xsdt = append(acpiTable('XSDT', 1, new ByteList().u64(...tables)))
  const bytes = image.toBytes()
  bytes.set(buildRsdp(rsdt, xsdt))
  return { bytes, rsdp: base }
}

function buildRsdp(rsdt: number, xsdt: number): Uint8Array {
  const bytes = new ByteList()
    .text('RSD PTR ')
    .u8(0)
    .text(OEM_ID, 6)
    .u8(2)
    .u32(rsdt, RSDP_SIZE)
    .u64(xsdt)
    .zeroes(4)
    .toBytes()
  setChecksum(bytes.subarray(0, RSDP_OLD_SIZE), RSDP_CHECKSUM)
  setChecksum(bytes, RSDP_EXTENDED_CHECKSUM)
  return bytes
}

/** The firmware ACPI control structure has no common header and no checksum (5.2.10). */
function buildFacs(): Uint8Array {
  const waking = 3 * 4
  const list = new ByteList()
    .text('FACS')
    .u32(FACS_SIZE)
    .zeroes(4 + waking + 8)
    .u8(FACS_VERSION)
  return list.zeroes(FACS_SIZE - list.length).toBytes()
}
