/** Paging structures of a guest, written entry by entry in the format of its paging mode (SDM vol. 3, chapter 4). */

import type { SegmentRegister, Vcpu } from '../../../src/engine/processor.ts'
import type { Guest } from './guest.ts'

export type Mode = '32-bit' | 'PAE' | '4-level' | '5-level'
export const MODES: readonly Mode[] = ['32-bit', 'PAE', '4-level', '5-level']
export const isLong = (mode: Mode): boolean => mode === '4-level' || mode === '5-level'

export const P = 1n
export const RW = 2n
export const US = 4n
export const A = 1n << 5n
export const D = 1n << 6n
export const PS = 1n << 7n
export const G = 1n << 8n
export const NX = 1n << 63n

/** Shifts of the index at each level, from the root. */
const SHIFTS: Readonly<Record<Mode, readonly number[]>> = {
  '32-bit': [22, 12],
  PAE: [30, 21, 12],
  '4-level': [39, 30, 21, 12],
  '5-level': [48, 39, 30, 21, 12],
}

export class PageTables {
  readonly guest: Guest
  readonly mode: Mode
  readonly root: number
  #next: number

  /** @param base guest-physical address of the first table; the others follow. */
  constructor(guest: Guest, mode: Mode, base: number) {
    this.guest = guest
    this.mode = mode
    this.root = base
    this.#next = base
    this.#allocate()
  }

  #allocate(): number {
    const table = this.#next
    this.#next += 0x1000
    this.guest.write(table, new Uint8Array(0x1000))
    return table
  }

  /** Levels above and with the last one. */
  get depth(): number {
    return SHIFTS[this.mode].length
  }

  get(entry: number): bigint {
    return this.mode === '32-bit' ? BigInt(this.guest.read32(entry)) : this.guest.read64(entry)
  }

  set(entry: number, value: bigint): void {
    if (this.mode === '32-bit') this.guest.write32(entry, Number(value))
    else this.guest.write64(entry, value)
  }

  /** Guest-physical addresses of the entries that translate `linear`, from the root to the page table's (0) or above it. */
  entries(linear: bigint, lastLevel = 0): number[] {
    const size = this.mode === '32-bit' ? 4 : 8
    const shifts = SHIFTS[this.mode]
    const path: number[] = []
    let table = this.root
    for (let i = 0; i < shifts.length - lastLevel; i++) {
      const index =
        Number((linear >> BigInt(shifts[i])) & BigInt(4096 / size - 1)) & (this.mode === 'PAE' && i === 0 ? 3 : 0xfff)
      const entry = table + index * size
      path.push(entry)
      if (i === shifts.length - lastLevel - 1) break
      if ((this.get(entry) & P) === 0n) {
        // PDPTEs of PAE paging have no rights (SDM vol. 3, table 4-8).
        const rights = this.mode === 'PAE' && i === 0 ? P : P | RW | US
        this.set(entry, BigInt(this.#allocate()) | rights)
      }
      // Without the bits that tests set to be reserved.
      table = Number(this.get(entry) & 0xff_ffff_f000n)
    }
    return path
  }

  /** Maps a page; a large one with `lastLevel` 1 or 2 and PS among the flags. */
  map(linear: bigint, address: bigint, flags: bigint, lastLevel = 0): void {
    const path = this.entries(linear, lastLevel)
    this.set(path[path.length - 1], address | flags)
  }
}

const FLAT = { base: 0n, limit: 0xffff_ffff }

/** Flat segments of the mode's code size at a privilege level. */
export function enterRing(vcpu: Vcpu, mode: Mode, cpl: 0 | 3): void {
  const dpl = cpl << 5
  const code: SegmentRegister = { ...FLAT, selector: 8 | cpl, rights: (isLong(mode) ? 0xa09b : 0xc09b) | dpl }
  const data: SegmentRegister = { ...FLAT, selector: 16 | cpl, rights: 0xc093 | dpl }
  vcpu.registers.setSegment('cs', code)
  for (const name of ['ss', 'ds', 'es', 'fs', 'gs'] as const) vcpu.registers.setSegment(name, data)
}

export interface PagingOptions {
  readonly writeProtect?: boolean
  readonly noExecute?: boolean
  readonly smep?: boolean
  readonly smap?: boolean
  readonly pse?: boolean
  readonly pcid?: boolean
  readonly global?: boolean
  readonly keys?: boolean
}

/** Turns paging on, in ring 0. */
export function enablePaging(vcpu: Vcpu, tables: PageTables, options: PagingOptions = {}): void {
  const { mode, root } = tables
  vcpu.reset()
  const bit = (set: boolean | undefined, position: number) => (set ? 1n << BigInt(position) : 0n)
  const long = isLong(mode)
  vcpu.registers.set('efer', (long ? 0x500n : 0n) | bit(options.noExecute, 11))
  const features =
    bit(options.pse, 4) |
    bit(options.global, 7) |
    bit(mode === '5-level', 12) |
    bit(options.pcid, 17) |
    bit(options.smep, 20) |
    bit(options.smap, 21) |
    bit(options.keys, 22)
  vcpu.registers.set('cr4', (mode === '32-bit' ? 0n : 0x20n) | features)
  vcpu.registers.set('cr3', BigInt(root))
  vcpu.registers.set('cr0', 0x8000_0011n | bit(options.writeProtect, 16))
  vcpu.registers.set('rflags', 2n)
  enterRing(vcpu, mode, 0)
}
