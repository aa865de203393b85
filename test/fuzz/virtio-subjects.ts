/** The virtio devices that `npm run fuzz:virtio` plays with: each with requests that its driver might make. */

import { EntropyDevice } from '../../src/devices/virtio/entropy/device.ts'
import { NetDevice } from '../../src/devices/virtio/net/device.ts'
import { TRANSMIT_QUEUE } from '../../src/devices/virtio/net/protocol.ts'
import type { VirtioDevice } from '../../src/devices/virtio/virtio-device.ts'
import type { VirtualClock } from '../../src/util/virtual-clock.ts'
import { EchoDevice } from '../devices/virtio/echo-device.ts'
import type { PostedBuffer } from '../support/virtio-driver.ts'

const NET_MAC = 0x0252_5300_0001

/** Numbers from 0 up to a bound, the same for the same seed. */
export type Random = (bound: number) => number

export interface VirtioSubject {
  /** A device in power-on state. What it holds open is closed by `close`. */
  make(clock: VirtualClock): { readonly device: VirtioDevice; readonly close?: () => void }
  /** A chain that makes sense for a queue; noise is made of it. Buffers of any kind if absent. */
  request?(queue: number, next: Random): readonly PostedBuffer[]
  /** Something the host's side does, such as a packet that arrives. */
  poke?(device: VirtioDevice, next: Random): void
}

export const VIRTIO_SUBJECTS: Readonly<Record<string, VirtioSubject>> = {
  echo: {
    make: () => ({ device: new EchoDevice(3, 16) }),
    poke: device => {
      if (!(device instanceof EchoDevice)) return
      device.hold = !device.hold
      const [chain] = device.held
      if (chain !== undefined) device.finish(chain)
      device.port.configurationChanged()
    },
  },
  entropy: {
    make: () => ({ device: new EntropyDevice('virtio-rng0', 1) }),
    request: (_queue, next) => [{ room: next(5000) }],
  },
  net: {
    make: clock => {
      const device = new NetDevice({ name: 'virtio-net0', mac: NET_MAC, clock })
      // What is sent comes back.
      device.wire = { name: 'echo', receive: frame => device.receive(frame) }
      return { device }
    },
    request: (queue, next) => {
      if (queue === 0) return [{ room: next(4) === 0 ? next(100) : 1526 }]
      const bytes = Uint8Array.from({ length: 12 + next(1600) }, () => next(256))
      // Headers that ask for something: a checksum, or segments.
      if (queue === TRANSMIT_QUEUE) bytes.set([next(2), next(2), 0, 0, next(256), next(6), 34, 0, next(20), 0])
      else bytes.set([next(2), next(7)])
      return [{ bytes }, ...(queue === TRANSMIT_QUEUE ? [] : [{ room: 1 }])]
    },
    poke: (device, next) => {
      if (!(device instanceof NetDevice)) return
      if (next(10) === 0) device.setLink(next(4) !== 0)
      else device.receive(Uint8Array.from({ length: 14 + next(1600) }, () => next(256)))
    },
  },
}
