/** The transports over which `npm run fuzz:virtio` plays: for each a bench, and accesses that no driver would make. */

import * as m from '../../src/devices/virtio/mmio-registers.ts'
import * as p from '../../src/devices/virtio/pci-registers.ts'
import type { PciGeneration } from '../../src/devices/virtio/pci-transport.ts'
import type { VirtioDevice } from '../../src/devices/virtio/virtio-device.ts'
import { type BenchOptions, type DriverBench, VirtioBench } from '../support/virtio-driver.ts'
import { VirtioPciBench } from '../support/virtio-pci-bench.ts'
import type { Random } from './virtio-subjects.ts'

type Size = 1 | 2 | 4

export interface NoiseBench {
  readonly bench: DriverBench
  readonly transport: (VirtioBench | VirtioPciBench)['transport']
  /** Is a driver told that the device needs a reset? The legacy interface has no such bit. */
  readonly tells: boolean
  /** Before a driver begins: what firmware would do. */
  begin(next: Random): void
  /** Any access of any size anywhere, but for those that reset. Throws Error for what can't be read. */
  touch(next: Random, value: () => number): void
}

export const VIRTIO_TRANSPORTS = ['mmio', 'pci', 'pci-transitional', 'pci-legacy'] as const
export type TransportName = (typeof VIRTIO_TRANSPORTS)[number]

const GENERATIONS: Readonly<Record<Exclude<TransportName, 'mmio'>, PciGeneration>> = {
  pci: 'modern',
  'pci-transitional': 'transitional',
  'pci-legacy': 'legacy',
}

/** Is there such a device with this transport? Those of types that came with virtio 1.0 have no legacy form. */
export function hasTransport({ type }: VirtioDevice, transport: TransportName): boolean {
  return transport === 'mmio' || transport === 'pci' || type in p.TRANSITIONAL_DEVICE_IDS
}

export function noiseBench(transport: TransportName, device: VirtioDevice, options: BenchOptions): NoiseBench {
  if (transport === 'mmio') return overMmio(new VirtioBench(device, options))
  return overPci(new VirtioPciBench(device, { ...options, generation: GENERATIONS[transport] }))
}

function overMmio(bench: VirtioBench): NoiseBench {
  return {
    ...{ bench, transport: bench.transport, tells: true },
    begin: () => undefined,
    touch(next, value) {
      const size = anySize(next)
      const offset = next(3) === 0 ? next(0x1000 - size + 1) : 4 * next(0x50)
      // A driver that only resets would come to nothing else.
      if (next(3) === 0 && offset !== m.MMIO_STATUS) bench.transport.writeMmio(offset, size, value() % 2 ** (8 * size))
      else expectRange(bench.transport.readMmio(offset, size), size)
    },
  }
}

/** Bytes of the window of ports that noise reaches: registers, and the device's configuration behind them. */
const LEGACY_REACH = 64

function overPci(bench: VirtioPciBench): NoiseBench {
  const { generation } = bench.transport
  const windows = [
    touchConfiguration,
    touchMessages,
    ...(generation === 'legacy' ? [] : [touchStructures, touchStructures]),
    ...(generation === 'modern' ? [] : [touchPorts, touchPorts]),
  ]
  return {
    ...{ bench, transport: bench.transport, tells: generation === 'modern' },
    begin: next => {
      bench.restoreWindows()
      setMsix(bench, next(2) === 0)
    },
    touch: (next, value) => windows[next(windows.length)](bench, next, value),
  }
}

type Touch = (bench: VirtioPciBench, next: Random, value: () => number) => void

/** Base addresses and command are put back at once: a device that nobody reaches learns nothing more. */
const touchConfiguration: Touch = (bench, next, value) => {
  const size = anySize(next)
  const offset = next(0x100 / size) * size
  if (next(3) === 0) {
    bench.setConfig(offset, size, value())
    bench.restoreWindows()
  } else expectRange(bench.config(offset, size), size)
}

const touchMessages: Touch = (bench, next, value) => {
  const size = anySize(next)
  const offset = next(3) === 0 ? next(0x1000 - size + 1) : 4 * next(0x20)
  if (next(3) === 0) bench.messageWrite(offset, size, value())
  else expectRange(bench.messageRead(offset, size), size)
}

const STATUS_FIELD = 0x14

const touchStructures: Touch = (bench, next, value) => {
  const size = anySize(next)
  const structure = p.STRUCTURE_SIZE * next(p.MODERN_WINDOW / p.STRUCTURE_SIZE)
  const offset = structure + (next(3) === 0 ? next(p.STRUCTURE_SIZE - size + 1) : 2 * next(0x1e))
  if (next(3) === 0 && offset !== STATUS_FIELD) bench.memoryWrite(offset, size, value())
  else expectRange(bench.memoryRead(offset, size), size)
}

const touchPorts: Touch = (bench, next, value) => {
  const size = anySize(next)
  const offset = next(Math.min(LEGACY_REACH, windowOfPorts(bench)) - size + 1)
  if (next(3) === 0 && offset !== p.LEGACY_STATUS) bench.setPort(offset, size, value())
  else expectRange(bench.port(offset, size), size)
}

const windowOfPorts = ({ transport }: VirtioPciBench): number =>
  transport.windows.find(({ kind }) => kind === 'io')?.size ?? 0

/** Turns messages on or off, by the function's MSI-X capability (PCI 3.0, 6.8.2.3). */
function setMsix(bench: VirtioPciBench, on: boolean): void {
  for (let at = bench.config(0x34, 1); at !== 0; at = bench.config(at + 1, 1))
    if (bench.config(at, 1) === 0x11) bench.setConfig(at + 2, 2, on ? 0x8000 : 0)
}

const anySize = (next: Random): Size => ([1, 2, 4, 4] as const)[next(4)]

function expectRange(value: number, size: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size))
    throw new Error(`a register of ${size} bytes reads as ${value}`)
}
