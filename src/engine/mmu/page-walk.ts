/**
 * The walk of the guest's paging structures (SDM vol. 3, chapter 4): one piece of code for the MMU, which updates
 * accessed and dirty bits and faults, and for inspection, which asks for a trace of every step and changes nothing.
 * Linear addresses and entries are pairs of 32-bit words, so that a TLB miss makes no BigInt.
 */

import {
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PGE,
  CR4_PKE,
  CR4_PSE,
  CR4_SMAP,
  CR4_SMEP,
  EFER_LMA,
  EFER_NXE,
} from '../../x86/control-registers.ts'

export type PagingMode = 'none' | '32-bit' | 'pae' | '4-level' | '5-level'

/** What the walk depends on, from control registers. */
export interface PagingControl {
  readonly mode: PagingMode
  /** Guest-physical address of the top paging structure. */
  readonly root: number
  readonly writeProtect: boolean
  readonly noExecute: boolean
  readonly smep: boolean
  readonly smap: boolean
  /** 4 MiB pages of 32-bit paging. */
  readonly pse: boolean
  /** CR4.PGE: the G bit of entries counts. */
  readonly globalPages: boolean
  /** 1-GByte pages exist; where they don't, PS is reserved in a PDPT entry. */
  readonly gigabytePages: boolean
  /** CR4.PKE with 4-level or 5-level paging: entries of user pages have a key. */
  readonly protectionKeys: boolean
  /** Two bits for each key: access disabled, write disabled (SDM vol. 3, 4.6.2). */
  readonly pkru: number
  /** The PDPTE registers of PAE paging: low and high word of each; undefined: their images in memory are read. */
  readonly pdptes: Int32Array | undefined
}

/** What a walk depends on beside control registers. */
export interface PagingState {
  readonly pkru?: number
  readonly pdptes?: Int32Array | undefined
  /** Default: true. */
  readonly gigabytePages?: boolean
}

function pagingMode(cr0: number, cr4: number, efer: number): PagingMode {
  if ((cr0 & CR0_PG) === 0) return 'none'
  if ((cr4 & CR4_PAE) === 0) return '32-bit'
  if ((efer & EFER_LMA) === 0) return 'pae'
  return (cr4 & CR4_LA57) === 0 ? '4-level' : '5-level'
}

/** Guest-physical address of the PDPTE registers' images in memory, by CR3 (SDM vol. 3, table 4-7). */
export const pdpteTable = (cr3: number): number => Math.floor((cr3 % 2 ** 32) / 32) * 32

/** @param cr3 as a number: bits 63:52 are not part of an address. */
export function pagingControl(
  cr0: number,
  cr3: number,
  cr4: number,
  efer: number,
  { pkru = 0, pdptes, gigabytePages = true }: PagingState = {},
): PagingControl {
  const mode = pagingMode(cr0, cr4, efer)
  const page = 4096
  return {
    mode,
    root: mode === 'pae' ? pdpteTable(cr3) : Math.floor((mode === '32-bit' ? cr3 % 2 ** 32 : cr3) / page) * page,
    writeProtect: (cr0 & CR0_WP) !== 0,
    noExecute: (efer & EFER_NXE) !== 0,
    smep: (cr4 & CR4_SMEP) !== 0,
    smap: (cr4 & CR4_SMAP) !== 0,
    pse: (cr4 & CR4_PSE) !== 0,
    globalPages: (cr4 & CR4_PGE) !== 0,
    gigabytePages,
    protectionKeys: (cr4 & CR4_PKE) !== 0 && (mode === '4-level' || mode === '5-level'),
    pkru,
    pdptes,
  }
}

/** Kind of an access, as a sum. */
export const ACCESS_READ = 0
export const ACCESS_WRITE = 1
export const ACCESS_FETCH = 2
/** From CPL 3, and not an implicit supervisor access. */
export const ACCESS_USER = 4
/** RFLAGS.AC lets an explicit supervisor access reach user pages under SMAP. */
export const ACCESS_SMAP_OFF = 8
/** A debugger's, which reads whatever is mapped: no right is asked for. */
export const ACCESS_LOOK = 16

/** Error code of a page fault (SDM vol. 3, 4.7). */
export const PF_PRESENT = 1
export const PF_WRITE = 2
export const PF_USER = 4
export const PF_RESERVED = 8
export const PF_FETCH = 16
export const PF_KEY = 32

const ENTRY_PRESENT = 1
const ENTRY_WRITABLE = 2
const ENTRY_USER = 4
const ENTRY_ACCESSED = 0x20
const ENTRY_DIRTY = 0x40
const ENTRY_LARGE = 0x80
const ENTRY_GLOBAL = 0x100
const ENTRY_NO_EXECUTE = 0x8000_0000

/** Bits of a physical address that this processor has (CPUID 80000008H). */
export const PHYSICAL_ADDRESS_BITS = 40
/** Bits 51:40 of an entry, in its high word. */
const RESERVED_HIGH = 0x000f_ffff & ~(2 ** (PHYSICAL_ADDRESS_BITS - 32) - 1)

/** Is a bit set that a present PDPTE of PAE paging must not have (SDM vol. 3, table 4-8)? */
export function pdpteReserved(low: number, high: number): boolean {
  return (low & 0x1e6) !== 0 || (high & (RESERVED_HIGH | 0xfff0_0000)) !== 0
}

/** Paging-structure entries by guest-physical address. */
export interface EntryMemory {
  /** Words of the entry that {@link load} read; `high` is 0 for a 4-byte entry. */
  low: number
  high: number
  /** False where there is no memory. The MMU's own leaves for an EPT violation instead. */
  load(gpa: number, bytes: 4 | 8): boolean
  /** Sets accessed or dirty: replaces the low word. Absent for inspection. */
  update?(gpa: number, low: number): void
}

export type PagingLevel = 'PML5' | 'PML4' | 'PDPT' | 'PD' | 'PT'

/** Told of every entry that the walk reads. */
export type WalkTrace = (
  level: PagingLevel,
  table: number,
  index: number,
  entry: number,
  low: number,
  high: number,
) => void

/** Result of a walk; one object is used again and again. */
export class WalkResult {
  /** Guest-physical address of the byte asked for. */
  gpa = 0
  /** log2 of the page's size. */
  pageShift = 12
  writable = true
  user = true
  executable = true
  global = false
  /** Protection key of the page, 0 where there are none. */
  key = 0
  /** Error code of the page fault, or -1 when the access is allowed. */
  fault = -1
  /** An entry lay outside memory: inspection only. */
  unreadable = false
}

interface LevelFacts {
  readonly level: PagingLevel
  readonly shift: number
}

const FOUR_LEVELS: readonly LevelFacts[] = [
  { level: 'PML4', shift: 39 },
  { level: 'PDPT', shift: 30 },
  { level: 'PD', shift: 21 },
  { level: 'PT', shift: 12 },
]

const LEVELS: Readonly<Record<Exclude<PagingMode, 'none'>, readonly LevelFacts[]>> = {
  '32-bit': [
    { level: 'PD', shift: 22 },
    { level: 'PT', shift: 12 },
  ],
  pae: [
    { level: 'PDPT', shift: 30 },
    { level: 'PD', shift: 21 },
    { level: 'PT', shift: 12 },
  ],
  '4-level': FOUR_LEVELS,
  '5-level': [{ level: 'PML5', shift: 48 }, ...FOUR_LEVELS],
}

/** Low words of the entries on the way, to set accessed bits when the whole walk has succeeded. */
const visitedAddress = new Float64Array(5)
const visitedLow = new Int32Array(5)

/**
 * Translates one linear address.
 * @param low bits 31:0 of it. @param high bits 63:32; canonical in 4-level and 5-level paging, ignored otherwise.
 * @param access a sum of `ACCESS_...`.
 */
export function walkPages(
  control: PagingControl,
  low: number,
  high: number,
  access: number,
  memory: EntryMemory,
  result: WalkResult,
  trace?: WalkTrace,
): void {
  result.fault = -1
  result.unreadable = false
  result.writable = true
  result.user = true
  result.executable = true
  result.global = false
  result.key = 0
  result.pageShift = 12
  if (control.mode === 'none') {
    result.gpa = low >>> 0
    return
  }
  const levels = LEVELS[control.mode]
  const bytes = control.mode === '32-bit' ? 4 : 8
  let table = control.root
  let visited = 0
  for (let i = 0; i < levels.length; i++) {
    const { level, shift } = levels[i]
    const index = indexAt(low, high, shift, bytes)
    const entry = table + index * bytes
    const pdpte = level === 'PDPT' && control.mode === 'pae'
    let entryLow: number
    let entryHigh: number
    if (pdpte && control.pdptes !== undefined) {
      // Loaded with CR3 and not looked up again (SDM vol. 3, 4.4.1).
      entryLow = control.pdptes[index * 2]
      entryHigh = control.pdptes[index * 2 + 1]
    } else {
      if (!memory.load(entry, bytes)) {
        result.unreadable = true
        result.fault = faultCode(control, access, 0)
        return
      }
      entryLow = memory.low
      entryHigh = memory.high
    }
    trace?.(level, table, index, entry, entryLow >>> 0, entryHigh >>> 0)
    if ((entryLow & ENTRY_PRESENT) === 0) {
      result.fault = faultCode(control, access, 0)
      return
    }
    const large = isLarge(control, level, entryLow, pdpte)
    if (reservedBits(control, level, entryLow, entryHigh, large, pdpte)) {
      result.fault = faultCode(control, access, PF_PRESENT | PF_RESERVED)
      return
    }
    if (!pdpte) {
      if ((entryLow & ENTRY_WRITABLE) === 0) result.writable = false
      if ((entryLow & ENTRY_USER) === 0) result.user = false
      if (entryHigh & ENTRY_NO_EXECUTE) result.executable = false
      visitedAddress[visited] = entry
      visitedLow[visited++] = entryLow
    }
    if (large || shift === 12) {
      if (control.protectionKeys) result.key = (entryHigh >>> 27) & 0xf
      const keyDenies = deniedByKey(control, access, result)
      if (keyDenies || !allowed(control, access, result)) {
        result.fault = faultCode(control, access, PF_PRESENT | (keyDenies ? PF_KEY : 0))
        return
      }
      result.global = (entryLow & ENTRY_GLOBAL) !== 0
      result.pageShift = shift
      result.gpa = pageBase(control, entryLow, entryHigh, shift) + offsetIn(low, shift)
      if (memory.update) markUsed(memory, visited, access)
      return
    }
    table = (entryHigh & 0xf_ffff) * 2 ** 32 + (entryLow & 0xffff_f000) + (entryLow < 0 ? 2 ** 32 : 0)
  }
}

/** Sets accessed in every entry used, and dirty in the last one for a write, where they are not set (SDM vol. 3, 4.8). */
function markUsed(memory: EntryMemory, visited: number, access: number): void {
  for (let i = 0; i < visited; i++) {
    let wanted = ENTRY_ACCESSED
    if (i === visited - 1 && (access & ACCESS_WRITE) !== 0) wanted |= ENTRY_DIRTY
    if ((visitedLow[i] & wanted) !== wanted) memory.update?.(visitedAddress[i], visitedLow[i] | wanted)
  }
}

function indexAt(low: number, high: number, shift: number, bytes: number): number {
  if (bytes === 4) return (low >>> shift) & 0x3ff
  if (shift === 48) return (high >>> 16) & 0x1ff
  if (shift === 39) return (high >>> 7) & 0x1ff
  if (shift === 30) return ((low >>> 30) | (high << 2)) & 0x1ff
  return (low >>> shift) & 0x1ff
}

function isLarge(control: PagingControl, level: PagingLevel, low: number, pdpte: boolean): boolean {
  if ((low & ENTRY_LARGE) === 0 || pdpte) return false
  if (level === 'PD') return control.mode !== '32-bit' || control.pse
  return level === 'PDPT'
}

/** Reserved bits that are set (SDM vol. 3, tables 4-4 to 4-20). */
function reservedBits(
  control: PagingControl,
  level: PagingLevel,
  low: number,
  high: number,
  large: boolean,
  pdpte: boolean,
): boolean {
  if (control.mode === '32-bit') return large && (low & 0x20_0000) !== 0
  if ((high & RESERVED_HIGH) !== 0) return true
  if (!control.noExecute && (high & ENTRY_NO_EXECUTE) !== 0) return true
  if (pdpte) return pdpteReserved(low, high)
  // PAE has no ignored bits between the address and NX (SDM vol. 3, 4.4.2).
  if (control.mode === 'pae' && (high & 0x7ff0_0000) !== 0) return true
  if (level === 'PML4' || level === 'PML5') return (low & ENTRY_LARGE) !== 0
  if (!large) return false
  if (level === 'PDPT' && !control.gigabytePages) return true
  return level === 'PDPT' ? (low & 0x3fff_e000) !== 0 : (low & 0x1f_e000) !== 0
}

/** Access rights by privilege (SDM vol. 3, 4.6.1). */
function allowed(control: PagingControl, access: number, { user, writable, executable }: WalkResult): boolean {
  if ((access & ACCESS_LOOK) !== 0) return true
  const write = (access & ACCESS_WRITE) !== 0
  const fetch = (access & ACCESS_FETCH) !== 0
  if (fetch && !executable && control.noExecute) return false
  if ((access & ACCESS_USER) !== 0) return user && (!write || writable)
  if (fetch) return !(control.smep && user)
  if (user && control.smap && (access & ACCESS_SMAP_OFF) === 0) return false
  return !write || writable || !control.writeProtect
}

/** Does the page's protection key forbid the access? Keys hold for data of user pages (SDM vol. 3, 4.6.2). */
function deniedByKey(control: PagingControl, access: number, { user, key }: WalkResult): boolean {
  if (!control.protectionKeys || !user || (access & (ACCESS_FETCH | ACCESS_LOOK)) !== 0) return false
  const rights = control.pkru >>> (2 * key)
  if ((rights & 1) !== 0) return true
  return (rights & 2) !== 0 && (access & ACCESS_WRITE) !== 0 && ((access & ACCESS_USER) !== 0 || control.writeProtect)
}

function faultCode(control: PagingControl, access: number, code: number): number {
  let result = code
  if ((access & ACCESS_WRITE) !== 0) result |= PF_WRITE
  if ((access & ACCESS_USER) !== 0) result |= PF_USER
  // I/D is reported only where instruction fetches can be told apart (SDM vol. 3, 4.7).
  const distinguishes = (control.noExecute && control.mode !== '32-bit') || control.smep
  if ((access & ACCESS_FETCH) !== 0 && distinguishes) result |= PF_FETCH
  return result
}

function pageBase(control: PagingControl, low: number, high: number, shift: number): number {
  const page = 2 ** shift
  // PSE-36: bits 20:13 of a 4 MiB entry are address bits 39:32.
  if (control.mode === '32-bit' && shift === 22) return ((low >>> 13) & 0xff) * 2 ** 32 + (low >>> 22) * page
  return (high & 0xf_ffff) * 2 ** 32 + Math.floor((low >>> 0) / page) * page
}

function offsetIn(low: number, shift: number): number {
  return (low >>> 0) & (2 ** shift - 1)
}
