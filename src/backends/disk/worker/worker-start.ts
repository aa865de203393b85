/** What a disk's worker is started with. */

import type { SharedRing } from './request-ring.ts'

export interface WorkerStart {
  /** Tells a thread, which may run the bundle of the whole command, what it is. */
  readonly serves: 'disk'
  readonly path: string
  readonly readOnly: boolean
  readonly ring: SharedRing
  /** Event descriptors: there are requests; there are answers. */
  readonly kick: SharedArrayBuffer
  readonly answered: SharedArrayBuffer
}

type Unchecked<T> = { readonly [key in keyof T]?: unknown }

/** @param data a thread's `workerData`. @returns undefined when it was not started to serve a disk. */
export function workerStart(data: unknown): WorkerStart | undefined {
  if (typeof data !== 'object' || data === null) return undefined
  const { serves, path, readOnly, ring, kick, answered }: Unchecked<WorkerStart> = data
  if (serves !== 'disk' || typeof path !== 'string' || typeof readOnly !== 'boolean') return undefined
  if (typeof ring !== 'object' || ring === null || !isShared(kick) || !isShared(answered)) return undefined
  const { slots, data: bytes }: Unchecked<SharedRing> = ring
  if (!isShared(slots) || !isShared(bytes)) return undefined
  return { serves, path, readOnly, ring: { slots, data: bytes }, kick, answered }
}

function isShared(value: unknown): value is SharedArrayBuffer {
  return value instanceof SharedArrayBuffer
}
