/**
 * The walk of extended page tables (SDM vol. 3, 29.3): guest-physical to host-physical. Like the guest's own walk, one
 * piece of code for the MMU and for inspection. Tables are in host frames, so an entry's address is host-physical.
 */

import { PHYSICAL_ADDRESS_BITS } from './page-walk.ts'

/** Bits 51:40 of an entry, in its high word: beyond the physical-address width. */
const RESERVED_HIGH = 0x000f_ffff & ~(2 ** (PHYSICAL_ADDRESS_BITS - 32) - 1)

export const EPT_READ = 1
export const EPT_WRITE = 2
export const EPT_EXECUTE = 4
const EPT_LARGE = 0x80
/** Set by the processor where bit 6 of the EPT pointer enables it (SDM vol. 3, 29.3.5). */
export const EPT_ACCESSED = 1 << 8
/** Of the entry that maps the page. */
export const EPT_DIRTY = 1 << 9

/** Bit 6 of the EPT pointer: accessed and dirty flags (SDM vol. 3, table 25-9). */
export const EPTP_ACCESSED_DIRTY = 1 << 6
/** Host-physical address of the top table in an EPT pointer. */
export const eptRoot = (eptPointer: number): number => eptPointer - (eptPointer % 4096)

export type EptLevel = 'PML4' | 'PDPT' | 'PD' | 'PT'

/** Told of every entry that the walk reads. */
export type EptTrace = (level: EptLevel, table: number, index: number, entry: number, low: number, high: number) => void

/** Result of a walk; one object is used again and again. */
export class EptResult {
  /** Host-physical address of the byte asked for; meaningless when `rights` lacks what is needed. */
  hpa = 0
  /** What all entries together allow: a sum of EPT_READ, EPT_WRITE, EPT_EXECUTE; 0 when not present. */
  rights = 0
  pageShift = 12
  misconfigured = false
  /** Host-physical addresses of the entries used, from the root. */
  readonly entries = new Uint32Array(4)
  /** How many of them. */
  depth = 0
}

const LEVELS: readonly { readonly level: EptLevel; readonly shift: number }[] = [
  { level: 'PML4', shift: 39 },
  { level: 'PDPT', shift: 30 },
  { level: 'PD', shift: 21 },
  { level: 'PT', shift: 12 },
]

/**
 * Does a present entry have a combination of bits that is a misconfiguration (SDM vol. 3, 29.3.3.1)? Writable and not
 * readable; a reserved bit; a memory type that does not exist.
 */
function isMisconfigured(low: number, high: number, shift: number, leaf: boolean): boolean {
  if ((low & (EPT_READ | EPT_WRITE)) === EPT_WRITE) return true
  if ((high & RESERVED_HIGH) !== 0) return true
  if (!leaf) return (low & (shift === 39 ? 0xf8 : 0x78)) !== 0
  if (shift > 12 && (low & (2 ** shift - 1) & ~0xfff) !== 0) return true
  const memoryType = (low >>> 3) & 7
  return memoryType === 2 || memoryType === 3 || memoryType === 7
}

/**
 * @param root host-physical address of the EPT PML4 table.
 * @param words host memory as 32-bit words.
 */
export function walkEpt(root: number, gpa: number, words: Uint32Array, result: EptResult, trace?: EptTrace): void {
  let table = root
  let rights = EPT_READ | EPT_WRITE | EPT_EXECUTE
  result.misconfigured = false
  result.pageShift = 12
  result.depth = 0
  for (const { level, shift } of LEVELS) {
    const index = Math.floor(gpa / 2 ** shift) & 0x1ff
    const entry = table + index * 8
    const low = words[entry >>> 2]
    const high = words[(entry >>> 2) + 1]
    trace?.(level, table, index, entry, low, high)
    const granted = low & (EPT_READ | EPT_WRITE | EPT_EXECUTE)
    if (granted === 0) {
      result.rights = 0
      return
    }
    const leaf = shift === 12 || (level !== 'PML4' && (low & EPT_LARGE) !== 0)
    if (isMisconfigured(low, high, shift, leaf)) {
      result.rights = 0
      result.misconfigured = true
      return
    }
    result.entries[result.depth++] = entry
    rights &= granted
    if (leaf) {
      const size = 2 ** shift
      const base = (high & 0xf_ffff) * 2 ** 32 + Math.floor(low / 4096) * 4096
      result.hpa = Math.floor(base / size) * size + (gpa % size)
      result.pageShift = shift
      result.rights = rights
      return
    }
    table = (high & 0xf_ffff) * 2 ** 32 + Math.floor(low / 4096) * 4096
  }
}
