/**
 * What range lists and location lists have in common: in version 5 entries that begin with a pair of addresses, in
 * version 4 pairs that count from a base (DWARF 5, 2.17.3 and 2.6.2, 7.25 and 7.28; DWARF 4, 2.17.3 and 2.6.2).
 */

import * as C from './constants.ts'
import type { AddressRange } from './debug-info.ts'
import { DwarfReader } from './dwarf-reader.ts'
import type { Unit } from './unit.ts'

/** More parts than any function, unit or variable has; bounds what a hostile list costs. */
const MOST_ENTRIES = 1 << 16

/** What an entry of version 5 holds. Both kinds of list have these, numbered differently from `base_address` on. */
type Form =
  | 'end_of_list'
  | 'base_addressx'
  | 'base_address'
  | 'startx_endx'
  | 'startx_length'
  | 'offset_pair'
  | 'start_end'
  | 'start_length'
  | 'default_location'
  | 'view_pair'

/** By the number of a kind of entry. */
export type EntryForms = ReadonlyMap<number, Form>

export interface ListPlace {
  readonly offset: number
  readonly indexed: boolean
}

/** A kind of lists of version 5. */
export interface ListKind {
  readonly what: string
  readonly section: string
  readonly bytes: Buffer
  readonly baseAttribute: number
  readonly forms: EntryForms
}

/** An entry that says something about addresses: about those in it, or, without `range`, about all others. */
export interface ListEntry {
  readonly range: AddressRange | undefined
  /** Behind the addresses. The caller reads what else belongs to the entry before it goes on. */
  readonly reader: DwarfReader
}

/** Entries of a list of version 5, up to its end. Throws DwarfError where it is broken. */
export function* listEntries5(unit: Unit, place: ListPlace, kind: ListKind): Generator<ListEntry> {
  const reader = new DwarfReader(kind.bytes, kind.section, listOffset(unit, place, kind))
  let base = unit.root.address(C.DW_AT_low_pc) ?? 0n
  for (let count = 0; count < MOST_ENTRIES; count++) {
    const number = reader.u8()
    const form = kind.forms.get(number)
    switch (form) {
      case 'end_of_list':
        return
      case 'base_addressx':
        base = unit.indexedAddress(reader.uleb())
        break
      case 'base_address':
        base = reader.address(unit.addressSize)
        break
      case 'view_pair':
        reader.skipLeb()
        reader.skipLeb()
        break
      case 'default_location':
        yield { range: undefined, reader }
        break
      case undefined:
        reader.fail(`entry kind ${number} of a ${kind.what} list is not known`)
        break
      default:
        yield { range: readRange(form, unit, reader, base), reader }
    }
  }
  reader.fail(`a ${kind.what} list does not end`)
}

function readRange(
  form: 'startx_endx' | 'startx_length' | 'offset_pair' | 'start_end' | 'start_length',
  unit: Unit,
  reader: DwarfReader,
  base: bigint,
): AddressRange {
  if (form === 'offset_pair') return { low: base + reader.ulebBig(), high: base + reader.ulebBig() }
  const indexed = form === 'startx_endx' || form === 'startx_length'
  const address = () => (indexed ? unit.indexedAddress(reader.uleb()) : reader.address(unit.addressSize))
  const low = address()
  return { low, high: form === 'startx_endx' || form === 'start_end' ? address() : low + reader.ulebBig() }
}

/** Where the list begins in its section (DWARF 5, 7.28 and 7.29). */
function listOffset(unit: Unit, { offset, indexed }: ListPlace, { bytes, baseAttribute }: ListKind): number {
  if (!indexed) return offset
  // The header of the 32-bit format has 12 bytes, that of the 64-bit one 20.
  const base = unit.root.listOffset(baseAttribute)?.offset ?? (unit.offsetSize === 4 ? 12 : 20)
  const reader = new DwarfReader(bytes, unit.what, base + offset * unit.offsetSize)
  return base + reader.offset(unit.offsetSize)
}

/** Entries of a list of version 2 to 4, up to its end. Throws DwarfError where it is broken. */
export function* listEntries4(
  unit: Unit,
  offset: number,
  { what, section, bytes }: Pick<ListKind, 'what' | 'section' | 'bytes'>,
): Generator<ListEntry & { readonly range: AddressRange }> {
  const reader = new DwarfReader(bytes, section, offset)
  const selectBase = unit.addressSize === 8 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn
  let base = unit.root.address(C.DW_AT_low_pc) ?? 0n
  for (let count = 0; count < MOST_ENTRIES; count++) {
    const low = reader.address(unit.addressSize)
    const high = reader.address(unit.addressSize)
    if (low === 0n && high === 0n) return
    if (low === selectBase) base = high
    else yield { range: { low: base + low, high: base + high }, reader }
  }
  reader.fail(`a ${what} list does not end`)
}
