/** What an access that can't be translated raises, and why, in words. */

import {
  type PagingControl,
  PF_FETCH,
  PF_KEY,
  PF_PRESENT,
  PF_RESERVED,
  PF_USER,
  PF_WRITE,
  type WalkResult,
} from '../engine/mmu/page-walk.ts'
import {
  EPT_QUALIFICATION_EXECUTABLE,
  EPT_QUALIFICATION_FETCH,
  EPT_QUALIFICATION_LINEAR_VALID,
  EPT_QUALIFICATION_READ,
  EPT_QUALIFICATION_READABLE,
  EPT_QUALIFICATION_TRANSLATED,
  EPT_QUALIFICATION_WRITABLE,
  EPT_QUALIFICATION_WRITE,
} from '../engine/processor.ts'
import type { EptTranslation } from './ept-translation.ts'
import type { VcpuView } from './machine-view.ts'
import type { AccessKind, GuestLevel } from './translation.ts'

export type TranslationFault =
  | {
      readonly kind: 'page-fault'
      readonly errorCode: number
      /** Names of the bits of the error code, `P W U`. */
      readonly errorBits: string
      readonly why: string
    }
  /** #GP, or #SS for the stack. */
  | { readonly kind: 'non-canonical'; readonly why: string }
  | { readonly kind: 'ept-violation'; readonly gpa: bigint; readonly qualification: number; readonly why: string }
  | { readonly kind: 'ept-misconfiguration'; readonly gpa: bigint; readonly why: string }

const ERROR_BITS: readonly (readonly [mask: number, name: string])[] = [
  [PF_PRESENT, 'P'],
  [PF_WRITE, 'W'],
  [PF_USER, 'U'],
  [PF_RESERVED, 'RSVD'],
  [PF_FETCH, 'I/D'],
  [PF_KEY, 'PK'],
]

const QUALIFICATION_OF: Record<AccessKind, number> = {
  read: EPT_QUALIFICATION_READ,
  write: EPT_QUALIFICATION_WRITE,
  execute: EPT_QUALIFICATION_FETCH,
}

/** @param bits of a linear address */
export function nonCanonical(linear: bigint, bits: number): TranslationFault {
  return { kind: 'non-canonical', why: `bits 63:${bits - 1} of 0x${linear.toString(16)} are not all the same` }
}

export function eptMisconfiguration(ept: EptTranslation): TranslationFault {
  const level = ept.steps.at(-1)?.level ?? 'PML4'
  return {
    kind: 'ept-misconfiguration',
    gpa: ept.gpa,
    why: `the EPT ${level} entry has a forbidden combination of bits`,
  }
}

/** @param structure the access is to an entry of the guest's tables, not to what they lead to. */
export function eptViolation(ept: EptTranslation, access: AccessKind, structure: boolean): TranslationFault {
  let qualification = QUALIFICATION_OF[access] | EPT_QUALIFICATION_LINEAR_VALID
  if (ept.rights.includes('r')) qualification |= EPT_QUALIFICATION_READABLE
  if (ept.rights.includes('w')) qualification |= EPT_QUALIFICATION_WRITABLE
  if (ept.rights.includes('x')) qualification |= EPT_QUALIFICATION_EXECUTABLE
  if (!structure) qualification |= EPT_QUALIFICATION_TRANSLATED
  return { kind: 'ept-violation', gpa: ept.gpa, qualification, why: whyViolation(ept, access, structure) }
}

function whyViolation(ept: EptTranslation, access: AccessKind, structure: boolean): string {
  const what = structure ? "an entry of the guest's tables" : 'the page'
  const gpa = `guest-physical 0x${ept.gpa.toString(16)}`
  if (ept.hpa === undefined)
    return `${what} at ${gpa} has no host frame: RAM never touched, a device, or a hole; the hypervisor takes over`
  return `EPT allows ${ept.rights} for ${what} at ${gpa}, and a ${access} is asked for`
}

export function pageFault(
  { fault, unreadable, writable, user, executable, key }: WalkResult,
  levels: readonly GuestLevel[],
  control: PagingControl,
  access: AccessKind,
  vcpu: VcpuView,
): TranslationFault {
  const errorBits = ERROR_BITS.filter(([mask]) => (fault & mask) !== 0)
  const level = levels.at(-1)?.level ?? 'top-level'
  const why = (): string => {
    if (unreadable) return 'an entry lies where there is no memory'
    if ((fault & PF_RESERVED) !== 0) return `a reserved bit is set in the ${level} entry`
    if ((fault & PF_PRESENT) === 0) return `the ${level} entry is not present`
    if (access === 'execute' && control.noExecute && !executable) return 'the page may not be executed (XD)'
    if ((fault & PF_KEY) !== 0) return `PKRU forbids a ${access} of pages with protection key ${key}`
    if (vcpu.cpl === 3 && !user) return 'the page is for the supervisor and the access is from CPL 3'
    if (vcpu.cpl < 3 && user && access === 'execute' && control.smep)
      return 'SMEP: the supervisor may not execute a user page'
    if (vcpu.cpl < 3 && user && access !== 'execute' && control.smap)
      return 'SMAP: the supervisor may not touch a user page while RFLAGS.AC is clear'
    if (!writable) return vcpu.cpl === 3 ? 'the page is read-only' : 'the page is read-only and CR0.WP is set'
    return 'the permissions forbid it'
  }
  return {
    kind: 'page-fault',
    errorCode: fault,
    errorBits: errorBits.map(([, name]) => name).join(' '),
    why: why(),
  }
}
