/** A ring and its chains as guest memory has them, of either format. */

import type { ChainBuffer } from '../../devices/virtio/virtio-device.ts'
import type { CheckedDescriptor } from './chain-reader.ts'

/** Which of the pending chains are looked at. */
export interface ChainWindow {
  readonly start: number
  readonly count: number
}

export interface ReadChain {
  /** Index of its first descriptor. */
  readonly head: number
  /** How the device will return it: the head, or the buffer id of a packed ring. */
  readonly id: number
  /** Of the available ring. */
  readonly entry?: number
  readonly descriptors: readonly CheckedDescriptor[]
  /** Descriptors that are not shown. */
  readonly omitted: number
  /** Those before the problem. */
  readonly buffers: readonly ChainBuffer[]
  readonly problem?: string
  /** The descriptor of the ring whose fault it is. */
  readonly culprit?: number
}

export interface RingField {
  readonly name: string
  readonly value: number
  readonly meaning: string
}

export interface RingModel {
  readonly format: 'split' | 'packed'
  /** Indexes and flags. */
  readonly fields: readonly RingField[]
  /** Chains that were posted and not taken; of a packed ring up to the first that is broken. */
  readonly pending: number
  readonly chains: readonly ReadChain[]
  /** The last entries of the used ring; a packed ring has none of its own. */
  readonly used: readonly { readonly index: number; readonly id: number; readonly length: number }[]
  readonly problems: readonly string[]
}
