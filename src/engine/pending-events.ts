/**
 * What has arrived at a vCPU and waits for the right moment: signals of the APIC bus, an event whose delivery an exit
 * interrupted, and the hypervisor's answers to an instruction that has not retired yet.
 */

import type { Completion } from './assist.ts'
import type { EventKind, GuestEvent } from './system/interrupt-delivery.ts'

/** The same as JSON; addresses and values of 64 bits are hexadecimal strings. */
export interface SavedEvents {
  readonly nmi: boolean
  readonly init: boolean
  readonly startUp: number | null
  readonly interruptWindow: boolean
  readonly undelivered: SavedEvent | null
  readonly completion: SavedCompletion | null
  readonly accesses: readonly string[]
}

interface SavedEvent {
  readonly vector: number
  readonly kind: EventKind
  readonly errorCode: number | null
  readonly address: string | null
  readonly resumes: boolean
}

type SavedCompletion =
  | Exclude<Completion, { kind: 'rdmsr' }>
  | { readonly kind: 'rdmsr'; readonly value: string | null }

const hex = (value: bigint): string => `0x${value.toString(16)}`

export class PendingEvents {
  nmi = false
  init = false
  /** Vector of a SIPI. */
  startUp: number | undefined
  /** The hypervisor wants to know when the guest can take an external interrupt. */
  interruptWindow = false
  undelivered: GuestEvent | undefined
  completion: Completion | undefined
  /** Results of device accesses of the instruction that is under way, in order. */
  readonly accesses: bigint[] = []

  /** Has the hypervisor answered an exit of an instruction that has not retired yet? */
  get answered(): boolean {
    return this.completion !== undefined || this.accesses.length > 0
  }

  reset(): void {
    this.nmi = false
    this.init = false
    this.startUp = undefined
    this.interruptWindow = false
    this.undelivered = undefined
    this.completion = undefined
    this.accesses.length = 0
  }

  /** INIT: what had arrived before it is gone, but not a SIPI that came after it. */
  abandon(): void {
    const { startUp } = this
    this.reset()
    this.startUp = startUp
  }

  save(): SavedEvents {
    const { nmi, init, startUp, interruptWindow, undelivered, completion, accesses } = this
    return {
      ...{ nmi, init, startUp: startUp ?? null, interruptWindow },
      undelivered: undelivered === undefined ? null : saveEvent(undelivered),
      completion: completion === undefined ? null : saveCompletion(completion),
      accesses: accesses.map(hex),
    }
  }

  restore(saved: SavedEvents): void {
    this.nmi = saved.nmi
    this.init = saved.init
    this.startUp = saved.startUp ?? undefined
    this.interruptWindow = saved.interruptWindow
    this.undelivered = saved.undelivered === null ? undefined : restoreEvent(saved.undelivered)
    this.completion = saved.completion === null ? undefined : restoreCompletion(saved.completion)
    this.accesses.splice(0, this.accesses.length, ...saved.accesses.map(BigInt))
  }
}

/** Only events from outside an instruction can be interrupted for long enough to be saved with their return address. */
function saveEvent({ vector, kind, errorCode, address, resumes = false }: GuestEvent): SavedEvent {
  return { vector, kind, errorCode: errorCode ?? null, address: address === undefined ? null : hex(address), resumes }
}

function restoreEvent({ vector, kind, errorCode, address, resumes }: SavedEvent): GuestEvent {
  return {
    ...{ vector, kind, errorCode: errorCode ?? undefined, resumes },
    address: address === null ? undefined : BigInt(address),
  }
}

function saveCompletion(completion: Completion): SavedCompletion {
  if (completion.kind !== 'rdmsr') return completion
  return { kind: 'rdmsr', value: completion.value === undefined ? null : hex(completion.value) }
}

function restoreCompletion(saved: SavedCompletion): Completion {
  if (saved.kind !== 'rdmsr') return saved
  return { kind: 'rdmsr', value: saved.value === null ? undefined : BigInt(saved.value) }
}
