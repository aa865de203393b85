/**
 * What comes to a machine from its host and not from the guest's own doing: data of sockets, answers of workers. It
 * waits until the guest stands still between two slices of its run, so that each delivery happens at a known count.
 */

export interface HostInput {
  /** Can something still come? Then an idle guest waits as long as the wall's clock, and skips nothing. */
  readonly live: boolean
  /** Is there something to {@link deliver}? */
  readonly waiting: boolean
  /** Called when something comes, so that who waits in idle time goes on. */
  onArrival: (() => void) | undefined
  /** Hands over what waits. Only while the guest stands still. */
  deliver(): void
  /** Gives back what it has of the host. */
  close(): void
}

/** Several as one. */
export class HostInputs implements HostInput {
  onArrival: (() => void) | undefined
  readonly #inputs: HostInput[] = []

  add(input: HostInput): void {
    this.#inputs.push(input)
    input.onArrival = () => this.onArrival?.()
  }

  get live(): boolean {
    return this.#inputs.some(input => input.live)
  }

  get waiting(): boolean {
    return this.#inputs.some(input => input.waiting)
  }

  deliver(): void {
    for (const input of this.#inputs) input.deliver()
  }

  close(): void {
    for (const input of this.#inputs) input.close()
  }
}
