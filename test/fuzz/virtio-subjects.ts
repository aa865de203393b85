/** The virtio devices that `npm run fuzz:virtio` plays with: each with requests that its driver might make. */

import { EntropyDevice } from '../../src/devices/virtio/entropy/device.ts'
import type { VirtioDevice } from '../../src/devices/virtio/virtio-device.ts'
import type { VirtualClock } from '../../src/util/virtual-clock.ts'
import { EchoDevice } from '../devices/virtio/echo-device.ts'
import type { PostedBuffer } from '../support/virtio-driver.ts'

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
}
