/**
 * The IDE function of the 82371SB (PIIX3): two channels at the ports and requests that they had in the first PCs, and a
 * bus master for each behind base address register 4.
 */

import { type Disk, SECTOR_SIZE } from '../../backends/disk/disk.ts'
import type { Json } from '../../util/json.ts'
import type { VirtualClock } from '../../util/virtual-clock.ts'
import { readByBytes, writeByBytes } from '../bus/byte-ports.ts'
import type { DeviceBus, InterruptLine, PortHandler, RegisterView } from '../device.ts'
import { PciFunction, type PciSlot } from '../pci/pci-function.ts'
import * as pci from '../pci/registers.ts'
import { SavedState } from '../saved-state.ts'
import type { DmaMemory } from '../virtio/virtqueue/queue-memory.ts'
import { AtaDrive } from './ata-drive.ts'
import { BusMaster } from './bus-master.ts'
import { IdeChannel } from './ide-channel.ts'
import * as r from './registers.ts'

const INTEL = 0x8086
/** The function's place on bus 0: that of the ISA bridge's chip. */
export const IDE_PLACE = { slot: 1, number: 1 } as const
const BUS_MASTER_PORTS = 16

const CHANNELS = [
  { command: 0x1f0, control: 0x3f6, irq: 14 },
  { command: 0x170, control: 0x376, irq: 15 },
] as const
/** Drives that there is room for, in the order primary master, primary slave, secondary master, secondary slave. */
export const IDE_DRIVES = 4

export interface Piix3IdeOptions {
  readonly clock: VirtualClock
  readonly memory: DmaMemory
  /** A source for one ISA request, edge-triggered. */
  readonly interrupt: (irq: number) => InterruptLine
  /** By position; undefined where there is no drive. */
  readonly disks: readonly (Disk | undefined)[]
  /** For people: a request failed on the host. */
  readonly onFailure?: (reason: string) => void
}

export class Piix3Ide extends PciFunction {
  readonly #channels: readonly IdeChannel[]

  /** @throws Error when there are more disks than places. */
  constructor(options: Piix3IdeOptions) {
    super('ide', {
      ...{ vendor: INTEL, device: 0x7010, revision: 0, classCode: 0x010180 },
      ...{ subsystemVendor: 0x1af4, subsystem: 0x1100, status: pci.PCI_STATUS_DEVSEL_MEDIUM },
    })
    if (options.disks.length > IDE_DRIVES)
      throw new Error(`${options.disks.length} IDE disks: there is room for ${IDE_DRIVES}`)
    this.#channels = CHANNELS.map(({ irq }, index) => {
      const busMaster = new BusMaster(options.memory)
      return new IdeChannel({ name: `ide${index}`, interrupt: options.interrupt(irq), busMaster })
    })
    for (const [position, disk] of options.disks.entries())
      if (disk !== undefined) this.#connect(position, disk, options)
    const handler: PortHandler = {
      readPort: (port, size) => readByBytes(port, size, at => this.#readBusMaster(at % BUS_MASTER_PORTS)),
      writePort: (port, size, value) =>
        writeByBytes(port, size, value, (at, byte) => this.#writeBusMaster(at % BUS_MASTER_PORTS, byte)),
    }
    this.addBar(4, { kind: 'io', size: BUS_MASTER_PORTS, handler })
    const config = new DataView(this.config.buffer)
    // As firmware leaves it: it boots from such disks.
    config.setUint16(pci.PCI_COMMAND, pci.PCI_COMMAND_IO | pci.PCI_COMMAND_MASTER, true)
    for (let channel = 0; channel < CHANNELS.length; channel++)
      config.setUint16(r.IDETIM + 2 * channel, r.IDETIM_DECODE, true)
    // Timing of both channels: storage, but for the bit that decodes their ports.
    this.writable.fill(0xff, r.IDETIM, r.IDETIM + 2 * CHANNELS.length)
  }

  #connect(position: number, disk: Disk, { clock, onFailure }: Piix3IdeOptions): void {
    const channel = this.#channels[position >> 1]
    const place = position & 1 ? 1 : 0
    const drive = new AtaDrive({
      ...{ name: `${channel.name}.${place}`, disk, clock, busMaster: channel.busMaster },
      identity: {
        serial: `RS${String(position).padStart(4, '0')}`,
        firmware: '1.0',
        model: `RINGSIDE DISK ${Math.floor((disk.sectors * SECTOR_SIZE) / 2 ** 20)} MIB`,
      },
      onInterrupt: () => channel.update(),
      onFailure: onFailure ?? (() => {}),
    })
    channel.connect(place, drive)
  }

  /** The fixed ports; those of the bus master follow their base address. */
  attach(bus: DeviceBus): void {
    for (const [index, { command, control }] of CHANNELS.entries()) {
      const channel = this.#channels[index]
      bus.addPorts(command, r.COMMAND_BLOCK_PORTS, {
        readPort: (port, size) => channel.read(port - command, size),
        writePort: (port, size, value) => channel.write(port - command, size, value),
      })
      bus.addPorts(control, 1, {
        readPort: () => channel.readAlternateStatus(),
        writePort: (_port, _size, value) => channel.writeControl(value),
      })
    }
  }

  override plug(slot: PciSlot, line: number): void {
    super.plug(slot, line)
    slot.remap()
  }

  protected override configWritten(): void {
    this.#decode()
  }

  /** The command register, and each channel's timing register, let ports through. */
  #decode(): void {
    const config = new DataView(this.config.buffer)
    const io = (config.getUint16(pci.PCI_COMMAND, true) & pci.PCI_COMMAND_IO) !== 0
    for (const [index, channel] of this.#channels.entries())
      channel.decoded = io && (config.getUint16(r.IDETIM + 2 * index, true) & r.IDETIM_DECODE) !== 0
  }

  #readBusMaster(offset: number): number {
    return this.#channels[offset >> 3].busMaster.read(offset % r.BM_CHANNEL_PORTS)
  }

  #writeBusMaster(offset: number, value: number): void {
    // Without the right to master the bus, nothing starts.
    const master = (new DataView(this.config.buffer).getUint16(pci.PCI_COMMAND, true) & pci.PCI_COMMAND_MASTER) !== 0
    const register = offset % r.BM_CHANNEL_PORTS
    if (register === r.BM_COMMAND && !master) return
    this.#channels[offset >> 3].busMaster.write(register, value)
  }

  override reset(): void {
    super.reset()
    this.#decode()
    for (const channel of this.#channels) channel.reset()
  }

  override save(): Json {
    return { function: super.save(), channels: this.#channels.map(channel => channel.save()) }
  }

  override restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    super.restore(saved.value('function'))
    this.#decode()
    for (const [index, channel] of saved.parts('channels', this.#channels.length).entries())
      this.#channels[index].restore(channel)
  }

  override registers(): readonly RegisterView[] {
    return [...super.registers(), ...this.#channels.flatMap(channel => channel.registers())]
  }
}
