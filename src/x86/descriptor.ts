/** Segment and gate descriptors as they lie in memory (SDM vol. 3, 3.4.5, 3.5, 6.11, 6.14.1, 8.2). */

import {
  RIGHTS_CODE,
  RIGHTS_CONFORMING,
  RIGHTS_P,
  RIGHTS_READABLE,
  RIGHTS_S,
  RIGHTS_WRITABLE,
} from './segment-rights.ts'

/** System descriptor types (SDM vol. 3, table 3-2). In long mode 0xb and 0x9 are 64-bit TSS, 0xc and 0xe 0xf 64-bit gates. */
export const DESCRIPTOR_TSS16_AVAILABLE = 1
export const DESCRIPTOR_LDT = 2
export const DESCRIPTOR_TSS16_BUSY = 3
export const DESCRIPTOR_CALL_GATE16 = 4
export const DESCRIPTOR_TASK_GATE = 5
export const DESCRIPTOR_INTERRUPT_GATE16 = 6
export const DESCRIPTOR_TRAP_GATE16 = 7
export const DESCRIPTOR_TSS_AVAILABLE = 9
export const DESCRIPTOR_TSS_BUSY = 11
export const DESCRIPTOR_CALL_GATE = 12
export const DESCRIPTOR_INTERRUPT_GATE = 14
export const DESCRIPTOR_TRAP_GATE = 15

/** The bit that tells a busy TSS from an available one. */
export const DESCRIPTOR_TSS_BUSY_BIT = 1 << 1

/** Table indicator: set for the LDT. */
export const SELECTOR_TI = 1 << 2

/** A selector that names no descriptor: index 0 of the GDT. */
export const isNullSelector = (selector: number): boolean => (selector & 0xfffc) === 0

/** Access rights in VMCS format from the second doubleword of a descriptor. */
export const descriptorRights = (hi: number): number => (hi >>> 8) & 0xf0ff

/** Base address, bits 31:0. */
export const descriptorBase = (lo: number, hi: number): number =>
  ((lo >>> 16) | ((hi & 0xff) << 16) | (hi & 0xff000000)) >>> 0

/** Limit in bytes: with G set the 20-bit field counts pages. */
export function descriptorLimit(lo: number, hi: number): number {
  const field = (lo & 0xffff) | (hi & 0xf0000)
  return hi & (1 << 23) ? ((field << 12) | 0xfff) >>> 0 : field
}

/** Privilege level in the second doubleword of any descriptor. */
export const descriptorDpl = (hi: number): number => (hi >>> 13) & 3

/** Type field, bits 11:8 of the second doubleword. */
export const descriptorType = (hi: number): number => (hi >>> 8) & 0xf

export const isPresent = (rights: number): boolean => (rights & RIGHTS_P) !== 0
export const isSystem = (rights: number): boolean => (rights & RIGHTS_S) === 0
export const isCode = (rights: number): boolean => (rights & (RIGHTS_S | RIGHTS_CODE)) === (RIGHTS_S | RIGHTS_CODE)
export const isConformingCode = (rights: number): boolean => isCode(rights) && (rights & RIGHTS_CONFORMING) !== 0
export const isReadable = (rights: number): boolean =>
  !isSystem(rights) && (!isCode(rights) || (rights & RIGHTS_READABLE) !== 0)
export const isWritableData = (rights: number): boolean =>
  (rights & (RIGHTS_S | RIGHTS_CODE | RIGHTS_WRITABLE)) === (RIGHTS_S | RIGHTS_WRITABLE)

/** A call, interrupt, trap or task gate. */
export interface GateDescriptor {
  readonly type: number
  readonly dpl: number
  readonly present: boolean
  readonly selector: number
  readonly offset: bigint
  /** Parameters that a legacy call gate copies. */
  readonly parameters: number
  /** Interrupt stack table index of a 64-bit gate, 0 for none. */
  readonly ist: number
}

/** @param upper bits 63:32 of the offset, of a 16-byte gate. */
export function decodeGate(lo: number, hi: number, upper = 0): GateDescriptor {
  const type = descriptorType(hi)
  const wide = (type & 8) !== 0
  const low = ((lo & 0xffff) | (wide ? hi & 0xffff0000 : 0)) >>> 0
  return {
    type,
    dpl: descriptorDpl(hi),
    present: (hi & 0x8000) !== 0,
    selector: lo >>> 16,
    offset: upper === 0 ? BigInt(low) : (BigInt(upper >>> 0) << 32n) | BigInt(low),
    parameters: hi & 0x1f,
    ist: hi & 7,
  }
}
