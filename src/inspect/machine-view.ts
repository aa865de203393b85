/**
 * The machine as inspection sees it: registers, and memory by address space. Everything in this folder is a pure
 * function from it to a model; it never learns how the guest runs, and nothing here changes the guest.
 */

import type { BridgePort, LearnedAddress } from '../backends/network/bridge.ts'
import type { PacketTrace } from '../backends/network/packet-trace.ts'
import type { MsixEntry } from '../devices/pci/msix.ts'
import type { MessageUse, PciWindow } from '../devices/pci/pci-function.ts'
import type { Picture } from '../devices/vga-text/picture.ts'
import type { Chain, ChainContent, ChainDescription } from '../devices/virtio/virtio-device.ts'
import type { HistoryEntry } from '../devices/virtio/virtqueue/history.ts'
import type { RingPlace } from '../devices/virtio/virtqueue/ring.ts'
import type { QueueFormat } from '../devices/virtio/virtqueue/virt-queue.ts'
import type { Activity, ApicRegister, ControlBlock, SegmentName, SegmentRegister } from '../engine/processor.ts'

export interface VcpuView {
  readonly index: number
  /**
   * `rax`..`r15`, `rip`, `rflags`, `cr0`, `cr2`, `cr3`, `cr4`, `cr8`, `pdpte0`..`pdpte3`, `efer`, `xcr0`, `pkru`,
   * `dr0`.., `xmm0`.., `ymm0`.., `mxcsr`, `st0`.. (80 bits), `x87_control` and its like, `a20m` (1 while the A20M# pin
   * is asserted), MSRs by name such as `msr_lstar`.
   */
  register(name: string): bigint
  segment(name: SegmentName): SegmentRegister
  table(name: 'gdtr' | 'idtr'): { base: bigint; limit: number }
  readonly cpl: number
  readonly activity: Activity
  /** What the hypervisor controls; undefined when it can't be seen. */
  readonly controls: ControlBlock | undefined
  /** The local APIC; empty when it can't be seen. */
  readonly apicRegisters: readonly ApicRegister[]
}

/** A device as inspection sees it. */
export interface DeviceView {
  readonly name: string
  /** Where it always lies in guest-physical memory; absent for those that have no such place. */
  readonly memoryWindow?: { readonly base: number; readonly size: number }
  /** Looking has no side effect. */
  registers(): readonly DeviceRegister[]
}

export interface DeviceRegister {
  readonly name: string
  readonly value: number
  /** In bits. */
  readonly width: number
  readonly meaning?: string
}

/** What the guest told of itself by hypercall, with the count of instructions when it did. */
export interface GuestEventView {
  readonly count: number
  readonly vcpu: number
  readonly cpl: number
  /** Behind the call. */
  readonly rip: bigint
  readonly name: string
  readonly values: readonly bigint[]
}

export interface GuestEventLogView {
  readonly total: number
  /** Oldest first. */
  last(limit: number): readonly GuestEventView[]
}

/** A function of PCI bus 0. */
export interface PciFunctionView extends DeviceView {
  readonly slot: number
  readonly number: number
  /** What lies behind its base address registers. */
  readonly windows: readonly PciWindow[]
  /** Its MSI-X table; undefined without. */
  readonly messages: readonly MsixEntry[] | undefined
  readonly messageUses: readonly MessageUse[]
  /** A copy of configuration space. */
  configuration(): Uint8Array
}

/** A queue of a virtio device: what the driver set up, and what the device knows that is not in memory. */
export interface VirtqueueView {
  readonly index: number
  readonly name: string
  readonly size: number
  readonly maximumSize: number
  readonly enabled: boolean
  readonly format: QueueFormat | undefined
  /** Undefined while the queue is not enabled. */
  readonly ring: { readonly place: RingPlace } | undefined
  /** Chains that the device has: its own copies. */
  readonly taken: readonly Chain[]
  /** The last that were completed, oldest first. */
  readonly completed: readonly HistoryEntry[]
  address(area: 'descriptors' | 'driver' | 'device'): number
}

export interface VirtioView {
  /** `PCI 00:03.0`. */
  readonly place: string
  /** `pci`, `mmio`, ... */
  readonly transport: string
  readonly core: {
    readonly device: {
      readonly name: string
      readonly type: number
      readonly featureNames: Readonly<Record<number, string>>
      describe(queue: number, chain: ChainContent): ChainDescription
    }
    readonly status: number
    /** In effect. */
    readonly features: bigint
    /** Why it needs a reset. */
    readonly brokenReason: string | undefined
    readonly queues: readonly VirtqueueView[]
    registers(): readonly DeviceRegister[]
  }
}

/** The network card of a machine, and the bridge that it is plugged into. */
export interface NetworkView {
  readonly card: { readonly name: string }
  /** Of the bridge, where the card is plugged in. */
  readonly port: { readonly name: string }
  readonly bridge: {
    readonly ports: readonly Pick<BridgePort, 'name' | 'counters'>[]
    /** In order of learning. */
    readonly learned: readonly LearnedAddress[]
    /** Undefined where packets are not traced. */
    readonly trace: Pick<PacketTrace, 'frames' | 'packets'> | undefined
  }
}

/** A device that is wired to an ISA request of its own. */
export interface IsaRequestView {
  readonly device: string
  readonly irq: number
}

export interface MemoryMapEntry {
  readonly start: number
  /** Bytes. */
  readonly length: number
  readonly type: number
}

export interface MachineView {
  readonly vcpus: readonly VcpuView[]
  readonly devices: readonly DeviceView[]
  /** In order of plugging; empty where they can't be seen. So with the others. */
  readonly pci: readonly PciFunctionView[]
  readonly virtio: readonly VirtioView[]
  readonly isaRequests: readonly IsaRequestView[]
  /** undefined without. */
  readonly network: NetworkView | undefined
  /** undefined where the guest can't tell of itself. */
  readonly guestEvents: GuestEventLogView | undefined
  /** undefined where there is none, or it can't be seen. Looking has no side effect. */
  readonly display: { picture(): Picture } | undefined
  /** What firmware reports of guest-physical memory, ascending: E820 type 1 usable, others reserved. Empty where unknown. */
  readonly memoryMap: readonly MemoryMapEntry[]
  /** Host-physical address of the EPT PML4 table, or undefined when no EPT is in use. */
  readonly eptPointer: number | undefined
  /** Host memory as 32-bit words, for the walk of EPT; undefined exactly when {@link eptPointer} is. */
  readonly hostWords: Uint32Array | undefined
  /** Host-physical memory, undefined where there is none. */
  readHost(hpa: number, length: number): Uint8Array | undefined
  /** Is the whole range RAM of the guest, in one piece? */
  hasRam(gpa: number, length: number): boolean
  /**
   * Guest-physical memory; undefined where no RAM is. Pages that the guest never touched have no frame yet and read
   * as zero without being allocated.
   */
  readPhysical(gpa: number, length: number): Uint8Array | undefined
}
