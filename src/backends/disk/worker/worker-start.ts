/** What a disk's worker is started with. */

import type { SharedRing } from './request-ring.ts'

export interface WorkerStart {
  readonly path: string
  readonly readOnly: boolean
  readonly ring: SharedRing
  /** Event descriptors: there are requests; there are answers. */
  readonly kick: SharedArrayBuffer
  readonly answered: SharedArrayBuffer
}

/** Throws when a thread was started with something else. */
export function readStart(value: unknown): WorkerStart {
  if (typeof value !== 'object' || value === null) throw wrong()
  const { path, readOnly, ring, kick, answered } = { ...EMPTY, ...value }
  if (typeof path !== 'string' || typeof readOnly !== 'boolean' || typeof ring !== 'object' || ring === null)
    throw wrong()
  const { slots, data } = { ...EMPTY_RING, ...ring }
  return {
    path,
    readOnly,
    ring: { slots: shared(slots), data: shared(data) },
    kick: shared(kick),
    answered: shared(answered),
  }
}

type Unchecked<T> = { readonly [key in keyof T]: unknown }
const EMPTY: Unchecked<WorkerStart> = { path: 0, readOnly: 0, ring: 0, kick: 0, answered: 0 }
const EMPTY_RING: Unchecked<SharedRing> = { slots: 0, data: 0 }

function shared(value: unknown): SharedArrayBuffer {
  if (!(value instanceof SharedArrayBuffer)) throw wrong()
  return value
}

function wrong(): Error {
  return new Error('this module serves a disk as a worker of Ringside, and can be nothing else')
}
