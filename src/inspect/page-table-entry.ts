/** Bits of paging-structure entries by name (SDM vol. 3, tables 4-5 to 4-20). */

import type { PagingLevel } from '../engine/mmu/page-walk.ts'
import type { PagingMode } from './cpu-mode.ts'

export const ENTRY_PRESENT = 1 << 0
export const ENTRY_ACCESSED = 1 << 5
export const ENTRY_DIRTY = 1 << 6
const ENTRY_LARGE_OR_PAT = 1 << 7
const NO_EXECUTE_HIGH = 0x8000_0000

const LOW_FLAGS: readonly (readonly [mask: number, name: string])[] = [
  [1 << 0, 'P'],
  [1 << 1, 'RW'],
  [1 << 2, 'US'],
  [1 << 3, 'PWT'],
  [1 << 4, 'PCD'],
  [ENTRY_ACCESSED, 'A'],
]

/** `P RW US A D PS XD`: names of the bits that are set; of an entry that is not present nothing else means anything. */
export function entryFlags(low: number, high: number, level: PagingLevel, paging: PagingMode): string {
  if ((low & ENTRY_PRESENT) === 0) return 'not present'
  const names = LOW_FLAGS.filter(([mask]) => (low & mask) !== 0).map(([, name]) => name)
  const large = level !== 'PT' && (low & ENTRY_LARGE_OR_PAT) !== 0
  const leaf = level === 'PT' || large
  if (leaf && (low & ENTRY_DIRTY) !== 0) names.push('D')
  if (large) names.push('PS')
  else if (level === 'PT' && (low & ENTRY_LARGE_OR_PAT) !== 0) names.push('PAT')
  if (leaf && (low & (1 << 8)) !== 0) names.push('G')
  if (paging !== '32-bit paging' && (high & NO_EXECUTE_HIGH) !== 0) names.push('XD')
  return names.join(' ')
}
