/**
 * ORC, the unwind tables that a Linux kernel carries for itself on x86-64, assembly included (Linux
 * Documentation/arch/x86/orc-unwinder.rst, arch/x86/include/asm/orc_types.h, arch/x86/kernel/unwind_orc.c).
 */

import { DwarfError } from '../elf/elf-error.ts'
import type { DwarfRegisters, ReadMemory, UnwoundFrame } from './debug-info.ts'
import { toInteger } from './expression.ts'

/** ORC_REG_*: what an address is computed from. */
const ORC_REG_UNDEFINED = 0
const ORC_REG_PREV_SP = 1
const ORC_REG_DX = 2
const ORC_REG_DI = 3
const ORC_REG_BP = 4
const ORC_REG_SP = 5
const ORC_REG_R10 = 6
const ORC_REG_R13 = 7
const ORC_REG_BP_INDIRECT = 8
const ORC_REG_SP_INDIRECT = 9

type OrcType = 'undefined' | 'end' | 'call' | 'regs' | 'regs-partial'

const ENTRY_SIZE = 6

/** DWARF's numbers of registers. */
const RDX = 1
const RBP = 6
const RSP = 7
const RIP = 16
const DWARF_OF_ORC: Readonly<Record<number, number>> = {
  [ORC_REG_DX]: RDX,
  [ORC_REG_DI]: 5,
  [ORC_REG_BP]: RBP,
  [ORC_REG_SP]: RSP,
  [ORC_REG_R10]: 10,
  [ORC_REG_R13]: 13,
  [ORC_REG_BP_INDIRECT]: RBP,
  [ORC_REG_SP_INDIRECT]: RSP,
}

/** struct pt_regs: DWARF's numbers in the order of its words; undefined for orig_ax, cs, flags, ss. */
const PT_REGS: readonly (number | undefined)[] = [
  15,
  14,
  13,
  12,
  RBP,
  3,
  11,
  10,
  9,
  8,
  0,
  2,
  RDX,
  4,
  5,
  undefined,
  RIP,
  undefined,
  undefined,
  RSP,
  undefined,
]

/** Entries looked at to tell the layouts of the type apart. */
const SAMPLE = 4096

/** A caller of a program's own stack is above every stack a frame could be on. */
const REGISTERS = 17

export class OrcTable {
  readonly #ips: Buffer
  readonly #entries: Buffer
  readonly #address: bigint
  readonly #count: number
  #order: Uint32Array | undefined
  #newTypes: boolean | undefined

  /** Of `.orc_unwind_ip` and `.orc_unwind`; `address` is where the former lies: its entries are relative to themselves. */
  constructor(ips: Buffer, address: bigint, entries: Buffer) {
    this.#ips = ips
    this.#entries = entries
    this.#address = address
    this.#count = Math.floor(ips.length / 4)
    if (Math.floor(entries.length / ENTRY_SIZE) < this.#count) {
      throw new DwarfError(`.orc_unwind: has fewer entries than .orc_unwind_ip's ${this.#count}`)
    }
  }

  /** `pc` is of the file. undefined when the table doesn't tell, or the stack ends. */
  unwind(pc: bigint, registers: DwarfRegisters, read: ReadMemory): UnwoundFrame | undefined {
    const entry = this.#find(pc)
    if (entry === undefined) return undefined
    const at = entry * ENTRY_SIZE
    const flags = this.#entries.readUInt16LE(at + 4)
    const type = this.#type(flags)
    if (type === 'undefined' || type === 'end') return undefined
    const word = (address: bigint | undefined) => {
      const bytes = address === undefined ? undefined : read(BigInt.asUintN(64, address), 8)
      return bytes && toInteger(bytes)
    }
    const sp = stackPointer(flags & 0xf, BigInt(this.#entries.readInt16LE(at)), registers, word)
    if (sp === undefined) return undefined
    const caller: (bigint | undefined)[] = Array.from({ length: REGISTERS }, () => undefined)
    if (type === 'call') {
      caller[RIP] = word(sp - 8n)
      caller[RSP] = sp
    } else if (type === 'regs') {
      PT_REGS.forEach((register, index) => {
        if (register !== undefined) caller[register] = word(sp + BigInt(index * 8))
      })
    } else {
      // What the processor pushed: RIP, CS, RFLAGS, RSP, SS.
      caller[RIP] = word(sp)
      caller[RSP] = word(sp + 24n)
    }
    const bpRegister = (flags >> 4) & 0xf
    const bpOffset = BigInt(this.#entries.readInt16LE(at + 2))
    if (bpRegister === ORC_REG_PREV_SP) caller[RBP] = word(sp + bpOffset)
    else if (bpRegister === ORC_REG_BP) caller[RBP] = addTo(registers[RBP], bpOffset, word)
    else if (bpRegister === ORC_REG_UNDEFINED && type !== 'regs') caller[RBP] = registers[RBP]
    const next = caller[RIP]
    if (next === undefined) return undefined
    return { registers: caller, pc: next, cfa: sp, interrupted: type !== 'call', by: 'orc' }
  }

  #find(pc: bigint): number | undefined {
    this.#order ??= this.#sorted()
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#ip(this.#order[middle]) <= pc) low = middle + 1
      else high = middle
    }
    return low === 0 ? undefined : this.#order[low - 1]
  }

  #ip(index: number): bigint {
    return BigInt.asUintN(64, this.#address + BigInt(index * 4 + this.#ips.readInt32LE(index * 4)))
  }

  /** The kernel's build sorts its own table; a module's is sorted when the module is loaded. */
  #sorted(): Uint32Array {
    const order = Uint32Array.from({ length: this.#count }, (_, index) => index)
    const place = (index: number) => index * 4 + this.#ips.readInt32LE(index * 4)
    for (let index = 1; index < this.#count; index++) {
      if (place(index - 1) > place(index)) return order.sort((a, b) => place(a) - place(b))
    }
    return order
  }

  /**
   * Since Linux 6.4 the type has three bits and 0 is UNDEFINED; before it had two, 0 was CALL, and a bit for the end of
   * the stack followed. Nearly all entries of any kernel are calls.
   */
  #type(flags: number): OrcType {
    this.#newTypes ??= this.#hasNewTypes()
    if (this.#newTypes)
      return (['undefined', 'end', 'call', 'regs', 'regs-partial'] as const)[(flags >> 8) & 7] ?? 'undefined'
    if ((flags & 0xf) === ORC_REG_UNDEFINED) return (flags >> 10) & 1 ? 'end' : 'undefined'
    return (['call', 'regs', 'regs-partial', 'undefined'] as const)[(flags >> 8) & 3]
  }

  #hasNewTypes(): boolean {
    let newCalls = 0
    let known = 0
    for (let index = 0; index < Math.min(this.#count, SAMPLE); index++) {
      const flags = this.#entries.readUInt16LE(index * ENTRY_SIZE + 4)
      if ((flags & 0xf) === ORC_REG_UNDEFINED) continue
      known++
      if (((flags >> 8) & 7) === 2) newCalls++
    }
    return newCalls * 2 > known
  }
}

function stackPointer(
  register: number,
  offset: bigint,
  registers: DwarfRegisters,
  word: (address: bigint | undefined) => bigint | undefined,
): bigint | undefined {
  const number = DWARF_OF_ORC[register]
  const base = number === undefined ? undefined : registers[number]
  if (base === undefined) return undefined
  if (register === ORC_REG_BP_INDIRECT) return word(base + offset)
  if (register === ORC_REG_SP_INDIRECT) {
    const loaded = word(base)
    return loaded === undefined ? undefined : loaded + offset
  }
  return BigInt.asUintN(64, base + offset)
}

function addTo(
  base: bigint | undefined,
  offset: bigint,
  word: (address: bigint | undefined) => bigint | undefined,
): bigint | undefined {
  return base === undefined ? undefined : word(base + offset)
}
