/**
 * Guest-physical addresses of the running VM: translated by EPT, with a cache of EPT walks as processors have one
 * (guest-physical mappings, SDM vol. 3, 29.4.1). INVEPT empties it.
 */

import type { HostMemory } from '../host-memory.ts'
import {
  EPT_QUALIFICATION_FETCH,
  EPT_QUALIFICATION_LINEAR_VALID,
  EPT_QUALIFICATION_READ,
  EPT_QUALIFICATION_TRANSLATED,
  EPT_QUALIFICATION_WRITE,
  type GuestAccess,
} from '../processor.ts'
import { VmExit } from '../vm-exit.ts'
import {
  EPT_ACCESSED,
  EPT_DIRTY,
  EPT_EXECUTE,
  EPT_READ,
  EPT_WRITE,
  EPTP_ACCESSED_DIRTY,
  EptResult,
  eptRoot,
  walkEpt,
} from './ept-walk.ts'

const CACHE_ENTRIES = 8192

/** Kind of a guest-physical access: the EPT right that it needs, as a bit. */
export const NEEDS_READ = EPT_READ
export const NEEDS_WRITE = EPT_WRITE
export const NEEDS_EXECUTE = EPT_EXECUTE

/** Beside the rights of a cached walk: the dirty flag of the page is set, or nobody wants it. */
const DIRTY_KNOWN = 8

export class GuestPhysical {
  readonly #memory: HostMemory
  readonly #walk = new EptResult()
  /** Page number + 1 of each cached walk, 0 when empty. */
  readonly #pages = new Float64Array(CACHE_ENTRIES)
  readonly #frames = new Uint32Array(CACHE_ENTRIES)
  readonly #rights = new Uint8Array(CACHE_ENTRIES)
  #eptPointer: number | undefined
  #root = 0
  #marks = false
  /** What the page walker's reads of the guest's entries need: with accessed and dirty flags they count as writes. */
  structureNeeds = NEEDS_READ
  /** Rights of the last translation. */
  rights = 0

  constructor(memory: HostMemory) {
    this.#memory = memory
  }

  /** Makes another EPT current; cached walks belong to one. */
  select(eptPointer: number | undefined): void {
    if (eptPointer === this.#eptPointer) return
    this.#eptPointer = eptPointer
    this.#root = eptRoot(eptPointer ?? 0)
    this.#marks = eptPointer !== undefined && (eptPointer & EPTP_ACCESSED_DIRTY) !== 0
    // SDM vol. 3, 29.3.3.2.
    this.structureNeeds = this.#marks ? NEEDS_READ | NEEDS_WRITE : NEEDS_READ
    this.flush()
  }

  flush(): void {
    this.#pages.fill(0)
  }

  /** Host-physical address, or -1 when EPT does not allow the access; then `rights` says what it allows. */
  find(gpa: number, needed: number): number {
    if (this.#eptPointer === undefined) {
      this.rights = EPT_READ | EPT_WRITE | EPT_EXECUTE
      return gpa < this.#memory.size ? gpa : -1
    }
    const page = Math.floor(gpa / 4096)
    const slot = page & (CACHE_ENTRIES - 1)
    // A cached walk that would make a violation is not used: the entry may have been given rights since, and a
    // violation drops what is cached of its address anyway (SDM vol. 3, 29.4.3.1).
    const wanted = (needed & NEEDS_WRITE) === 0 ? needed : needed | DIRTY_KNOWN
    if (this.#pages[slot] !== page + 1 || (this.#rights[slot] & wanted) !== wanted) {
      walkEpt(this.#root, page * 4096, this.#memory.u32, this.#walk)
      if (this.#walk.misconfigured) throw new VmExit({ reason: 'ept-misconfiguration', gpa }, false)
      this.#pages[slot] = page + 1
      this.#frames[slot] = this.#walk.hpa
      this.#rights[slot] = this.#walk.rights | this.#mark(needed)
    }
    this.rights = this.#rights[slot] & ~DIRTY_KNOWN
    return (this.rights & needed) === needed ? this.#frames[slot] + (gpa % 4096) : -1
  }

  /** As {@link find} for a read, or -1, without leaving a trace in the cache or in EPT. */
  peek(gpa: number): number {
    if (this.#eptPointer === undefined) return gpa < this.#memory.size ? gpa : -1
    const page = Math.floor(gpa / 4096)
    const slot = page & (CACHE_ENTRIES - 1)
    if (this.#pages[slot] === page + 1 && (this.#rights[slot] & NEEDS_READ) !== 0)
      return this.#frames[slot] + (gpa % 4096)
    walkEpt(this.#root, page * 4096, this.#memory.u32, this.#walk)
    const { hpa, rights, misconfigured } = this.#walk
    return !misconfigured && (rights & NEEDS_READ) !== 0 ? hpa + (gpa % 4096) : -1
  }

  /** Sets accessed and dirty flags of the entries that an allowed access uses (SDM vol. 3, 29.3.5). */
  #mark(needed: number): number {
    if (!this.#marks) return DIRTY_KNOWN
    const { depth, entries, rights } = this.#walk
    if ((rights & needed) !== needed) return 0
    const { u32 } = this.#memory
    for (let i = 0; i < depth; i++) u32[entries[i] >>> 2] |= EPT_ACCESSED
    if ((needed & NEEDS_WRITE) === 0) return 0
    u32[entries[depth - 1] >>> 2] |= EPT_DIRTY
    return DIRTY_KNOWN
  }

  /**
   * The exit that an access without the rights it needs causes.
   * @param linear undefined for a load of the PDPTE registers, which belongs to no linear address
   */
  violation(
    gpa: number,
    needed: number,
    linear: bigint | undefined,
    translated: boolean,
    access?: GuestAccess,
  ): VmExit {
    let qualification = this.rights << 3
    if (linear !== undefined) qualification |= EPT_QUALIFICATION_LINEAR_VALID
    if (needed & NEEDS_READ) qualification |= EPT_QUALIFICATION_READ
    if (needed & NEEDS_WRITE) qualification |= EPT_QUALIFICATION_WRITE
    if (needed & NEEDS_EXECUTE) qualification |= EPT_QUALIFICATION_FETCH
    if (translated) qualification |= EPT_QUALIFICATION_TRANSLATED
    const exit = { reason: 'ept-violation', gpa, linear: linear ?? 0n, qualification } as const
    return new VmExit(access === undefined ? exit : { ...exit, access }, false)
  }
}
