/** A PC: one VM with its devices, its firmware tables and its loader, put together from a configuration. */

import { DiskError } from '../backends/disk/disk.ts'
import type { Bridge } from '../backends/network/bridge.ts'
import { loadImage } from '../boot/boot.ts'
import type { EntryState } from '../boot/boot-target.ts'
import type { I8042 } from '../devices/i8042/i8042.ts'
import type { SegmentName, Vcpu } from '../engine/processor.ts'
import { HostInputs } from '../util/host-input.ts'
import type { Json } from '../util/json.ts'
import { readSnapshotHeader, restoreVm, SnapshotError, saveSnapshot } from '../vmm/snapshot.ts'
import { Vm, type VmState } from '../vmm/vm.ts'
import { ACPI_BASE, buildAcpiTables } from './acpi/acpi-tables.ts'
import type { ChannelDevices } from './channel-devices.ts'
import { Chipset, type MachineOutputs } from './chipset.ts'
import { identityOf, type MachineConfiguration } from './configuration.ts'
import type { DeliveryJournal } from './delivery-journal.ts'
import { Disks } from './disks.ts'
import { Host } from './host.ts'
import { VmView } from './machine-view.ts'
import { buildMpTable, MP_TABLE_BASE } from './mp-table.ts'
import { announcedCommandLine, mmioWindows } from './virtio-mmio-windows.ts'

export class Pc {
  readonly configuration: MachineConfiguration
  readonly vm: Vm
  readonly view: VmView
  readonly chipset: Chipset
  /** What comes from the host by itself: whoever runs the machine delivers it between slices. */
  readonly hostInputs = new HostInputs()
  readonly #disks: Disks
  readonly #powerOn: { readonly vm: VmState; readonly devices: readonly Json[] }

  /**
   * A machine in power-on state: {@link boot} or {@link restore} it.
   * @param host where it runs beside others; one of its own if absent.
   * @param bridge that its network is plugged into, with those of others; one of its own if absent.
   */
  static async create(
    configuration: MachineConfiguration,
    outputs: MachineOutputs,
    host?: Host,
    bridge?: Bridge,
  ): Promise<Pc> {
    const { processor, pool } = host ?? (await Host.create(configuration.model, configuration.memory))
    const disks = new Disks(configuration.devices, outputs.warn)
    let vm: Vm | undefined
    try {
      vm = new Vm({ processor, pool, memory: configuration.memory, cpus: configuration.cpus })
      const pc = new Pc(configuration, vm, outputs, disks, bridge)
      await pc.chipset.network?.open()
      return pc
    } catch (error) {
      vm?.dispose()
      disks.close()
      throw error
    }
  }

  private constructor(
    configuration: MachineConfiguration,
    vm: Vm,
    outputs: MachineOutputs,
    disks: Disks,
    bridge: Bridge | undefined,
  ) {
    this.configuration = configuration
    this.vm = vm
    this.#disks = disks
    this.chipset = new Chipset(configuration, vm, outputs, disks, bridge)
    this.view = new VmView(vm, this.chipset)
    vm.attach(this.chipset.platform)
    if (this.chipset.network !== undefined) this.hostInputs.add(this.chipset.network)
    for (const worker of disks.workers) this.hostInputs.add(worker)
    this.#powerOn = { vm: vm.save(), devices: this.chipset.devices.map(device => device.save()) }
  }

  /** Does what firmware does: writes its tables, loads the image, sets the boot processor. Throws `ImageError`. */
  boot(): void {
    const { image, initrd, protocol } = this.configuration
    const rsdp = this.#writeFirmwareTables()
    const entry = loadImage(
      {
        name: image.name,
        image: image.bytes,
        ...(initrd === undefined ? {} : { initrd: initrd.bytes, initrdName: initrd.name }),
        cmdline: announcedCommandLine(this.configuration),
        ...(rsdp === undefined ? {} : { rsdp }),
      },
      this.vm.memory,
      protocol,
    )
    enter(this.vm.vcpus[0], entry)
  }

  /** Power-on state with the image loaded again; the instruction count and virtual time go on. */
  reset(): void {
    this.vm.reset()
    this.chipset.reset()
    this.boot()
  }

  /**
   * As put together anew and booted: time, counts and exits begin again, so that the same run happens once more. What
   * the guest wrote to disks stays on them.
   */
  powerCycle(): void {
    this.vm.reset()
    this.chipset.reset()
    for (const [i, device] of this.chipset.devices.entries()) device.restore(this.#powerOn.devices[i])
    this.vm.restore(this.#powerOn.vm)
    this.#disks.journal.clear()
    this.boot()
  }

  /** Virtio consoles and the balloon. */
  get channels(): ChannelDevices {
    return this.chipset.channels
  }

  /** With the keyboard. */
  get keyboard(): I8042 {
    return this.chipset.keyboard
  }

  /** Gives a byte to the first serial port; false when its receiver is full. */
  sendSerial(byte: number): boolean {
    return this.chipset.console.receive(Uint8Array.of(byte)) === 1
  }

  /** When answers of workers were handed to the guest. */
  get deliveries(): DeliveryJournal {
    return this.#disks.journal
  }

  /**
   * The whole machine in pieces of a file, but for the contents of its disks. What workers have under way is finished,
   * and handed over, before. Throws `SnapshotError` when it can't be.
   */
  save(): Uint8Array[] {
    this.#finishRequests()
    const devices: Record<string, Json> = {}
    for (const device of this.chipset.devices) devices[device.name] = device.save()
    return saveSnapshot(this.vm, identityOf(this.configuration), devices)
  }

  /** @param name of the snapshot, for messages. Throws `SnapshotError`. */
  restore(name: string, snapshot: Uint8Array): void {
    const header = readSnapshotHeader(name, snapshot, identityOf(this.configuration))
    for (const device of this.chipset.devices) {
      const state = header.devices[device.name]
      if (state === undefined) throw new SnapshotError(`snapshot "${name}": it has no state of device "${device.name}"`)
      device.restore(state)
    }
    restoreVm(this.vm, snapshot, header)
  }

  #finishRequests(): void {
    try {
      this.#disks.drain()
    } catch (error) {
      if (error instanceof DiskError) throw new SnapshotError(`the machine can't be saved: ${error.message}`)
      throw error
    }
  }

  /** Gives host memory back, and closes what files and sockets of the host the machine has. */
  dispose(): void {
    this.hostInputs.close()
    this.#disks.close()
    this.chipset.channels.close()
    this.vm.dispose()
  }

  /** @returns the address of the ACPI RSDP. */
  #writeFirmwareTables(): number | undefined {
    const { acpi, cpus, hpet, devices } = this.configuration
    this.vm.memory.write(MP_TABLE_BASE, buildMpTable({ cpus, base: MP_TABLE_BASE }))
    if (!acpi) return undefined
    const tables = buildAcpiTables({ cpus, hpet, mmio: mmioWindows(devices), base: ACPI_BASE })
    this.vm.memory.write(ACPI_BASE, tables.bytes)
    return tables.rsdp
  }
}

/** Puts the boot processor where the loader says. */
function enter({ registers }: Vcpu, entry: EntryState): void {
  for (const [name, value] of Object.entries(entry.registers)) registers.set(name, value)
  for (const name of SEGMENT_NAMES) {
    const segment = entry.segments?.[name]
    if (segment !== undefined) registers.setSegment(name, segment)
  }
  if (entry.gdtr !== undefined) registers.setTable('gdtr', entry.gdtr)
  if (entry.idtr !== undefined) registers.setTable('idtr', entry.idtr)
}

const SEGMENT_NAMES: readonly SegmentName[] = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr']
