/**
 * A guest in 64-bit mode: 4-level paging that maps the first 2 MiB one to one in 4 KiB pages, flat segments, and an IDT
 * whose handlers skip to the next 16-byte slot of code, so that a program goes on after any fault.
 */

import type { SegmentRegister, Vcpu } from '../../../src/engine/processor.ts'
import type { Guest } from './guest.ts'

export const PML4 = 0x1000
export const PDPT = 0x2000
export const PAGE_DIRECTORY = 0x3000
export const PAGE_TABLE = 0x4000
const IDT = 0x5000
const GDT = 0x6000
const HANDLERS = 0x7000
/** Where programs, their data and the end of their stack are. */
export const CODE = 0x10000
export const DATA = 0x20000
export const STACK = 0x31000
/** A page that is not mapped. */
export const HOLE = 0x22000

/** VMCALL: ends a program with an exit, and the vCPU can go on. */
export const VMCALL = [0x0f, 0x01, 0xc1]

const PRESENT_WRITABLE = 3n
const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17])

export const CODE_64: SegmentRegister = { selector: 8, base: 0n, limit: 0xffff_ffff, rights: 0xa09b }
export const DATA_FLAT: SegmentRegister = { selector: 16, base: 0n, limit: 0xffff_ffff, rights: 0xc093 }

/** PE, ET, NE, WP, PG. */
const CR0 = 0x8001_0031n
/** PAE, PGE, OSFXSR, OSXMMEXCPT. */
const CR4 = 0x6a0n
/** SCE, LME, LMA, NXE. */
const EFER = 0xd01n

// or qword [rsp], 15; inc qword [rsp]; iretq
const SKIP_SLOT = [0x48, 0x83, 0x0c, 0x24, 0x0f, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf]
// add rsp, 8
const DROP_ERROR_CODE = [0x48, 0x83, 0xc4, 0x08]

/** Where a program is put: a {@link Guest}, or another machine. */
export type ProgramMemory = Pick<Guest, 'write' | 'write64' | 'vcpu'>

/** Writes tables and handlers, and puts a vCPU at {@link CODE} in ring 0. */
export function enterLongMode(guest: ProgramMemory, vcpu: Vcpu = guest.vcpu): void {
  guest.write64(PML4, BigInt(PDPT) | PRESENT_WRITABLE)
  guest.write64(PDPT, BigInt(PAGE_DIRECTORY) | PRESENT_WRITABLE)
  guest.write64(PAGE_DIRECTORY, BigInt(PAGE_TABLE) | PRESENT_WRITABLE)
  for (let page = 0; page < 512; page++)
    guest.write64(PAGE_TABLE + page * 8, page * 4096 === HOLE ? 0n : BigInt(page * 4096) | PRESENT_WRITABLE)
  guest.write64(GDT, 0n)
  guest.write64(GDT + 8, 0x00af_9b00_0000_ffffn)
  guest.write64(GDT + 16, 0x00cf_9300_0000_ffffn)
  guest.write(HANDLERS, SKIP_SLOT)
  guest.write(HANDLERS + 0x100, [...DROP_ERROR_CODE, ...SKIP_SLOT])
  for (let vector = 0; vector < 32; vector++)
    setGate(guest, vector, WITH_ERROR_CODE.has(vector) ? HANDLERS + 0x100 : HANDLERS)

  vcpu.reset()
  const { registers } = vcpu
  registers.set('efer', EFER)
  registers.set('cr4', CR4)
  registers.set('cr3', BigInt(PML4))
  registers.set('cr0', CR0)
  registers.setSegment('cs', CODE_64)
  for (const name of ['ss', 'ds', 'es', 'fs', 'gs'] as const) registers.setSegment(name, DATA_FLAT)
  registers.setTable('gdtr', { base: BigInt(GDT), limit: 23 })
  registers.setTable('idtr', { base: BigInt(IDT), limit: 256 * 16 - 1 })
  registers.set('rsp', BigInt(STACK))
  registers.set('rip', BigInt(CODE))
  registers.set('rflags', 2n)
}

/** Points an interrupt gate of the IDT to a handler in ring 0. */
export function setGate(guest: Pick<Guest, 'write64'>, vector: number, handler: number): void {
  const low = BigInt(handler & 0xffff) | (8n << 16n) | (0x8e00n << 32n) | (BigInt(handler >>> 16) << 48n)
  guest.write64(IDT + vector * 16, low)
  guest.write64(IDT + vector * 16 + 8, 0n)
}
