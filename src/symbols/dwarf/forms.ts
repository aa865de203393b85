/** How the value of an attribute is stored (DWARF 5, 7.5.5 and 7.5.6). */

import * as C from './constants.ts'
import type { DwarfReader } from './dwarf-reader.ts'

/** What the size of a value depends on. */
export interface UnitFormat {
  readonly version: number
  readonly addressSize: number
  /** 4 in the 32-bit format of DWARF, 8 in the 64-bit one. */
  readonly offsetSize: 4 | 8
}

/** Forms that name forms: a hostile file could nest them forever. */
const MAX_INDIRECT = 4

/** Bytes of a value of this form; -1 when only the value itself tells. */
export function fixedFormSize(form: number, format: UnitFormat): number {
  switch (form) {
    case C.DW_FORM_flag_present:
    case C.DW_FORM_implicit_const:
      return 0
    case C.DW_FORM_data1:
    case C.DW_FORM_ref1:
    case C.DW_FORM_flag:
    case C.DW_FORM_strx1:
    case C.DW_FORM_addrx1:
      return 1
    case C.DW_FORM_data2:
    case C.DW_FORM_ref2:
    case C.DW_FORM_strx2:
    case C.DW_FORM_addrx2:
      return 2
    case C.DW_FORM_strx3:
    case C.DW_FORM_addrx3:
      return 3
    case C.DW_FORM_data4:
    case C.DW_FORM_ref4:
    case C.DW_FORM_strx4:
    case C.DW_FORM_addrx4:
    case C.DW_FORM_ref_sup4:
      return 4
    case C.DW_FORM_data8:
    case C.DW_FORM_ref8:
    case C.DW_FORM_ref_sig8:
    case C.DW_FORM_ref_sup8:
      return 8
    case C.DW_FORM_data16:
      return 16
    case C.DW_FORM_addr:
      return format.addressSize
    case C.DW_FORM_strp:
    case C.DW_FORM_line_strp:
    case C.DW_FORM_strp_sup:
    case C.DW_FORM_sec_offset:
    case C.DW_FORM_GNU_ref_alt:
    case C.DW_FORM_GNU_strp_alt:
      return format.offsetSize
    case C.DW_FORM_ref_addr:
      // DWARF 2 gave it the size of an address (DWARF 3, 7.5.4).
      return format.version < 3 ? format.addressSize : format.offsetSize
    default:
      return -1
  }
}

/** Moves the reader past a value. */
export function skipForm(reader: DwarfReader, form: number, format: UnitFormat, nested = 0): void {
  const size = fixedFormSize(form, format)
  if (size >= 0) {
    reader.take(size)
    return
  }
  switch (form) {
    case C.DW_FORM_string:
      reader.skipString()
      return
    case C.DW_FORM_sdata:
    case C.DW_FORM_udata:
    case C.DW_FORM_ref_udata:
    case C.DW_FORM_strx:
    case C.DW_FORM_addrx:
    case C.DW_FORM_loclistx:
    case C.DW_FORM_rnglistx:
      reader.skipLeb()
      return
    case C.DW_FORM_indirect:
      if (nested >= MAX_INDIRECT) reader.fail('indirect forms are nested')
      skipForm(reader, reader.uleb(), format, nested + 1)
      return
    default:
      reader.take(blockLength(reader, form))
  }
}

export function isBlock(form: number): boolean {
  switch (form) {
    case C.DW_FORM_block1:
    case C.DW_FORM_block2:
    case C.DW_FORM_block4:
    case C.DW_FORM_block:
    case C.DW_FORM_exprloc:
    case C.DW_FORM_data16:
      return true
    default:
      return false
  }
}

/** Reads the length that precedes the bytes of a block. */
export function blockLength(reader: DwarfReader, form: number): number {
  switch (form) {
    case C.DW_FORM_block1:
      return reader.u8()
    case C.DW_FORM_block2:
      return reader.u16()
    case C.DW_FORM_block4:
      return reader.u32()
    case C.DW_FORM_block:
    case C.DW_FORM_exprloc:
      return reader.uleb()
    case C.DW_FORM_data16:
      return 16
    default:
      return reader.fail(`form 0x${form.toString(16)} is not known`)
  }
}

/** A constant, unsigned unless its form is signed; undefined when the form holds none. */
export function readConstant(reader: DwarfReader, form: number): bigint | undefined {
  switch (form) {
    case C.DW_FORM_data1:
    case C.DW_FORM_flag:
      return BigInt(reader.u8())
    case C.DW_FORM_data2:
      return BigInt(reader.u16())
    case C.DW_FORM_data4:
      return BigInt(reader.u32())
    case C.DW_FORM_data8:
      return reader.u64()
    case C.DW_FORM_udata:
      return reader.ulebBig()
    case C.DW_FORM_sdata:
      return reader.slebBig()
    default:
      return undefined
  }
}

/** The index of a DW_FORM_strx or DW_FORM_addrx of any size; undefined for another form. */
export function readIndex(reader: DwarfReader, form: number): number | undefined {
  switch (form) {
    case C.DW_FORM_strx:
    case C.DW_FORM_addrx:
    case C.DW_FORM_loclistx:
    case C.DW_FORM_rnglistx:
      return reader.uleb()
    case C.DW_FORM_strx1:
    case C.DW_FORM_addrx1:
      return reader.u8()
    case C.DW_FORM_strx2:
    case C.DW_FORM_addrx2:
      return reader.u16()
    case C.DW_FORM_strx3:
    case C.DW_FORM_addrx3:
      return reader.u24()
    case C.DW_FORM_strx4:
    case C.DW_FORM_addrx4:
      return reader.u32()
    default:
      return undefined
  }
}

export function isAddressIndex(form: number): boolean {
  return form === C.DW_FORM_addrx || (form >= C.DW_FORM_addrx1 && form <= C.DW_FORM_addrx4)
}

export function isStringIndex(form: number): boolean {
  return form === C.DW_FORM_strx || (form >= C.DW_FORM_strx1 && form <= C.DW_FORM_strx4)
}
