/**
 * When the answers of workers were handed to the guest: the one thing in a run with them that does not follow from the
 * machine and its disks, and so what a replay needs to know.
 */

export interface Delivery {
  /** Instructions retired, and nanoseconds skipped while idle, when it happened. */
  readonly count: number
  readonly skipped: number
  /** Device that was answered. */
  readonly device: string
  /** Requests answered, the oldest ones that were under way: they are answered in order. */
  readonly answers: number
  /** Which of them failed on the host. */
  readonly failed: readonly number[]
}

/** Beyond this, some 100 MB, a run is too long to be written down. */
const MOST_DELIVERIES = 2 ** 20

export class DeliveryJournal {
  readonly #deliveries: Delivery[] = []
  #complete = true

  /** From the machine's power-on or restoration on. */
  get deliveries(): readonly Delivery[] {
    return this.#deliveries
  }

  /** Is every delivery here? */
  get complete(): boolean {
    return this.#complete
  }

  record(delivery: Delivery): void {
    if (this.#deliveries.length < MOST_DELIVERIES) this.#deliveries.push(delivery)
    else this.#complete = false
  }

  clear(): void {
    this.#deliveries.length = 0
    this.#complete = true
  }
}
