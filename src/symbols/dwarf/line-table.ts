/** A line number program, run into a table of rows (DWARF 5, 6.2). */

import * as C from './constants.ts'
import { DwarfReader } from './dwarf-reader.ts'
import type { LineHeader } from './line-header.ts'

/** Rows of consecutive machine code; addresses ascend. */
export interface LineSequence {
  readonly low: bigint
  /** The first address behind it. */
  readonly high: bigint
  /** Rows [first, last) of the table. */
  readonly first: number
  readonly last: number
}

const IS_STATEMENT = 1
const PROLOGUE_END = 2

/** Columns beyond are unknown: they would take room that nothing needs. */
const LARGEST_COLUMN = 0xffff

export class LineTable {
  readonly header: LineHeader
  /** Ascending by address. */
  readonly sequences: readonly LineSequence[]
  /** Bytes from the `low` of the row's sequence. */
  readonly #offsets: Float64Array
  readonly #lines: Uint32Array
  readonly #files: Uint32Array
  readonly #columns: Uint16Array
  readonly #flags: Uint8Array

  /** `bytes` is the program with its header. */
  constructor(header: LineHeader, bytes: Buffer) {
    this.header = header
    const rows = new RowCollector()
    run(
      header,
      new DwarfReader(bytes, `.debug_line: table at 0x${header.offset.toString(16)}`, header.programOffset),
      rows,
    )
    this.sequences = rows.sequences.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0))
    this.#offsets = Float64Array.from(rows.offsets)
    this.#lines = Uint32Array.from(rows.lines)
    this.#files = Uint32Array.from(rows.files)
    this.#columns = Uint16Array.from(rows.columns)
    this.#flags = Uint8Array.from(rows.flags)
  }

  get rowCount(): number {
    return this.#lines.length
  }

  /** The sequence that an address lies in. */
  sequenceAt(address: bigint): LineSequence | undefined {
    // Discarded functions leave sequences at 0 that overlap; the largest `low` is not always the one.
    let low = 0
    let high = this.sequences.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.sequences[middle].low <= address) low = middle + 1
      else high = middle
    }
    for (let index = low - 1; index >= 0 && index >= low - 8; index--) {
      if (address < this.sequences[index].high) return this.sequences[index]
    }
    return undefined
  }

  /** The row whose code an address belongs to: the last one at or below it. */
  rowAt(sequence: LineSequence, address: bigint): number | undefined {
    const wanted = Number(address - sequence.low)
    let low = sequence.first
    let high = sequence.last
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#offsets[middle] <= wanted) low = middle + 1
      else high = middle
    }
    return low > sequence.first ? low - 1 : undefined
  }

  address(sequence: LineSequence, row: number): bigint {
    return sequence.low + BigInt(this.#offsets[row])
  }

  /** Whether two rows have the same address. */
  sameAddress(a: number, b: number): boolean {
    return this.#offsets[a] === this.#offsets[b]
  }

  line(row: number): number {
    return this.#lines[row]
  }

  /** Index into the header's files. */
  file(row: number): number {
    return this.#files[row]
  }

  column(row: number): number {
    return this.#columns[row]
  }

  isStatement(row: number): boolean {
    return (this.#flags[row] & IS_STATEMENT) !== 0
  }

  /** The compiler says that the function's arguments are in place here. */
  isPrologueEnd(row: number): boolean {
    return (this.#flags[row] & PROLOGUE_END) !== 0
  }
}

class RowCollector {
  readonly sequences: LineSequence[] = []
  readonly offsets: number[] = []
  readonly lines: number[] = []
  readonly files: number[] = []
  readonly columns: number[] = []
  readonly flags: number[] = []
  #first = 0
  #low = 0n

  row(state: LineState): void {
    const begins = this.lines.length === this.#first
    if (begins) this.#low = state.address
    const offset = Number(state.address - this.#low)
    // Addresses only ascend in a sequence (6.2.5); a row that goes back can't be found, and is left out.
    if (!begins && offset < this.offsets[this.offsets.length - 1]) return
    this.offsets.push(offset)
    this.lines.push(state.line)
    this.files.push(state.file)
    this.columns.push(state.column > LARGEST_COLUMN ? 0 : state.column)
    this.flags.push((state.isStatement ? IS_STATEMENT : 0) | (state.prologueEnd ? PROLOGUE_END : 0))
  }

  endSequence(address: bigint): void {
    const last = this.lines.length
    if (last > this.#first && address > this.#low) {
      this.sequences.push({ low: this.#low, high: address, first: this.#first, last })
    }
    this.#first = last
  }
}

interface LineState {
  address: bigint
  file: number
  line: number
  column: number
  isStatement: boolean
  prologueEnd: boolean
}

function initialState(header: LineHeader): LineState {
  return { address: 0n, file: 1, line: 1, column: 0, isStatement: header.defaultIsStatement, prologueEnd: false }
}

/** What the host's 32-bit tables can hold; a line that a hostile program counts below 0 is 0. */
function clampLine(line: number): number {
  return line < 0 || line > 0xffff_ffff ? 0 : line
}

function run(header: LineHeader, reader: DwarfReader, rows: RowCollector): void {
  const { opcodeBase, lineBase, lineRange, minimumInstructionLength, operandCounts } = header
  const mask = header.addressSize === 8 ? 64 : 32
  let state = initialState(header)
  const advance = (instructions: number) => {
    if (instructions === 0) return
    state.address = BigInt.asUintN(mask, state.address + BigInt(instructions * minimumInstructionLength))
  }
  while (reader.rest > 0) {
    const opcode = reader.u8()
    if (opcode >= opcodeBase) {
      const adjusted = opcode - opcodeBase
      advance(Math.floor(adjusted / lineRange))
      state.line = clampLine(state.line + lineBase + (adjusted % lineRange))
      rows.row(state)
      state.prologueEnd = false
      continue
    }
    switch (opcode) {
      case 0: {
        const end = extended(reader, state, rows)
        if (end) state = initialState(header)
        break
      }
      case C.DW_LNS_copy:
        rows.row(state)
        state.prologueEnd = false
        break
      case C.DW_LNS_advance_pc:
        state.address = BigInt.asUintN(mask, state.address + reader.ulebBig() * BigInt(minimumInstructionLength))
        break
      case C.DW_LNS_advance_line:
        state.line = clampLine(state.line + reader.sleb())
        break
      case C.DW_LNS_set_file:
        state.file = reader.uleb()
        break
      case C.DW_LNS_set_column:
        state.column = reader.uleb()
        break
      case C.DW_LNS_negate_stmt:
        state.isStatement = !state.isStatement
        break
      case C.DW_LNS_const_add_pc:
        advance(Math.floor((255 - opcodeBase) / lineRange))
        break
      case C.DW_LNS_fixed_advance_pc:
        state.address = BigInt.asUintN(mask, state.address + BigInt(reader.u16()))
        break
      case C.DW_LNS_set_prologue_end:
        state.prologueEnd = true
        break
      default:
        for (let count = operandCounts[opcode] ?? 0; count > 0; count--) reader.skipLeb()
    }
  }
}

/** Returns whether the sequence ended. */
function extended(reader: DwarfReader, state: LineState, rows: RowCollector): boolean {
  const length = reader.uleb()
  if (length === 0) return false
  const next = reader.at + length
  const opcode = reader.u8()
  let ended = false
  if (opcode === C.DW_LNE_end_sequence) {
    rows.endSequence(state.address)
    ended = true
  } else if (opcode === C.DW_LNE_set_address) {
    state.address = reader.address(length - 1)
  }
  if (next < reader.at) reader.fail('an extended opcode is longer than it says')
  reader.take(next - reader.at)
  return ended
}
