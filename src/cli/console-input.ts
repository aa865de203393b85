/** Standard input as the guest's keyboard: queued here, and handed to the machine only between slices. */

import type { Readable } from 'node:stream'

const CTRL_A = 1
const X_KEYS: readonly number[] = ['x', 'X'].map(key => key.charCodeAt(0))

/** Standard input: a terminal, a pipe, a file. */
export type InputStream = Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown }

export class ConsoleInput {
  readonly #stream: InputStream
  readonly #queue: number[] = []
  #live = true
  #quit = false
  #escape = false
  #wake: (() => void) | undefined

  /** On a terminal, keys come one by one and unchanged, and Ctrl-A introduces a command. */
  constructor(stream: InputStream) {
    this.#stream = stream
    if (stream.isTTY) stream.setRawMode?.(true)
    stream.on('data', (bytes: Uint8Array) => this.#receive(bytes))
    stream.on('end', () => this.#end())
    stream.on('error', () => this.#end())
    stream.on('close', () => this.#end())
  }

  /** Can more input come? While it can, an idle guest waits in wall time. */
  get live(): boolean {
    return this.#live || this.#queue.length > 0
  }

  /** Did the user ask to quit? */
  get quit(): boolean {
    return this.#quit
  }

  /** Hands queued bytes over until `accept` refuses one. */
  deliver(accept: (byte: number) => boolean): void {
    let taken = 0
    while (taken < this.#queue.length && accept(this.#queue[taken])) taken++
    this.#queue.splice(0, taken)
  }

  /** Resolves when input arrives or ends, or after `milliseconds`. */
  wait(milliseconds: number): Promise<void> {
    if (this.#queue.length > 0 || this.#quit) return Promise.resolve()
    return new Promise(resolve => {
      const timer = setTimeout(() => this.#wake?.(), Math.min(milliseconds, 2 ** 31 - 1))
      this.#wake = () => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve()
      }
    })
  }

  /** Ends a {@link wait}: something else has come. */
  wake(): void {
    this.#wake?.()
  }

  close(): void {
    if (this.#stream.isTTY) this.#stream.setRawMode?.(false)
    this.#stream.removeAllListeners('data')
    this.#stream.pause()
  }

  #receive(bytes: Uint8Array): void {
    for (const byte of bytes) if (!this.#stream.isTTY || !this.#command(byte)) this.#queue.push(byte)
    this.#wake?.()
  }

  /** Takes the keys that are for us and not for the guest. */
  #command(byte: number): boolean {
    if (!this.#escape) {
      this.#escape = byte === CTRL_A
      return this.#escape
    }
    this.#escape = false
    if (X_KEYS.includes(byte)) this.#quit = true
    return byte !== CTRL_A
  }

  #end(): void {
    this.#live = false
    this.#wake?.()
  }
}
