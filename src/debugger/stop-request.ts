/** What a debugger can ask a target to stop at, and what the target says about it when it has stopped. */

import type { StopView, TransitionCause } from '../engine/processor.ts'

export type { StopView, TransitionCause } from '../engine/processor.ts'

/** Of every request: when it counts, and what follows. All of it is done in the run loop. */
export interface StopConditions {
  /** Chosen by whoever asks; hits and hit counts go by it. */
  readonly id: number
  /** Only on this vCPU. */
  readonly vcpu?: number
  /** Only at this privilege; for an event, the one that it happens at. */
  readonly cpl?: number
  /** Only in the address space with this root (CR3; bits 11:0 do not count). */
  readonly cr3?: bigint
  /** Only when it holds. Asked at most once an event, up to millions of times a second. */
  readonly condition?: (view: StopView) => boolean
  /** Told how often everything above has held, from 1: does this time count? */
  readonly hit?: (count: number) => boolean
  /** Called instead of stopping; `hit` says what it would have stopped for. */
  readonly log?: (view: StopView, hit: () => StopHit) => void
  /**
   * Called instead of stopping too, but with the guest at rest, so that stops may be changed there; then what ran goes
   * on, a step as well. For the debugger's own purposes.
   */
  readonly aside?: (vcpu: number) => void
}

export const VIRTIO_STEPS = ['ready', 'kick', 'taken', 'used', 'interrupt', 'reset', 'broken'] as const
export type VirtioStep = (typeof VIRTIO_STEPS)[number]

/** What it must be about; whatever is absent may be any. */
export interface VirtioStop {
  readonly steps: readonly VirtioStep[]
  readonly device?: string
  readonly queue?: number
  /** Of a disk: a chain that has to do with one of these; of a kick: one that is waiting. */
  readonly sectors?: { readonly first: number; readonly last: number }
}

export type StopEvent =
  /** Before the instruction at an address, in any mode. */
  | { readonly kind: 'code'; readonly space: 'linear' | 'physical'; readonly address: bigint }
  /** After the instruction that accesses one of `length` bytes; `change`: that writes another value there. */
  | {
      readonly kind: 'data'
      readonly space: 'linear' | 'physical'
      readonly address: bigint
      readonly length: number
      readonly access: 'read' | 'write' | 'access' | 'change'
    }
  /**
   * After an exit, when the hypervisor has written another value to host-physical memory since the exit before it: to an
   * entry of EPT, which no instruction of the guest writes.
   */
  | { readonly kind: 'host-change'; readonly address: bigint; readonly length: number }
  /**
   * Before the delivery of an exception; of any vector if none is named. `unhandled`: only one that ends in a double
   * fault, when that is about to be delivered (a triple fault always stops).
   */
  | { readonly kind: 'exception'; readonly vectors?: readonly number[]; readonly unhandled?: boolean }
  /** Before the delivery of an external interrupt or NMI. */
  | { readonly kind: 'interrupt'; readonly vectors?: readonly number[] }
  /** After a write to CR0, CR3 or CR4, also of the same value. */
  | { readonly kind: 'control-register'; readonly registers: readonly (0 | 3 | 4)[] }
  /** After WRMSR. */
  | { readonly kind: 'msr'; readonly msrs?: readonly number[] }
  /** After an access to a port from `first` to `last`. */
  | { readonly kind: 'port'; readonly first: number; readonly last: number; readonly direction?: 'in' | 'out' }
  /** After the hypervisor has acted on an exit; the instruction may be in its middle. Reasons of the exit log. */
  | { readonly kind: 'exit'; readonly reasons: readonly string[] }
  /** After the hypercall by which the guest told of an event; of one of the names, if there are any. */
  | { readonly kind: 'guest-event'; readonly names?: readonly string[] }
  /** Something passed between a driver and its virtio device. */
  | ({ readonly kind: 'virtio' } & VirtioStop)
  /** After a change between CPL 3 and a kernel's. */
  | { readonly kind: 'transition'; readonly to: 'kernel' | 'user' | 'either' }
  /** Before an INT3 of the guest's own. */
  | { readonly kind: 'int3' }
  /** Before XCHG BX, BX, by which kernels call Bochs's debugger. */
  | { readonly kind: 'magic' }

export type StopRequest = StopConditions & StopEvent

/** What has happened, for each request that it hit. `rip` is the instruction's that did it, or that it happened to. */
export type StopHit = { readonly id: number } & (
  | { readonly kind: 'code' }
  | {
      readonly kind: 'data'
      readonly rip: bigint
      readonly write: boolean
      /** First watched byte that was accessed, in the space of the request. */
      readonly address: bigint
      readonly linear: bigint
      /** Bytes of the access. */
      readonly size: number
      /** The watched bytes of it; empty for a device. */
      readonly before: Uint8Array
      readonly after: Uint8Array
    }
  | {
      readonly kind: 'host-change'
      /** Host-physical, of the request. */
      readonly address: bigint
      /** All bytes of the request; empty where there was, or is, no memory of the machine. */
      readonly before: Uint8Array
      readonly after: Uint8Array
      /** Of the exit. */
      readonly reason: string
    }
  | {
      readonly kind: 'exception'
      readonly rip: bigint
      readonly vector: number
      readonly errorCode: number | undefined
      /** Of a page fault, as CR2 will have it. */
      readonly address: bigint | undefined
      /** Vector of the event whose delivery caused it. */
      readonly during: number | undefined
    }
  | { readonly kind: 'interrupt'; readonly rip: bigint; readonly vector: number; readonly nmi: boolean }
  | {
      readonly kind: 'control-register'
      readonly rip: bigint
      readonly register: 0 | 3 | 4
      readonly old: bigint
      readonly value: bigint
    }
  | {
      readonly kind: 'msr'
      readonly rip: bigint
      readonly msr: number
      readonly old: bigint | undefined
      readonly value: bigint
    }
  | {
      readonly kind: 'port'
      readonly port: number
      readonly size: number
      readonly write: boolean
      /** What was written or read. */
      readonly value: number
    }
  | { readonly kind: 'exit'; readonly reason: string }
  | {
      readonly kind: 'guest-event'
      readonly rip: bigint
      readonly name: string
      readonly values: readonly bigint[]
    }
  | {
      readonly kind: 'virtio'
      readonly step: VirtioStep
      readonly device: string
      /** Absent for a device's configuration, and for the device as a whole. */
      readonly queue?: number
      /** Its head, or buffer id, and what it says. */
      readonly chain?: { readonly id: number; readonly summary: string }
      /** The offending one. */
      readonly descriptor?: number
      readonly reason?: string
    }
  | {
      readonly kind: 'transition'
      readonly rip: bigint
      readonly from: number
      readonly to: number
      readonly cause: TransitionCause
    }
  | { readonly kind: 'int3' }
  | { readonly kind: 'magic' }
)

export type StopKind = StopEvent['kind']

/** How a step goes on until it ends; it also ends where anything else stops the guest. */
export interface StepRequest {
  readonly vcpu: number
  /**
   * `into`: one instruction, wherever it leads.
   * `over`: a CALL, INT n, SYSCALL, SYSENTER or REP is one: up to where it comes back.
   * `to`: the vCPU's thread of control reaches `address`, see {@link StepRequest.stackAtLeast}.
   */
  readonly kind: 'into' | 'over' | 'to'
  /** Linear address of `to`. */
  readonly address?: bigint
  /** For `to`: only with at least this RSP, and less than 4096 above it, so that deeper calls and other stacks do not count. */
  readonly stackAtLeast?: bigint
  /** The stack's pointer has 16 bits, above which it goes on from 0, in a segment with this base: only there. */
  readonly stackBase?: bigint
  /** `into` and `over` go on while RIP (linear) is in one of these, ends not included: the code of a line. */
  readonly ranges?: readonly { readonly start: bigint; readonly end: bigint }[]
  /** Ends in the handler of an interrupt that comes first. Otherwise it runs, unmasked, and the step goes on after it. */
  readonly intoInterrupts?: boolean
  /** Ends in the handler of a fault of the instruction. Otherwise where the handler returns to. */
  readonly intoExceptions?: boolean
}
