/** A split ring (Virtio 1.2, 2.7) read from guest memory. */

import { DESCRIPTOR_SIZE } from '../../devices/virtio/virtqueue/descriptor.ts'
import type { MachineView, VirtqueueView } from '../machine-view.ts'
import { ChainReader, LookBudget } from './chain-reader.ts'
import { viewOf } from './ring-memory.ts'
import type { ChainWindow, ReadChain, RingModel } from './ring-model.ts'

const FLAG_NO_NOTIFICATION = 1
const INDEX_AT = 2
const ENTRIES_AT = 4
const AVAILABLE_ENTRY = 2
const USED_ENTRY = 8
/** Entries of the used ring that are shown: the last. */
const SHOWN_USED = 8

export function readSplitRing(machine: MachineView, queue: VirtqueueView, window: ChainWindow): RingModel {
  const { size, ring, format } = queue
  const table = viewOf(machine, queue.address('descriptors'), DESCRIPTOR_SIZE * size)
  const available = viewOf(machine, queue.address('driver'), ENTRIES_AT + AVAILABLE_ENTRY * size + 2)
  const used = viewOf(machine, queue.address('device'), ENTRIES_AT + USED_ENTRY * size + 2)
  if (table === undefined || available === undefined || used === undefined || ring === undefined)
    return { format: 'split', fields: [], pending: 0, chains: [], used: [], problems: ['its areas are not all RAM'] }
  const [availableIndex, usedIndex] = [available, used].map(view => view.getUint16(INDEX_AT, true))
  const pending = (availableIndex - ring.place.available) & 0xffff
  const problems: string[] = []
  if (pending > size)
    problems.push(
      `avail.idx is ${availableIndex}: it jumped from ${ring.place.available}, and the queue has ${size} entries`,
    )
  if (usedIndex !== ring.place.used)
    problems.push(`used.idx is ${usedIndex}, and the device has written ${ring.place.used}: the driver changed it`)
  const look = {
    ...{ ram: machine, packed: false, size, table, budget: new LookBudget() },
    indirect: format?.indirect ?? false,
  }
  const chains: ReadChain[] = []
  const owners = new Map<number, number>()
  const last = Math.min(pending, size, window.start + window.count)
  for (let number = window.start; number < last; number++) {
    const entry = (ring.place.available + number) & (size - 1)
    const head = available.getUint16(ENTRIES_AT + AVAILABLE_ENTRY * entry, true)
    if (head >= size) {
      const problem = `available entry ${entry}: descriptor ${head} of a table of ${size}`
      chains.push({ head, id: head, entry, descriptors: [], omitted: 0, buffers: [], problem })
      continue
    }
    const reader = new ChainReader(look, head)
    const { descriptors, omitted, buffers } = reader
    const shared = reader.slots.find(slot => owners.has(slot))
    for (const slot of reader.slots) if (!owners.has(slot)) owners.set(slot, head)
    const problem =
      reader.problem ??
      (shared === undefined ? undefined : `descriptor ${shared}: in the chain of ${owners.get(shared)} too`)
    const culprit = reader.culprit ?? shared
    chains.push({
      ...{ head, id: head, entry, descriptors, omitted, buffers },
      ...(problem === undefined ? {} : { problem }),
      ...(culprit === undefined ? {} : { culprit }),
    })
  }
  return {
    format: 'split',
    fields: [
      field('avail.idx', availableIndex, 'posted by the driver'),
      field('last_avail', ring.place.available, 'taken by the device'),
      field('used.idx', usedIndex, 'returned by the device'),
      field('avail.flags', available.getUint16(0, true), wanted(available, 'interrupts')),
      field('used.flags', used.getUint16(0, true), wanted(used, 'kicks')),
      ...(format?.eventIndex
        ? [
            field('used_event', available.getUint16(ENTRIES_AT + AVAILABLE_ENTRY * size, true), 'interrupt behind it'),
            field('avail_event', used.getUint16(ENTRIES_AT + USED_ENTRY * size, true), 'kick behind it'),
          ]
        : []),
    ],
    pending,
    chains,
    used: lastUsed(used, usedIndex, size),
    problems,
  }
}

/** What the ring has of a chain that the device has: its descriptors now, which must not have changed. */
export function readSplitChain(machine: MachineView, queue: VirtqueueView, head: number): ReadChain | undefined {
  const { size, format } = queue
  const table = viewOf(machine, queue.address('descriptors'), DESCRIPTOR_SIZE * size)
  if (table === undefined || head < 0 || head >= size) return undefined
  const { descriptors, omitted, buffers, problem } = new ChainReader(
    { ram: machine, packed: false, size, table, budget: new LookBudget(), indirect: format?.indirect ?? false },
    head,
  )
  return { head, id: head, descriptors, omitted, buffers, ...(problem === undefined ? {} : { problem }) }
}

/** The entries before the used index. */
function lastUsed(used: DataView, index: number, size: number): RingModel['used'] {
  const count = Math.min(SHOWN_USED, size, index)
  return Array.from({ length: count }, (_, i) => {
    const number = index - count + i
    const at = ENTRIES_AT + USED_ENTRY * (number & (size - 1))
    return { index: number, id: used.getUint32(at, true), length: used.getUint32(at + 4, true) }
  })
}

const field = (name: string, value: number, meaning: string) => ({ name, value, meaning })

const wanted = (view: DataView, what: string): string =>
  (view.getUint16(0, true) & FLAG_NO_NOTIFICATION) === 0 ? `${what} wanted` : `no ${what} wanted`
