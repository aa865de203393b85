/** The multiple APIC description table (ACPI 6.5, 5.2.12): processors, I/O APIC, and how ISA interrupts differ. */

import { IOAPIC_BASE } from '../../devices/ioapic/registers.ts'
import { ByteList } from './byte-list.ts'
import { INTI_AS_BUS, INTI_LEVEL_ACTIVE_HIGH, ioApicId, isaGsi, LEVEL_IRQS, TIMER_GSI } from './interrupt-routing.ts'
import { acpiTable } from './table.ts'

export const LOCAL_APIC_BASE = 0xfee00000

/** There is an 8259 pair too. */
const PCAT_COMPAT = 1 << 0
const LOCAL_APIC = 0
const IO_APIC = 1
const INTERRUPT_SOURCE_OVERRIDE = 2
const LOCAL_APIC_NMI = 4
const ENABLED = 1 << 0
const ALL_PROCESSORS = 0xff
const REVISION = 3

export function buildMadt(cpus: number): Uint8Array {
  const body = new ByteList().u32(LOCAL_APIC_BASE, PCAT_COMPAT)
  for (let cpu = 0; cpu < cpus; cpu++) body.u8(LOCAL_APIC, 8, cpu, cpu).u32(ENABLED)
  body.u8(IO_APIC, 12, ioApicId(cpus), 0).u32(IOAPIC_BASE, 0)
  override(body, 0, TIMER_GSI, INTI_AS_BUS)
  for (const irq of LEVEL_IRQS) override(body, irq, isaGsi(irq), INTI_LEVEL_ACTIVE_HIGH)
  body.u8(LOCAL_APIC_NMI, 6, ALL_PROCESSORS).u16(INTI_AS_BUS).u8(1)
  return acpiTable('APIC', REVISION, body)
}

function override(body: ByteList, irq: number, gsi: number, flags: number): void {
  body.u8(INTERRUPT_SOURCE_OVERRIDE, 10, 0, irq).u32(gsi).u16(flags)
}
