/** What a guest sees at a linear address, from the TLB or from memory: two frames that differ, and code in both. */

import { expect } from 'vitest'
import type { Exit, Vcpu } from '../../src/engine/processor.ts'
import { enablePaging, type Mode, P, PageTables, type PagingOptions, RW } from '../engine/guest/page-tables.ts'
import { ALL, CODE, CODE_USER, PagingGuest, STACK_TOP, TABLES } from './paging-guest.ts'

export const [OLD, NEW] = [0x30000n, 0x31000n]
/** Linear address under test: a 4 KiB page. */
export const PAGE = 0x4060_3000n
export const NO_FLUSH = 1n << 63n

/** Small programs, each in its own slot of the code page. */
const PROGRAMS = {
  read: [0x8b, 0x07], // mov eax, [rdi]
  write: [0x89, 0x07], // mov [rdi], eax
  call: [0xff, 0xd7, 0x90], // call rdi, which returns at once
  invlpg: [0x0f, 0x01, 0x3f], // invlpg [rdi]
  loadCr3: [0x0f, 0x22, 0xd8], // mov cr3, rax
  loadCr4: [0x0f, 0x22, 0xe0], // mov cr4, rax
  loadCr0: [0x0f, 0x22, 0xc0], // mov cr0, rax
  invpcid: [0x66, 0x0f, 0x38, 0x82, 0x07], // invpcid rax, [rdi]
  wrmsr: [0x0f, 0x30],
  switchTask: [0xea, 0, 0, 0, 0, 0x18, 0], // jmp far 18h:0
} as const
export type Program = keyof typeof PROGRAMS
const SLOTS = Object.keys(PROGRAMS)
const ADDRESS = (program: Program, base = CODE): number => base + SLOTS.indexOf(program) * 16

/** Where INVPCID descriptors lie, and a GDT with tasks. */
const DESCRIPTOR = 0x20f00
const [GDT, OLD_TSS, NEW_TSS] = [0x20000, 0x20100, 0x20200]

/**
 * What a page is used for. Writes to a frame that code was fetched from are looked up at each time, as they may: a frame
 * is shown with stale writes or with stale fetches.
 */
export type Uses = 'data' | 'code'
export const USES: readonly Uses[] = ['data', 'code']
/** What {@link TlbGuest.all} gives where both accesses go to the old frame, to the new one, or fault. */
export const [STALE, FRESH, GONE] = [
  [1, 1],
  [2, 2],
  [14, 14],
]

export class TlbGuest extends PagingGuest {
  uses: Uses = 'data'

  /** Writes programs and frames, maps code and stack, turns paging on. */
  prepareTables(mode: Mode, options: PagingOptions = {}, base = TABLES): PageTables {
    const tables = this.makeTables(mode, base)
    const { guest } = this
    for (const [frame, number] of [
      [OLD, 1],
      [NEW, 2],
    ] as const) {
      guest.write(Number(frame), new Uint8Array(0x1000))
      guest.write32(Number(frame), number)
      // mov ebx, number; ret
      guest.write(Number(frame) + 0x800, [0xbb, number, 0, 0, 0, 0xc3])
    }
    for (const [index, code] of Object.values(PROGRAMS).entries()) guest.write(CODE + index * 16, code)
    enablePaging(guest.vcpu, tables, options)
    guest.setRegisters({ rsp: STACK_TOP })
    return tables
  }

  /** Tables that map nothing but code and stack. */
  makeTables(mode: Mode, base: number): PageTables {
    const tables = new PageTables(this.guest, mode, base)
    tables.map(BigInt(CODE), BigInt(CODE), P | RW)
    tables.map(BigInt(CODE_USER), BigInt(CODE), ALL)
    tables.map(0x20000n, 0x20000n, ALL)
    // The tables on the way: PDPTEs must be there when CR3 is loaded.
    tables.entries(PAGE)
    return tables
  }

  run(program: Program, registers: Readonly<Record<string, bigint | number>>, vcpu = this.guest.vcpu): Exit {
    const code = vcpu.registers.cpl === 3 ? CODE_USER : CODE
    this.guest.setRegisters({ ...registers, rip: ADDRESS(program, code) }, vcpu)
    return this.guest.run(program === 'call' ? 3 : 1, vcpu)
  }

  /** What the processor reads: 1 from the old frame, 2 from the new one; 14 for a page fault. */
  read(linear: bigint, vcpu: Vcpu = this.guest.vcpu): number {
    return this.#outcome(this.run('read', { rdi: linear }, vcpu), 'rax', vcpu)
  }

  /** The same of code there. */
  fetch(linear: bigint, vcpu: Vcpu = this.guest.vcpu): number {
    const exit = this.run('call', { rdi: linear + 0x800n, rbx: 0, rsp: STACK_TOP }, vcpu)
    return this.#outcome(exit, 'rbx', vcpu)
  }

  /** Where a write arrives. */
  write(linear: bigint): number {
    for (const frame of [OLD, NEW]) this.guest.write32(Number(frame) + 8, 0)
    const exit = this.run('write', { rdi: linear + 8n, rax: 7 })
    if (exit.reason === 'exception') return exit.vector
    return this.guest.read32(Number(OLD) + 8) === 7 ? 1 : 2
  }

  #outcome(exit: Exit, register: string, vcpu: Vcpu): number {
    if (exit.reason === 'exception') return exit.vector
    expect(exit).toEqual({ reason: 'budget' })
    return Number(this.guest.register(register, vcpu) & 0xffn)
  }

  /** Two kinds of access to a page, as {@link uses} says. */
  all(linear: bigint): number[] {
    return [this.read(linear), this.uses === 'data' ? this.write(linear) : this.fetch(linear)]
  }

  loadCr3(value: bigint | number, keep = false): Exit {
    return this.run('loadCr3', { rax: BigInt(value) | (keep ? NO_FLUSH : 0n) })
  }

  toggle(register: 0 | 4, bit: number): Exit {
    const value = this.guest.register(`cr${register}`) ^ (1n << BigInt(bit))
    return this.run(register === 0 ? 'loadCr0' : 'loadCr4', { rax: value })
  }

  invlpg(linear: bigint, vcpu = this.guest.vcpu): Exit {
    return this.run('invlpg', { rdi: linear }, vcpu)
  }

  invpcid(type: bigint | number, pcid: bigint | number = 0, linear = 0n): Exit {
    this.guest.write64(DESCRIPTOR, BigInt(pcid))
    this.guest.write64(DESCRIPTOR + 8, linear)
    return this.run('invpcid', { rax: type, rdi: DESCRIPTOR })
  }

  /** A far JMP to a task that goes on with other tables. */
  switchTask(cr3: number): Exit {
    const { guest } = this
    const { registers } = guest.vcpu
    const tss = (base: number, type: number): bigint =>
      BigInt(((base & 0xffff) << 16) | 0x67) | (BigInt((base >>> 16) | (type << 8)) << 32n)
    for (const [index, descriptor] of [
      0x00cf_9b00_0000_ffffn,
      0x00cf_9300_0000_ffffn,
      tss(NEW_TSS, 0x89),
      tss(OLD_TSS, 0x8b),
    ].entries())
      guest.write64(GDT + 8 + index * 8, descriptor)
    guest.write(NEW_TSS, new Uint8Array(0x68))
    for (const [offset, value] of [
      [28, cr3],
      [32, CODE],
      [36, 2],
      [56, STACK_TOP],
      [72, 16],
      [76, 8],
      [80, 16],
      [84, 16],
    ])
      guest.write32(NEW_TSS + offset, value)
    registers.setTable('gdtr', { base: BigInt(GDT), limit: 39 })
    registers.setSegment('tr', { selector: 32, base: BigInt(OLD_TSS), limit: 0x67, rights: 0x8b })
    return this.run('switchTask', {})
  }
}
