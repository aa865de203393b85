import { beforeEach, describe, expect, it } from 'vitest'
import { VirtioConsole } from '../../../../src/devices/virtio/console/device.ts'
import { CONTROL_EVENTS, encodeControl } from '../../../../src/devices/virtio/console/protocol.ts'
import { FakeChain, FakePort, featuresWithout } from '../../../support/virtio-port.ts'

const [RECEIVE0, TRANSMIT0, CONTROL_RECEIVE, CONTROL_TRANSMIT, RECEIVE1, TRANSMIT1] = [0, 1, 2, 3, 4, 5]
const MULTIPORT = 1

const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'))
const text = (of: Uint8Array) => Buffer.from(of).toString('latin1')

/** Of a control message, such as `PORT_NAME 1 1 "channel"`. */
function told({ writable, written = 0 }: FakeChain): string {
  const view = new DataView(writable.buffer, writable.byteOffset, written)
  const rest = written > 8 ? ` ${JSON.stringify(text(writable.subarray(8, written)))}` : ''
  return `${CONTROL_EVENTS[view.getUint16(4, true)]} ${view.getUint32(0, true)} ${view.getUint16(6, true)}${rest}`
}

describe('the virtio console', () => {
  let shown: string[]
  let device: VirtioConsole
  beforeEach(() => {
    shown = ['', '']
    device = new VirtioConsole('virtio-console0', [
      { name: '', console: true, output: of => void (shown[0] += text(of)) },
      { name: 'channel', console: false, output: of => void (shown[1] += text(of)) },
    ])
  })

  function send(port: FakePort, queue: number, chain: FakeChain): FakeChain {
    port.queues[queue].available.push(chain)
    device.service(queue)
    return chain
  }
  const control = (event: (typeof CONTROL_EVENTS)[number], port: number, value: number) =>
    new FakeChain(0, encodeControl({ port, event, value }), 0)
  /** Buffers for control messages, which are filled as messages come. */
  function room(port: FakePort, count = 20): FakeChain[] {
    const chains = Array.from({ length: count }, (_, i) => new FakeChain(100 + i, new Uint8Array(0), 64))
    port.queues[CONTROL_RECEIVE].available.push(...chains)
    return chains
  }
  const messages = (chains: readonly FakeChain[]) => chains.filter(({ written }) => written !== undefined).map(told)

  it('names its queues as the specification does', () => {
    expect(device.queues.map(({ name }) => name)).toEqual([
      ...['receiveq0', 'transmitq0', 'control receiveq', 'control transmitq', 'receiveq1', 'transmitq1'],
    ])
    expect(new VirtioConsole('one', [{ name: '', console: true, output: () => {} }]).queues).toHaveLength(4)
  })

  it('without MULTIPORT has its first port, open from the beginning', () => {
    const port = new FakePort(device, featuresWithout(device, MULTIPORT))
    send(port, TRANSMIT0, new FakeChain(0, bytes('hello'), 0))
    expect(shown[0]).toBe('hello')
    const chain = new FakeChain(1, new Uint8Array(0), 3)
    port.queues[RECEIVE0].available.push(chain)
    device.input(0, bytes('keys'))
    expect(text(chain.writable)).toBe('key')
    expect(chain.written).toBe(3)
    expect(send(port, RECEIVE0, new FakeChain(2, new Uint8Array(0), 3)).written).toBe(1)
  })

  it('introduces its ports: added, console or name, open', () => {
    const port = new FakePort(device)
    const chains = room(port)
    send(port, CONTROL_TRANSMIT, control('DEVICE_READY', 0, 1))
    send(port, CONTROL_TRANSMIT, control('PORT_READY', 0, 1))
    send(port, CONTROL_TRANSMIT, control('PORT_READY', 1, 1))
    expect(messages(chains)).toEqual([
      ...['PORT_ADD 0 1', 'PORT_ADD 1 1', 'CONSOLE_PORT 0 1', 'RESIZE 0 0 "P\\u0000\\u0019\\u0000"', 'PORT_OPEN 0 1'],
      ...['PORT_NAME 1 1 "channel\\u0000"', 'PORT_OPEN 1 1'],
    ])
  })

  it('keeps messages for a driver that has no buffers yet', () => {
    const port = new FakePort(device)
    send(port, CONTROL_TRANSMIT, control('DEVICE_READY', 0, 1))
    const chains = room(port, 1)
    device.service(CONTROL_RECEIVE)
    expect(messages(chains)).toEqual(['PORT_ADD 0 1'])
    const later = room(port, 5)
    device.service(CONTROL_RECEIVE)
    expect(messages(later)).toEqual(['PORT_ADD 1 1'])
  })

  it('holds input of a port back until a program has it open', () => {
    const port = new FakePort(device)
    const chain = new FakeChain(0, new Uint8Array(0), 8)
    port.queues[RECEIVE1].available.push(chain)
    expect(device.input(1, bytes('early'))).toBe(5)
    expect(chain.written).toBeUndefined()
    send(port, CONTROL_TRANSMIT, control('PORT_OPEN', 1, 1))
    expect(chain.written).toBe(5)
    expect(text(chain.writable.subarray(0, 5))).toBe('early')
    send(port, TRANSMIT1, new FakeChain(1, bytes('answer'), 0))
    expect(shown).toEqual(['', 'answer'])
  })

  it('tells of another size of the terminal', () => {
    const port = new FakePort(device)
    send(port, CONTROL_TRANSMIT, control('PORT_READY', 0, 1))
    const chains = room(port)
    device.service(CONTROL_RECEIVE)
    device.resize(132, 43)
    expect(messages(chains).at(-1)).toBe(`RESIZE 0 0 ${JSON.stringify('\x84\0+\0')}`)
    expect([device.readConfiguration(0, 2), device.readConfiguration(2, 2)]).toEqual([132, 43])
  })

  it('takes a limited amount of input, and of output of one chain', () => {
    const port = new FakePort(device)
    expect(device.input(1, new Uint8Array(100_000))).toBe(65_536)
    expect(device.input(1, new Uint8Array(1))).toBe(0)
    send(port, TRANSMIT0, new FakeChain(0, new Uint8Array(3 * 2 ** 20).fill(0x61), 0))
    expect(shown[0].length).toBe(2 ** 20)
  })

  it('shows a byte of the emergency register', () => {
    device.writeConfiguration(8, 4, 0x21)
    device.writeConfiguration(4, 4, 0x22)
    expect(shown[0]).toBe('!')
    expect(device.readConfiguration(4, 4)).toBe(2)
  })

  it.each([
    ['too short', new FakeChain(0, new Uint8Array(7), 0)],
    ['of a port that is not there', new FakeChain(0, encodeControl({ port: 99, event: 'PORT_READY', value: 1 }), 0)],
    ['of no known event', new FakeChain(0, Uint8Array.of(0, 0, 0, 0, 99, 0, 0, 0), 0)],
    ['of the device itself', new FakeChain(0, encodeControl({ port: 0, event: 'PORT_ADD', value: 1 }), 0)],
  ])('passes over a control message %s', (_what, chain) => {
    const port = new FakePort(device)
    const chains = room(port)
    send(port, CONTROL_TRANSMIT, chain)
    expect(chain.written).toBe(0)
    expect(messages(chains)).toEqual([])
  })

  it('keeps a limited number of messages for a driver that asks and does not fetch', () => {
    const port = new FakePort(device)
    for (let i = 0; i < 1000; i++) send(port, CONTROL_TRANSMIT, control('DEVICE_READY', 0, 1))
    const chains = room(port, 2000)
    device.service(CONTROL_RECEIVE)
    expect(messages(chains)).toHaveLength(256)
  })

  it('describes its chains', () => {
    expect(device.describe(TRANSMIT0, new FakeChain(0, bytes('a\n'), 0))).toEqual({
      summary: '2 bytes of output',
      fields: [{ name: 'text', value: '"a\\n"' }],
    })
    expect(device.describe(CONTROL_TRANSMIT, control('PORT_OPEN', 1, 1)).summary).toBe('PORT_OPEN, port 1, 1')
    expect(device.describe(RECEIVE0, new FakeChain(0, new Uint8Array(0), 16)).summary).toBe(
      'room for 16 bytes of input',
    )
  })

  it('saves and restores what waits', () => {
    const port = new FakePort(device)
    send(port, CONTROL_TRANSMIT, control('DEVICE_READY', 0, 1))
    device.input(1, bytes('later'))
    const other = new VirtioConsole(
      'virtio-console0',
      device.ports.map(({ description }) => description),
    )
    const its = new FakePort(other)
    other.restore(device.save())
    expect(other.registers()).toEqual(device.registers())
    const chains = room(its)
    other.service(CONTROL_RECEIVE)
    expect(messages(chains)).toEqual(['PORT_ADD 0 1', 'PORT_ADD 1 1'])
  })

  it('after a reset has forgotten what waited', () => {
    const port = new FakePort(device)
    send(port, CONTROL_TRANSMIT, control('DEVICE_READY', 0, 1))
    device.input(0, bytes('keys'))
    device.reset()
    const chains = room(port)
    device.service(CONTROL_RECEIVE)
    expect(messages(chains)).toEqual([])
    expect(device.ports[0].waiting).toBe(0)
  })
})
