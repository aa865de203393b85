/** What a step of the walkthrough is decided by: what the machine of a teaching kernel said of itself, and to whom. */

/** Kernels of `guests/`, by the names of their images. */
export const KERNELS = ['tour', 'modes', 'virtqueue'] as const
export type Kernel = (typeof KERNELS)[number]

/** The machine at a stop. */
export interface Stop {
  /** `reason` of DAP: `entry`, `breakpoint`, `step`, `exception`. */
  readonly reason: string
  /** What DAP's event says beside it, such as the exception. */
  readonly text: string
  /** That the machine has retired. */
  readonly instructions: number
  /** `64-bit` */
  readonly mode: string
  readonly paging: boolean
  readonly cpl: number
  readonly cr3: bigint
  readonly rip: bigint
  /** That RIP lies in. */
  readonly function?: string
  /** By the names of 64-bit mode, in each mode: `rsp`, `cr2`. */
  readonly registers: ReadonlyMap<string, bigint>
  /** Of the expressions that a step has asked for, as the debugger shows them; without those that have none here. */
  readonly values: ReadonlyMap<string, string>
  /** Of the first virtio device, when a step has asked for it. */
  readonly queue?: Queue
}

/** The first queue of a virtio device. */
export interface Queue {
  /** `ACKNOWLEDGE DRIVER ...` */
  readonly status: string
  readonly enabled: boolean
  /** Chains that were posted and not taken. */
  readonly pending: number
  readonly chains: readonly { readonly descriptors: readonly ChainBuffer[] }[]
  /** The device's index in the used ring. */
  readonly usedIndex: number
  readonly completed: readonly { readonly written: number; readonly steps: readonly string[] }[]
}

/** What a descriptor names. */
export interface ChainBuffer {
  /** Bytes. */
  readonly length: number
  /** What the device may do with it. */
  readonly direction: string
}

/** What the user, or a view of theirs, has asked at the present stop, with the answer. */
export type Asked =
  | { readonly kind: 'translation'; readonly translation: Translation }
  | { readonly kind: 'value'; readonly expression: string; readonly result: string }
  | { readonly kind: 'memory'; readonly reference: string; readonly bytes: Uint8Array }
  | { readonly kind: 'virtqueues'; readonly queue: Queue }

export interface Translation {
  readonly linear: bigint
  readonly access: string
  readonly paging: string
  readonly levels: readonly { readonly level: string; readonly table: bigint; readonly entry: bigint }[]
  /** Where it leads; absent where it ends in a fault before. */
  readonly gpa?: bigint
  /** Of the page fault that the access would raise. */
  readonly errorCode?: number
  readonly fault: boolean
}

/** One session of one kernel, from its start to now. */
export interface Observation {
  /** Stops before the present one, oldest first. */
  readonly past: readonly Stop[]
  /** The present stop; absent while the guest runs, and when it has ended. */
  readonly now: Stop | undefined
  /** At the present stop. */
  readonly asked: readonly Asked[]
  /** The end of what the guest wrote to its serial port. */
  readonly console: string
  /** When the guest has ended by itself. */
  readonly exitCode: number | undefined
}

/** A stop of which a step wants to know more than every stop tells. */
export interface Questions {
  readonly expressions?: readonly string[]
  readonly queue?: boolean
}

export interface Step {
  /** `breakpoint.kernelMain`: walkthrough and step of package.json; unique. */
  readonly id: string
  readonly kernel: Kernel
  /** Has what the step tells to do been done? Asked at each stop, after each answer, and at the end. */
  done(observation: Observation): boolean
  /** What is to be asked at a stop, beside the registers. */
  asks?(stop: Stop): Questions
}
