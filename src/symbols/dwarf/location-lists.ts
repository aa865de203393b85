/** Which expression says where a variable is while an address executes (DWARF 5, 2.6.2; DWARF 4, 2.6.2). */

import { type EntryForms, type ListPlace, listEntries4, listEntries5 } from './address-lists.ts'
import * as C from './constants.ts'
import type { Die } from './die.ts'
import { includes } from './range-lists.ts'
import type { Unit } from './unit.ts'

const FORMS: EntryForms = new Map([
  [C.DW_LLE_end_of_list, 'end_of_list'],
  [C.DW_LLE_base_addressx, 'base_addressx'],
  [C.DW_LLE_startx_endx, 'startx_endx'],
  [C.DW_LLE_startx_length, 'startx_length'],
  [C.DW_LLE_offset_pair, 'offset_pair'],
  [C.DW_LLE_default_location, 'default_location'],
  [C.DW_LLE_base_address, 'base_address'],
  [C.DW_LLE_start_end, 'start_end'],
  [C.DW_LLE_start_length, 'start_length'],
  [C.DW_LLE_GNU_view_pair, 'view_pair'],
])

/**
 * The expression of a location attribute for `pc`. 'absent' when the entry has no such attribute, undefined when its
 * list has nothing for this address: the value is optimized out there.
 */
export function locationExpression(die: Die, attribute: number, pc: bigint): Buffer | undefined | 'absent' {
  if (!die.has(attribute)) return 'absent'
  const expression = die.block(attribute)
  if (expression !== undefined) return expression
  const list = die.listOffset(attribute)
  if (list === undefined) return 'absent'
  const { unit } = die
  return unit.version >= 5 ? search5(unit, list, pc) : search4(unit, list.offset, pc)
}

function search5(unit: Unit, place: ListPlace, pc: bigint): Buffer | undefined {
  let otherwise: Buffer | undefined
  const entries = listEntries5(unit, place, {
    what: 'location',
    section: '.debug_loclists',
    bytes: unit.sections.locationLists,
    baseAttribute: C.DW_AT_loclists_base,
    forms: FORMS,
  })
  for (const { range, reader } of entries) {
    const expression = reader.block(reader.uleb())
    if (range === undefined) otherwise = expression
    else if (includes(range, pc)) return expression
  }
  return otherwise
}

function search4(unit: Unit, offset: number, pc: bigint): Buffer | undefined {
  const kind = { what: 'location', section: '.debug_loc', bytes: unit.sections.locations }
  for (const { range, reader } of listEntries4(unit, offset, kind)) {
    const expression = reader.block(reader.u16())
    if (includes(range, pc)) return expression
  }
  return undefined
}
