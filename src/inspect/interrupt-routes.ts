/**
 * How the interrupts of devices reach the processors: an INTx pin by its PIRQ to an ISA request and an input of the
 * I/O APIC, a request of the device's own to the same, and an MSI-X entry by itself; and the vector at the end.
 */

import { PIRQ_DISABLED, PIRQ_ROUTE } from '../devices/pci/chipset-functions.ts'
import { pirqOf } from '../devices/pci/pci-host.ts'
import type { DeviceView, MachineView, PciFunctionView } from './machine-view.ts'
import { type MessageModel, pciFunction } from './pci/pci-functions.ts'

export interface InterruptRoute {
  readonly device: string
  /** `INTA`, `IRQ 4`, `MSI-X 1`. */
  readonly source: string
  /** What the entry of an MSI-X table is used for. */
  readonly causes: readonly string[]
  /** `PIRQ D`. */
  readonly pirq?: string
  readonly irq?: number
  /** Where an I/O APIC has the request. */
  readonly ioApic?: { readonly input: number } & Delivery
  /** Where the 8259 pair has it. */
  readonly pic?: { readonly vector: number; readonly masked: boolean }
  readonly message?: MessageModel & Delivery
}

interface Delivery {
  readonly vector: number
  readonly mode: string
  readonly destination: number
  readonly logical: boolean
  readonly masked: boolean
}

/** The timer is at input 2: request 0 is not wired to input 0 (MultiProcessor Specification, 3.6.2). */
const TIMER_INPUT = 2
const ISA_BRIDGE = 'pci-isa-bridge'
const PIRQS = 'ABCD'
const INTEL = 0x8086
const POWER_MANAGEMENT = 0x7113
/** An IDE controller in compatibility mode: both channels have the requests of an AT (PCI IDE Controller 1.0, 2.1). */
const IDE_CLASS = 0x0101
const IDE_NATIVE = 0b101
const IDE_REQUESTS = [14, 15]
/** By bits 8 to 10 of a redirection entry (82093AA, 3.2.4). */
const MODES = ['fixed', 'lowest-priority', 'smi', 'reserved', 'nmi', 'init', 'reserved', 'extint']

export function interruptRoutes(machine: MachineView): InterruptRoute[] {
  return [
    ...machine.isaRequests.map(({ device, irq }) => ({
      ...{ device, source: `IRQ ${irq}`, causes: [], irq },
      ...controllersOf(machine, irq),
    })),
    ...machine.pci.flatMap(view => functionRoutes(machine, view)),
  ]
}

function functionRoutes(machine: MachineView, view: PciFunctionView): InterruptRoute[] {
  const { interruptPin, msix, name, classCode, device, vendor } = pciFunction(view)
  // Its interrupt is the SCI, which `acpi-pm` drives, whatever the pin says (82371AB data sheet, 7.1).
  if (vendor.id === INTEL && device.id === POWER_MANAGEMENT) return []
  const compatible = classCode.id >>> 8 === IDE_CLASS && (classCode.id & IDE_NATIVE) === 0
  if (compatible)
    return IDE_REQUESTS.map(irq => ({
      ...{ device: name, source: `IRQ ${irq}`, causes: [], irq },
      ...controllersOf(machine, irq),
    }))
  // One of the two: while MSI-X is enabled the pin is not used (PCI 3.0, 6.8.3.3).
  if (msix?.enabled)
    return msix.entries.map(({ index, causes, message, masked }) => ({
      ...{ device: name, source: `MSI-X ${index}`, causes },
      ...(message === undefined ? {} : { message: { ...message, masked: masked || msix.masked } }),
    }))
  if (interruptPin === undefined) return []
  const pirq = pirqOf(view.slot, PIRQS.indexOf(interruptPin.slice(-1)) + 1)
  const irq = isaRequestOf(machine, pirq)
  return [
    {
      ...{ device: name, source: interruptPin, causes: [], pirq: `PIRQ ${PIRQS[pirq]}` },
      ...(irq === undefined ? {} : { irq, ...controllersOf(machine, irq) }),
    },
  ]
}

/** As the ISA bridge routes it (82371SB data sheet, 2.2.10). */
function isaRequestOf({ pci }: MachineView, pirq: number): number | undefined {
  const route = pci.find(({ name }) => name === ISA_BRIDGE)?.configuration()[PIRQ_ROUTE + pirq]
  return route === undefined || (route & PIRQ_DISABLED) !== 0 ? undefined : route & 15
}

function controllersOf({ devices }: MachineView, irq: number): Pick<InterruptRoute, 'ioApic' | 'pic'> {
  const input = irq === 0 ? TIMER_INPUT : irq
  const entry = registers(devices, 'ioapic', `IOREDTBL${input} low`, `IOREDTBL${input} high`)
  const chip = irq < 8 ? 'master' : 'slave'
  const pic = registers(devices, 'pic', `${chip} vector base`, `${chip} IMR`)
  return {
    ...(entry === undefined ? {} : { ioApic: { input, ...redirection(entry[0], entry[1]) } }),
    ...(pic === undefined ? {} : { pic: { vector: pic[0] + (irq & 7), masked: (pic[1] & (1 << (irq & 7))) !== 0 } }),
  }
}

const redirection = (low: number, high: number): Delivery => ({
  ...{ vector: low & 0xff, mode: MODES[(low >>> 8) & 7], masked: (low & 0x1_0000) !== 0 },
  ...{ destination: high >>> 24, logical: (low & 0x800) !== 0 },
})

/** Values of two registers of a device; undefined where it is not shown. */
function registers(
  devices: readonly DeviceView[],
  name: string,
  ...wanted: [string, string]
): [number, number] | undefined {
  const all = devices.find(device => device.name === name)?.registers()
  const [first, second] = wanted.map(register => all?.find(each => each.name === register)?.value)
  return first === undefined || second === undefined ? undefined : [first, second]
}
