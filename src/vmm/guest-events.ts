/** What the guest told of itself by hypercall, with the count of instructions when it did: part of the timeline. */

export interface GuestEvent {
  /** Instructions that the machine had retired. */
  readonly count: number
  readonly vcpu: number
  readonly cpl: number
  /** Behind the call. */
  readonly rip: bigint
  /** Printable ASCII. */
  readonly name: string
  /** 64 bits each. */
  readonly values: readonly bigint[]
}

/** A guest can make millions of them: the last ones are kept. */
const MOST_EVENTS = 4096

export class GuestEventLog {
  #events: GuestEvent[] = []
  #total = 0
  /** Called at each event, in the middle of a run: nothing may be asked of the machine. */
  listener: ((event: GuestEvent) => void) | undefined

  record(event: GuestEvent): void {
    this.#total++
    this.#events.push(event)
    if (this.#events.length > 2 * MOST_EVENTS) this.#events = this.#events.slice(-MOST_EVENTS)
    this.listener?.(event)
  }

  /** Recorded in all. */
  get total(): number {
    return this.#total
  }

  /** The last `limit` events, oldest first. */
  last(limit: number): readonly GuestEvent[] {
    return limit === 0 ? [] : this.#events.slice(-Math.min(limit, MOST_EVENTS))
  }

  /** Begins anew. */
  clear(): void {
    this.#events = []
    this.#total = 0
  }
}
