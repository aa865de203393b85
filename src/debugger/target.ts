/**
 * What a debugger needs of whatever runs the guest. The first is our own virtual machine (`vm-target.ts`); another
 * kind fits by implementing this and saying in {@link TargetCapabilities} what it can do.
 */

import type { KeyStroke } from '../devices/i8042/key-codes.ts'
import type { GuestEventView, MachineView } from '../inspect/machine-view.ts'
import type { StepRequest, StopHit, StopKind, StopRequest } from './stop-request.ts'

/** What a target can do. What it can't is said here, and never faked. */
export interface TargetCapabilities {
  /** Code breakpoints at linear addresses that leave guest memory as it is. */
  readonly linearBreakpoints: boolean
  /** Code and data breakpoints by guest-physical address. */
  readonly physicalBreakpoints: boolean
  /** Kinds of {@link StopRequest} that it can serve. */
  readonly stops: ReadonlySet<StopKind>
  /** Conditions, hit counts, logs and limits of requests are looked at where the guest runs; else by whoever asks. */
  readonly stopConditions: boolean
  /** Kinds of {@link StepRequest} beside one instruction with `into`; ranges and interrupts are heeded. */
  readonly steps: ReadonlySet<StepRequest['kind']>
  /** Host-physical memory and EPT can be looked at. */
  readonly hostMemory: boolean
  /** Exits are recorded. */
  readonly exits: boolean
  readonly consoleInput: boolean
  /** Registers and guest-physical memory can be changed. */
  readonly writes: boolean
  /** {@link Target.restart} */
  readonly restarts: boolean
}

/** Why and where the guest stands still. */
export interface Stop {
  /** `shutdown`: the guest can't go on, as after a triple fault; its state is kept until it is resumed, and so ends. */
  readonly reason: 'entry' | 'breakpoint' | 'data' | 'event' | 'step' | 'pause' | 'shutdown'
  /** The vCPU that caused it, or that is shown first. */
  readonly vcpu: number
  /** What happened, where the reason does not say it all. */
  readonly text?: string
  /** The requests that were hit. Also of a step or pause that ended at breakpoints. */
  readonly hits?: readonly StopHit[]
}

export interface GuestEnd {
  /** Exit status as `ringside run` gives it. */
  readonly status: number
  readonly description: string
}

export type TargetState =
  | { readonly kind: 'stopped'; readonly stop: Stop }
  | { readonly kind: 'running' }
  | { readonly kind: 'ended'; readonly end: GuestEnd }

export type OutputSource = 'serial' | 'debug-console' | 'virtio-console'

/** Memory that the guest gives away on request. */
export interface TargetBalloon {
  /** Bytes in it. */
  readonly size: number
  /** Bytes that the guest is asked for. */
  readonly target: number
  /** Asks for so many bytes in all; the guest gives them when it can. Throws RangeError beyond its RAM. */
  inflateTo(bytes: number): void
}

/** The keyboard beside the guest's display. */
export interface TargetKeyboard {
  /** Keys going down or up that wait: the guest stands still, or does not read them. */
  readonly waiting: number
  /** Why keys don't reach the guest now; undefined when they do. */
  readonly deafness: string | undefined
  /**
   * Keys for the guest, which gets them while it runs. Throws RangeError for a key that the keyboard hasn't.
   * @returns false when too many wait already, and then none was taken.
   */
  type(strokes: readonly KeyStroke[]): boolean
}

/** Calls never come from within a call to the target. */
export interface TargetListener {
  stopped(stop: Stop): void
  output(source: OutputSource, bytes: Uint8Array): void
  /** What the guest told of itself by hypercall; `omitted` more followed. */
  guestEvents?(events: readonly GuestEventView[], omitted: number): void
  ended(end: GuestEnd): void
  /** The guest has reset its machine, and runs from the beginning. */
  reset?(): void
  /** The machinery behind the target failed, which is no fault of the guest. The target has stopped for good. */
  failed(error: Error): void
}

export interface ExitReport {
  readonly total: number
  /** Most frequent first. */
  readonly byReason: readonly { readonly reason: string; readonly count: number }[]
  /** The last ones, oldest first. */
  readonly recent: readonly ExitEntry[]
  /** Addresses with most exits, most first. */
  readonly byAddress: readonly { readonly address: bigint; readonly count: number }[]
}

export interface ExitEntry {
  /** Instructions the machine had retired. */
  readonly instructions: number
  readonly vcpu: number
  readonly reason: string
  /** What the qualification says, in words. */
  readonly detail: string
  readonly rip: bigint
  /** Guest-physical address, for EPT exits. */
  readonly gpa: bigint | undefined
}

export interface Target {
  readonly capabilities: TargetCapabilities
  readonly state: TargetState
  /** To be read while the guest stands still, or between two of its slices. */
  readonly machine: MachineView
  /** Instructions that the guest has retired. */
  readonly instructions: number
  listener: TargetListener | undefined

  /**
   * Lets the guest run until something stops it; comes back at once.
   * @param unseen nobody was told of this stop: a breakpoint at the next instruction is hit, not left
   */
  resume(unseen?: boolean): void
  /** Stops a running guest soon. */
  pause(): void
  /** Steps one vCPU; the others run when it is their turn. Ends in a stop like any run. */
  step(request: StepRequest): void
  /** What to stop at. Replaces what was asked for before; also while the guest runs. */
  setStops(requests: readonly StopRequest[]): void
  /** @param recent and @param addresses limit the lists. */
  exits(recent: number, addresses: number): ExitReport
  writeConsole(bytes: Uint8Array): void
  /** For the virtio console. @returns how many bytes there was room for; 0 without such a console. */
  writeVirtioConsole(bytes: Uint8Array): number
  /** undefined where there is none. */
  readonly balloon: TargetBalloon | undefined
  /** undefined where there is none. */
  readonly keyboard: TargetKeyboard | undefined
  /** Sets a register of a vCPU that stands still, by its name in `VcpuView`. Throws {@link TargetError}. */
  writeRegister(vcpu: number, name: string, value: bigint): void
  /** Writes guest-physical RAM; throws {@link TargetError} where there is none, and then nothing is written. */
  writePhysical(gpa: number, bytes: Uint8Array): void
  /**
   * Begins anew, stopped before the first instruction, also when the guest has ended: the same run once more. Throws
   * {@link TargetError}.
   */
  restart(): void
  /** Ends the guest and gives its resources back. */
  dispose(): void
}

/** A request that can't be served in the state that the target is in, or that it can't serve at all. */
export class TargetError extends Error {}
