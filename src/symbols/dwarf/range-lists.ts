/** The addresses that an entry covers: DW_AT_low_pc and DW_AT_high_pc, or a list (DWARF 5, 2.17; DWARF 4, 2.17.3). */

import * as C from './constants.ts'
import type { AddressRange } from './debug-info.ts'
import type { Die } from './die.ts'
import { DwarfReader } from './dwarf-reader.ts'
import type { Unit } from './unit.ts'

/** More parts than any function or unit has; bounds what a hostile list costs. */
const MOST_RANGES = 1 << 16

/** Empty for an entry without code. Throws DwarfError for a list that is broken. */
export function rangesOf(die: Die): readonly AddressRange[] {
  const list = die.listOffset(C.DW_AT_ranges)
  if (list !== undefined) return [...rangeList(die.unit, list)]
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

function rangeList(unit: Unit, list: { offset: number; indexed: boolean }): Generator<AddressRange> {
  return unit.version >= 5 ? rangeList5(unit, list) : rangeList4(unit, list.offset)
}

/** Where an indexed list of `.debug_rnglists` or `.debug_loclists` begins (DWARF 5, 7.28 and 7.29). */
export function indexedListOffset(unit: Unit, section: Buffer, index: number, baseAttribute: number): number {
  // The header of the 32-bit format has 12 bytes, that of the 64-bit one 20.
  const base = unit.root.listOffset(baseAttribute)?.offset ?? (unit.offsetSize === 4 ? 12 : 20)
  const reader = new DwarfReader(section, unit.what, base + index * unit.offsetSize)
  return base + reader.offset(unit.offsetSize)
}

function* rangeList5(unit: Unit, list: { offset: number; indexed: boolean }): Generator<AddressRange> {
  const section = unit.sections.rangeLists
  const offset = list.indexed ? indexedListOffset(unit, section, list.offset, C.DW_AT_rnglists_base) : list.offset
  const reader = new DwarfReader(section, '.debug_rnglists', offset)
  let base = unit.root.address(C.DW_AT_low_pc) ?? 0n
  for (let count = 0; count < MOST_RANGES; count++) {
    let low = 0n
    let high = 0n
    const kind = reader.u8()
    switch (kind) {
      case C.DW_RLE_end_of_list:
        return
      case C.DW_RLE_base_addressx:
        base = unit.indexedAddress(reader.uleb())
        continue
      case C.DW_RLE_base_address:
        base = reader.address(unit.addressSize)
        continue
      case C.DW_RLE_startx_endx:
        low = unit.indexedAddress(reader.uleb())
        high = unit.indexedAddress(reader.uleb())
        break
      case C.DW_RLE_startx_length:
        low = unit.indexedAddress(reader.uleb())
        high = low + reader.ulebBig()
        break
      case C.DW_RLE_offset_pair:
        low = base + reader.ulebBig()
        high = base + reader.ulebBig()
        break
      case C.DW_RLE_start_end:
        low = reader.address(unit.addressSize)
        high = reader.address(unit.addressSize)
        break
      case C.DW_RLE_start_length:
        low = reader.address(unit.addressSize)
        high = low + reader.ulebBig()
        break
      default:
        reader.fail(`entry kind ${kind} of a range list is not known`)
    }
    if (high > low) yield { low, high }
  }
  reader.fail('a range list does not end')
}

function* rangeList4(unit: Unit, offset: number): Generator<AddressRange> {
  const reader = new DwarfReader(unit.sections.ranges, '.debug_ranges', offset)
  const selectBase = unit.addressSize === 8 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn
  let base = unit.root.address(C.DW_AT_low_pc) ?? 0n
  for (let count = 0; count < MOST_RANGES; count++) {
    const low = reader.address(unit.addressSize)
    const high = reader.address(unit.addressSize)
    if (low === 0n && high === 0n) return
    if (low === selectBase) base = high
    else if (high > low) yield { low: base + low, high: base + high }
  }
  reader.fail('a range list does not end')
}

export function covers(ranges: readonly AddressRange[], address: bigint): boolean {
  return ranges.some(range => address >= range.low && address < range.high)
}
