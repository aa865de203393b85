import { describe, expect, test } from 'vitest'
import { Bridge } from '../../../src/backends/network/bridge.ts'
import { writeEthernet } from '../../../src/backends/network/frame/ethernet.ts'
import { MAC_BROADCAST } from '../../../src/backends/network/frame/mac-address.ts'
import type { EthernetFrame } from '../../../src/backends/network/network-port.ts'
import { openTapFile, Tap, TapError, tapAddress } from '../../../src/backends/network/tap.ts'
import { GuestStack } from './guest-stack.ts'

function frame(length = 60): EthernetFrame {
  const bytes = new Uint8Array(length)
  writeEthernet(bytes, { source: 2, destination: MAC_BROADCAST, etherType: 0x88b5 })
  return bytes
}

function plugged() {
  const incoming: EthernetFrame[] = []
  const written: EthernetFrame[] = []
  const device = { full: false, closed: 0 }
  const tap = new Tap({
    read: () => incoming.shift(),
    write: bytes => !device.full && written.push(bytes) > 0,
    close: () => device.closed++,
  })
  const bridge = new Bridge()
  const guest = new GuestStack()
  guest.wire = bridge.connect(guest)
  tap.port = bridge.connect(tap)
  return { tap, guest, incoming, written, device }
}

describe('tap', () => {
  test('carries frames to the host, and counts what the host does not take', () => {
    const { tap, guest, written, device } = plugged()
    guest.send(frame())
    device.full = true
    guest.send(frame())
    expect(written).toEqual([frame()])
    expect(tap.counters).toMatchObject({ sent: 1, refused: 1 })
    tap.close()
  })

  test('what comes from the host wakes an idle guest, and waits until it stands still', async () => {
    const { tap, guest, incoming } = plugged()
    incoming.push(frame(100))
    await new Promise<void>(done => {
      tap.onArrival = done
    })
    expect(tap.waiting).toBe(true)
    expect(guest.take()).toEqual([])
    tap.deliver()
    expect(guest.take()).toEqual([frame(100)])
    tap.close()
  })

  test('reads no more than a bounded number of frames at once', () => {
    const { tap, guest, incoming } = plugged()
    for (let i = 0; i < 1000; i++) incoming.push(frame())
    tap.deliver()
    expect(guest.take().length).toBe(256)
    tap.close()
  })

  test('is closed once', () => {
    const { tap, device, guest } = plugged()
    tap.close()
    tap.close()
    guest.send(frame())
    expect(device.closed).toBe(1)
  })

  test.each([
    ['/dev/net/tun', 'an ioctl, which Node.js can’t make'],
    ['tap0', 'an ioctl, which Node.js can’t make'],
    ['/dev/tap999999', 'type macvtap'],
    ['/dev/stdout/tap', 'can’t be opened'],
    ['/etc/passwd', 'no character device'],
  ])('%s is refused, with what is needed', (path, message) => {
    expect(() => openTapFile(path)).toThrow(TapError)
    expect(() => openTapFile(path)).toThrow(message.replace('’', "'"))
  })

  test('the address of an interface that is not there is not known', () => {
    expect(tapAddress('/dev/tap999999')).toBeUndefined()
    expect(tapAddress('/dev/null')).toBeUndefined()
  })
})
