/** Descriptors, 16 bytes each in either kind of ring (Virtio 1.2, 2.7.5 and 2.8.6). */

export const DESCRIPTOR_SIZE = 16

export const VIRTQ_DESC_F_NEXT = 1 << 0
export const VIRTQ_DESC_F_WRITE = 1 << 1
export const VIRTQ_DESC_F_INDIRECT = 1 << 2
/** Packed rings only: whose turn a descriptor is, by comparison with the wrap counters (2.8.1). */
export const VIRTQ_DESC_F_AVAIL = 1 << 7
export const VIRTQ_DESC_F_USED = 1 << 15

/** A copy of what the driver wrote. Addresses beyond 2^53, where no RAM is, count as that. */
export interface Descriptor {
  readonly gpa: number
  /** Bytes. */
  readonly length: number
  readonly flags: number
}

/** A descriptor of a split ring, or of its indirect tables. */
export interface SplitDescriptor extends Descriptor {
  readonly next: number
}

export interface PackedDescriptor extends Descriptor {
  readonly id: number
}

export function parseSplitDescriptor(bytes: Uint8Array, at = 0): SplitDescriptor {
  return { ...addressAndLength(bytes, at), flags: u16(bytes, at + 12), next: u16(bytes, at + 14) }
}

/** In a packed ring flags and id have changed places. */
export function parsePackedDescriptor(bytes: Uint8Array, at = 0): PackedDescriptor {
  return { ...addressAndLength(bytes, at), id: u16(bytes, at + 12), flags: u16(bytes, at + 14) }
}

function addressAndLength(bytes: Uint8Array, at: number): { gpa: number; length: number } {
  return {
    gpa: Math.min(u32(bytes, at) + u32(bytes, at + 4) * 2 ** 32, Number.MAX_SAFE_INTEGER),
    length: u32(bytes, at + 8),
  }
}

function u16(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8)
}

function u32(bytes: Uint8Array, at: number): number {
  return (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0
}
