/** The header of a line number program: its files and how to run it (DWARF 5, 6.2.4; DWARF 4, 6.2.4). */

import * as C from './constants.ts'
import { DwarfReader, stringAt } from './dwarf-reader.ts'
import { blockLength, isBlock, isStringIndex, readConstant, readIndex, skipForm, type UnitFormat } from './forms.ts'
import type { UnitSections } from './unit-sections.ts'

export interface LineFile {
  readonly name: string
  /** Index into `directories`. */
  readonly directory: number
}

export interface LineHeader extends UnitFormat {
  /** In `.debug_line`. */
  readonly offset: number
  /** With its length field, in bytes. */
  readonly size: number
  readonly minimumInstructionLength: number
  readonly defaultIsStatement: boolean
  readonly lineBase: number
  readonly lineRange: number
  readonly opcodeBase: number
  /** Operands of each standard opcode, by opcode; entry 0 is unused. */
  readonly operandCounts: readonly number[]
  /** Directory 0 is the compiler's own: in the header since version 5, before of the unit, '' here. */
  readonly directories: readonly string[]
  /** By the numbers that the program uses: from 0 since version 5, before from 1 with a hole at 0. */
  readonly files: readonly (LineFile | undefined)[]
  /** Where the program begins, from `offset`. */
  readonly programOffset: number
}

/** `bytes` is the program with its header, from `offset` of the section. Throws DwarfError. */
export function parseLineHeader(
  bytes: Buffer,
  offset: number,
  sections: UnitSections,
  addressSize: number,
  unitString: (index: number) => string,
): LineHeader {
  const reader = new DwarfReader(bytes, `.debug_line: table at 0x${offset.toString(16)}`)
  const { offsetSize } = reader.initialLength()
  const version = reader.u16()
  if (version < 2 || version > 5) reader.fail(`version ${version} is not known`)
  let address = addressSize
  if (version >= 5) {
    address = reader.u8()
    if (reader.u8() !== 0) reader.fail('segment selectors are not known')
  }
  const headerLength = reader.offset(offsetSize)
  const programOffset = reader.at + headerLength
  if (programOffset > bytes.length) reader.fail('its header is longer than the table')
  const minimumInstructionLength = reader.u8()
  if (version >= 4 && reader.u8() > 1) reader.fail('instructions of several operations are not known')
  const defaultIsStatement = reader.u8() !== 0
  const lineBase = reader.s8()
  const lineRange = reader.u8()
  const opcodeBase = reader.u8()
  if (lineRange === 0) reader.fail('its line range is 0')
  const operandCounts = [0]
  for (let opcode = 1; opcode < opcodeBase; opcode++) operandCounts.push(reader.u8())
  const format = { version, addressSize: address, offsetSize }
  const tables = version >= 5 ? tables5(reader, format, sections, unitString) : tables4(reader)
  return {
    ...format,
    offset,
    size: bytes.length,
    minimumInstructionLength,
    defaultIsStatement,
    lineBase,
    lineRange,
    opcodeBase,
    operandCounts,
    ...tables,
    programOffset,
  }
}

type Tables = Pick<LineHeader, 'directories' | 'files'>

function tables4(reader: DwarfReader): Tables {
  const directories = ['']
  for (let name = reader.string(); name !== ''; name = reader.string()) directories.push(name)
  const files: (LineFile | undefined)[] = [undefined]
  for (let name = reader.string(); name !== ''; name = reader.string()) {
    const directory = reader.uleb()
    reader.skipLeb()
    reader.skipLeb()
    files.push({ name, directory })
  }
  return { directories, files }
}

function tables5(
  reader: DwarfReader,
  format: UnitFormat,
  sections: UnitSections,
  unitString: (index: number) => string,
): Tables {
  const directories = entries5(reader, format, sections, unitString).map(entry => entry.name)
  return { directories, files: entries5(reader, format, sections, unitString) }
}

function entries5(
  reader: DwarfReader,
  format: UnitFormat,
  sections: UnitSections,
  unitString: (index: number) => string,
): LineFile[] {
  const description = Array.from({ length: reader.u8() }, () => ({ content: reader.uleb(), form: reader.uleb() }))
  const count = reader.uleb()
  if (count > reader.rest) reader.fail(`${count} files can't be described in what is left`)
  return Array.from({ length: count }, () => {
    let name = ''
    let directory = 0
    for (const { content, form } of description) {
      if (content === C.DW_LNCT_path) name = readString(reader, form, format, sections, unitString)
      else if (content === C.DW_LNCT_directory_index && !isBlock(form)) {
        directory = Number(readConstant(reader, form) ?? reader.fail('a directory index is no constant'))
      } else if (isBlock(form)) reader.take(blockLength(reader, form))
      else skipForm(reader, form, format)
    }
    return { name, directory }
  })
}

function readString(
  reader: DwarfReader,
  form: number,
  format: UnitFormat,
  sections: UnitSections,
  unitString: (index: number) => string,
): string {
  if (form === C.DW_FORM_string) return reader.string()
  if (form === C.DW_FORM_line_strp) {
    return stringAt(sections.lineStr, reader.offset(format.offsetSize), '.debug_line_str')
  }
  if (form === C.DW_FORM_strp) return stringAt(sections.str, reader.offset(format.offsetSize), '.debug_str')
  const index = isStringIndex(form) ? readIndex(reader, form) : undefined
  return index === undefined ? reader.fail(`form 0x${form.toString(16)} is no path`) : unitString(index)
}
