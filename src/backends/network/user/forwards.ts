/** Ports of the host's loopback interface that lead to ports of the guest. Nobody outside the host can use them. */

import { createSocket } from 'node:dgram'
import { createServer, type Server, type Socket } from 'node:net'
import type { Transport } from './access-policy.ts'
import { type DatagramSocket, HostDatagramSocket } from './datagram-socket.ts'
import type { HostEvents } from './host-events.ts'
import { type HostStream, SocketStream } from './host-stream.ts'

const LOOPBACK = '127.0.0.1'
/** Connections that nobody has accepted yet. */
const BACKLOG = 64

export interface PortForward {
  readonly transport: Transport
  /** 0 for any that is free. */
  readonly hostPort: number
  readonly guestPort: number
}

/** A port of the host that can't be had; the message says why. */
export class ForwardError extends Error {}

export interface OpenForward {
  readonly transport: Transport
  /** The port that was got. */
  readonly hostPort: number
  readonly guestPort: number
  close(): void
}

export interface ForwardTargets {
  readonly events: HostEvents
  /** A connection to the guest's port; false if it can't be served. Told between slices. */
  stream(guestPort: number, stream: HostStream): boolean
  datagrams(guestPort: number, socket: DatagramSocket): void
}

/** Begins to listen. Throws {@link ForwardError}. */
export function openForward(forward: PortForward, targets: ForwardTargets): Promise<OpenForward> {
  return forward.transport === 'tcp' ? listenTcp(forward, targets) : bindUdp(forward, targets)
}

function listenTcp(forward: PortForward, { events, stream }: ForwardTargets): Promise<OpenForward> {
  const sockets = new Set<Socket>()
  const server: Server = createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    const what = `tcp 127.0.0.1:${forward.hostPort} > guest:${forward.guestPort}`
    const wrapped = new SocketStream(socket, events, what)
    events.post(`${what}: connected`, () => {
      if (!stream(forward.guestPort, wrapped)) wrapped.destroy()
    })
  })
  return new Promise((resolve, reject) => {
    server.once('error', error => reject(failure(forward, error)))
    server.listen({ host: LOOPBACK, port: forward.hostPort, backlog: BACKLOG }, () => {
      server.removeAllListeners('error')
      // Accepting may fail for want of file descriptors: then a client waits or goes.
      server.on('error', () => undefined)
      const address = server.address()
      const hostPort = typeof address === 'object' && address !== null ? address.port : forward.hostPort
      const close = () => {
        server.close()
        for (const socket of sockets) socket.destroy()
      }
      resolve({ ...forward, hostPort, close })
    })
  })
}

function bindUdp(forward: PortForward, { events, datagrams }: ForwardTargets): Promise<OpenForward> {
  const socket = createSocket('udp4')
  return new Promise((resolve, reject) => {
    socket.once('error', error => reject(failure(forward, error)))
    socket.bind({ port: forward.hostPort, address: LOOPBACK, exclusive: true }, () => {
      socket.removeAllListeners('error')
      const what = `udp 127.0.0.1:${forward.hostPort} > guest:${forward.guestPort}`
      const wrapped = new HostDatagramSocket(socket, events, what)
      datagrams(forward.guestPort, wrapped)
      resolve({ ...forward, hostPort: socket.address().port, close: () => wrapped.close() })
    })
  })
}

function failure({ transport, hostPort, guestPort }: PortForward, error: Error): ForwardError {
  const code = 'code' in error ? error.code : undefined
  const reason =
    code === 'EADDRINUSE'
      ? 'another program uses that port: choose another, or 0 for any that is free'
      : code === 'EACCES'
        ? 'that port is reserved for the system: choose one from 1024 on'
        : error.message
  return new ForwardError(
    `forward=${transport}:${hostPort}:${guestPort}: can't listen at ${LOOPBACK}:${hostPort}: ${reason}`,
    { cause: error },
  )
}
