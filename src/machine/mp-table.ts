/** Tables of the Intel MultiProcessor Specification 1.4, for systems that use an I/O APIC without ACPI. */

import { IOAPIC_BASE, IOAPIC_VERSION } from '../devices/ioapic/registers.ts'
import { ByteList, setChecksum } from './acpi/byte-list.ts'
import {
  INTI_AS_BUS,
  INTI_LEVEL_ACTIVE_HIGH,
  ioApicId,
  isaGsi,
  PCI_IRQS,
  PCI_PINS,
  PCI_SLOTS,
  pciIrq,
  SCI_IRQ,
} from './acpi/interrupt-routing.ts'
import { LOCAL_APIC_BASE } from './acpi/madt.ts'

/** Where a machine puts them: systems scan F0000h to FFFFFh for the floating pointer. */
export const MP_TABLE_BASE = 0xf0000

const SPECIFICATION_1_4 = 4
const POINTER_SIZE = 16
const HEADER_SIZE = 44
const POINTER_CHECKSUM = 10
const HEADER_CHECKSUM = 7

/** Entry types (table 4-3). */
const PROCESSOR = 0
const BUS = 1
const IO_APIC = 2
const IO_INTERRUPT = 3
const LOCAL_INTERRUPT = 4

const PROCESSOR_ENABLED = 1 << 0
const PROCESSOR_BOOTSTRAP = 1 << 1
const LOCAL_APIC_VERSION = 0x14
/** Family 6; FPU, APIC and what else a processor without CPUID would have to tell. */
const PROCESSOR_SIGNATURE = 0x600
const PROCESSOR_FEATURES = 0x201

/** Interrupt types (table 4-11). */
const INT = 0
const NMI = 1
const EXTINT = 3
const ALL_LOCAL_APICS = 0xff

/** The PCI bus must have the number that it has in configuration space (D.1). */
const PCI_BUS = 0
const ISA_BUS = 1
const ISA_IRQS = 16
/** Request 2 is the cascade of the 8259 pair. */
const CASCADE = 2

export interface MpTableOptions {
  readonly cpus: number
  /** Guest-physical address of the first byte, 16-byte aligned. */
  readonly base: number
}

/** Floating pointer and configuration table, to be written at `base`. */
export function buildMpTable({ cpus, base }: MpTableOptions): Uint8Array {
  const pointer = new ByteList()
    .text('_MP_')
    .u32(base + POINTER_SIZE)
    // Length in paragraphs, revision, checksum, and features: a configuration table is present, no IMCR.
    .u8(1, SPECIFICATION_1_4, 0, 0, 0, 0, 0, 0)
    .toBytes()
  setChecksum(pointer, POINTER_CHECKSUM)
  return new ByteList().bytes(pointer).bytes(buildConfigurationTable(cpus)).toBytes()
}

function buildConfigurationTable(cpus: number): Uint8Array {
  const { list: entries, count } = buildEntries(cpus)
  const bytes = new ByteList()
    .text('PCMP')
    .u16(HEADER_SIZE + entries.length)
    .u8(SPECIFICATION_1_4, 0)
    .text('RINGSIDE', 8)
    .text('PC', 12)
    .u32(0)
    .u16(0, count)
    .u32(LOCAL_APIC_BASE, 0)
    .bytes(entries.toBytes())
    .toBytes()
  setChecksum(bytes, HEADER_CHECKSUM)
  return bytes
}

/** Entries in the order of their types, which 4.3 demands. */
function buildEntries(cpus: number): { list: ByteList; count: number } {
  const list = new ByteList()
  const apic = ioApicId(cpus)
  let count = cpus + 3
  for (let cpu = 0; cpu < cpus; cpu++) {
    list
      .u8(PROCESSOR, cpu, LOCAL_APIC_VERSION, PROCESSOR_ENABLED | (cpu === 0 ? PROCESSOR_BOOTSTRAP : 0))
      .u32(PROCESSOR_SIGNATURE, PROCESSOR_FEATURES, 0, 0)
  }
  list.u8(BUS, PCI_BUS).text('PCI', 6)
  list.u8(BUS, ISA_BUS).text('ISA', 6)
  list.u8(IO_APIC, apic, IOAPIC_VERSION, 1).u32(IOAPIC_BASE)
  const interrupt = (entry: number, type: number, bus: number, source: number, apicId: number, pin: number) => {
    const level = bus === PCI_BUS || (entry === IO_INTERRUPT && source === SCI_IRQ)
    list
      .u8(entry, type)
      .u16(level ? INTI_LEVEL_ACTIVE_HIGH : INTI_AS_BUS)
      .u8(bus, source, apicId, pin)
    count++
  }
  const notIsa = new Set<number>([CASCADE, ...PCI_IRQS])
  interrupt(IO_INTERRUPT, EXTINT, ISA_BUS, 0, apic, 0)
  for (let irq = 0; irq < ISA_IRQS; irq++) {
    if (!notIsa.has(irq)) interrupt(IO_INTERRUPT, INT, ISA_BUS, irq, apic, isaGsi(irq))
  }
  for (let slot = 1; slot < PCI_SLOTS; slot++) {
    for (let pin = 0; pin < PCI_PINS; pin++) {
      // A PCI source is its slot in bits 2 to 6 and its pin in bits 0 and 1 (D.3).
      interrupt(IO_INTERRUPT, INT, PCI_BUS, (slot << 2) | pin, apic, pciIrq(slot, pin))
    }
  }
  interrupt(LOCAL_INTERRUPT, EXTINT, ISA_BUS, 0, ALL_LOCAL_APICS, 0)
  interrupt(LOCAL_INTERRUPT, NMI, ISA_BUS, 0, ALL_LOCAL_APICS, 1)
  return { list, count }
}
