/** A stream of bytes on the host's side of a connection, and how Node's sockets are one. */

import { connect, type Socket } from 'node:net'
import { formatIpv4, type Ipv4Address } from '../frame/ipv4-address.ts'
import type { HostEvents } from './host-events.ts'

/** Told between slices only. */
export interface HostStreamListener {
  connected(): void
  data(bytes: Uint8Array): void
  /** The other end will send nothing more. */
  ended(): void
  /** Room has come into being for {@link HostStream.write}. */
  drained(): void
  /** Nothing more will happen. */
  closed(failed: boolean): void
}

export interface HostStream {
  listener: HostStreamListener | undefined
  /** Bytes that were written and that the operating system has not taken yet. */
  readonly buffered: number
  write(bytes: Uint8Array): void
  /** Nothing more will be written. */
  end(): void
  /** Stops and resumes {@link HostStreamListener.data}. */
  pause(): void
  resume(): void
  /** Breaks the connection off. */
  destroy(): void
}

/** Bytes that may wait for the guest to stand still before the operating system is told to hold them back. */
const MOST_WAITING = 256 * 1024

/** A socket of Node's. Its events go through {@link HostEvents}. */
export class SocketStream implements HostStream {
  listener: HostStreamListener | undefined
  readonly #socket: Socket
  #waiting = 0
  #paused = false
  #destroyed = false

  /** @param what for people: whose connection it is. */
  constructor(socket: Socket, events: HostEvents, what: string) {
    this.#socket = socket
    socket.setNoDelay(true)
    const post = (event: string, act: (listener: HostStreamListener) => void) => {
      if (this.#destroyed) return
      events.post(`${what}: ${event}`, () => {
        if (!this.#destroyed && this.listener !== undefined) act(this.listener)
      })
    }
    socket.on('connect', () => post('connected', listener => listener.connected()))
    socket.on('data', (bytes: Uint8Array) => {
      this.#waiting += bytes.length
      this.#hold()
      post(`${bytes.length} bytes`, listener => {
        this.#waiting -= bytes.length
        this.#hold()
        listener.data(bytes)
      })
    })
    socket.on('end', () => post('end', listener => listener.ended()))
    socket.on('drain', () => post('room', listener => listener.drained()))
    // A 'close' follows each error, and says that there was one.
    socket.on('error', () => undefined)
    socket.on('close', failed => post(failed ? 'failed' : 'closed', listener => listener.closed(failed)))
  }

  get buffered(): number {
    return this.#socket.writableLength
  }

  write(bytes: Uint8Array): void {
    if (!this.#destroyed && this.#socket.writable) this.#socket.write(bytes)
  }

  end(): void {
    this.#socket.end()
  }

  pause(): void {
    this.#paused = true
    this.#hold()
  }

  resume(): void {
    this.#paused = false
    this.#hold()
  }

  destroy(): void {
    this.#destroyed = true
    if (this.#socket.connecting) this.#socket.destroy()
    else this.#socket.resetAndDestroy()
  }

  #hold(): void {
    if (this.#destroyed) return
    const hold = this.#paused || this.#waiting >= MOST_WAITING
    if (hold && !this.#socket.isPaused()) this.#socket.pause()
    else if (!hold && this.#socket.isPaused()) this.#socket.resume()
  }
}

/** Connects to a port of an address of the host or outside. */
export function connectStream(address: Ipv4Address, port: number, events: HostEvents, what: string): HostStream {
  return new SocketStream(connect({ host: formatIpv4(address), port, allowHalfOpen: true }), events, what)
}
