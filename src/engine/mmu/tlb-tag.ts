/** Tags of TLB entries whose page a debugger watches. */

/**
 * Turned over in the tag of such an entry: generated code never finds it, the slow path does. The bit is part of the
 * slot's number, so no other page has the tag that comes of it. The entry is otherwise like any: what the TLB holds, and
 * so which accessed and dirty bits are set when, is as without watching.
 */
export const TAG_WATCHED = 0x1000

/** Tag of a TLB entry as it is where nothing is watched. @param slot number of the entry in its array */
export function plainTag(slot: number, tag: number): number {
  return (tag & ~TAG_WATCHED) | ((slot & 1) << 12)
}
