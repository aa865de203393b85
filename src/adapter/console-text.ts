/** Bytes of a guest's console as text: gathered for a moment, and never cut within a UTF-8 sequence. */

/** Kernels write a byte at a time; an event for each would drown the client. */
const GATHER_MILLISECONDS = 20
const MOST_PENDING = 64 * 1024

export class ConsoleText {
  readonly #emit: (text: string) => void
  readonly #decoder = new TextDecoder('utf-8')
  #pending = ''
  #timer: NodeJS.Timeout | undefined

  constructor(emit: (text: string) => void) {
    this.#emit = emit
  }

  write(bytes: Uint8Array): void {
    this.#pending += this.#decoder.decode(bytes, { stream: true })
    if (this.#pending.length >= MOST_PENDING) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), GATHER_MILLISECONDS)
  }

  /** Hands on what was gathered, so that it comes before the event that follows. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const text = this.#pending
    this.#pending = ''
    if (text !== '') this.#emit(text)
  }
}
