/**
 * `.debug_frame` and `.eh_frame`: which entry describes an address, and what it says of the registers there
 * (DWARF 5, 6.4 and 7.24; LSB, "Exception Frames").
 */

import { AddressMemo } from './address-memo.ts'
import * as C from './constants.ts'
import { DwarfReader } from './dwarf-reader.ts'

export type RegisterRule =
  | { readonly kind: 'undefined' | 'same' }
  /** Saved at the frame's address plus `offset`; `value`: is that sum itself. */
  | { readonly kind: 'offset' | 'value-offset'; readonly offset: number }
  | { readonly kind: 'register'; readonly register: number }
  | { readonly kind: 'expression' | 'value-expression'; readonly expression: Buffer }

export type CfaRule =
  | { readonly kind: 'register'; readonly register: number; readonly offset: number }
  | { readonly kind: 'expression'; readonly expression: Buffer }

export interface FrameRules {
  readonly cfa: CfaRule
  readonly registers: ReadonlyMap<number, RegisterRule>
  readonly returnRegister: number
  /** An interrupt or a signal made this frame: its caller's program counter is no return address. */
  readonly signal: boolean
}

export interface FrameSection {
  readonly name: '.debug_frame' | '.eh_frame'
  readonly bytes: Buffer
  /** Where the section lies in memory: pointers of `.eh_frame` are relative to it. */
  readonly address: bigint
  readonly addressSize: 4 | 8
}

interface CommonEntry {
  readonly codeAlign: number
  readonly dataAlign: number
  readonly returnRegister: number
  readonly addressSize: number
  readonly pointerEncoding: number
  readonly hasAugmentation: boolean
  readonly signal: boolean
  /** Instructions: [from, to) of the section. */
  readonly from: number
  readonly to: number
}

interface FrameEntry {
  readonly low: bigint
  readonly high: bigint
  readonly common: CommonEntry
  readonly from: number
  readonly to: number
}

/** A row's rules are copied by DW_CFA_remember_state: a hostile file could ask for any number. */
const DEEPEST_STATES = 64
const MOST_RULES = 256

export class CallFrames {
  readonly #section: FrameSection
  readonly #known = new AddressMemo<FrameRules | undefined>()
  #entries: readonly FrameEntry[] | undefined

  constructor(section: FrameSection) {
    this.#section = section
  }

  get name(): FrameSection['name'] {
    return this.#section.name
  }

  /** undefined when no entry covers the address. Throws DwarfError. */
  rulesAt(address: bigint): FrameRules | undefined {
    return this.#known.of(address, () => this.#rulesAt(address))
  }

  #rulesAt(address: bigint): FrameRules | undefined {
    this.#entries ??= this.#readEntries()
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#entries[middle].low <= address) low = middle + 1
      else high = middle
    }
    const entry = this.#entries[low - 1]
    if (entry === undefined || address >= entry.high) return undefined
    return this.#execute(entry, address)
  }

  #readEntries(): FrameEntry[] {
    const { bytes, name } = this.#section
    const commons = new Map<number, CommonEntry>()
    const entries: FrameEntry[] = []
    for (let at = 0; at + 4 <= bytes.length; ) {
      const reader = new DwarfReader(bytes, name, at)
      const { length, offsetSize } = reader.initialLength()
      // In `.eh_frame` a length of 0 ends the section; linkers put one in the middle sometimes.
      const end = reader.at + length
      if (end > bytes.length) reader.fail(`the entry at 0x${at.toString(16)} reaches past its end`)
      if (length > 0) {
        const entry = this.#readEntry(new DwarfReader(bytes, name, reader.at, end), offsetSize, commons)
        if (entry !== undefined) entries.push(entry)
      }
      at = end
    }
    return entries.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0))
  }

  /** undefined for a common entry. */
  #readEntry(reader: DwarfReader, offsetSize: 4 | 8, commons: Map<number, CommonEntry>): FrameEntry | undefined {
    const { name, addressSize } = this.#section
    const idAt = reader.at
    const id = offsetSize === 4 ? reader.u32() : Number(reader.u64())
    const isCommon = name === '.eh_frame' ? id === 0 : id === (offsetSize === 4 ? 0xffff_ffff : 2 ** 64)
    if (isCommon) return undefined
    const commonAt = name === '.eh_frame' ? idAt - id : id
    let common = commons.get(commonAt)
    if (common === undefined) {
      common = this.#readCommon(commonAt)
      commons.set(commonAt, common)
    }
    const encoding = common.pointerEncoding
    const low = this.#pointer(reader, encoding)
    // A length has the format of the pointer, but is relative to nothing.
    const length = this.#pointer(reader, encoding & 0x0f)
    if (common.hasAugmentation) reader.take(reader.uleb())
    const high = low + BigInt.asUintN(addressSize * 8, length)
    return { low, high, common, from: reader.at, to: reader.end }
  }

  #readCommon(offset: number): CommonEntry {
    const { bytes, name } = this.#section
    const outer = new DwarfReader(bytes, name, offset)
    const { length, offsetSize } = outer.initialLength()
    const reader = new DwarfReader(bytes, name, outer.at, outer.at + length)
    reader.take(offsetSize)
    const version = reader.u8()
    if (version !== 1 && version !== 3 && version !== 4) reader.fail(`version ${version} of an entry is not known`)
    const augmentation = reader.string()
    let addressSize: number = this.#section.addressSize
    if (version >= 4) {
      addressSize = reader.u8()
      if (reader.u8() !== 0) reader.fail('segment selectors are not known')
    }
    const codeAlign = reader.uleb()
    const dataAlign = reader.sleb()
    const returnRegister = version === 1 ? reader.u8() : reader.uleb()
    const letters = { pointerEncoding: C.DW_EH_PE_absptr as number, signal: false }
    const hasAugmentation = augmentation.startsWith('z')
    if (hasAugmentation) {
      const next = reader.uleb() + reader.at
      this.#readAugmentation(reader, augmentation, letters)
      if (next < reader.at) reader.fail('augmentation data are longer than they say')
      reader.take(next - reader.at)
    } else if (augmentation !== '') {
      reader.fail(`augmentation "${augmentation}" is not known`)
    }
    return {
      codeAlign,
      dataAlign,
      returnRegister,
      addressSize,
      ...letters,
      hasAugmentation,
      from: reader.at,
      to: reader.end,
    }
  }

  #readAugmentation(
    reader: DwarfReader,
    augmentation: string,
    into: { pointerEncoding: number; signal: boolean },
  ): void {
    for (const letter of augmentation.slice(1)) {
      if (letter === 'L') reader.u8()
      else if (letter === 'R') into.pointerEncoding = reader.u8()
      else if (letter === 'S') into.signal = true
      else if (letter === 'P') this.#pointer(reader, reader.u8())
      // What follows an unknown letter can't be read, but is skipped by its length.
      else if (letter !== 'B') return
    }
  }

  #pointer(reader: DwarfReader, encoding: number): bigint {
    const { address, addressSize } = this.#section
    if (encoding === C.DW_EH_PE_omit) return 0n
    const base = (encoding & 0x70) === C.DW_EH_PE_pcrel ? address + BigInt(reader.at) : 0n
    if ((encoding & 0x70) > C.DW_EH_PE_pcrel) reader.fail(`pointer encoding 0x${encoding.toString(16)} is not known`)
    return BigInt.asUintN(addressSize * 8, base + readEncoded(reader, encoding & 0x0f, addressSize))
  }

  #execute(entry: FrameEntry, address: bigint): FrameRules {
    const { bytes, name } = this.#section
    const { common } = entry
    const program = new FrameProgram(common, entry.low, address)
    program.run(new DwarfReader(bytes, name, common.from, common.to))
    program.endOfCommon()
    program.run(new DwarfReader(bytes, name, entry.from, entry.to))
    return program.rules(common)
  }
}

function readEncoded(reader: DwarfReader, format: number, addressSize: 4 | 8): bigint {
  switch (format) {
    case C.DW_EH_PE_absptr:
      return reader.address(addressSize)
    case C.DW_EH_PE_uleb128:
      return reader.ulebBig()
    case C.DW_EH_PE_udata2:
      return BigInt(reader.u16())
    case C.DW_EH_PE_udata4:
      return BigInt(reader.u32())
    case C.DW_EH_PE_udata8:
      return reader.u64()
    case C.DW_EH_PE_sleb128:
      return reader.slebBig()
    case C.DW_EH_PE_sdata2:
      return BigInt((reader.u16() << 16) >> 16)
    case C.DW_EH_PE_sdata4:
      return BigInt(reader.s32())
    case C.DW_EH_PE_sdata8:
      return reader.s64()
    default:
      return reader.fail(`pointer encoding 0x${format.toString(16)} is not known`)
  }
}

interface Row {
  readonly cfa: CfaRule | undefined
  readonly registers: Map<number, RegisterRule>
}

/** Runs call frame instructions up to an address (6.4.2). */
class FrameProgram {
  readonly #common: CommonEntry
  readonly #wanted: bigint
  #location: bigint
  #cfa: CfaRule | undefined
  #registers = new Map<number, RegisterRule>()
  #initial = new Map<number, RegisterRule>()
  readonly #remembered: Row[] = []

  constructor(common: CommonEntry, location: bigint, wanted: bigint) {
    this.#common = common
    this.#location = location
    this.#wanted = wanted
  }

  endOfCommon(): void {
    this.#initial = new Map(this.#registers)
  }

  rules(common: CommonEntry): FrameRules {
    const { returnRegister, signal } = common
    const cfa = this.#cfa ?? { kind: 'expression', expression: Buffer.alloc(0) }
    return { cfa, registers: this.#registers, returnRegister, signal }
  }

  run(reader: DwarfReader): void {
    while (reader.rest > 0) {
      const opcode = reader.u8()
      const high = opcode & 0xc0
      const low = opcode & 0x3f
      if (high === C.DW_CFA_advance_loc) {
        if (this.#advance(low)) return
      } else if (high === C.DW_CFA_offset) {
        this.#set(reader, low, { kind: 'offset', offset: reader.uleb() * this.#common.dataAlign })
      } else if (high === C.DW_CFA_restore) {
        this.#restore(low)
      } else if (this.#advanceOperation(reader, opcode)) {
        if (this.#location > this.#wanted) return
      } else if (!this.#cfaOperation(reader, opcode) && !this.#registerOperation(reader, opcode)) {
        reader.fail(`call frame instruction 0x${opcode.toString(16)} is not known`)
      }
    }
  }

  /** Whether the wanted address lies before the new one. */
  #advance(delta: number): boolean {
    this.#location += BigInt(delta * this.#common.codeAlign)
    return this.#location > this.#wanted
  }

  #advanceOperation(reader: DwarfReader, opcode: number): boolean {
    switch (opcode) {
      case C.DW_CFA_set_loc:
        this.#location = reader.address(this.#common.addressSize)
        return true
      case C.DW_CFA_advance_loc1:
        this.#advance(reader.u8())
        return true
      case C.DW_CFA_advance_loc2:
        this.#advance(reader.u16())
        return true
      case C.DW_CFA_advance_loc4:
        this.#advance(reader.u32())
        return true
      default:
        return false
    }
  }

  #cfaOperation(reader: DwarfReader, opcode: number): boolean {
    const { dataAlign } = this.#common
    switch (opcode) {
      case C.DW_CFA_def_cfa:
        this.#cfa = { kind: 'register', register: reader.uleb(), offset: reader.uleb() }
        return true
      case C.DW_CFA_def_cfa_sf:
        this.#cfa = { kind: 'register', register: reader.uleb(), offset: reader.sleb() * dataAlign }
        return true
      case C.DW_CFA_def_cfa_register:
        this.#cfa = { kind: 'register', register: reader.uleb(), offset: this.#cfaRegister(reader).offset }
        return true
      case C.DW_CFA_def_cfa_offset:
        this.#cfa = { kind: 'register', register: this.#cfaRegister(reader).register, offset: reader.uleb() }
        return true
      case C.DW_CFA_def_cfa_offset_sf:
        this.#cfa = {
          kind: 'register',
          register: this.#cfaRegister(reader).register,
          offset: reader.sleb() * dataAlign,
        }
        return true
      case C.DW_CFA_def_cfa_expression:
        this.#cfa = { kind: 'expression', expression: reader.block(reader.uleb()) }
        return true
      case C.DW_CFA_nop:
        return true
      case C.DW_CFA_GNU_args_size:
        reader.skipLeb()
        return true
      case C.DW_CFA_remember_state:
        if (this.#remembered.length >= DEEPEST_STATES) reader.fail('too many states are remembered')
        this.#remembered.push({ cfa: this.#cfa, registers: new Map(this.#registers) })
        return true
      case C.DW_CFA_restore_state: {
        const row = this.#remembered.pop() ?? reader.fail('no state was remembered')
        this.#cfa = row.cfa
        this.#registers = row.registers
        return true
      }
      default:
        return false
    }
  }

  #cfaRegister(reader: DwarfReader): { register: number; offset: number } {
    if (this.#cfa?.kind === 'register') return this.#cfa
    return reader.fail("a frame's address is changed that is no register's")
  }

  #registerOperation(reader: DwarfReader, opcode: number): boolean {
    const { dataAlign } = this.#common
    switch (opcode) {
      case C.DW_CFA_offset_extended:
        this.#set(reader, reader.uleb(), { kind: 'offset', offset: reader.uleb() * dataAlign })
        return true
      case C.DW_CFA_offset_extended_sf:
        this.#set(reader, reader.uleb(), { kind: 'offset', offset: reader.sleb() * dataAlign })
        return true
      case C.DW_CFA_GNU_negative_offset_extended:
        this.#set(reader, reader.uleb(), { kind: 'offset', offset: -reader.uleb() * dataAlign })
        return true
      case C.DW_CFA_val_offset:
        this.#set(reader, reader.uleb(), { kind: 'value-offset', offset: reader.uleb() * dataAlign })
        return true
      case C.DW_CFA_val_offset_sf:
        this.#set(reader, reader.uleb(), { kind: 'value-offset', offset: reader.sleb() * dataAlign })
        return true
      case C.DW_CFA_restore_extended:
        this.#restore(reader.uleb())
        return true
      case C.DW_CFA_undefined:
        this.#set(reader, reader.uleb(), { kind: 'undefined' })
        return true
      case C.DW_CFA_same_value:
        this.#set(reader, reader.uleb(), { kind: 'same' })
        return true
      case C.DW_CFA_register:
        this.#set(reader, reader.uleb(), { kind: 'register', register: reader.uleb() })
        return true
      case C.DW_CFA_expression:
        this.#set(reader, reader.uleb(), { kind: 'expression', expression: reader.block(reader.uleb()) })
        return true
      case C.DW_CFA_val_expression:
        this.#set(reader, reader.uleb(), { kind: 'value-expression', expression: reader.block(reader.uleb()) })
        return true
      default:
        return false
    }
  }

  #set(reader: DwarfReader, register: number, rule: RegisterRule): void {
    if (this.#registers.size >= MOST_RULES) reader.fail('more registers than any processor has')
    this.#registers.set(register, rule)
  }

  #restore(register: number): void {
    const rule = this.#initial.get(register)
    if (rule === undefined) this.#registers.delete(register)
    else this.#registers.set(register, rule)
  }
}
