/** Reads descriptors from the GDT and the LDT, with the checks and the conversions that loading one implies. */

import {
  descriptorBase,
  descriptorLimit,
  descriptorRights,
  descriptorType,
  isSystem,
  SELECTOR_TI,
} from '../../x86/descriptor.ts'
import { RIGHTS_UNUSABLE, rightsDpl } from '../../x86/segment-rights.ts'
import type { AssistCpu } from '../assist.ts'
import { Segment, type SegmentCache } from '../cpu-state.ts'
import { type GuestFault, generalProtection } from '../fault.ts'
import * as S from '../state.ts'
import { isCanonicalBase, longMode } from './cpu-mode.ts'

/** A descriptor as read, with where it lies, for the accessed and busy bits. */
export interface TableDescriptor {
  readonly selector: number
  /** Linear address of its first byte. */
  readonly address: bigint
  readonly lo: number
  readonly hi: number
  /** In VMCS format. */
  readonly rights: number
  readonly dpl: number
}

/** Makes the fault for a selector that can't be used: the vector depends on who asks. */
export type SelectorFault = (selector: number) => GuestFault

export const selectorGeneralProtection: SelectorFault = selector => generalProtection(selector & 0xfffc)

const LDTR = S.SEGMENTS + Segment.LDTR * S.SEGMENT_STRIDE
const MASK32 = 0xffffffffn

/** Linear address of a structure in a table: 32 bits wide outside long mode. */
export const tableAddress = (cpu: AssistCpu, base: bigint, offset: number): bigint => {
  const address = base + BigInt(offset)
  return longMode(cpu.state) ? BigInt.asUintN(64, address) : address & MASK32
}

/** Linear address of a descriptor of `bytes` bytes, or undefined when it reaches past its table's limit. */
export function descriptorAddress(cpu: AssistCpu, selector: number, bytes = 8): bigint | undefined {
  const { state } = cpu
  const offset = selector & 0xfff8
  if (selector & SELECTOR_TI) {
    if (state.get32(LDTR + S.SEGMENT_RIGHTS) & RIGHTS_UNUSABLE) return undefined
    if (offset + bytes - 1 > state.get32(LDTR + S.SEGMENT_LIMIT)) return undefined
    return tableAddress(cpu, state.get64(LDTR + S.SEGMENT_BASE), offset)
  }
  if (offset + bytes - 1 > state.get32(S.GDTR_LIMIT)) return undefined
  return tableAddress(cpu, state.get64(S.GDTR_BASE), offset)
}

/** Reads the 8 bytes that `selector` names; throws `fault(selector)` when they are outside its table. */
export function readDescriptor(
  cpu: AssistCpu,
  selector: number,
  fault: SelectorFault = selectorGeneralProtection,
): TableDescriptor {
  const descriptor = probeDescriptor(cpu, selector)
  if (descriptor === undefined) throw fault(selector)
  return descriptor
}

/** As {@link readDescriptor}, for instructions that report a bad selector in ZF. */
export function probeDescriptor(cpu: AssistCpu, selector: number): TableDescriptor | undefined {
  const address = descriptorAddress(cpu, selector)
  if (address === undefined) return undefined
  const lo = cpu.memory.read32(address, true)
  const hi = cpu.memory.read32(address + 4n, true)
  const rights = descriptorRights(hi)
  return { selector, address, lo, hi, rights, dpl: rightsDpl(rights) }
}

/**
 * Bits 63:32 of the base or offset of a 16-byte descriptor (long mode: LDT, TSS, call gate).
 * Throws `fault` when it reaches past its table, or its upper type field is not zero (SDM vol. 3, 3.5.2, 6.8.3.1).
 */
export function readUpperHalf(
  cpu: AssistCpu,
  descriptor: TableDescriptor,
  fault: SelectorFault = selectorGeneralProtection,
): number {
  if (descriptorAddress(cpu, descriptor.selector, 16) === undefined) throw fault(descriptor.selector)
  if (descriptorType(cpu.memory.read32(descriptor.address + 12n, true)) !== 0) throw fault(descriptor.selector)
  return cpu.memory.read32(descriptor.address + 8n, true)
}

/** Segment cache of a code or data descriptor. */
export function cacheOf(descriptor: TableDescriptor, selector = descriptor.selector): SegmentCache {
  return {
    selector,
    base: BigInt(descriptorBase(descriptor.lo, descriptor.hi)),
    limit: descriptorLimit(descriptor.lo, descriptor.hi),
    rights: descriptor.rights,
  }
}

/** Segment cache of an LDT or TSS descriptor, whose base has 64 bits in long mode. */
export function systemCacheOf(
  cpu: AssistCpu,
  descriptor: TableDescriptor,
  fault: SelectorFault = selectorGeneralProtection,
): SegmentCache {
  const cache = cacheOf(descriptor)
  if (!longMode(cpu.state)) return cache
  cache.base |= BigInt(readUpperHalf(cpu, descriptor, fault)) << 32n
  if (!isCanonicalBase(cpu, cache.base)) throw fault(descriptor.selector)
  return cache
}

/**
 * Sets the accessed bit of a code or data descriptor that is being loaded (SDM vol. 3, 3.4.5.1), and returns the
 * cache for it. To be called after every check.
 */
export function loadDescriptor(cpu: AssistCpu, descriptor: TableDescriptor, selector: number): SegmentCache {
  const cache = cacheOf(descriptor, selector)
  if (!(descriptor.rights & 1)) {
    cpu.memory.write8(descriptor.address + 5n, ((descriptor.hi >>> 8) & 0xff) | 1, true)
    cache.rights |= 1
  }
  return cache
}

/** An unusable segment: what a null selector leaves. */
export const nullCache = (selector: number, dpl = 0): SegmentCache => ({
  selector,
  base: 0n,
  limit: 0,
  rights: RIGHTS_UNUSABLE | (dpl << 5),
})

/** Is it a system descriptor of one of these types, present or not? */
export const hasSystemType = (descriptor: TableDescriptor, ...types: number[]): boolean =>
  isSystem(descriptor.rights) && types.includes(descriptor.rights & 0xf)
