/**
 * The interface between the hypervisor and whatever executes guest instructions: the software processor in this
 * folder, or the host's own through `/dev/kvm`. It is modelled on VMX: a vCPU runs in non-root mode under a control
 * block until something causes an exit, which is data; the hypervisor acts on it and runs the vCPU again.
 */

import type { VirtualClock } from '../util/virtual-clock.ts'
import type { LocalApicState } from './apic/local-apic.ts'
import type { CpuModel } from './cpu-model.ts'
import type { HostMemory } from './host-memory.ts'
import type { SavedEvents } from './pending-events.ts'

/** Access that an EPT violation's exit qualification tells of (SDM vol. 3, 28.2.1, table 28-7). */
export const EPT_QUALIFICATION_READ = 1 << 0
export const EPT_QUALIFICATION_WRITE = 1 << 1
export const EPT_QUALIFICATION_FETCH = 1 << 2
/** Bits 3 to 5: what the EPT entries allowed. */
export const EPT_QUALIFICATION_READABLE = 1 << 3
export const EPT_QUALIFICATION_WRITABLE = 1 << 4
export const EPT_QUALIFICATION_EXECUTABLE = 1 << 5
/** The guest linear address is valid. */
export const EPT_QUALIFICATION_LINEAR_VALID = 1 << 7
/** Set: the access was to the translation of that linear address; clear: to a paging-structure entry. */
export const EPT_QUALIFICATION_TRANSLATED = 1 << 8

/**
 * The data access behind an EPT violation, as a hypervisor would find it by decoding the instruction.
 * After emulating a device access, call {@link Vcpu.completeAccess}; the instruction then runs again with the result
 * and never touches the device twice. After mapping a frame instead, just run again.
 */
export interface GuestAccess {
  readonly write: boolean
  /** Bytes: 1, 2, 4 or 8; wider accesses arrive in pieces. */
  readonly size: number
  /** What is to be written; 0n for a read. */
  readonly value: bigint
}

export type Exit =
  /** The budget is used up (VMX-preemption timer). */
  | { readonly reason: 'budget' }
  | { readonly reason: 'hlt' }
  /** One port access. String I/O arrives an element at a time. An `in` must be answered by {@link Vcpu.completeIn}. */
  | {
      readonly reason: 'io'
      readonly port: number
      readonly size: 1 | 2 | 4
      readonly write: boolean
      /** What is written; of an `in` what it was answered with, once it was. */
      value: number
    }
  | {
      readonly reason: 'ept-violation'
      readonly gpa: number
      readonly linear: bigint
      readonly qualification: number
      /** Absent for a fetch and for the page walker's own accesses, which no device can serve. */
      readonly access?: GuestAccess
    }
  | { readonly reason: 'ept-misconfiguration'; readonly gpa: number }
  /** Answer with {@link Vcpu.completeCpuid}. */
  | { readonly reason: 'cpuid'; readonly leaf: number; readonly subleaf: number }
  /** An MSR that the processor does not implement: {@link Vcpu.completeRdmsr}, {@link Vcpu.completeWrmsr}. */
  | { readonly reason: 'rdmsr'; readonly msr: number }
  | { readonly reason: 'wrmsr'; readonly msr: number; readonly value: bigint }
  | { readonly reason: 'cr-access'; readonly register: 0 | 3 | 4; readonly value: bigint }
  | { readonly reason: 'vmcall' }
  | {
      readonly reason: 'exception'
      readonly vector: number
      readonly errorCode: number | undefined
      readonly address: bigint | undefined
    }
  /** The guest can take an external interrupt now; asked for by {@link Vcpu.requestInterruptWindow}. */
  | { readonly reason: 'interrupt-window' }
  | { readonly reason: 'triple-fault' }
  /** What a debugger asked for is so: at a code breakpoint nothing of the instruction at RIP has happened. */
  | { readonly reason: 'breakpoint' }

export type ExitReason = Exit['reason']

/** Delivery modes of the interrupt command register (SDM vol. 3, 11.6.1). */
export type DeliveryMode = 'fixed' | 'lowest-priority' | 'smi' | 'nmi' | 'init' | 'start-up' | 'extint'

/** An interrupt message on its way to local APICs. */
export interface InterruptMessage {
  readonly mode: DeliveryMode
  readonly vector: number
  /** Physical APIC id or logical destination, 8 bits (xAPIC) or 32 bits (x2APIC). */
  readonly destination: number
  readonly logical: boolean
  readonly level: boolean
  /** Shorthand of an IPI: overrides `destination`. */
  readonly shorthand?: 'self' | 'all' | 'others'
  /** INIT level de-assert, which only arbitrates. */
  readonly deassert?: boolean
}

/** What a hypervisor controls about one vCPU, in the spirit of the VMCS (SDM vol. 3, chapter 25). */
export interface ControlBlock {
  /** Host-physical address of the EPT PML4 table, or undefined: guest-physical is then host-physical plus nothing at all. */
  eptPointer: number | undefined
  /** Tags TLB entries; 1 to 65535. */
  vpid: number
  /** Bit i set: exception i exits instead of being delivered. */
  exceptionBitmap: number
  /** Exit on MOV to CR0, CR3 or CR4. */
  crExits: { cr0: boolean; cr3: boolean; cr4: boolean }
  /** Added to the time-stamp counter. */
  tscOffset: bigint
}

/** One register of the local APIC. */
export interface ApicRegister {
  readonly name: string
  readonly value: number
  /** In bits. */
  readonly width: number
}

/** Interrupt messages between the local APICs of a VM and its I/O APIC. */
export interface ApicBus {
  /** An IPI from `source`; the bus hands it to the local APICs it addresses. */
  send(source: number, message: InterruptMessage): void
  /** End of a level-triggered interrupt: the I/O APIC may send it again. */
  endOfInterrupt(vector: number): void
}

/** VMCS activity states (SDM vol. 3, 25.4.2). */
export type Activity = 'active' | 'hlt' | 'shutdown' | 'wait-for-sipi'

export interface CpuidResult {
  readonly eax: number
  readonly ebx: number
  readonly ecx: number
  readonly edx: number
}

export interface Vcpu {
  /** Also the initial APIC id. */
  readonly index: number
  readonly controls: ControlBlock
  /** As the next run will find it: an interrupt or a signal may have arrived since. Nothing is changed by looking. */
  readonly activity: Activity
  /** Architectural state; valid between runs for every vCPU, not only the one that ran last. */
  readonly registers: RegisterFile

  /** Power-on state (SDM vol. 3, 10.1.1): CS:IP F000:FFF0; processors other than 0 wait for a SIPI. */
  reset(): void
  /** Takes an INIT or SIPI that has arrived; so does {@link run}. For who decides which vCPU runs next. */
  takeSignals(): void
  /**
   * Runs until an exit, at most `budget` instructions. Retired instructions are added to the VM's clock before the
   * exit is returned, so that time is exact for whoever handles it. Pending interrupts of the local APIC are
   * delivered at the boundary where the architecture allows it.
   */
  run(budget: number): Exit

  /** Result of the device access that the last `ept-violation` told of (ignored for a write). The access counts as done. */
  completeAccess(value: bigint): void
  /** Result of an `in`; an `out` needs no answer. */
  completeIn(value: number): void
  completeCpuid(result: CpuidResult): void
  /** undefined: #GP(0). */
  completeRdmsr(value: bigint | undefined): void
  completeWrmsr(known: boolean): void

  /** True when an external interrupt can be injected now: IF set, no shadow, not blocked. */
  readonly interruptible: boolean
  /** Injects an external (PIC) interrupt; only when {@link interruptible}. Wakes from HLT. */
  injectInterrupt(vector: number): void
  /** Ask for an `interrupt-window` exit as soon as the vCPU is interruptible. */
  requestInterruptWindow(wanted: boolean): void
  /** A message from the interrupt fabric addressed to this vCPU's local APIC. */
  acceptInterrupt(message: InterruptMessage): void
  /** A rising edge at LINT0 or LINT1 of the local APIC. ExtINT is not signalled so, see {@link acceptsExtint}. */
  raisePin(pin: 0 | 1): void
  /** Does the local APIC pass PIC interrupts (LINT0 as ExtINT and unmasked, an ExtINT message waiting, or disabled)? */
  readonly acceptsExtint: boolean
  /** The local APIC's registers for inspection; nothing is changed by looking. */
  readonly apicRegisters: readonly ApicRegister[]
  /** Does `destination` name this vCPU's local APIC? */
  matches(message: InterruptMessage): boolean
  /** Processor priority, for lowest-priority arbitration. */
  readonly priority: number

  /** The code breakpoints at RIP are not asked before the instruction there: somebody stands there already. */
  leaveBreakpoint(): void
  /** Asks the code breakpoints at RIP now; they are not asked again before the instruction there. Does one want to stop? */
  askBreakpoint(): boolean
  /**
   * Registers or memory were changed from outside, by a person: translations are not known from before, and a fault
   * that waits for its delivery is forgotten. Its instruction is executed anew, and faults again unless it was helped.
   */
  stateChanged(): void
  /** For predicates that are asked outside of {@link run}; only while this vCPU ran last. */
  readonly view: StopView
  /** Replaces the observer; undefined for none. */
  observe(observer: Observer | undefined): void

  /**
   * The A20M# pin (SDM vol. 3, 21.1.1): while A20 is off, bit 20 of every address that leaves the processor is 0. On
   * after {@link reset}; part of the saved state.
   */
  setA20(enabled: boolean): void

  /** Everything of this vCPU that continues a run, as JSON. */
  save(): VcpuState
  restore(state: VcpuState): void
}

/** A saved vCPU: `state` is the base64 of its state block (`state.ts`), `apic` its local APIC, `pending` what waits. */
export interface VcpuState {
  readonly state: string
  readonly apic: LocalApicState
  readonly pending: SavedEvents
}

/** Names of registers a {@link RegisterFile} knows: `rax`..`r15`, `rip`, `rflags`, `cs`.., `cr0`.., `efer`, ... */
export interface RegisterFile {
  get(name: string): bigint
  set(name: string, value: bigint): void
  segment(name: SegmentName): SegmentRegister
  setSegment(name: SegmentName, value: SegmentRegister): void
  /** GDTR or IDTR. */
  table(name: 'gdtr' | 'idtr'): { base: bigint; limit: number }
  setTable(name: 'gdtr' | 'idtr', value: { base: bigint; limit: number }): void
  readonly cpl: number
}

export type SegmentName = 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs' | 'ldtr' | 'tr'

export interface SegmentRegister {
  selector: number
  base: bigint
  /** In bytes, granularity applied. */
  limit: number
  /** VMCS access-rights format (SDM vol. 3, table 25-2). */
  rights: number
}

/**
 * A vCPU between two instructions as the predicates of a debugger's stops see it, in the run loop: nothing is changed by
 * looking, and nothing may be changed. Valid during the call only.
 */
export interface StopView {
  /** Of the vCPU. */
  readonly index: number
  readonly cpl: number
  /** Instructions that the machine has retired. */
  readonly count: number
  /** Bits 31:0 and 63:32, signed, of a general register (0 RAX, 1 RCX, 2 RDX, 3 RBX, 4 RSP, ..., 15 R15). */
  low(register: number): number
  high(register: number): number
  readonly ripLow: number
  readonly ripHigh: number
  /** CR3 bits 51:12, which name the address space whatever its PCID. */
  readonly rootFrame: number
  /** Everything else, as bigints: slower. */
  readonly registers: RegisterFile
  /** Little-endian and unsigned, at a linear address given as words; undefined where no memory is mapped. */
  read(low: number, high: number, bytes: 1 | 2 | 4): number | undefined
  /** undefined when a byte can't be read. */
  readBytes(linear: bigint, length: number): Uint8Array | undefined
}

/** A code breakpoint: code is cut there, guest memory is untouched. */
export interface CodeBreakpoint {
  /**
   * `linear`: in whatever address space and mode it is reached, 16-bit code by CS base + IP.
   * `host`: in the host frame behind a guest-physical address, by whatever linear address it is reached.
   */
  readonly space: 'linear' | 'host'
  readonly address: bigint
  /**
   * Asked in the run loop before the instruction, once each time that it is executed (not again when it goes on after
   * its fault was handled, between the iterations of a REP, or when a run that stopped there is continued). True ends
   * the run with the exit `breakpoint`, and so does a breakpoint that has no such function.
   */
  reached?(view: StopView): boolean
}

/** What a debugger wants to stop at in the code that vCPUs execute. */
export interface CodeStops {
  readonly breakpoints: readonly CodeBreakpoint[]
  /** Asked before an INT3 of the guest's own. */
  readonly int3?: Pick<CodeBreakpoint, 'reached'>
  /** Asked before XCHG BX, BX. */
  readonly magic?: Pick<CodeBreakpoint, 'reached'>
}

/** A data breakpoint of a debugger: any number of them, independent of the guest's debug registers. */
export interface Watchpoint {
  /** `linear`: in whatever address space is current. `host`: in host frames, however they are reached. */
  readonly space: 'linear' | 'host'
  readonly address: bigint
  /** Bytes; a range of host frames is contiguous. */
  readonly length: number
  readonly reads: boolean
  readonly writes: boolean
  /**
   * Asked in the run loop after the instruction that accessed watched bytes, once for each of its accesses, or after
   * the delivery of an event that did: true ends the run with the exit `breakpoint`, as does a missing function.
   */
  met?(access: WatchedAccess, view: StopView): boolean
}

/** An access of an instruction, the part of it within one page. Fetches and the page walk's accesses are none. */
export interface WatchedAccess {
  /** RIP of the instruction, or of the one that the event came before. */
  readonly rip: bigint
  readonly linear: bigint
  /** Bytes. */
  readonly size: number
  readonly write: boolean
  /** First watched byte that it touched, in the space of the watchpoint. */
  readonly address: bigint
  /** The watched bytes that it touched, before it and after it; empty for a device. */
  readonly before: Uint8Array
  readonly after: Uint8Array
}

export type TransitionCause =
  | 'interrupt'
  | 'exception'
  | 'software-interrupt'
  | 'syscall'
  | 'sysret'
  | 'sysenter'
  | 'sysexit'
  | 'iret'
  | 'far-transfer'

/** What an {@link Observer} is told; `rip` is that of the instruction that did it, or that it happened to. */
export type ProcessorEvent =
  /** Before its delivery, RIP at the instruction. `during`: vector of the event whose delivery caused it. */
  | {
      readonly kind: 'exception'
      readonly vector: number
      readonly errorCode: number | undefined
      readonly address: bigint | undefined
      readonly during: number | undefined
      readonly rip: bigint
    }
  /** An external interrupt or an NMI, before its delivery. */
  | { readonly kind: 'interrupt'; readonly vector: number; readonly nmi: boolean; readonly rip: bigint }
  /** After the write, also of the value that was there. */
  | {
      readonly kind: 'control-register'
      readonly register: 0 | 3 | 4
      readonly old: bigint
      readonly value: bigint
      readonly rip: bigint
    }
  /** After WRMSR; `old` is undefined for one that the processor does not have. */
  | {
      readonly kind: 'msr'
      readonly msr: number
      readonly old: bigint | undefined
      readonly value: bigint
      readonly rip: bigint
    }
  /** After a change of CPL. */
  | {
      readonly kind: 'transition'
      readonly from: number
      readonly to: number
      readonly cause: TransitionCause
      readonly rip: bigint
    }
  /** After the delivery of an interrupt or exception; `stack` is RSP before it, `cpl` was the privilege. */
  | {
      readonly kind: 'delivered'
      readonly vector: number
      readonly event: 'interrupt' | 'exception'
      readonly cpl: number
      readonly stack: bigint
      readonly rip: bigint
    }
  /** After an IRET, SYSRET, SYSEXIT or far RET, to whatever ring. */
  | { readonly kind: 'return'; readonly rip: bigint }

/** A debugger that wants to know what happens in a vCPU; what it doesn't ask for costs nothing. */
export interface Observer {
  /** Bit i: exception i. */
  readonly exceptions: number
  readonly interrupts: boolean
  readonly controlRegisters: boolean
  readonly msrs: boolean
  readonly transitions: boolean
  readonly returns: boolean
  readonly deliveries?: boolean
  /** Called in the run loop; true ends the run with the exit `breakpoint`, and what was about to happen happens next. */
  happened(event: ProcessorEvent, view: StopView): boolean
}

export interface ProcessorStatistics {
  tlbFills: number
  blocksDecoded: number
}

/** Hardware that guests share: memory, TLB, decoded code. VMs create their vCPUs here. */
export interface Processor {
  readonly model: CpuModel
  readonly memory: HostMemory
  readonly statistics: ProcessorStatistics
  createVcpu(options: { index: number; clock: VirtualClock; bus: ApicBus; controls: ControlBlock }): Vcpu
  /** Drops cached translations of guest-physical addresses under an EPT pointer (SDM vol. 3, 29.4.3). */
  invept(eptPointer: number): void
  /**
   * Must be told of every write to a frame that did not come from a guest instruction (loader, device, debugger):
   * drops decoded code in [hpa, hpa + length).
   */
  frameWritten(hpa: number, length: number): void
  /** Replaces what was set before. Costs the decoded code of the pages concerned. */
  setCodeStops(stops: CodeStops): void
  /** Replaces what was set before. */
  setWatchpoints(watchpoints: readonly Watchpoint[]): void
}
