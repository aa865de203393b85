/** Page tables, descriptors, interrupt tables and handlers of guests of noise: plausible for the most part. */

import type { Random } from '../engine/guest/random.ts'
import type { Mode } from './modes.ts'
import { RAM } from './operands.ts'

const PAGE = 4096
const PAGES = RAM / PAGE
const XAPIC = 0xfee0_0000n

/** Where things are; a page each, but for handlers and the task state, which share one. */
export const TABLES = { root: 0x1000, pdpt: 0x2000, directory: 0x3000, table: 0x4000, level5: 0x8000 }
export const [IDT, GDT, HANDLERS, TASK, STACKS] = [0x5000, 0x6000, 0x7000, 0x7800, 0x9000]
/** Pages that stay accessible to ring 0 alone, so that SMEP and SMAP do not end a guest at its first fault. */
const isSystemPage = (page: number): boolean => page < 10

/** Selectors of the GDT. */
export const [CODE, DATA, HANDLER_CODE, HANDLER_DATA, TASK_SELECTOR, LOCAL_SELECTOR] = [8, 16, 24, 32, 40, 56]

/** A page of paging-structure entries that mostly lead into RAM, and sometimes anywhere. */
export function fillWithEntries(page: DataView, random: Random, bytes: 4 | 8): void {
  for (let at = 0; at < page.byteLength; at += bytes) {
    const low = (random.below(PAGES) << 12) | (random.word() & (random.chance(0.9) ? 0x167 : 0xfff))
    const noise = random.chance(0.03)
    page.setUint32(at, noise ? random.word() : low | (random.chance(0.8) ? 3 : 0), true)
    if (bytes === 8) page.setUint32(at + 4, noise ? random.word() : highHalf(random), true)
  }
}

/** XD and a protection key, rarely. */
const highHalf = (random: Random): number => (random.chance(0.05) ? random.word() & 0xf800_0000 : 0)

/** Access rights of descriptors that a guest may meet: code, data, gates, task states, LDTs. */
const RIGHTS = [
  ...[0x9b, 0x93, 0xfb, 0xf3, 0xbb, 0xb3, 0xdb, 0xd3, 0x9f, 0xff, 0x97, 0xf7, 0x99, 0x91],
  ...[0x8e, 0xee, 0x8f, 0xef, 0x86, 0xe7, 0x85, 0xe5, 0x8c, 0xec, 0x84, 0xe4, 0x89, 0x8b, 0x81, 0x83, 0x82, 0x0e],
]

/** A page of descriptors and gates. */
export function fillWithDescriptors(page: DataView, random: Random): void {
  for (let at = 0; at < page.byteLength; at += 8) {
    if (random.chance(0.1)) {
      page.setUint32(at, random.word(), true)
      page.setUint32(at + 4, random.word(), true)
    } else if (random.chance(0.5)) {
      page.setUint32(at, (random.below(16) << 19) | random.below(0x10000), true)
      page.setUint32(at + 4, (random.pick(RIGHTS) << 8) | random.below(4), true)
    } else {
      page.setUint32(at, random.chance(0.8) ? 0xffff : random.word(), true)
      page.setUint32(at + 4, (random.pick(RIGHTS) << 8) | (random.pick([0xcf, 0xaf, 0x0f, 0x8f, 0x4f]) << 16), true)
    }
  }
}

/**
 * Tables that map RAM one to one, with a few entries of noise, and the local APIC behind it.
 * @param user pages outside the system's are the user's
 */
export function mapRam(ram: DataView, random: Random, mode: Mode, user: boolean): void {
  const size = mode.levels === 2 ? 4 : 8
  const set = (at: number, value: bigint) => {
    ram.setUint32(at, Number(value & 0xffff_ffffn), true)
    if (size === 8) ram.setUint32(at + 4, Number(value >> 32n), true)
  }
  const path = pathOf(mode)
  for (const table of path) fillWithEntries(new DataView(ram.buffer, ram.byteOffset + table, PAGE), random, size)
  for (const [i, table] of path.slice(0, -1).entries())
    set(table, BigInt(path[i + 1]) | (mode.levels === 3 && i === 0 ? 1n : 7n))
  // A large page instead of the last table: everything behind RAM in it is a hole.
  if (random.chance(0.1)) set(path[path.length - 2], user ? 0x87n : 0x83n)
  const table = path[path.length - 1]
  for (let page = 0; page < PAGES; page++) {
    const system = isSystemPage(page)
    if (!system && random.chance(0.04)) continue
    const high = size === 8 && !system ? BigInt(highHalf(random)) << 32n : 0n
    const rights = system ? 3n : (user ? 7n : 3n) & (random.chance(0.95) ? 7n : 5n)
    set(table + page * size, high | BigInt(page * PAGE) | rights | (random.chance(0.1) ? 0x100n : 0n))
  }
  set(table + PAGES * size, XAPIC | (user ? 7n : 3n))
}

function pathOf({ levels }: Mode): number[] {
  const { level5, root, pdpt, directory, table } = TABLES
  if (levels === 2) return [root, table]
  if (levels === 3) return [root, directory, table]
  return levels === 5 ? [level5, root, pdpt, directory, table] : [root, pdpt, directory, table]
}

const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17, 21])
/** Of a handler with an error code, from the start of {@link HANDLERS}. */
const DROPPING = 0x40

/**
 * Descriptors and handlers that go on at the next byte, for guests that would end at their first fault otherwise; the
 * noise may overwrite them.
 */
export function installHandlers(ram: DataView, random: Random, mode: Mode, ring: number): void {
  const set64 = (at: number, low: number, high: number) => {
    ram.setUint32(at, low, true)
    ram.setUint32(at + 4, high, true)
  }
  const write = (at: number, bytes: readonly number[]) => {
    for (const [i, byte] of bytes.entries()) ram.setUint8(at + i, byte)
  }
  if (!mode.protected) {
    // push bp; mov bp, sp; inc word [bp+2]; pop bp; iret
    write(HANDLERS, [0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf])
    for (let vector = 0; vector < 256; vector++) ram.setUint32(IDT + vector * 4, HANDLERS, true)
    return
  }
  // inc qword [rsp]; iretq, after add rsp, 8 where there is an error code; and the same in 32 bits
  const skip = mode.long ? [0x48, 0xff, 0x04, 0x24, 0x48, 0xcf] : [0xff, 0x04, 0x24, 0xcf]
  write(HANDLERS, skip)
  write(HANDLERS + DROPPING, [...(mode.long ? [0x48, 0x83, 0xc4, 0x08] : [0x83, 0xc4, 0x04]), ...skip])
  const dpl = ring << 13
  set64(GDT, 0, 0)
  set64(GDT + CODE, 0xffff, (mode.bits === 64 ? 0xaf_9b00 : mode.bits === 32 ? 0xcf_9b00 : 0x8f_9b00) | dpl)
  set64(GDT + DATA, 0xffff, 0xcf_9300 | dpl)
  set64(GDT + HANDLER_CODE, 0xffff, mode.long ? 0xaf_9b00 : 0xcf_9b00)
  set64(GDT + HANDLER_DATA, 0xffff, 0xcf_9300)
  set64(GDT + TASK_SELECTOR, (TASK << 16) | 0x3ff, 0x8b00)
  set64(GDT + TASK_SELECTOR + 8, 0, 0)
  set64(GDT + LOCAL_SELECTOR, (GDT << 16) | 0xfff, 0x8200)
  set64(GDT + LOCAL_SELECTOR + 8, 0, 0)
  taskState(ram, random, mode)
  for (let vector = 0; vector < 256; vector++) {
    const at = IDT + vector * (mode.long ? 16 : 8)
    if (at + 16 > IDT + PAGE) break
    const handler = WITH_ERROR_CODE.has(vector) ? HANDLERS + DROPPING : HANDLERS
    // Some software interrupts are open to every ring; some gates use an interrupt stack of their own.
    const rights = random.chance(0.2) ? 0xee00 : 0x8e00
    const stack = mode.long && random.chance(0.1) ? random.below(8) : 0
    set64(at, handler | (HANDLER_CODE << 16), rights | stack)
    if (mode.long) set64(at + 8, 0, 0)
  }
}

/** Stacks of every kind a task state may name, and an I/O permission bitmap of which half the ports are open. */
function taskState(ram: DataView, random: Random, mode: Mode): void {
  const top = STACKS + PAGE - 64
  if (mode.long)
    for (let at = 4; at < 0x5c; at += 8) {
      ram.setUint32(TASK + at, top, true)
      ram.setUint32(TASK + at + 4, 0, true)
    }
  else
    for (let ring = 0; ring < 3; ring++) {
      ram.setUint32(TASK + 4 + ring * 8, top, true)
      ram.setUint32(TASK + 8 + ring * 8, ring === 0 ? HANDLER_DATA : random.below(16) * 8 + ring, true)
    }
  ram.setUint16(TASK + 0x66, 0x88, true)
  for (let at = 0x68; at < 0x3ff; at++) ram.setUint8(TASK + at, random.chance(0.5) ? 0 : random.below(256))
}
