/** Runs scenarios in the engine: a kernel of handlers that do nothing but VMCALL, with Linux's GDT, the scenarios' LDT, and ring 3. */

import type { SegmentRegister } from '../../src/engine/processor.ts'
import { Guest, type Host } from '../engine/guest/guest.ts'
import { VMCALL } from '../engine/guest/long-mode.ts'
import { NX, P, PageTables, RW, US } from '../engine/guest/page-tables.ts'
import { hashMemory, type Image, REGIONS, type Region } from './image.ts'
import * as L from './layout.ts'
import type { Outcome } from './outcome.ts'
import type { Scenario } from './scenario.ts'

const RAM = 0x10_0000
const TABLES = 0x1000
/** Supervisor pages: physical and linear address. */
const KERNEL = 0x2_0000
const KERNEL_LINEAR = 0xffff_ffff_8000_0000n
const GDT = 0
const IDT = 0x1000
const LDT = 0x2000
const TSS = 0x3000
const HANDLERS = 0x4000
const STACK_END = 0x7000
const KERNEL_BYTES = 0x8000
const USER = 0x4_0000

/** PG, AM, WP, NE, ET, MP and PE, as Linux has them. */
const CR0 = 0x8005_0033n
/** DE, PAE, PGE, OSFXSR, OSXMMEXCPT, OSXSAVE. */
const CR4 = 0x4_06a8n
/** SCE, LME, LMA, NXE. */
const EFER = 0xd01n

const FLAT: SegmentRegister = { selector: L.USER_DATA, base: 0n, limit: 0xffff_ffff, rights: 0xc0f3 }
const NULL: SegmentRegister = { selector: 0, base: 0n, limit: 0, rights: 0x1_0000 }
const WITH_ERROR_CODE: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17])
/** Linux does not tell user code which pages of its own half, and of the page below, are there. */
const KERNEL_HALF = 0x7fff_ffff_f000n
const PROTECTION_VIOLATION = 1
const MOST_INSTRUCTIONS = 10_000

export class EngineProcessor {
  readonly #guest: Guest
  /** Physical address of each region. */
  readonly #placed = new Map<Region, number>()

  constructor(host: Host) {
    this.#guest = new Guest(host, { bytes: RAM })
    const tables = new PageTables(this.#guest, '4-level', TABLES)
    for (let at = 0; at < KERNEL_BYTES; at += L.PAGE)
      tables.map(KERNEL_LINEAR + BigInt(at), BigInt(KERNEL + at), P | RW)
    let next = USER
    for (const region of REGIONS) {
      this.#placed.set(region, next)
      for (let at = 0; at < region.bytes; at += L.PAGE, next += L.PAGE)
        if (region.read)
          tables.map(
            BigInt(region.address + at),
            BigInt(next),
            P | US | (region.write ? RW : 0n) | (region.execute ? 0n : NX),
          )
    }
    this.#guest.vcpu.reset()
    this.#writeTables()
    this.#guest.setRegisters({ efer: EFER, cr4: CR4, cr3: BigInt(tables.root), cr0: CR0 })
  }

  release(): void {
    this.#guest.release()
  }

  run(scenarios: readonly Scenario[], image: Image): Outcome[] {
    for (const region of REGIONS) this.#fill(region)
    this.#guest.write(this.#at(REGIONS[0]), image.bytes)
    return scenarios.map((scenario, index) => this.#runOne(scenario, image.starts[index]))
  }

  #at(region: Region): number {
    const placed = this.#placed.get(region)
    if (placed === undefined) throw new Error('a region without memory')
    return placed
  }

  #fill(region: Region): void {
    this.#guest.write(this.#at(region), new Uint8Array(region.bytes).fill(region.fill))
  }

  #runOne({ name, bits }: Scenario, start: number): Outcome {
    const guest = this.#guest
    const { registers } = guest.vcpu
    for (const region of REGIONS) if (region.write) this.#fill(region)
    const selector = bits === 64 ? L.USER_CODE : L.USER_CODE_32
    registers.setSegment('cs', { ...FLAT, selector, rights: bits === 64 ? 0xa0fb : 0xc0fb })
    for (const register of ['ss', 'ds', 'es'] as const) registers.setSegment(register, FLAT)
    for (const register of ['fs', 'gs'] as const) registers.setSegment(register, NULL)
    NAMES.forEach((register, index) => {
      registers.set(register, BigInt(L.initialRegister(index)))
    })
    guest.setRegisters({ rip: start, rflags: L.INITIAL_FLAGS, mxcsr: 0x1f80 })
    for (let index = 0; index < 16; index++) registers.set(`xmm${index}`, 0n)
    let exit = guest.run(MOST_INSTRUCTIONS)
    if (exit.reason === 'cpuid') {
      guest.vcpu.completeCpuid({ eax: 0, ebx: 0, ecx: 0, edx: 0 })
      exit = guest.run(MOST_INSTRUCTIONS)
    }
    if (exit.reason !== 'vmcall' || guest.register('rip') < KERNEL_LINEAR)
      throw new Error(`scenario "${name}": ${exit.reason} at 0x${guest.register('rip').toString(16)}`)
    return this.#outcome()
  }

  /** From the stack of the handler that was reached. */
  #outcome(): Outcome {
    const guest = this.#guest
    // Each handler has a slot of 16 bytes.
    const vector = Number((guest.register('rip') - KERNEL_LINEAR - BigInt(HANDLERS)) >> 4n)
    const stack = KERNEL + Number(guest.register('rsp') - KERNEL_LINEAR)
    const hasError = WITH_ERROR_CODE.has(vector)
    const word = (index: number) => guest.read64(stack + (index + (hasError ? 1 : 0)) * 8)
    // Linux's handler is reached by an IRET to ring 3, which clears null selectors.
    const selector = (name: string) => {
      const value = Number(guest.register(name))
      return value < 4 ? 0 : value
    }
    const address = vector === 14 ? guest.register('cr2') : 0n
    const error = hasError ? Number(guest.read64(stack)) : 0
    return {
      vector,
      error: vector === 14 && address >= KERNEL_HALF ? error | PROTECTION_VIOLATION : error,
      address,
      rip: word(0),
      flags: Number(word(2)),
      registers: NAMES.map((name, index) => (index === 4 ? word(3) : guest.register(name))),
      selectors: {
        cs: Number(word(1)),
        ss: Number(word(4)),
        ...{ ds: selector('ds'), es: selector('es'), fs: selector('fs'), gs: selector('gs') },
      },
      memory: hashMemory(region => guest.read(this.#at(region), region.bytes)),
    }
  }

  #writeTables(): void {
    const guest = this.#guest
    const descriptors: Readonly<Record<number, bigint>> = {
      [L.KERNEL_CODE_32]: 0x00cf_9b00_0000_ffffn,
      [L.KERNEL_CODE]: 0x00af_9b00_0000_ffffn,
      [L.KERNEL_DATA]: 0x00cf_9300_0000_ffffn,
      [L.USER_CODE_32 & ~7]: 0x00cf_fb00_0000_ffffn,
      [L.USER_DATA & ~7]: 0x00cf_f300_0000_ffffn,
      [L.USER_CODE & ~7]: 0x00af_fb00_0000_ffffn,
    }
    for (const [at, value] of Object.entries(descriptors)) guest.write64(KERNEL + GDT + Number(at), value)
    const system = (at: number, type: number, base: bigint, limit: number) => {
      guest.write64(KERNEL + GDT + at, systemDescriptor(type, base, limit))
      guest.write64(KERNEL + GDT + at + 8, base >> 32n)
    }
    const [tss, ldt] = [KERNEL_LINEAR + BigInt(TSS), KERNEL_LINEAR + BigInt(LDT)]
    const ldtLimit = L.LDT_ENTRIES * 8 - 1
    system(L.TASK, 11, tss, 103)
    system(L.LOCAL_TABLE, 2, ldt, ldtLimit)
    L.SEGMENT_NAMES.forEach((name, index) => {
      guest.write64(KERNEL + LDT + (index + 1) * 8, userDescriptor(L.SEGMENTS[name]))
    })
    // The I/O map is behind the limit.
    guest.write(KERNEL + TSS + 102, [104, 0])
    guest.write64(KERNEL + TSS + 4, KERNEL_LINEAR + BigInt(STACK_END))
    for (let vector = 0; vector < 256; vector++) {
      const handler = KERNEL_LINEAR + BigInt(HANDLERS + vector * 16)
      guest.write(KERNEL + HANDLERS + vector * 16, VMCALL)
      // Linux lets ring 3 reach #BP and #OF by instructions of their own.
      const rights = vector === 3 || vector === 4 ? 0xee00n : 0x8e00n
      const low =
        (handler & 0xffffn) | (BigInt(L.KERNEL_CODE) << 16n) | (rights << 32n) | ((handler & 0xffff_0000n) << 32n)
      guest.write64(KERNEL + IDT + vector * 16, low)
      guest.write64(KERNEL + IDT + vector * 16 + 8, handler >> 32n)
    }
    const { registers } = guest.vcpu
    registers.setTable('gdtr', { base: KERNEL_LINEAR + BigInt(GDT), limit: L.GDT_LIMIT })
    registers.setTable('idtr', { base: KERNEL_LINEAR + BigInt(IDT), limit: 0xfff })
    registers.setSegment('tr', { selector: L.TASK, base: tss, limit: 103, rights: 0x8b })
    registers.setSegment('ldtr', { selector: L.LOCAL_TABLE, base: ldt, limit: ldtLimit, rights: 0x82 })
  }
}

const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ')

function systemDescriptor(type: number, base: bigint, limit: number): bigint {
  return descriptor(Number(base & 0xffff_ffffn), limit, 0x80 | type, 0)
}

/** As Linux writes it (fill_ldt): present unless said otherwise, of ring 3, accessed. */
function userDescriptor({ base, limit, kind, restricted, absent, big, pages }: L.LocalSegment): bigint {
  const contents = ['data', 'expand-down', 'code', 'conforming code'].indexOf(kind)
  const type = (contents << 2) | (restricted ? 0 : 2) | 1
  return descriptor(base, limit, (absent ? 0 : 0x80) | 0x70 | type, (big ? 4 : 0) | (pages ? 8 : 0))
}

function descriptor(base: number, limit: number, access: number, flags: number): bigint {
  const low = ((base & 0xffff) << 16) | (limit & 0xffff)
  const high = (base & 0xff00_0000) | (flags << 20) | (limit & 0xf_0000) | (access << 8) | ((base >>> 16) & 0xff)
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}
