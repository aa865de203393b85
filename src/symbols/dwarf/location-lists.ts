/** Which expression says where a variable is while an address executes (DWARF 5, 2.6.2; DWARF 4, 2.6.2). */

import * as C from './constants.ts'
import type { Die } from './die.ts'
import { DwarfReader } from './dwarf-reader.ts'
import { indexedListOffset } from './range-lists.ts'
import type { Unit } from './unit.ts'

const MOST_ENTRIES = 1 << 16

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

function search5(unit: Unit, list: { offset: number; indexed: boolean }, pc: bigint): Buffer | undefined {
  const section = unit.sections.locationLists
  const offset = list.indexed ? indexedListOffset(unit, section, list.offset, C.DW_AT_loclists_base) : list.offset
  const reader = new DwarfReader(section, '.debug_loclists', offset)
  let base = unit.root.address(C.DW_AT_low_pc) ?? 0n
  let otherwise: Buffer | undefined
  for (let count = 0; count < MOST_ENTRIES; count++) {
    let low = 0n
    let high = 0n
    const kind = reader.u8()
    switch (kind) {
      case C.DW_LLE_end_of_list:
        return otherwise
      case C.DW_LLE_base_addressx:
        base = unit.indexedAddress(reader.uleb())
        continue
      case C.DW_LLE_base_address:
        base = reader.address(unit.addressSize)
        continue
      case C.DW_LLE_GNU_view_pair:
        reader.skipLeb()
        reader.skipLeb()
        continue
      case C.DW_LLE_default_location:
        otherwise = reader.block(reader.uleb())
        continue
      case C.DW_LLE_startx_endx:
        low = unit.indexedAddress(reader.uleb())
        high = unit.indexedAddress(reader.uleb())
        break
      case C.DW_LLE_startx_length:
        low = unit.indexedAddress(reader.uleb())
        high = low + reader.ulebBig()
        break
      case C.DW_LLE_offset_pair:
        low = base + reader.ulebBig()
        high = base + reader.ulebBig()
        break
      case C.DW_LLE_start_end:
        low = reader.address(unit.addressSize)
        high = reader.address(unit.addressSize)
        break
      case C.DW_LLE_start_length:
        low = reader.address(unit.addressSize)
        high = low + reader.ulebBig()
        break
      default:
        reader.fail(`entry kind ${kind} of a location list is not known`)
    }
    const expression = reader.block(reader.uleb())
    if (pc >= low && pc < high) return expression
  }
  return reader.fail('a location list does not end')
}

function search4(unit: Unit, offset: number, pc: bigint): Buffer | undefined {
  const reader = new DwarfReader(unit.sections.locations, '.debug_loc', offset)
  const selectBase = unit.addressSize === 8 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn
  let base = unit.root.address(C.DW_AT_low_pc) ?? 0n
  for (let count = 0; count < MOST_ENTRIES; count++) {
    const low = reader.address(unit.addressSize)
    const high = reader.address(unit.addressSize)
    if (low === 0n && high === 0n) return undefined
    if (low === selectBase) {
      base = high
      continue
    }
    const expression = reader.block(reader.u16())
    if (pc >= base + low && pc < base + high) return expression
  }
  return reader.fail('a location list does not end')
}
