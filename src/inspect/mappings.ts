/**
 * What an address space maps, as ranges with permissions: a walk over the guest's tables as a whole (SDM vol. 3,
 * chapter 4). What the processor would refuse, it lists too, with the entry's own rights: reserved bits are for
 * `translate` to find.
 */

import type { PagingLevel } from '../engine/mmu/page-walk.ts'
import { CR4_PSE, EFER_NXE } from '../x86/control-registers.ts'
import { isSet } from './control-bits.ts'
import { type PagingMode, pagingMode } from './cpu-mode.ts'
import type { MachineView, VcpuView } from './machine-view.ts'
import { coalesce, type MappedPiece, type MappingPortion } from './mapping-ranges.ts'
import { ENTRY_PRESENT } from './page-table-entry.ts'

export interface MappingRequest {
  /** Another address space than the vCPU's current one. */
  readonly cr3?: bigint | undefined
  /** Linear address to begin at. */
  readonly start: bigint
  /** Ranges at most. */
  readonly limit: number
}

interface Level {
  readonly level: PagingLevel
  readonly shift: bigint
}

const level = (name: PagingLevel, shift: bigint): Level => ({ level: name, shift })
const FOUR_LEVELS = [level('PML4', 39n), level('PDPT', 30n), level('PD', 21n), level('PT', 12n)]
const LEVELS: Readonly<Record<Exclude<PagingMode, 'no paging'>, readonly Level[]>> = {
  '32-bit paging': [level('PD', 22n), level('PT', 12n)],
  'PAE paging': FOUR_LEVELS.slice(1),
  '4-level paging': FOUR_LEVELS,
  '5-level paging': [level('PML5', 48n), ...FOUR_LEVELS],
}
/** Tables that one request reads at most: tables that contain themselves have 2^36 pages to tell of. */
const MOST_TABLES = 4096

const PRESENT = BigInt(ENTRY_PRESENT)
const ENTRY_WRITABLE = 2n
const ENTRY_USER = 4n
const ENTRY_LARGE = 0x80n
const ENTRY_GLOBAL = 0x100n
const ENTRY_NO_EXECUTE = 1n << 63n
const ADDRESS = 0xf_ffff_ffff_f000n
const PAE_TABLE = 0xffff_ffe0n

/** Ranges of linear addresses; rights are `rwx` with a dash for what is missing, then `u` for user or `s`, `g` for global. */
export function mappings(machine: MachineView, vcpu: VcpuView, request: MappingRequest): MappingPortion {
  const paging = pagingMode(vcpu)
  if (paging === 'no paging')
    return {
      ranges: [{ start: 0n, end: 1n << 32n, target: 0n, contiguous: true, rights: 'rwxs-', pageSizes: [] }].filter(
        ({ end }) => request.start < end,
      ),
    }
  const cr3 = request.cr3 ?? vcpu.register('cr3')
  return coalesce(new TableWalk(machine, vcpu, paging).pieces(cr3, request.start), request.limit)
}

interface Rights {
  readonly writable: boolean
  readonly user: boolean
  readonly executable: boolean
}

class TableWalk {
  readonly #machine: MachineView
  readonly #paging: Exclude<PagingMode, 'no paging'>
  readonly #levels: readonly Level[]
  readonly #entryBytes: 4 | 8
  readonly #large: boolean
  readonly #noExecute: boolean
  #tablesLeft = MOST_TABLES

  constructor(machine: MachineView, vcpu: VcpuView, paging: Exclude<PagingMode, 'no paging'>) {
    this.#machine = machine
    this.#paging = paging
    this.#levels = LEVELS[paging]
    this.#entryBytes = paging === '32-bit paging' ? 4 : 8
    this.#large = paging !== '32-bit paging' || isSet(vcpu.register('cr4'), CR4_PSE)
    this.#noExecute = paging !== '32-bit paging' && isSet(vcpu.register('efer'), EFER_NXE)
  }

  pieces(cr3: bigint, start: bigint): Generator<MappedPiece | bigint> {
    const root = this.#paging === 'PAE paging' ? cr3 & PAE_TABLE : cr3 & ADDRESS
    return this.#table(0, root, 0n, this.#offset(start), { writable: true, user: true, executable: true })
  }

  /** Canonical addresses without their sign, so that they are in the order of the tables. */
  #offset(linear: bigint): bigint {
    const bits = Number(this.#levels[0].shift) + 9
    return this.#paging.endsWith('level paging') ? BigInt.asUintN(bits, linear) : linear
  }

  #linear(offset: bigint): bigint {
    if (!this.#paging.endsWith('level paging')) return offset
    const bits = Number(this.#levels[0].shift) + 9
    return BigInt.asUintN(64, BigInt.asIntN(bits, offset))
  }

  /** @returns false when the request has seen enough. */
  *#table(
    depth: number,
    table: bigint,
    base: bigint,
    start: bigint,
    above: Rights,
  ): Generator<MappedPiece | bigint, boolean> {
    const { level, shift } = this.#levels[depth]
    const size = 1n << shift
    const entries = this.#read(table, level === 'PDPT' && this.#paging === 'PAE paging' ? 4 : 4096 / this.#entryBytes)
    for (let index = start > base ? Number((start - base) >> shift) : 0; index < entries.length; index++) {
      const entry = entries[index]
      if (entry === 0n || (entry & PRESENT) === 0n) continue
      const at = base + BigInt(index) * size
      // Entries of the PAE page-directory-pointer table carry no permissions (SDM vol. 3, 4.4.1).
      const rights = level === 'PDPT' && this.#paging === 'PAE paging' ? above : this.#rights(entry, above)
      if (this.#isLeaf(level, entry)) yield this.#piece(entry, at, size, rights)
      else if (--this.#tablesLeft < 0) {
        yield this.#linear(at > start ? at : start)
        return false
      } else if (!(yield* this.#table(depth + 1, entry & ADDRESS, at, start, rights))) return false
    }
    return true
  }

  #isLeaf(level: PagingLevel, entry: bigint): boolean {
    if (level === 'PT') return true
    if ((entry & ENTRY_LARGE) === 0n || !this.#large) return false
    return level === 'PD' || (level === 'PDPT' && this.#paging !== 'PAE paging')
  }

  #rights(entry: bigint, above: Rights): Rights {
    return {
      writable: above.writable && (entry & ENTRY_WRITABLE) !== 0n,
      user: above.user && (entry & ENTRY_USER) !== 0n,
      executable: above.executable && !(this.#noExecute && (entry & ENTRY_NO_EXECUTE) !== 0n),
    }
  }

  #piece(entry: bigint, at: bigint, size: bigint, { writable, user, executable }: Rights): MappedPiece {
    const global = (entry & ENTRY_GLOBAL) !== 0n
    return {
      start: this.#linear(at),
      length: size,
      target: this.#pageBase(entry, size),
      rights: `r${writable ? 'w' : '-'}${executable ? 'x' : '-'}${user ? 'u' : 's'}${global ? 'g' : '-'}`,
      pageSize: Number(size),
    }
  }

  #pageBase(entry: bigint, size: bigint): bigint {
    // PSE-36: bits 20:13 of a 4 MiB entry are address bits 39:32 (SDM vol. 3, table 4-4).
    if (this.#entryBytes === 4 && size > 4096n) return (entry & 0xffc0_0000n) | (((entry >> 13n) & 0xffn) << 32n)
    return entry & ADDRESS & -size
  }

  /** Nothing where no RAM is. */
  #read(table: bigint, count: number): BigUint64Array {
    const bytes = this.#machine.readPhysical(Number(table), count * this.#entryBytes)
    if (bytes === undefined) return new BigUint64Array(0)
    if (this.#entryBytes === 4) return BigUint64Array.from(new Uint32Array(bytes.slice().buffer), BigInt)
    return new BigUint64Array(bytes.slice().buffer)
  }
}
