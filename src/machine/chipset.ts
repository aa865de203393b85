/** The devices of a PC on their bus, with their interrupts wired to both kinds of controllers. */

import type { Bridge } from '../backends/network/bridge.ts'
import { AcpiPm } from '../devices/acpi-pm/acpi-pm.ts'
import { IsaInterrupts } from '../devices/bus/isa-interrupts.ts'
import { SystemBus } from '../devices/bus/system-bus.ts'
import { DebugConsole } from '../devices/debug-console/debug-console.ts'
import { DebugExit } from '../devices/debug-exit/debug-exit.ts'
import type { Device, InterruptLine } from '../devices/device.ts'
import { FastReset } from '../devices/fast-reset/fast-reset.ts'
import { ResetControl } from '../devices/fast-reset/reset-control.ts'
import { FwCfg } from '../devices/fw-cfg/fw-cfg.ts'
import { Hpet } from '../devices/hpet/hpet.ts'
import { I8042 } from '../devices/i8042/i8042.ts'
import { IoApic } from '../devices/ioapic/ioapic.ts'
import { PciHost } from '../devices/pci/pci-host.ts'
import { Pic } from '../devices/pic/pic.ts'
import { Pit } from '../devices/pit/pit.ts'
import { cmosMemorySize } from '../devices/rtc/cmos-memory.ts'
import { Rtc } from '../devices/rtc/rtc.ts'
import { Uart } from '../devices/uart/uart.ts'
import { VgaText } from '../devices/vga-text/vga-text.ts'
import { LOW_RAM_END } from '../vmm/guest-memory.ts'
import type { Platform } from '../vmm/platform.ts'
import type { Vm } from '../vmm/vm.ts'
import { type IsaRequest, ioApicId, isaGsi, PCI_IRQS, SCI_IRQ } from './acpi/interrupt-routing.ts'
import { ChannelDevices, type PortOutput } from './channel-devices.ts'
import type { MachineConfiguration } from './configuration.ts'
import { Disks, plugIde } from './disks.ts'
import { fillFwCfg } from './fw-cfg-contents.ts'
import { type MachineNetwork, networkOf } from './machine-network.ts'
import { PciSlots } from './pci-slots.ts'
import { isVirtio, type PluggedVirtio, plugVirtioDevices } from './virtio-devices.ts'

/** Base ports and requests of COM1 to COM4, as PCs have them. */
const SERIAL_PORTS = [
  { port: 0x3f8, irq: 4 },
  { port: 0x2f8, irq: 3 },
  { port: 0x3e8, irq: 4 },
  { port: 0x2e8, irq: 3 },
] as const

const TIMER_IRQ = 0
const KEYBOARD_IRQ = 1
/** The second controller of the 8259 pair hangs there: no device can pull it. */
const CASCADE_IRQ = 2
/** Input of the I/O APIC that the 8259's output is wired to; the timer has another (MultiProcessor Specification, 3.6.2). */
const PIC_PIN = 0
const RTC_IRQ = 8
const MOUSE_IRQ = 12
/** Requests that firmware programs as level-triggered: several devices share each. */
const LEVEL_IRQS = [SCI_IRQ, ...PCI_IRQS].reduce((mask, irq) => mask | (1 << irq), 0)

/** Where what the guest says goes. */
export interface MachineOutputs {
  /** A byte of the first serial port, the console. */
  readonly console: (byte: number) => void
  /** A byte of the debug console at port 0xE9. */
  readonly debugConsole: (byte: number) => void
  /** Bytes of a virtio console's port. */
  readonly port?: PortOutput
  /** Something on the host failed, and the machine goes on without it. */
  readonly warn?: (message: string) => void
}

export class Chipset {
  /** In order of creation. */
  readonly devices: readonly Device[]
  readonly platform: Platform
  readonly pci: PciHost
  /** The paravirtual devices, in the order of the configuration. */
  readonly virtio: readonly PluggedVirtio[]
  /** Requests that devices drive themselves, beside the PIRQs. */
  readonly isaRequests: readonly IsaRequest[]
  /** Consoles, balloons and shared folders among them. */
  readonly channels: ChannelDevices
  /** Undefined where there is none. */
  readonly network: MachineNetwork | undefined
  /** The first serial port. */
  readonly console: Uart
  /** Its text can be read. */
  readonly screen = new VgaText()
  readonly keyboard: I8042

  /** @param bridge that the machine's network is plugged into; one of its own if absent. */
  constructor(
    configuration: MachineConfiguration,
    vm: Vm,
    outputs: MachineOutputs,
    disks = new Disks([]),
    bridge?: Bridge,
  ) {
    const { clock } = vm
    const bus = new SystemBus()
    const onReset = () => vm.requestStop({ kind: 'reset' })
    // Two gates, one line: the last change of either counts, as in other emulated PCs.
    const onA20 = (enabled: boolean) => vm.setA20(enabled)

    const ioApic = new IoApic({ send: message => vm.deliver(message), id: ioApicId(configuration.cpus) })
    const picInput = ioApic.line(PIC_PIN)
    // Where a pin is programmed as ExtINT, the run loop asks the controller whether an interrupt is pending.
    const pic = new Pic({
      output: {
        set: asserted => {
          if (asserted) vm.raiseLint0()
          picInput.set(asserted)
        },
      },
      levelTriggered: LEVEL_IRQS,
    })
    const interrupts = new IsaInterrupts(irq => (irq === CASCADE_IRQ ? [] : [pic.line(irq), ioApic.line(isaGsi(irq))]))
    const interrupt = (irq: number): InterruptLine => interrupts.source(irq)

    const pit = new Pit({ clock, interrupt: interrupt(TIMER_IRQ) })
    const rtc = new Rtc({
      clock,
      interrupt: interrupt(RTC_IRQ),
      start: configuration.startDate.getTime() / 1000,
      cmos: cmosContents(configuration),
    })
    const uarts = SERIAL_PORTS.map(
      ({ port, irq }, index) =>
        new Uart({
          name: `uart${index}`,
          port,
          clock,
          interrupt: interrupt(irq),
          sink: index === 0 ? outputs.console : () => undefined,
        }),
    )
    this.keyboard = new I8042({
      keyboardInterrupt: interrupt(KEYBOARD_IRQ),
      mouseInterrupt: interrupt(MOUSE_IRQ),
      onReset,
      onA20,
    })
    const resetControl = new ResetControl(onReset)
    const pci = new PciHost({ bus, interrupt, resetControl, pirqRoutes: PCI_IRQS })
    const fwCfg = new FwCfg(vm.memory)
    fillFwCfg(fwCfg, configuration, vm.memory.map)
    const attached: (Device & { attach(bus: SystemBus): void })[] = [
      pic,
      ioApic,
      pit,
      rtc,
      ...uarts,
      this.keyboard,
      new FastReset({ onReset, onA20 }),
      pci,
      new AcpiPm({ clock, interrupt: interrupt(SCI_IRQ), onPowerOff: () => vm.requestStop({ kind: 'power-off' }) }),
      fwCfg,
      this.screen,
      new DebugConsole(outputs.debugConsole),
      new DebugExit(value => vm.requestStop({ kind: 'debug-exit', value })),
    ]
    if (configuration.hpet)
      attached.push(
        new Hpet({
          clock,
          input: pin => ioApic.line(pin),
          legacy: [interrupt(TIMER_IRQ), interrupt(RTC_IRQ)],
          onLegacy: enabled => {
            pit.setDisconnected(enabled)
            rtc.setDisconnected(enabled)
          },
        }),
      )
    this.pci = pci
    this.network = networkOf(configuration, clock, { warn: outputs.warn, bridge })
    this.channels = new ChannelDevices(vm.memory, outputs.port)
    const slots = new PciSlots(pci)
    plugIde(disks, { memory: vm.memory, clock, slots, interrupt, bus })
    this.virtio = plugVirtioDevices(configuration.devices.filter(isVirtio), {
      memory: vm.memory,
      clock,
      slots,
      send: message => vm.deliver(message),
      network: this.network,
      interrupt,
      attach: device => attached.push(device),
      disks,
      channels: this.channels,
    })
    for (const device of attached) device.attach(bus)

    this.isaRequests = [
      ...[
        { device: pit.name, irq: TIMER_IRQ },
        { device: rtc.name, irq: RTC_IRQ },
        { device: 'acpi-pm', irq: SCI_IRQ },
      ],
      ...[KEYBOARD_IRQ, MOUSE_IRQ].map(irq => ({ device: 'i8042', irq })),
      ...SERIAL_PORTS.map(({ irq }, index) => ({ device: uarts[index].name, irq })),
      ...this.virtio.flatMap(({ core, irq }) => (irq === undefined ? [] : [{ device: core.device.name, irq }])),
    ]
    const network = this.network === undefined ? [] : [this.network]
    this.devices = [interrupts, ...attached, ...network, resetControl]
    this.console = uarts[0]
    this.platform = {
      bus,
      ioApic,
      showByte: outputs.debugConsole,
      externalInterrupts: {
        get pending() {
          return pic.output
        },
        acknowledge: () => pic.acknowledge(),
      },
    }
  }

  reset(): void {
    for (const device of this.devices) device.reset()
  }
}

function cmosContents({ memory, cpus }: MachineConfiguration): Map<number, number> {
  const below4G = Math.min(memory, LOW_RAM_END)
  return cmosMemorySize({ below4G, above4G: memory - below4G, cpus })
}
