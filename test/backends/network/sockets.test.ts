/** The user network with the host's own sockets, on loopback. */

import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { Bridge } from '../../../src/backends/network/bridge.ts'
import { sequenceAfter, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from '../../../src/backends/network/frame/tcp.ts'
import type { AccessOptions } from '../../../src/backends/network/user/access-policy.ts'
import { GATEWAY } from '../../../src/backends/network/user/addresses.ts'
import { ForwardError } from '../../../src/backends/network/user/forwards.ts'
import { UserNetwork } from '../../../src/backends/network/user/user-network.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'
import { GuestStack } from './guest-stack.ts'

const CLOSED: AccessOptions = { outside: false, host: false, allow: [] }
const toClose: (() => void)[] = []

afterEach(() => {
  for (const close of toClose.splice(0)) close()
})

function network(access: AccessOptions) {
  const clock = new VirtualClock()
  const user = new UserNetwork({ clock, access })
  const bridge = new Bridge()
  const guest = new GuestStack()
  user.port = bridge.connect(user)
  guest.wire = bridge.connect(guest)
  toClose.push(() => user.close())
  guest.arp(1, GATEWAY)
  guest.take()
  /** Waits for the host until there is something, as a machine does between two slices. */
  const until = async <T>(found: () => T | undefined): Promise<T> => {
    for (let i = 0; i < 500; i++) {
      user.deliver()
      const result = found()
      if (result !== undefined) return result
      await new Promise(done => setTimeout(done, 10))
    }
    throw new Error('nothing came')
  }
  const segments = () =>
    until(() => {
      const came = guest.takeTcp()
      return came.length > 0 ? came : undefined
    })
  return { clock, user, guest, until, segments }
}

async function serve(onSocket: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, onSocket).listen(0, '127.0.0.1')
  toClose.push(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function datagrams(): Promise<DatagramSocket> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  toClose.push(() => socket.close())
  await once(socket, 'listening')
  return socket
}

describe('TCP with the host', () => {
  test('reaches a port that is allowed, and carries data and both ends', async () => {
    const port = await serve(socket => {
      socket.on('data', data => socket.write(`you said ${data}`))
      socket.on('end', () => socket.end('bye'))
    })
    const { guest, segments, user } = network({ ...CLOSED, allow: [{ transport: 'tcp', port }] })
    const send = (flags: number, sequence: number, acknowledgment: number, text = '') =>
      guest.tcp({ flags, sequence, acknowledgment, destinationPort: port, data: new TextEncoder().encode(text) })
    send(TCP_SYN, 1000, 0)
    const [answer] = await segments()
    expect(answer.flags).toBe(TCP_SYN | TCP_ACK)
    let next = sequenceAfter(answer.sequence, 1)
    send(TCP_ACK, 1001, next)
    send(TCP_ACK, 1001, next, 'hello')
    const said = await segments()
    expect(new TextDecoder().decode(said.at(-1)?.data)).toBe('you said hello')
    next = sequenceAfter(next, 14)
    send(TCP_ACK | TCP_FIN, 1006, next)
    let text = ''
    let ended = false
    while (!ended)
      for (const { data, flags } of await segments()) {
        text += new TextDecoder().decode(data)
        next = sequenceAfter(next, data.length)
        ended ||= (flags & TCP_FIN) !== 0
      }
    expect(text).toBe('bye')
    send(TCP_ACK, 1007, sequenceAfter(next, 1))
    expect(user.tcp.connections).toEqual([])
    expect(user.events.notes[0].what).toContain('connected')
  })

  test('a port where nobody listens is refused', async () => {
    const port = await serve(() => undefined)
    for (const close of toClose.splice(0)) close()
    const { guest, segments } = network({ ...CLOSED, host: true })
    guest.tcp({ flags: TCP_SYN, sequence: 1000, destinationPort: port })
    expect(await segments()).toMatchObject([{ flags: TCP_RST | TCP_ACK, acknowledgment: 1001 }])
  })

  test('the outside does not lead back to the host', async () => {
    const port = await serve(() => expect.fail('reached'))
    const { guest, user } = network({ ...CLOSED, outside: true })
    for (const address of [0x7f00_0001, 0x7f00_0002, 0, GATEWAY, 0xa9fe_a9fe])
      guest.tcp({ flags: TCP_SYN, sequence: 1000, destinationPort: port }, address)
    expect(user.tcp.connections).toEqual([])
  })

  test('a forwarded port leads to the guest', async () => {
    const { user, guest, segments, until } = network(CLOSED)
    await user.open([{ transport: 'tcp', hostPort: 0, guestPort: 22 }])
    expect(user.live).toBe(true)
    const client = connect(user.forwards[0].hostPort, '127.0.0.1')
    toClose.push(() => client.destroy())
    let heard = ''
    client.on('data', data => (heard += data))
    client.write('knock')
    const [syn] = await segments()
    expect(syn).toMatchObject({ flags: TCP_SYN, destinationPort: 22 })
    const ports = { sourcePort: 22, destinationPort: syn.sourcePort }
    const next = sequenceAfter(syn.sequence, 1)
    guest.tcp({ ...ports, flags: TCP_SYN | TCP_ACK, sequence: 500, acknowledgment: next })
    let said = ''
    while (said !== 'knock') for (const { data } of await segments()) said += new TextDecoder().decode(data)
    const data = new TextEncoder().encode('come in')
    guest.tcp({ ...ports, flags: TCP_ACK, sequence: 501, acknowledgment: sequenceAfter(next, 5), data })
    expect(await until(() => (heard === 'come in' ? heard : undefined))).toBe('come in')
  })

  test('a port of the host that is taken is named', async () => {
    const port = await serve(() => undefined)
    const { user } = network(CLOSED)
    const opening = user.open([
      { transport: 'tcp', hostPort: 0, guestPort: 80 },
      { transport: 'tcp', hostPort: port, guestPort: 22 },
    ])
    await expect(opening).rejects.toThrow(ForwardError)
    await expect(opening).rejects.toThrow(`127.0.0.1:${port}: another program uses that port`)
    expect(user.forwards).toEqual([])
  })
})

describe('UDP with the host', () => {
  test('reaches a port that is allowed; answers come back, strangers do not', async () => {
    const [server, stranger] = [await datagrams(), await datagrams()]
    const { port } = server.address()
    const { guest, until, user } = network({ ...CLOSED, allow: [{ transport: 'udp', port }] })
    let from = 0
    server.on('message', (data, { port: sender }) => {
      from = sender
      server.send(`you said ${data}`, sender, '127.0.0.1')
    })
    guest.udp(GATEWAY, port, new TextEncoder().encode('hello'))
    const came = () => {
      const datagrams = guest.takeUdp()
      return datagrams.length > 0 ? datagrams : undefined
    }
    const [answer] = await until(came)
    expect(answer).toMatchObject({ sourcePort: port, destinationPort: 4000 })
    expect(answer.packet.source).toBe(GATEWAY)
    expect(new TextDecoder().decode(answer.data)).toBe('you said hello')
    stranger.send('psst', from, '127.0.0.1')
    await until(() => (user.udp.counters.dropped > 0 ? true : undefined))
    expect(came()).toBeUndefined()
    expect(user.live).toBe(true)
  })

  test('a forwarded port leads to the guest and back', async () => {
    const client = await datagrams()
    const { guest, until, user } = network(CLOSED)
    await user.open([{ transport: 'udp', hostPort: 0, guestPort: 69 }])
    let heard = ''
    client.on('message', data => (heard += data))
    client.send('knock', user.forwards[0].hostPort, '127.0.0.1')
    const [datagram] = await until(() => {
      const came = guest.takeUdp()
      return came.length > 0 ? came : undefined
    })
    expect(datagram).toMatchObject({ sourcePort: client.address().port, destinationPort: 69 })
    guest.udp(GATEWAY, datagram.sourcePort, new TextEncoder().encode('come in'), 69)
    expect(await until(() => (heard === '' ? undefined : heard))).toBe('come in')
    guest.udp(GATEWAY, 9, new Uint8Array(4), 69)
    expect(user.udp.counters.refused).toBe(1)
  })

  test('flows end after two minutes of silence', () => {
    const { guest, user, clock } = network({ ...CLOSED, host: true })
    guest.udp(GATEWAY, 9, new Uint8Array(4))
    expect(user.udp.flows).toBe(1)
    clock.skipTo(121e9)
    clock.fireDue()
    expect(user.udp.flows).toBe(0)
    expect(user.live).toBe(false)
  })
})
