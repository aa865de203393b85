/**
 * An event descriptor as Linux's `eventfd`: a counter that one side raises and the other takes. It lies in shared
 * memory, so that the sides may be two threads; on one thread a listener takes the place of waiting. Kicks of
 * virtqueues, completions of workers and interrupts all travel by it.
 */

export class EventDescriptor {
  readonly #count: Int32Array
  /** Called on this thread at each {@link signal} of this thread. */
  listener: (() => void) | undefined

  constructor(memory: ArrayBufferLike = ownMemory()) {
    this.#count = new Int32Array(memory)
  }

  /** To be handed to another thread, which makes its own {@link EventDescriptor} of it. Throws where none is shared. */
  get shared(): SharedArrayBuffer {
    const { buffer } = this.#count
    if (buffer instanceof ArrayBuffer) throw new Error('there is no memory here that threads share')
    return buffer
  }

  /** Raises the counter and wakes whoever waits for it. */
  signal(): void {
    Atomics.add(this.#count, 0, 1)
    Atomics.notify(this.#count, 0)
    this.listener?.()
  }

  /** The count since the last time, which begins anew. */
  take(): number {
    return Atomics.exchange(this.#count, 0, 0)
  }

  /** Has something been signalled that nobody took? */
  get pending(): boolean {
    return Atomics.load(this.#count, 0) !== 0
  }

  /** Waits until there is something to take. Only where blocking is allowed: in a worker. @returns false after the time. */
  wait(milliseconds = Number.POSITIVE_INFINITY): boolean {
    return Atomics.wait(this.#count, 0, 0, milliseconds) !== 'timed-out'
  }

  /** As {@link wait}, without blocking the thread. */
  async waitAsync(milliseconds = Number.POSITIVE_INFINITY): Promise<boolean> {
    const waiting = Atomics.waitAsync(this.#count, 0, 0, milliseconds)
    return (await waiting.value) !== 'timed-out'
  }
}

/** A page that is not isolated from other origins has no shared memory (HTML, 8.1.3.5), nor other threads to share it. */
function ownMemory(): ArrayBufferLike {
  return typeof SharedArrayBuffer === 'undefined' ? new ArrayBuffer(4) : new SharedArrayBuffer(4)
}
