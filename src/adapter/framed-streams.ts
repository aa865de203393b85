/** The protocol's own transport: a pair of streams, on which each message has a header with its length. */

import type { Readable, Writable } from 'node:stream'
import { FramingError, framed, LARGEST_MESSAGE, MessageReader } from '../protocol/framing.ts'
import type { Transport, TransportListener } from './transport.ts'

/** Bytes that a client which does not read may leave unread. */
const MOST_UNREAD = 4 * LARGEST_MESSAGE

export class FramedStreams implements Transport {
  readonly #input: Readable
  readonly #output: Writable
  readonly #reader = new MessageReader()
  #listener: TransportListener | undefined

  constructor(input: Readable, output: Writable) {
    this.#input = input
    this.#output = output
  }

  listen(listener: TransportListener): void {
    this.#listener = listener
    this.#input.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.#input.on('close', () => listener.closed())
    this.#input.on('end', () => listener.closed())
    this.#input.on('error', () => listener.closed())
    this.#output.on('error', () => listener.closed())
  }

  send(text: string): void {
    if (this.#output.destroyed) return
    this.#output.write(framed(text))
    if (this.#output.writableLength > MOST_UNREAD) {
      this.#output.destroy()
      this.#listener?.closed()
    }
  }

  pause(): void {
    this.#input.pause()
  }

  resume(): void {
    this.#input.resume()
  }

  #receive(chunk: Buffer): void {
    const texts: string[] = []
    let broken: FramingError | undefined
    try {
      for (const text of this.#reader.push(chunk)) texts.push(text)
    } catch (error) {
      if (!(error instanceof FramingError)) throw error
      broken = error
    }
    this.#listener?.messages(texts)
    if (broken === undefined) return
    this.#listener?.unreadable(broken.message)
    // Where the next message begins is anybody's guess.
    this.#input.destroy()
    this.#listener?.closed()
  }
}
