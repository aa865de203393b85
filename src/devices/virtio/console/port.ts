/** One port of a virtio console: what waits for the guest, and where what the guest says goes. */

import type { Json } from '../../../util/json.ts'
import { encodeBytes, type SavedState } from '../../saved-state.ts'

export interface PortDescription {
  /** As the guest finds it under /dev/virtio-ports; a console needs none. */
  readonly name: string
  /** hvc0 and the like, in place of a plain channel of bytes. */
  readonly console: boolean
  /** Takes what the guest writes. */
  output(bytes: Uint8Array): void
}

/** Bytes that wait for a guest that does not read. */
const MOST_WAITING = 65_536

export class ConsolePort {
  readonly description: PortDescription
  /** The driver said that it has the port, and that a program has it open. */
  ready = false
  openInGuest = false
  #waiting = new Uint8Array(0)
  /** Bytes in both directions. */
  received = 0
  sent = 0

  constructor(description: PortDescription) {
    this.description = description
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Puts bytes in line for the guest. @returns how many were taken */
  offer(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, MOST_WAITING - this.#waiting.length)
    const joined = new Uint8Array(this.#waiting.length + taken.length)
    joined.set(this.#waiting)
    joined.set(taken, this.#waiting.length)
    this.#waiting = joined
    return taken.length
  }

  /** The next bytes for the guest. */
  next(most: number): Uint8Array {
    const bytes = this.#waiting.slice(0, most)
    this.#waiting = this.#waiting.slice(bytes.length)
    this.sent += bytes.length
    return bytes
  }

  transmit(bytes: Uint8Array): void {
    this.received += bytes.length
    this.description.output(bytes)
  }

  reset(): void {
    this.ready = false
    this.openInGuest = false
    this.#waiting = new Uint8Array(0)
    this.received = 0
    this.sent = 0
  }

  save(): Json {
    const { ready, openInGuest, received, sent } = this
    return { ready, openInGuest, received, sent, waiting: encodeBytes(this.#waiting) }
  }

  restore(saved: SavedState): void {
    this.ready = saved.boolean('ready')
    this.openInGuest = saved.boolean('openInGuest')
    this.received = saved.number('received')
    this.sent = saved.number('sent')
    this.#waiting = saved.bytes('waiting').slice(0, MOST_WAITING)
  }
}
