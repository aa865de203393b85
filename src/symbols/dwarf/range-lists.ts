/** The addresses that an entry covers: DW_AT_low_pc and DW_AT_high_pc, or a list (DWARF 5, 2.17; DWARF 4, 2.17.3). */

import { type EntryForms, type ListPlace, listEntries4, listEntries5 } from './address-lists.ts'
import * as C from './constants.ts'
import type { AddressRange } from './debug-info.ts'
import type { Die } from './die.ts'
import type { Unit } from './unit.ts'

const FORMS: EntryForms = new Map([
  [C.DW_RLE_end_of_list, 'end_of_list'],
  [C.DW_RLE_base_addressx, 'base_addressx'],
  [C.DW_RLE_startx_endx, 'startx_endx'],
  [C.DW_RLE_startx_length, 'startx_length'],
  [C.DW_RLE_offset_pair, 'offset_pair'],
  [C.DW_RLE_base_address, 'base_address'],
  [C.DW_RLE_start_end, 'start_end'],
  [C.DW_RLE_start_length, 'start_length'],
])

/** Empty for an entry without code. Throws DwarfError for a list that is broken. */
export function rangesOf(die: Die): readonly AddressRange[] {
  const list = die.listOffset(C.DW_AT_ranges)
  if (list !== undefined) return rangeList(die.unit, list)
  const low = die.address(C.DW_AT_low_pc)
  if (low === undefined) return []
  const high = die.form(C.DW_AT_high_pc) === undefined ? undefined : highPc(die, low)
  return high === undefined || high <= low ? [] : [{ low, high }]
}

/** Since DWARF 4 a constant is the length. */
function highPc(die: Die, low: bigint): bigint | undefined {
  const length = die.constant(C.DW_AT_high_pc)
  return length === undefined ? die.address(C.DW_AT_high_pc) : low + length
}

function rangeList(unit: Unit, place: ListPlace): readonly AddressRange[] {
  const entries = unit.version >= 5 ? rangeList5(unit, place) : rangeList4(unit, place.offset)
  const ranges: AddressRange[] = []
  for (const { range } of entries) if (range !== undefined && range.high > range.low) ranges.push(range)
  return ranges
}

function rangeList5(unit: Unit, place: ListPlace) {
  return listEntries5(unit, place, {
    what: 'range',
    section: '.debug_rnglists',
    bytes: unit.sections.rangeLists,
    baseAttribute: C.DW_AT_rnglists_base,
    forms: FORMS,
  })
}

function rangeList4(unit: Unit, offset: number) {
  return listEntries4(unit, offset, { what: 'range', section: '.debug_ranges', bytes: unit.sections.ranges })
}

export const includes = ({ low, high }: AddressRange, address: bigint): boolean => address >= low && address < high

export function covers(ranges: readonly AddressRange[], address: bigint): boolean {
  return ranges.some(range => includes(range, address))
}
