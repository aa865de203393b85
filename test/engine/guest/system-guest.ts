/**
 * A guest for rules of segments, transfers, tasks and exceptions: descriptor tables that a test may change, a TSS with a
 * stack for ring 0, and handlers in ring 0 that end the run, so that a program ends in an event or by its own VMCALL.
 */

import type { SegmentRegister } from '../../../src/engine/processor.ts'
import { assemble } from './assemble.ts'
import { Guest, type GuestOptions, type Host } from './guest.ts'

export type SystemMode = 'real' | 'protected' | 'virtual-8086' | 'long'

export const GDT = 0x1000
export const LDT = 0x1800
export const IDT = 0x2000
export const TSS = 0x3000
export const HANDLERS = 0x7000
/** A program in ring 0 or 3, its data, and the ends of the stacks of both rings. */
export const CODE = 0x10000
export const DATA = 0x20000
export const STACK = 0x2f000
export const STACK0 = 0x3f000
/** Tasks of a test. */
export const TASKS = 0x40000
const PAGE_TABLES = 0x60000

/** Instructions of a run. */
const SLICE = 100

/** Selectors; those from FREE on are a test's. */
export const CODE0 = 0x08
export const DATA0 = 0x10
export const CODE3 = 0x1b
export const DATA3 = 0x23
export const TR = 0x28
export const LDTR = 0x38
/** 32-bit code of ring 0 and 3 in long mode. */
export const COMPATIBLE0 = 0x48
export const COMPATIBLE3 = 0x53
export const FREE = 0x60
/** First free selector of the LDT. */
export const LOCAL = 0x0c

/** Access rights in the format of the VMCS, for descriptors: present, not accessed. */
export const RIGHTS = {
  code: 0xc09a,
  code16: 0x009a,
  code64: 0xa09a,
  executeOnly: 0xc098,
  conforming: 0xc09e,
  data: 0xc092,
  data16: 0x0092,
  readOnly: 0xc090,
  expandDown: 0xc096,
  expandDown16: 0x0096,
  tss: 0x0089,
  tss16: 0x0081,
  ldt: 0x0082,
  busy: 2,
  accessed: 1,
} as const
export const dpl = (level: number): number => level << 5
const PRESENT = 0x80

/** A segment descriptor; the limit counts pages where the rights have G (bit 15). */
export function descriptor(rights: number, base = 0, limit = 0xf_ffff): bigint {
  const low = BigInt(limit & 0xffff) | (BigInt(base & 0xff_ffff) << 16n) | (BigInt(rights & 0xff) << 40n)
  return low | (BigInt((limit >>> 16) & 0xf) << 48n) | (BigInt(rights >>> 12) << 52n) | (BigInt(base >>> 24) << 56n)
}

/** A gate of 8 bytes. @param kind type, DPL and P as in rights */
export function gate(kind: number, selector: number, offset = 0, count = 0): bigint {
  const low = BigInt(offset & 0xffff) | (BigInt(selector) << 16n)
  return low | (BigInt(count) << 32n) | (BigInt(kind) << 40n) | (BigInt(offset >>> 16) << 48n)
}
export const GATE = {
  call16: 0x84,
  task: 0x85,
  interrupt16: 0x86,
  trap16: 0x87,
  call: 0x8c,
  interrupt: 0x8e,
  trap: 0x8f,
} as const

const NAMES: Readonly<Record<number, string>> = {
  ...{ 0: '#DE', 1: '#DB', 2: 'NMI', 3: '#BP', 4: '#OF', 5: '#BR', 6: '#UD', 7: '#NM', 8: '#DF', 10: '#TS', 11: '#NP' },
  ...{ 12: '#SS', 13: '#GP', 14: '#PF', 16: '#MF', 17: '#AC', 19: '#XM' },
}
const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17])
const VMCALL = [0x0f, 0x01, 0xc1]
const VMCALL_SOURCE = 'db 0x0f, 0x01, 0xc1\n'

const assembled = new Map<string, Uint8Array>()

/** Machine code of a nasm source, assembled once. */
export function code(bits: 16 | 32 | 64, source: string, origin = CODE): Uint8Array {
  const text = `bits ${bits}\norg ${origin}\n${source}\n`
  const known = assembled.get(text) ?? assemble(text)
  assembled.set(text, known)
  return known
}

export interface RunOptions {
  readonly bits?: 16 | 32 | 64
  readonly registers?: Readonly<Record<string, bigint | number>>
  /** Instructions at most. */
  readonly budget?: number
}

export class SystemGuest {
  readonly guest: Guest
  #mode: SystemMode = 'protected'
  #ring: 0 | 3 = 0

  constructor(host: Host, options?: GuestOptions) {
    this.guest = new Guest(host, options)
  }

  release(): void {
    this.guest.release()
  }

  /** Powers the vCPU on anew and puts it into a mode and ring, with fresh tables. */
  enter(mode: SystemMode, ring: 0 | 3 = 0): void {
    this.#mode = mode
    this.#ring = mode === 'virtual-8086' ? 3 : mode === 'real' ? 0 : ring
    const { guest } = this
    guest.write(0, new Uint8Array(0x8000))
    for (const at of [CODE, DATA, STACK - 0x1000, STACK0 - 0x1000, TASKS]) guest.write(at, new Uint8Array(0x1000))
    guest.vcpu.reset()
    guest.clock.count = 0
    // HANDLERS + 16 * vector: vmcall
    for (let vector = 0; vector < 256; vector++) guest.write(HANDLERS + vector * 16, VMCALL)
    if (mode === 'real') this.#real()
    else this.#tables(mode === 'long')
    if (mode === 'long') this.#paging()
    guest.setRegisters({ rip: CODE, rsp: this.#ring === 0 ? STACK0 : STACK, rflags: 2 })
    if (mode === 'protected' || mode === 'long') this.#segments(mode === 'long')
    if (mode === 'virtual-8086') this.#virtual()
    if (mode === 'real' || mode === 'virtual-8086') guest.setRegisters({ rip: 0, rsp: 0xfff0 })
  }

  get #bits(): 16 | 32 | 64 {
    return this.#mode === 'long' ? 64 : this.#mode === 'protected' ? 32 : 16
  }

  #real(): void {
    for (let vector = 0; vector < 256; vector++) this.guest.write32(vector * 4, HANDLERS + vector * 16)
    this.guest.vcpu.registers.setTable('idtr', { base: 0n, limit: 0x3ff })
    this.#paragraphs({ limit: 0xffff, rights: 0x93 })
  }

  /** Code and data of real and virtual-8086 mode: CS and DS at CODE and DATA, SS below STACK0. */
  #paragraphs(cache: { limit: number; rights: number }): void {
    const { registers } = this.guest.vcpu
    const at = (base: number): SegmentRegister => ({ ...cache, selector: base >>> 4, base: BigInt(base) })
    registers.setSegment('cs', at(CODE))
    for (const name of ['ds', 'es', 'fs', 'gs'] as const) registers.setSegment(name, at(DATA))
    registers.setSegment('ss', at(0x30000))
  }

  #tables(long: boolean): void {
    const { guest } = this
    this.set(CODE0, descriptor(long ? RIGHTS.code64 : RIGHTS.code))
    this.set(DATA0, descriptor(RIGHTS.data))
    this.set(CODE3, descriptor((long ? RIGHTS.code64 : RIGHTS.code) | dpl(3)))
    this.set(DATA3, descriptor(RIGHTS.data | dpl(3)))
    this.set(TR, descriptor(RIGHTS.tss | RIGHTS.busy, TSS, 0x1ff))
    this.set(LDTR, descriptor(RIGHTS.ldt, LDT, 0x7f))
    this.set(COMPATIBLE0, descriptor(RIGHTS.code))
    this.set(COMPATIBLE3, descriptor(RIGHTS.code | dpl(3)))
    for (let vector = 0; vector < 256; vector++) this.setGate(vector, GATE.interrupt | dpl(3), CODE0)
    if (long) guest.write64(TSS + 4, BigInt(STACK0))
    else {
      guest.write32(TSS + 4, STACK0)
      guest.write32(TSS + 8, DATA0)
    }
    // The I/O permission bitmap: behind the limit, so no port is allowed; a bitmap of interrupts lies before it.
    guest.write(TSS + 102, [0x00, 0x02])
    const { registers } = guest.vcpu
    registers.setTable('gdtr', { base: BigInt(GDT), limit: 0x3ff })
    registers.setTable('idtr', { base: BigInt(IDT), limit: 256 * (long ? 16 : 8) - 1 })
    registers.setSegment('tr', { selector: TR, base: BigInt(TSS), limit: 0x1ff, rights: RIGHTS.tss | RIGHTS.busy })
    registers.setSegment('ldtr', { selector: LDTR, base: BigInt(LDT), limit: 0x7f, rights: RIGHTS.ldt })
    guest.setRegisters({ cr0: 0x31 })
  }

  /** 1 MiB mapped one to one for every ring. */
  #paging(): void {
    const { guest } = this
    const [pdpt, directory, table] = [PAGE_TABLES + 0x1000, PAGE_TABLES + 0x2000, PAGE_TABLES + 0x3000]
    guest.write(PAGE_TABLES, new Uint8Array(0x4000))
    guest.write64(PAGE_TABLES, BigInt(pdpt) | 7n)
    guest.write64(pdpt, BigInt(directory) | 7n)
    guest.write64(directory, BigInt(table) | 7n)
    for (let page = 0; page < 256; page++) guest.write64(table + page * 8, BigInt(page * 4096) | 7n)
    guest.setRegisters({ efer: 0x501, cr4: 0x620, cr3: PAGE_TABLES, cr0: 0x8000_0031 })
  }

  /** Address of the page-table entry of a linear address of the first MiB, in long mode. */
  pageEntry(linear: number): number {
    return PAGE_TABLES + 0x3000 + (linear >>> 12) * 8
  }

  #segments(long: boolean): void {
    const { registers } = this.guest.vcpu
    const level = dpl(this.#ring)
    const flat = { base: 0n, limit: 0xffff_ffff }
    const rights = (long ? RIGHTS.code64 : RIGHTS.code) | RIGHTS.accessed | level
    registers.setSegment('cs', { ...flat, selector: this.#ring === 0 ? CODE0 : CODE3, rights })
    const data = { ...flat, selector: this.#ring === 0 ? DATA0 : DATA3, rights: RIGHTS.data | RIGHTS.accessed | level }
    for (const name of ['ss', 'ds', 'es', 'fs', 'gs'] as const) registers.setSegment(name, data)
  }

  #virtual(): void {
    this.guest.setRegisters({ rflags: 0x2_0002 })
    this.#paragraphs({ limit: 0xffff, rights: 0xf3 })
  }

  /** Writes a descriptor of the GDT, or of the LDT where the selector says so. */
  set(selector: number, value: bigint): void {
    this.guest.write64((selector & 4 ? LDT : GDT) + (selector & ~7), value)
  }

  /** Rights byte of a descriptor as it is in memory. */
  rightsOf(selector: number): number {
    return this.guest.read((selector & 4 ? LDT : GDT) + (selector & ~7) + 5, 1)[0]
  }

  /** Writes a gate of the IDT to a selector; its handler is the one that ends the run, unless told otherwise. */
  setGate(vector: number, kind: number, selector: number, offset = HANDLERS + vector * 16, ist = 0): void {
    if (this.#mode === 'long') {
      this.guest.write64(IDT + vector * 16, gate(kind, selector, offset, ist))
      this.guest.write64(IDT + vector * 16 + 8, 0n)
    } else this.guest.write64(IDT + vector * 8, gate(kind, selector, offset))
  }

  /** Writes a program at CODE and sets registers; it ends with VMCALL. */
  load(source: string, { bits = this.#bits, registers = {} }: RunOptions = {}): void {
    const paragraphs = this.#mode === 'real' || this.#mode === 'virtual-8086'
    this.guest.write(CODE, code(bits, `${source}\n${VMCALL_SOURCE}`, paragraphs ? 0 : CODE))
    this.guest.setRegisters(registers)
  }

  /**
   * Runs a program to its end or the first event's handler.
   * @returns `end`, an event as `#GP(0x18)`, or the reason of any other exit
   */
  run(source: string, options: RunOptions = {}): string {
    this.load(source, options)
    return this.resume(options.budget)
  }

  /** Goes on, and tells as {@link run} does. What is hot is compiled when a run ends: there are several. */
  resume(budget = 1000): string {
    const { guest } = this
    let exit = guest.run(Math.min(budget, SLICE))
    for (let left = budget - SLICE; left > 0 && exit.reason === 'budget'; left -= SLICE)
      exit = guest.run(Math.min(left, SLICE))
    if (exit.reason !== 'vmcall') return exit.reason
    const at = Number(this.linearRip) - HANDLERS - VMCALL.length
    if (at < 0 || at >= 256 * 16 || at % 16 !== 0) return 'end'
    const vector = at / 16
    const name = NAMES[vector] ?? `INT ${vector}`
    if (this.#mode === 'real' || !WITH_ERROR_CODE.has(vector)) return name
    return `${name}(0x${this.pushed(0).toString(16)})`
  }

  get linearRip(): bigint {
    return this.guest.vcpu.registers.segment('cs').base + this.guest.register('rip')
  }

  /** Element of the stack in place, from the top: 8 bytes in long mode, 4 in protected mode, 2 in real mode. */
  pushed(index: number): number {
    const { registers } = this.guest.vcpu
    const top = Number(registers.segment('ss').base) + Number(this.guest.register('rsp'))
    if (this.#mode === 'long') return Number(this.guest.read64(top + index * 8))
    if (this.#mode === 'real') return this.guest.read32(top + index * 2) & 0xffff
    return this.guest.read32(top + index * 4)
  }

  register(name: string): number {
    return Number(this.guest.register(name))
  }

  /** Selector in a segment register. */
  selector(name: 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs' | 'tr' | 'ldtr'): number {
    return this.guest.vcpu.registers.segment(name).selector
  }

  /** Clears the present bit of a descriptor. */
  absent(value: bigint): bigint {
    return value & ~(BigInt(PRESENT) << 40n)
  }
}
