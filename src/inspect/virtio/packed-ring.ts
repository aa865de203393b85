/** A packed ring (Virtio 1.2, 2.8) read from guest memory. */

import {
  DESCRIPTOR_SIZE,
  VIRTQ_DESC_F_AVAIL,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_USED,
} from '../../devices/virtio/virtqueue/descriptor.ts'
import type { MachineView, VirtqueueView } from '../machine-view.ts'
import { ChainReader, LookBudget } from './chain-reader.ts'
import { viewOf } from './ring-memory.ts'
import type { ChainWindow, ReadChain, RingModel } from './ring-model.ts'

const EVENT_SIZE = 4
const EVENT_WRAP = 1 << 15

export function readPackedRing(machine: MachineView, queue: VirtqueueView, window: ChainWindow): RingModel {
  const { size, ring, format } = queue
  const table = viewOf(machine, queue.address('descriptors'), DESCRIPTOR_SIZE * size)
  const driver = viewOf(machine, queue.address('driver'), EVENT_SIZE)
  const device = viewOf(machine, queue.address('device'), EVENT_SIZE)
  if (table === undefined || driver === undefined || device === undefined || ring === undefined)
    return { format: 'packed', fields: [], pending: 0, chains: [], used: [], problems: ['its areas are not all RAM'] }
  const look = {
    ...{ ram: machine, packed: true, size, table, budget: new LookBudget() },
    indirect: format?.indirect ?? false,
  }
  const chains: ReadChain[] = []
  let pending = 0
  // A chain that is broken has no known end: what follows can't be told apart. Behind the window, links are enough.
  for (let slots = 0; slots < size; pending++) {
    const place = (ring.place.available + slots) % (2 * size)
    if (!isAvailable(table, place % size, place < size)) break
    if (pending >= window.start + window.count) {
      slots += linkedSlots(table, place % size, size)
      continue
    }
    const reader = new ChainReader(look, place % size)
    if (pending >= window.start && pending < window.start + window.count) chains.push(chainOf(reader, place % size))
    slots += reader.slots.length
    if (reader.problem === undefined) continue
    pending++
    break
  }
  return {
    format: 'packed',
    fields: [
      position('next_avail', ring.place.available, size, 'where the device looks next'),
      position('next_used', ring.place.used, size, 'where the device writes next'),
      suppression('driver.flags', driver, 'interrupts'),
      suppression('device.flags', device, 'kicks'),
    ],
    ...{ pending, chains, used: [], problems: [] },
  }
}

/** Slots of the chain that begins there. */
function linkedSlots(table: DataView, head: number, size: number): number {
  let count = 1
  const isLinked = (slot: number): boolean =>
    (table.getUint16(DESCRIPTOR_SIZE * slot + 14, true) & VIRTQ_DESC_F_NEXT) !== 0
  while (count < size && isLinked((head + count - 1) % size)) count++
  return count
}

/** The chain that begins at a slot, whether it is available or not. @param head below the size */
export function readPackedChain(machine: MachineView, queue: VirtqueueView, head: number): ReadChain | undefined {
  const { size, format } = queue
  const table = viewOf(machine, queue.address('descriptors'), DESCRIPTOR_SIZE * size)
  if (table === undefined) return undefined
  const look = {
    ram: machine,
    packed: true,
    size,
    table,
    budget: new LookBudget(),
    indirect: format?.indirect ?? false,
  }
  return chainOf(new ChainReader(look, head), head)
}

const chainOf = (
  { id = 0, descriptors, omitted, buffers, problem, culprit }: ChainReader,
  head: number,
): ReadChain => ({
  ...{ head, id, descriptors, omitted, buffers },
  ...(problem === undefined ? {} : { problem }),
  ...(culprit === undefined ? {} : { culprit }),
})

/** 2.8.1: the driver's wrap counter in one flag, and its opposite in the other. */
function isAvailable(table: DataView, slot: number, wrap: boolean): boolean {
  const flags = table.getUint16(DESCRIPTOR_SIZE * slot + 14, true)
  return ((flags & VIRTQ_DESC_F_AVAIL) !== 0) === wrap && ((flags & VIRTQ_DESC_F_USED) !== 0) !== wrap
}

const position = (name: string, place: number, size: number, meaning: string) => ({
  ...{ name, value: place % size },
  meaning: `wrap counter ${place < size ? 1 : 0}: ${meaning}`,
})

function suppression(name: string, view: DataView, what: string) {
  const event = view.getUint16(0, true)
  const value = view.getUint16(2, true)
  const at = `at descriptor ${event & ~EVENT_WRAP}, wrap counter ${event >>> 15}`
  const meanings = [`${what} wanted`, `no ${what} wanted`, `${what} wanted ${at}`, 'reserved']
  return { name, value, meaning: meanings[value & 3] }
}
