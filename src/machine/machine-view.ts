/** A VM as inspection sees it: an implementation, by structure, of `MachineView` in `inspect/`, which lies above. */

import type { Device, RegisterView } from '../devices/device.ts'
import type { MsixEntry } from '../devices/pci/msix.ts'
import type { MessageUse, PciFunction, PciWindow } from '../devices/pci/pci-function.ts'
import type { PciHost } from '../devices/pci/pci-host.ts'
import { PCI_CONFIG_SIZE } from '../devices/pci/registers.ts'
import type { VgaText } from '../devices/vga-text/vga-text.ts'
import { PAGE_SIZE } from '../engine/host-memory.ts'
import type { Activity, ApicRegister, ControlBlock, SegmentName, SegmentRegister, Vcpu } from '../engine/processor.ts'
import type { GuestEventLog } from '../vmm/guest-events.ts'
import type { RamRange } from '../vmm/guest-memory.ts'
import type { Vm } from '../vmm/vm.ts'
import type { IsaRequest } from './acpi/interrupt-routing.ts'
import type { MachineNetwork } from './machine-network.ts'
import type { PluggedVirtio } from './virtio-devices.ts'

export class VcpuRegisters {
  readonly #vcpu: Vcpu

  constructor(vcpu: Vcpu) {
    this.#vcpu = vcpu
  }

  get index(): number {
    return this.#vcpu.index
  }

  get cpl(): number {
    return this.#vcpu.registers.cpl
  }

  get activity(): Activity {
    return this.#vcpu.activity
  }

  get controls(): ControlBlock {
    return this.#vcpu.controls
  }

  get apicRegisters(): readonly ApicRegister[] {
    return this.#vcpu.apicRegisters
  }

  register(name: string): bigint {
    return this.#vcpu.registers.get(name)
  }

  segment(name: SegmentName): SegmentRegister {
    return this.#vcpu.registers.segment(name)
  }

  table(name: 'gdtr' | 'idtr'): { base: bigint; limit: number } {
    return this.#vcpu.registers.table(name)
  }
}

/** A PCI function as inspection sees it. */
export class PciFunctionView {
  readonly slot: number
  readonly number: number
  readonly #function: PciFunction

  constructor({ slot, number, device }: PciHost['functions'][number]) {
    this.slot = slot
    this.number = number
    this.#function = device
  }

  get name(): string {
    return this.#function.name
  }

  get windows(): readonly PciWindow[] {
    return this.#function.windows
  }

  get messages(): readonly MsixEntry[] | undefined {
    return this.#function.messages
  }

  get messageUses(): readonly MessageUse[] {
    return this.#function.messageUses
  }

  configuration(): Uint8Array {
    return Uint8Array.from({ length: PCI_CONFIG_SIZE }, (_, offset) => this.#function.readConfig(offset, 1))
  }

  registers(): readonly RegisterView[] {
    return this.#function.registers()
  }
}

/** What inspection is shown of a machine's devices. */
export interface VisibleChipset {
  readonly devices: readonly Device[]
  readonly pci?: PciHost
  readonly virtio?: readonly PluggedVirtio[]
  readonly isaRequests?: readonly IsaRequest[]
  readonly network?: MachineNetwork | undefined
  readonly screen?: VgaText
}

export class VmView {
  readonly vcpus: readonly VcpuRegisters[]
  readonly devices: readonly Device[]
  readonly pci: readonly PciFunctionView[]
  readonly virtio: readonly PluggedVirtio[]
  readonly isaRequests: readonly IsaRequest[]
  readonly network: MachineNetwork | undefined
  readonly display: VgaText | undefined
  readonly #vm: Vm

  constructor(vm: Vm, { devices, pci, virtio = [], isaRequests = [], network, screen }: VisibleChipset) {
    this.#vm = vm
    this.devices = devices
    this.pci = pci?.functions.map(plugged => new PciFunctionView(plugged)) ?? []
    this.virtio = virtio
    this.isaRequests = isaRequests
    this.network = network
    this.display = screen
    this.vcpus = vm.vcpus.map(vcpu => new VcpuRegisters(vcpu))
  }

  get guestEvents(): GuestEventLog {
    return this.#vm.events
  }

  get memoryMap(): readonly RamRange[] {
    return this.#vm.memory.map
  }

  get eptPointer(): number {
    return this.#vm.memory.ept.root
  }

  /** For the walk of EPT, which leads to nothing but frames of this VM. */
  get hostWords(): Uint32Array {
    return this.#vm.processor.memory.u32
  }

  /** Only frames of this VM: nothing of another guest can be looked at through it. */
  readHost(hpa: number, length: number): Uint8Array | undefined {
    const { memory } = this.#vm.processor
    for (let page = hpa - (hpa % PAGE_SIZE); page < hpa + length; page += PAGE_SIZE)
      if (!this.#vm.memory.ownsFrame(page)) return undefined
    return memory.u8.slice(hpa, hpa + length)
  }

  hasRam(gpa: number, length: number): boolean {
    return this.#vm.memory.containsRam(gpa, length)
  }

  readPhysical(gpa: number, length: number): Uint8Array | undefined {
    return this.#vm.memory.containsRam(gpa, length) ? this.#vm.memory.read(gpa, length) : undefined
  }
}
