/** What lies where in memory: part of the answers about mappings, and a request of its own for guest-physical memory. */

import type { MemoryArea } from '../inspect/area-index.ts'
import type { Extent } from '../inspect/mapping-ranges.ts'
import type { OnWire } from './on-wire.ts'

/** RAM, what firmware keeps, its tables, and windows of devices; without arguments. */
export const PHYSICAL_MAP = 'ringside/physicalMap'

/** `kind`, `name`, `start` and `end` (behind the last byte). */
export type AreaBody = OnWire<MemoryArea>
export type ExtentBody = OnWire<Extent>

export interface PhysicalMapBody {
  /** In the order of their starts, smaller ones within larger ones. */
  readonly areas: readonly AreaBody[]
}
