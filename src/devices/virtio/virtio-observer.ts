/** What a debugger can be told of, as it happens, by `VirtioCore.observer`. */

import type { Chain } from './virtio-device.ts'
import type { HistoryEntry } from './virtqueue/history.ts'

export type VirtioEvent =
  /** The driver has set the queue up: its ring lies where it says from now on. */
  | { readonly kind: 'ready'; readonly device: string; readonly queue: number }
  /** The driver notified the device; the queue's work begins a moment later. */
  | { readonly kind: 'kick'; readonly device: string; readonly queue: number }
  | { readonly kind: 'taken'; readonly device: string; readonly queue: number; readonly chain: Chain }
  /** The used ring has it. */
  | {
      readonly kind: 'used'
      readonly device: string
      readonly queue: number
      readonly chain: Chain
      readonly entry: HistoryEntry
    }
  /** Of a queue, or of the configuration where `queue` is undefined. */
  | { readonly kind: 'interrupt'; readonly device: string; readonly queue: number | undefined }
  | { readonly kind: 'reset'; readonly device: string }
  /** The device needs a reset; `descriptor` is the offending one, if it is a descriptor's fault. */
  | {
      readonly kind: 'broken'
      readonly device: string
      readonly queue: number | undefined
      readonly descriptor: number | undefined
      readonly reason: string
    }

/** Called in the middle of the device's work: looks, asks the run to stop, and changes nothing. */
export type VirtioObserver = (event: VirtioEvent) => void
