/** Descriptors as they lie in guest memory, 16 bytes each (Virtio 1.2, 2.7.5 and 2.8.6), whatever they say. */

import {
  DESCRIPTOR_SIZE,
  VIRTQ_DESC_F_AVAIL,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_USED,
  VIRTQ_DESC_F_WRITE,
} from '../../devices/virtio/virtqueue/descriptor.ts'

/** What a part of a buffer is to the device: `header`, bytes 0 to 16 of it. */
export interface BufferPart {
  readonly name: string
  /** In the buffer. */
  readonly offset: number
  readonly length: number
  /** What it says, by name: `type`, `sector`. */
  readonly fields: readonly { readonly name: string; readonly value: string }[]
}

export interface DescriptorModel {
  /** In the ring, or in the indirect table. */
  readonly index: number
  /** The descriptor of the ring whose indirect table it stands in. */
  readonly table?: number
  /** Guest-physical. */
  readonly address: bigint
  /** Bytes. */
  readonly length: number
  readonly flags: number
  readonly flagNames: readonly string[]
  /** Whether the device reads or writes the buffer, or finds more descriptors there. */
  readonly direction: 'read' | 'write' | 'table'
  /** Of a split ring, with NEXT. */
  readonly next?: number
  /** Of a packed ring. */
  readonly id?: number
  readonly parts: readonly BufferPart[]
  /** What is wrong with it. */
  readonly problem?: string
}

/** Before it has been looked at in its chain. */
export type RawDescriptor = Omit<DescriptorModel, 'parts' | 'problem' | 'table'>

const FLAGS: readonly (readonly [number, string])[] = [
  [VIRTQ_DESC_F_NEXT, 'NEXT'],
  [VIRTQ_DESC_F_WRITE, 'WRITE'],
  [VIRTQ_DESC_F_INDIRECT, 'INDIRECT'],
]
const PACKED_FLAGS: readonly (readonly [number, string])[] = [
  ...FLAGS,
  [VIRTQ_DESC_F_AVAIL, 'AVAIL'],
  [VIRTQ_DESC_F_USED, 'USED'],
]

/** @param table the bytes of a descriptor table that holds the index. */
export function splitDescriptor(table: DataView, index: number): RawDescriptor {
  const at = DESCRIPTOR_SIZE * index
  const flags = table.getUint16(at + 12, true)
  const next = (flags & VIRTQ_DESC_F_NEXT) === 0 ? {} : { next: table.getUint16(at + 14, true) }
  return { ...descriptor(table, index, flags, FLAGS), ...next }
}

/** Flags and buffer id have changed places. */
export function packedDescriptor(ring: DataView, index: number): RawDescriptor {
  const at = DESCRIPTOR_SIZE * index
  return {
    ...descriptor(ring, index, ring.getUint16(at + 14, true), PACKED_FLAGS),
    id: ring.getUint16(at + 12, true),
  }
}

function descriptor(
  table: DataView,
  index: number,
  flags: number,
  names: readonly (readonly [number, string])[],
): RawDescriptor {
  const at = DESCRIPTOR_SIZE * index
  const known = names.reduce((mask, [bit]) => mask | bit, 0)
  const unknown = flags & ~known
  return {
    index,
    address: table.getBigUint64(at, true),
    length: table.getUint32(at + 8, true),
    flags,
    flagNames: [
      ...names.flatMap(([bit, name]) => ((flags & bit) === 0 ? [] : [name])),
      ...(unknown === 0 ? [] : [`0x${unknown.toString(16)}`]),
    ],
    direction: (flags & VIRTQ_DESC_F_INDIRECT) !== 0 ? 'table' : (flags & VIRTQ_DESC_F_WRITE) !== 0 ? 'write' : 'read',
  }
}
