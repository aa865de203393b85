/** Datagrams of the host, and how Node's sockets send them. */

import { createSocket, type Socket } from 'node:dgram'
import { formatIpv4, type Ipv4Address, parseIpv4Address } from '../frame/ipv4-address.ts'
import type { HostEvents } from './host-events.ts'

export interface DatagramSocket {
  /** Told between slices only. */
  onMessage: ((data: Uint8Array, address: Ipv4Address, port: number) => void) | undefined
  send(data: Uint8Array, address: Ipv4Address, port: number): void
  close(): void
}

/** Datagrams that may wait for the guest to stand still; more are lost, as datagrams may be. */
const MOST_WAITING = 256

/** A socket of Node's, bound or to be bound. Its messages go through {@link HostEvents}. */
export class HostDatagramSocket implements DatagramSocket {
  onMessage: ((data: Uint8Array, address: Ipv4Address, port: number) => void) | undefined
  readonly #socket: Socket
  #waiting = 0
  #closed = false

  constructor(socket: Socket, events: HostEvents, what: string) {
    this.#socket = socket
    socket.on('message', (data: Uint8Array, from) => {
      const address = parseIpv4Address(from.address)
      if (address === undefined || this.#closed || this.#waiting >= MOST_WAITING) return
      this.#waiting++
      events.post(`${what}: ${data.length} bytes`, () => {
        this.#waiting--
        if (!this.#closed) this.onMessage?.(data, address, from.port)
      })
    })
    // An unreachable port, for example: datagrams get lost.
    socket.on('error', () => undefined)
  }

  send(data: Uint8Array, address: Ipv4Address, port: number): void {
    if (!this.#closed) this.#socket.send(data, port, formatIpv4(address), () => undefined)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.close()
  }
}

/** @param loopback reaches nothing but this host, and is reached by nobody else. */
export function openDatagramSocket(loopback: boolean, events: HostEvents, what: string): DatagramSocket {
  const socket = createSocket('udp4')
  const wrapped = new HostDatagramSocket(socket, events, what)
  socket.bind(0, loopback ? '127.0.0.1' : '0.0.0.0')
  return wrapped
}
