/** The DSDT: what the machine consists of, in AML. */

import {
  GPE0,
  GPE0_LENGTH,
  PM_TIMER,
  PM_TIMER_LENGTH,
  PM1A_EVENT,
  SLP_TYP_S5,
} from '../../devices/acpi-pm/registers.ts'
import type { MmioWindow } from '../virtio-mmio-windows.ts'
import { device, eisaId, integer, name, pkg, scope, string, type Term } from './aml.ts'
import { ByteList } from './byte-list.ts'
import { HPET_BASE, HPET_SIZE } from './hpet-table.ts'
import { PCI_PINS, PCI_SLOTS, pciIrq } from './interrupt-routing.ts'
import { busWindow, interrupt, memory, memoryWindow, ports, portWindow, resources, wideInterrupt } from './resources.ts'
import { acpiTable } from './table.ts'

/** Where PCI devices' memory is: from the end of low RAM to the I/O APIC. */
export const PCI_HOLE_START = 0xc0000000
export const PCI_HOLE_END = 0xfec00000

const REVISION = 2

interface SerialPort {
  readonly base: number
  readonly irq: number
}

const SERIAL_PORTS: readonly SerialPort[] = [
  { base: 0x3f8, irq: 4 },
  { base: 0x2f8, irq: 3 },
  { base: 0x3e8, irq: 4 },
  { base: 0x2e8, irq: 3 },
]

export interface DsdtOptions {
  readonly cpus: number
  readonly hpet: boolean
  readonly mmio: readonly MmioWindow[]
}

export function buildDsdt({ cpus, hpet, mmio }: DsdtOptions): Uint8Array {
  const terms = [
    // SLP_TYPa, SLP_TYPb, two reserved (7.4.2.6).
    name('\\_S5', pkg(integer(SLP_TYP_S5), integer(SLP_TYP_S5), integer(0), integer(0))),
    scope(
      '\\_SB',
      ...processors(cpus),
      pciHost(),
      motherboard(),
      isaDevice('PIC', 'PNP0000', ports(0x20, 2), ports(0xa0, 2), ports(0x4d0, 2), interrupt(2)),
      isaDevice('TIMR', 'PNP0100', ports(0x40, 4), interrupt(0)),
      isaDevice('RTC', 'PNP0B00', ports(0x70, 2), interrupt(8)),
      isaDevice('SPKR', 'PNP0800', ports(0x61, 1)),
      isaDevice('KBD', 'PNP0303', ports(0x60, 1), ports(0x64, 1), interrupt(1)),
      isaDevice('MOU', 'PNP0F13', interrupt(12)),
      ...SERIAL_PORTS.map(({ base, irq }, index) =>
        device(
          `COM${index + 1}`,
          name('_HID', eisaId('PNP0501')),
          name('_UID', integer(index + 1)),
          name('_CRS', resources(ports(base, 8), interrupt(irq))),
        ),
      ),
      ...(hpet ? [isaDevice('HPET', 'PNP0103', memory(HPET_BASE, HPET_SIZE))] : []),
      ...mmio.map(virtioMmio),
    ),
  ]
  return acpiTable('DSDT', REVISION, new ByteList().bytes(terms.flat()))
}

/** Processor devices; `_UID` ties each to its entry in the MADT. */
function processors(cpus: number): Term[] {
  return Array.from({ length: cpus }, (_, index) =>
    device(
      `C${index.toString(16).toUpperCase().padStart(3, '0')}`,
      name('_HID', string('ACPI0007')),
      name('_UID', integer(index)),
    ),
  )
}

function pciHost(): Term {
  return device(
    'PCI0',
    name('_HID', eisaId('PNP0A03')),
    name('_BBN', integer(0)),
    name('_UID', integer(0)),
    name(
      '_CRS',
      resources(
        busWindow(0, 0xff),
        ports(0xcf8, 8),
        portWindow(0, 0xcf7),
        portWindow(0xd00, 0xffff),
        memoryWindow(0xa0000, 0xbffff),
        memoryWindow(PCI_HOLE_START, PCI_HOLE_END - 1),
      ),
    ),
    name('_PRT', routes()),
  )
}

/**
 * `_PRT` (6.2.13): for each slot and pin the interrupt it is wired to, in either interrupt model; the third field says
 * "not through a link device".
 */
function routes(): Term {
  const entries: Term[] = []
  for (let slot = 1; slot < PCI_SLOTS; slot++) {
    for (let pin = 0; pin < PCI_PINS; pin++) {
      const anyFunction = slot * 0x10000 + 0xffff
      entries.push(pkg(integer(anyFunction), integer(pin), integer(0), integer(pciIrq(slot, pin))))
    }
  }
  return pkg(...entries)
}

/** Ports of the fixed hardware, so that the system gives them to nobody else. */
function motherboard(): Term {
  return device(
    'MBRD',
    name('_HID', eisaId('PNP0C02')),
    name(
      '_CRS',
      resources(ports(PM1A_EVENT, PM_TIMER + PM_TIMER_LENGTH - PM1A_EVENT), ports(GPE0, GPE0_LENGTH), ports(0x92, 1)),
    ),
  )
}

/** LNRO0005 is what Linux calls a virtio-mmio device. */
function virtioMmio({ base, size, irq, shared }: MmioWindow, index: number): Term {
  return device(
    `VR${index.toString(16).toUpperCase().padStart(2, '0')}`,
    name('_HID', string('LNRO0005')),
    name('_UID', integer(index)),
    name('_CRS', resources(memory(base, size), wideInterrupt(irq, shared))),
  )
}

function isaDevice(of: string, id: string, ...descriptors: readonly Term[]): Term {
  return device(of, name('_HID', eisaId(id)), name('_CRS', resources(...descriptors)))
}
