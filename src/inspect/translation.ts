/**
 * An address translated step by step: each level of the guest's tables and, under it, each level of EPT, until the
 * host frame or the fault that the access would raise. The steps are the processor's own (`engine/mmu/`).
 */

import {
  ACCESS_FETCH,
  ACCESS_READ,
  ACCESS_SMAP_OFF,
  ACCESS_USER,
  ACCESS_WRITE,
  type PagingControl,
  type PagingLevel,
  type WalkResult,
} from '../engine/mmu/page-walk.ts'
import { RFLAGS_AC } from '../x86/rflags.ts'
import { isSet } from './control-bits.ts'
import { type PagingMode, pagingMode } from './cpu-mode.ts'
import { type EptTranslation, translateEpt } from './ept-translation.ts'
import { GuestWalk } from './guest-walk.ts'
import { isCanonical, LINEAR_BITS } from './linear-memory.ts'
import type { MachineView, VcpuView } from './machine-view.ts'
import { ENTRY_ACCESSED, ENTRY_DIRTY, entryFlags } from './page-table-entry.ts'
import {
  eptMisconfiguration,
  eptViolation,
  nonCanonical,
  pageFault,
  type TranslationFault,
} from './translation-fault.ts'

export type AccessKind = 'read' | 'write' | 'execute'

export interface Permissions {
  readonly writable: boolean
  readonly user: boolean
  readonly executable: boolean
}

/** One level of the guest's tables. Addresses are guest-physical. */
export interface GuestLevel {
  readonly level: PagingLevel
  readonly table: bigint
  readonly index: number
  readonly entryAddress: bigint
  readonly entry: bigint
  /** Names of the bits that are set, `P RW US A D`. */
  readonly flags: string
  /** What this entry and those above allow together. */
  readonly accumulated: Permissions
  /** The entry was not read: it is in this register since CR3 was loaded (PAE paging; SDM vol. 3, 4.4.1). */
  readonly register?: string
  /** How the entry's own address is translated; absent without EPT, and for one in a register. */
  readonly ept?: EptTranslation
}

/** Where the address leads. */
export interface TranslatedPage {
  /** Guest-physical address of the byte. */
  readonly gpa: bigint
  /** Host-physical address of the byte; absent when EPT does not map it. Without EPT it is the guest-physical one. */
  readonly hpa?: bigint
  /** Bytes of the guest's page. */
  readonly size: number
  readonly permissions: Permissions
  readonly global: boolean
  /** Protection key; absent where there are none: supervisor pages, or CR4.PKE clear. */
  readonly key?: number
  readonly ept?: EptTranslation
}

export interface Translation {
  readonly linear: bigint
  readonly cr3: bigint
  readonly paging: PagingMode
  readonly access: AccessKind
  /** 0 to 3: with whose rights. */
  readonly cpl: number
  readonly levels: readonly GuestLevel[]
  readonly page?: TranslatedPage
  /** What the access would raise. */
  readonly fault?: TranslationFault
}

export interface TranslationRequest {
  readonly access?: AccessKind
  /** Another address space than the vCPU's current one. */
  readonly cr3?: bigint | undefined
}

const ALL: Permissions = { writable: true, user: true, executable: true }
const ACCESS: Record<AccessKind, number> = { read: ACCESS_READ, write: ACCESS_WRITE, execute: ACCESS_FETCH }

export function translate(
  machine: MachineView,
  vcpu: VcpuView,
  linear: bigint,
  request: TranslationRequest = {},
): Translation {
  const access = request.access ?? 'read'
  const paging = pagingMode(vcpu)
  const cr3 = request.cr3 ?? vcpu.register('cr3')
  const head = { linear, cr3, paging, access, cpl: vcpu.cpl }
  const levels: GuestLevel[] = []
  let blocked: TranslationFault | undefined
  const eptOf = new Map<number, EptTranslation>()
  const walk = new GuestWalk(machine, vcpu, request.cr3, gpa => {
    const ept = translateEpt(machine, gpa)
    if (ept === undefined) return true
    eptOf.set(gpa, ept)
    blocked = eptFault(ept, 'read', true)
    return blocked === undefined
  })
  const bits = LINEAR_BITS[walk.control.mode]
  if (bits > 32 && !isCanonical(linear, bits)) return { ...head, levels: [], fault: nonCanonical(linear, bits) }
  const result = walk.walk(linear, accessBits(access, vcpu), (level, table, index, entryAddress, low, high) => {
    const ept = eptOf.get(entryAddress)
    levels.push({
      level,
      table: BigInt(table),
      index,
      entryAddress: BigInt(entryAddress),
      entry: (BigInt(high) << 32n) | BigInt(low),
      flags: entryFlags(low, high, level, paging),
      accumulated: accumulate(levels.at(-1)?.accumulated ?? ALL, low, high, level, paging),
      ...(level === 'PDPT' && walk.control.mode === 'pae' && walk.control.pdptes !== undefined
        ? { register: `PDPTE${index}` }
        : {}),
      ...(ept === undefined ? {} : { ept }),
    })
  })
  if (blocked !== undefined) return { ...head, levels, fault: blocked }
  if (result.fault >= 0) return { ...head, levels, fault: pageFault(result, levels, walk.control, access, vcpu) }
  return { ...head, levels, ...arrival(machine, result, levels, access, walk.control) }
}

/** The last step: the page itself through EPT. */
function arrival(
  machine: MachineView,
  { gpa, pageShift, writable, user, executable, global, key }: WalkResult,
  levels: readonly GuestLevel[],
  access: AccessKind,
  { protectionKeys }: PagingControl,
): { page: TranslatedPage; fault?: TranslationFault } {
  const page = {
    gpa: BigInt(gpa),
    size: 2 ** pageShift,
    permissions: { writable, user, executable },
    global,
    ...(protectionKeys && user ? { key } : {}),
  }
  const ept = translateEpt(machine, gpa)
  if (ept === undefined) return { page: { ...page, hpa: page.gpa } }
  const fault = markingFault(levels, access) ?? eptFault(ept, access, false)
  return {
    page: { ...page, ept, ...(ept.hpa === undefined ? {} : { hpa: ept.hpa }) },
    ...(fault === undefined ? {} : { fault }),
  }
}

/** Setting accessed and dirty bits is a write to the tables, to which EPT permissions apply (SDM vol. 3, 29.3.3.2). */
function markingFault(levels: readonly GuestLevel[], access: AccessKind): TranslationFault | undefined {
  for (const [i, { entry, register, ept }] of levels.entries()) {
    if (register !== undefined) continue
    const dirties = access === 'write' && i === levels.length - 1
    const marks = !isSet(entry, ENTRY_ACCESSED) || (dirties && !isSet(entry, ENTRY_DIRTY))
    if (marks && ept !== undefined && !ept.rights.includes('w')) return eptViolation(ept, 'write', true)
  }
  return undefined
}

function eptFault(ept: EptTranslation, access: AccessKind, structure: boolean): TranslationFault | undefined {
  if (ept.misconfigured) return eptMisconfiguration(ept)
  const needed = { read: 'r', write: 'w', execute: 'x' }[access]
  return ept.rights.includes(needed) ? undefined : eptViolation(ept, access, structure)
}

function accessBits(access: AccessKind, vcpu: VcpuView): number {
  if (vcpu.cpl === 3) return ACCESS[access] | ACCESS_USER
  return ACCESS[access] | (isSet(vcpu.register('rflags'), RFLAGS_AC) ? ACCESS_SMAP_OFF : 0)
}

function accumulate(
  before: Permissions,
  low: number,
  high: number,
  level: PagingLevel,
  paging: PagingMode,
): Permissions {
  // Entries of the PAE page-directory-pointer table carry no permissions (SDM vol. 3, 4.4.1).
  if (level === 'PDPT' && paging === 'PAE paging') return before
  return {
    writable: before.writable && (low & 2) !== 0,
    user: before.user && (low & 4) !== 0,
    executable: before.executable && high < 0x8000_0000,
  }
}
