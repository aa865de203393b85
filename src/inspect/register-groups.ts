/** The registers of a vCPU as a person wants to see them: in groups, flags and control registers taken apart. */

import type { SegmentName, SegmentRegister } from '../engine/processor.ts'
import { CR4_PKE } from '../x86/control-registers.ts'
import {
  RIGHTS_CODE,
  RIGHTS_DB,
  RIGHTS_L,
  RIGHTS_P,
  RIGHTS_S,
  RIGHTS_UNUSABLE,
  rightsDpl,
} from '../x86/segment-rights.ts'
import { type DecodedRegister, decodeRegister, fieldValue, isSet, summarizeFields } from './control-bits.ts'
import { cpuMode, pagingMode } from './cpu-mode.ts'
import type { VcpuView } from './machine-view.ts'

export interface RegisterNode {
  readonly name: string
  readonly value: string
  /** What the register holds, when it may be an address: linear, or physical for CR3. */
  readonly address?: { readonly space: 'linear' | 'physical'; readonly address: bigint }
  readonly meaning?: string
  readonly children?: readonly RegisterNode[]
}

export interface RegisterGroup {
  readonly name: string
  readonly nodes: readonly RegisterNode[]
}

const GENERAL = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp']
const NUMBERED = ['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15']
const SEGMENTS: readonly SegmentName[] = ['cs', 'ss', 'ds', 'es', 'fs', 'gs', 'ldtr', 'tr']
const CONTROL: readonly DecodedRegister[] = ['cr0', 'cr3', 'cr4', 'efer']

/** @param describe gives the symbol that covers a linear address. */
export function registerGroups(vcpu: VcpuView, describe: (address: bigint) => string | undefined): RegisterGroup[] {
  return [
    { name: 'CPU mode', nodes: modeNodes(vcpu) },
    { name: 'General registers', nodes: generalNodes(vcpu, describe) },
    { name: 'Flags', nodes: fieldNodes(vcpu, 'rflags', vcpu.register('rflags')) },
    { name: 'Segments', nodes: segmentNodes(vcpu) },
    { name: 'Control registers', nodes: controlNodes(vcpu, describe) },
  ]
}

function modeNodes(vcpu: VcpuView): RegisterNode[] {
  const mode = cpuMode(vcpu)
  return [
    { name: 'summary', value: mode.summary },
    { name: 'mode', value: mode.mode },
    { name: 'code', value: `${mode.codeBits}-bit` },
    { name: 'CPL', value: mode.cpl.toString() },
    { name: 'paging', value: mode.paging },
    ...(mode.pcid === undefined ? [] : [{ name: 'PCID', value: mode.pcid.toString() }]),
    { name: 'interrupts', value: mode.interruptsEnabled ? 'enabled' : 'disabled' },
  ]
}

function generalNodes(vcpu: VcpuView, describe: (address: bigint) => string | undefined): RegisterNode[] {
  const wide = cpuMode(vcpu).codeBits === 64
  const names = wide ? [...GENERAL, ...NUMBERED, 'rip', 'rflags'] : [...GENERAL, 'rip', 'rflags']
  return names.map(name => {
    const value = wide ? vcpu.register(name) : BigInt.asUintN(32, vcpu.register(name))
    const shown = wide ? name : `e${name.slice(1)}`
    if (name === 'rflags') {
      const flags = summarizeFields(decodeRegister('rflags', value, { cr4: 0n, efer: 0n }))
      return { name: shown, value: `${padded(value, wide ? 16 : 8)} [${flags}]` }
    }
    return addressNode(shown, value, wide ? 16 : 8, describe)
  })
}

function addressNode(
  name: string,
  value: bigint,
  digits: number,
  describe: (address: bigint) => string | undefined,
): RegisterNode {
  const symbol = describe(value)
  const text = padded(value, digits)
  return {
    name,
    value: symbol === undefined ? text : `${text} <${symbol}>`,
    address: { space: 'linear', address: value },
  }
}

function fieldNodes(vcpu: VcpuView, name: DecodedRegister, value: bigint): RegisterNode[] {
  const context = { cr4: vcpu.register('cr4'), efer: vcpu.register('efer') }
  return decodeRegister(name, value, context).map(field => ({
    name: field.name,
    value: fieldValue(field),
    meaning: field.meaning,
  }))
}

function segmentNodes(vcpu: VcpuView): RegisterNode[] {
  const segments = SEGMENTS.map(name => segmentNode(name, vcpu.segment(name)))
  const tables = (['gdtr', 'idtr'] as const).map((name): RegisterNode => {
    const { base, limit } = vcpu.table(name)
    const value = `base ${hex(base)}, limit ${hex(BigInt(limit))}`
    return { name, value, address: { space: 'linear', address: base } }
  })
  return [...segments, ...tables]
}

function segmentNode(name: SegmentName, segment: SegmentRegister): RegisterNode {
  const selector = padded(BigInt(segment.selector), 4)
  return {
    name,
    value: `${selector} ${describeRights(segment.rights)}, base ${hex(segment.base)}, limit ${hex(BigInt(segment.limit))}`,
    children: [
      { name: 'selector', value: selector },
      { name: 'base', value: hex(segment.base), address: { space: 'linear', address: segment.base } },
      { name: 'limit', value: hex(BigInt(segment.limit)) },
      { name: 'rights', value: hex(BigInt(segment.rights)), meaning: 'access rights in the format of the VMCS' },
    ],
  }
}

/** Cached access rights in words (SDM vol. 3, table 25-2). */
export function describeRights(rights: number): string {
  if ((rights & RIGHTS_UNUSABLE) !== 0) return 'unusable'
  const bits = (rights & RIGHTS_L) !== 0 ? 64 : (rights & RIGHTS_DB) !== 0 ? 32 : 16
  const kind = (rights & RIGHTS_S) === 0 ? 'system' : (rights & RIGHTS_CODE) !== 0 ? `${bits}-bit code` : 'data'
  const present = (rights & RIGHTS_P) === 0 ? ', not present' : ''
  return `${kind}, DPL ${rightsDpl(rights)}${present}`
}

function controlNodes(vcpu: VcpuView, describe: (address: bigint) => string | undefined): RegisterNode[] {
  const nodes = CONTROL.map((name): RegisterNode => {
    const value = vcpu.register(name)
    const fields = decodeRegister(name, value, { cr4: vcpu.register('cr4'), efer: vcpu.register('efer') })
    const text = `${hex(value)} [${summarizeFields(fields)}]`
    const children = fieldNodes(vcpu, name, value)
    if (name !== 'cr3') return { name, value: text, children }
    // Bits 11:0 are flags or the PCID, bit 63 is none of the address.
    return { name, value: text, children, address: { space: 'physical', address: value & 0xf_ffff_ffff_f000n } }
  })
  nodes.splice(1, 0, addressNode('cr2', vcpu.register('cr2'), 16, describe))
  return [...nodes, ...pdpteNodes(vcpu), ...keyNodes(vcpu)]
}

/** PDPTE registers, where PAE paging uses them (SDM vol. 3, 4.4.1). */
function pdpteNodes(vcpu: VcpuView): RegisterNode[] {
  if (pagingMode(vcpu) !== 'PAE paging') return []
  return [0, 1, 2, 3].map(index => {
    const name = `pdpte${index}`
    const value = vcpu.register(name)
    if ((value & 1n) === 0n) return { name, value: `${hex(value)} [not present]` }
    return { name, value: hex(value), address: { space: 'physical', address: value & 0xf_ffff_ffff_f000n } }
  })
}

/** PKRU with the keys that it restricts (SDM vol. 3, 4.6.2). */
function keyNodes(vcpu: VcpuView): RegisterNode[] {
  if (!isSet(vcpu.register('cr4'), CR4_PKE)) return []
  const value = vcpu.register('pkru')
  const children = Array.from({ length: 16 }, (_, key): RegisterNode => {
    const rights = Number((value >> BigInt(2 * key)) & 3n)
    return { name: `key ${key}`, value: (rights & 1) !== 0 ? 'no access' : rights === 2 ? 'read only' : 'all' }
  })
  return [{ name: 'pkru', value: hex(value), children }]
}

const hex = (value: bigint): string => `0x${value.toString(16)}`
const padded = (value: bigint, digits: number): string => `0x${value.toString(16).padStart(digits, '0')}`
