/**
 * What the bytes of a chain are to its device: a block request's header, data and status; a frame behind its header.
 * Where descriptors divide them is the driver's choice (Virtio 1.2, 2.7.4).
 */

import { HEADER_SIZE, STATUS_SIZE } from '../../devices/virtio/block/protocol.ts'
import { hasFeature, VIRTIO_F_VERSION_1 } from '../../devices/virtio/features.ts'
import {
  type ChainDescription,
  VIRTIO_ID_BLOCK,
  VIRTIO_ID_CONSOLE,
  VIRTIO_ID_NET,
} from '../../devices/virtio/virtio-device.ts'
import type { CheckedDescriptor } from './chain-reader.ts'
import type { BufferPart, DescriptorModel } from './descriptor-model.ts'

/** 5.1.6.1: with `num_buffers`, which it has since 1.0 or with MRG_RXBUF, and without. */
const NET_HEADER_SIZE = 12
const NET_HEADER_SIZE_LEGACY = 10
const VIRTIO_NET_F_MRG_RXBUF = 15
const NET_HEADER_FIELDS = ['flags', 'gso_type', 'gso_size', 'csum_start', 'csum_offset', 'num_buffers']

export interface ChainOwner {
  readonly type: number
  readonly features: bigint
  /** Of the queue. */
  readonly name: string
}

/** Bytes of one direction. `fields` undefined: those that no other part has. */
interface Section {
  readonly name: string
  readonly writable: boolean
  readonly start: number
  readonly end: number
  readonly fields?: readonly string[]
}

interface Lengths {
  readonly readable: number
  readonly writable: number
}

/** The descriptors with what their buffers are, and what the device's description says of each part. */
export function withParts(
  descriptors: readonly CheckedDescriptor[],
  owner: ChainOwner,
  description: ChainDescription,
): DescriptorModel[] {
  const sections = sectionsOf(owner, {
    readable: lengthOf(descriptors, 'read'),
    writable: lengthOf(descriptors, 'write'),
  })
  const named = new Set(sections.flatMap(({ fields = [] }) => fields))
  const at = { read: 0, write: 0 }
  return descriptors.map(descriptor => {
    const { direction, length } = descriptor
    if (direction === 'table' || descriptor.problem !== undefined) return { ...descriptor, parts: [] }
    const start = at[direction]
    at[direction] += length
    const parts = sections.flatMap((section): BufferPart[] => {
      const from = Math.max(section.start, start)
      const to = Math.min(section.end, start + length)
      if (section.writable !== (direction === 'write') || from >= to) return []
      const { fields } = section
      const own = description.fields.filter(({ name }) => fields?.includes(name) ?? !named.has(name))
      // What spans several buffers is told once.
      return [
        { name: section.name, offset: from - start, length: to - from, fields: from === section.start ? own : [] },
      ]
    })
    return { ...descriptor, parts }
  })
}

function sectionsOf({ type, features, name }: ChainOwner, { readable, writable }: Lengths): Section[] {
  switch (type) {
    case VIRTIO_ID_BLOCK:
      return [
        { name: 'header', writable: false, start: 0, end: HEADER_SIZE, fields: ['type', 'sector'] },
        { name: 'data', writable: false, start: HEADER_SIZE, end: readable, fields: ['data'] },
        { name: 'data', writable: true, start: 0, end: writable - STATUS_SIZE, fields: ['data'] },
        { name: 'status', writable: true, start: writable - STATUS_SIZE, end: writable, fields: ['status'] },
      ]
    case VIRTIO_ID_NET: {
      if (name.startsWith('control')) break
      const counted = hasFeature(features, VIRTIO_F_VERSION_1) || hasFeature(features, VIRTIO_NET_F_MRG_RXBUF)
      const header = counted ? NET_HEADER_SIZE : NET_HEADER_SIZE_LEGACY
      const received = writable > 0
      const [part, end] = [{ writable: received }, received ? writable : readable]
      return [
        { ...part, name: 'header', start: 0, end: header, fields: NET_HEADER_FIELDS },
        { ...part, name: 'frame', start: header, end },
      ]
    }
    case VIRTIO_ID_CONSOLE:
      if (!name.startsWith('control')) return wholeOf('text', readable, writable)
  }
  return wholeOf('data', readable, writable)
}

const wholeOf = (name: string, readable: number, writable: number): Section[] => [
  { name, writable: false, start: 0, end: readable },
  {
    name: readable > 0 ? 'answer' : name,
    writable: true,
    start: 0,
    end: writable,
    ...(readable > 0 ? { fields: [] } : {}),
  },
]

function lengthOf(descriptors: readonly CheckedDescriptor[], direction: 'read' | 'write'): number {
  return descriptors.reduce(
    (sum, each) => (each.direction === direction && each.problem === undefined ? sum + each.length : sum),
    0,
  )
}
