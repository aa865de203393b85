/** The tables that a vCPU uses now, read through its address space: GDT, LDT, IDT. */

import { CR0_PE, EFER_LMA } from '../x86/control-registers.ts'
import { RIGHTS_UNUSABLE } from '../x86/segment-rights.ts'
import { isSet } from './control-bits.ts'
import {
  decodeInterruptTable,
  decodeSegmentTable,
  type GateDescriptor,
  type SegmentDescriptor,
} from './descriptor-tables.ts'
import { readLinear } from './linear-memory.ts'
import type { MachineView, VcpuView } from './machine-view.ts'

export interface SystemTable<Entry> {
  readonly base: bigint
  readonly limit: number
  readonly entries: readonly Entry[]
  /** Bytes of the table that can't be read in this address space. */
  readonly unreadable: number
}

const LARGEST_TABLE = 65_536
/** 256 gates of 16 bytes. */
const LARGEST_IDT = 4096

const isLong = (vcpu: VcpuView): boolean => isSet(vcpu.register('efer'), EFER_LMA)

export function globalDescriptors(machine: MachineView, vcpu: VcpuView): SystemTable<SegmentDescriptor> {
  const { base, limit } = vcpu.table('gdtr')
  return readTable(machine, vcpu, base, limit, LARGEST_TABLE, bytes => decodeSegmentTable(bytes, isLong(vcpu)))
}

/** undefined while LDTR has none. */
export function localDescriptors(machine: MachineView, vcpu: VcpuView): SystemTable<SegmentDescriptor> | undefined {
  const { selector, base, limit, rights } = vcpu.segment('ldtr')
  if ((rights & RIGHTS_UNUSABLE) !== 0 || (selector & 0xfffc) === 0) return undefined
  return readTable(machine, vcpu, base, limit, LARGEST_TABLE, bytes =>
    // Selectors of the LDT have the table indicator set.
    decodeSegmentTable(bytes, isLong(vcpu)).map(entry => ({ ...entry, selector: entry.selector | 4 })),
  )
}

export function interruptGates(machine: MachineView, vcpu: VcpuView): SystemTable<GateDescriptor> {
  const { base, limit } = vcpu.table('idtr')
  const mode = isLong(vcpu) ? 'long' : isSet(vcpu.register('cr0'), CR0_PE) ? 'protected' : 'real'
  return readTable(machine, vcpu, base, limit, LARGEST_IDT, bytes => decodeInterruptTable(bytes, mode))
}

function readTable<Entry>(
  machine: MachineView,
  vcpu: VcpuView,
  base: bigint,
  limit: number,
  most: number,
  decode: (bytes: Uint8Array) => Entry[],
): SystemTable<Entry> {
  const length = Math.min(limit + 1, most)
  const bytes = readLinear(machine, vcpu, base, length)
  return { base, limit, entries: decode(bytes), unreadable: length - bytes.length }
}
