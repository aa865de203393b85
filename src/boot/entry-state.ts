/**
 * The register states in which boot protocols enter a kernel: real mode, flat 32-bit protected mode, and long mode
 * with the first 4 GiB identity-mapped. Interrupts are off. The GDT and page tables are in guest RAM, because the
 * kernel may reload a segment register or edit the tables before it has its own.
 */

import type { SegmentName, SegmentRegister } from '../engine/processor.ts'
import {
  CR0_ET,
  CR0_MP,
  CR0_NE,
  CR0_PE,
  CR0_PG,
  CR4_OSFXSR,
  CR4_OSXMMEXCPT,
  CR4_PAE,
  EFER_LMA,
  EFER_LME,
} from '../x86/control-registers.ts'
import { RFLAGS_RESERVED_1 } from '../x86/rflags.ts'
import {
  RIGHTS_ACCESSED,
  RIGHTS_CODE,
  RIGHTS_DB,
  RIGHTS_G,
  RIGHTS_L,
  RIGHTS_P,
  RIGHTS_READABLE,
  RIGHTS_S,
  RIGHTS_UNUSABLE,
  RIGHTS_WRITABLE,
} from '../x86/segment-rights.ts'
import type { EntryState, GuestRam } from './boot-target.ts'
import { FOUR_GIB, PAGE_SIZE, type Placement } from './placement.ts'

/** Values of general registers by name; the others are zero. */
export type GeneralRegisters = Readonly<Record<string, number>>

/** `__BOOT_CS` and `__BOOT_DS` of the Linux boot protocol, used for every protocol. */
export const BOOT_CS = 0x10
export const BOOT_DS = 0x18

const GENERAL = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp']
const EXTENDED = ['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15']
const DATA_SEGMENTS: readonly SegmentName[] = ['ds', 'es', 'fs', 'gs', 'ss']

const CODE = RIGHTS_P | RIGHTS_S | RIGHTS_CODE | RIGHTS_READABLE | RIGHTS_ACCESSED
const DATA = RIGHTS_P | RIGHTS_S | RIGHTS_WRITABLE | RIGHTS_ACCESSED
/** A busy 32-bit TSS, which is a busy 64-bit TSS in long mode (SDM vol. 3, table 3-2). */
const BUSY_TSS = RIGHTS_P | 0xb

const FLAT_LIMIT = 0xffffffff
const CODE_32 = CODE | RIGHTS_DB | RIGHTS_G
const CODE_64 = CODE | RIGHTS_L | RIGHTS_G
const FLAT_DATA = DATA | RIGHTS_DB | RIGHTS_G

const PAGE_PRESENT_WRITABLE = 3n
const PAGE_LARGE = 1n << 7n
const LARGE_PAGE_SIZE = 0x200000
const ENTRIES = 512

/** 32-bit protected mode, paging off, flat segments at {@link BOOT_CS} and {@link BOOT_DS}. `entry` is a physical address. */
export function protectedModeEntry(
  ram: GuestRam,
  placement: Placement,
  entry: number,
  general: GeneralRegisters,
): EntryState {
  return {
    registers: { ...generalRegisters(entry, general), cr0: BigInt(CR0_PE | CR0_ET), cr3: 0n, cr4: 0n, efer: 0n },
    segments: flatSegments(CODE_32),
    gdtr: writeGdt(ram, placement, CODE_32),
    idtr: { base: 0n, limit: 0 },
  }
}

/**
 * 64-bit mode with the first 4 GiB identity-mapped by 2 MiB pages. `entry` is a physical address. SSE is enabled,
 * as firmware leaves it: compilers use it in any 64-bit code.
 */
export function longModeEntry(
  ram: GuestRam,
  placement: Placement,
  entry: number,
  general: GeneralRegisters,
): EntryState {
  return {
    registers: {
      ...generalRegisters(entry, general),
      cr0: BigInt((CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG) >>> 0),
      cr3: BigInt(writeIdentityMap(ram, placement)),
      cr4: BigInt(CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT),
      efer: BigInt(EFER_LME | EFER_LMA),
    },
    segments: flatSegments(CODE_64),
    gdtr: writeGdt(ram, placement, CODE_64),
    idtr: { base: 0n, limit: 0 },
  }
}

/** Real mode at CS:IP = `segment`:`offset`; data segments are 0. The vectors at address 0 are the machine's business. */
export function realModeEntry(segment: number, offset: number, general: GeneralRegisters): EntryState {
  const data = { selector: 0, base: 0n, limit: 0xffff, rights: DATA }
  return {
    registers: { ...generalRegisters(offset, general), cr0: BigInt(CR0_ET), cr3: 0n, cr4: 0n, efer: 0n },
    segments: {
      cs: { selector: segment, base: BigInt(segment * 16), limit: 0xffff, rights: CODE },
      ...Object.fromEntries(DATA_SEGMENTS.map(name => [name, { ...data }])),
    },
    idtr: { base: 0n, limit: 0x3ff },
  }
}

function generalRegisters(rip: number, general: GeneralRegisters): Record<string, bigint> {
  const registers: Record<string, bigint> = { rip: BigInt(rip), rflags: BigInt(RFLAGS_RESERVED_1) }
  for (const name of [...GENERAL, ...EXTENDED]) registers[name] = BigInt(general[name] ?? 0)
  return registers
}

function flatSegments(code: number): Partial<Record<SegmentName, SegmentRegister>> {
  const data = { selector: BOOT_DS, base: 0n, limit: FLAT_LIMIT, rights: FLAT_DATA }
  return {
    cs: { selector: BOOT_CS, base: 0n, limit: FLAT_LIMIT, rights: code },
    ...Object.fromEntries(DATA_SEGMENTS.map(name => [name, { ...data }])),
    ldtr: { selector: 0, base: 0n, limit: 0, rights: RIGHTS_UNUSABLE },
    tr: { selector: 0, base: 0n, limit: 0x67, rights: BUSY_TSS },
  }
}

function writeGdt(ram: GuestRam, placement: Placement, code: number): { base: bigint; limit: number } {
  const table = new DataView(new ArrayBuffer(4 * 8))
  table.setBigUint64(BOOT_CS, flatDescriptor(code), true)
  table.setBigUint64(BOOT_DS, flatDescriptor(FLAT_DATA), true)
  const base = placement.allocateStructure(table.byteLength, 'the boot GDT')
  ram.write(base, new Uint8Array(table.buffer))
  return { base: BigInt(base), limit: table.byteLength - 1 }
}

/** A descriptor with base 0 and limit 4 GiB (SDM vol. 3, 3.4.5): rights bits 0-7 and 12-15 stand at bit 40. */
function flatDescriptor(rights: number): bigint {
  return 0x000f00000000ffffn | (BigInt(rights) << 40n)
}

/** PML4, one PDPT and four page directories; returns the physical address of the PML4. */
function writeIdentityMap(ram: GuestRam, placement: Placement): number {
  const directories = FOUR_GIB / LARGE_PAGE_SIZE / ENTRIES
  const base = placement.allocateStructure((2 + directories) * PAGE_SIZE, 'the boot page tables', PAGE_SIZE)
  const tables = new BigUint64Array((2 + directories) * ENTRIES)
  const table = (index: number) => BigInt(base + index * PAGE_SIZE) | PAGE_PRESENT_WRITABLE
  tables[0] = table(1)
  for (let index = 0; index < directories; index++) tables[ENTRIES + index] = table(2 + index)
  for (let page = 0; page < directories * ENTRIES; page++) {
    tables[2 * ENTRIES + page] = BigInt(page * LARGE_PAGE_SIZE) | PAGE_PRESENT_WRITABLE | PAGE_LARGE
  }
  ram.write(base, new Uint8Array(tables.buffer))
  return base
}
