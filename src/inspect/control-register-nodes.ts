/** Control and debug registers, decoded bit by bit. */

import { CR4_PKE } from '../x86/control-registers.ts'
import { type DecodedRegister, decodeRegister, isAddressField, isSet, summarizeFields } from './control-bits.ts'
import { pagingMode } from './cpu-mode.ts'
import type { VcpuView } from './machine-view.ts'
import { addressNode, type Describe, decimalNode, hex, type RegisterNode } from './register-node.ts'

const CONTROL: readonly DecodedRegister[] = ['cr0', 'cr3', 'cr4', 'efer', 'xcr0']
/** Bits 11:0 of an entry or of CR3 are flags or the PCID, bits 63:52 none of the address. */
const TABLE_ADDRESS = 0xf_ffff_ffff_f000n

/** The fields of a register as nodes. */
export function fieldNodes(vcpu: VcpuView, name: DecodedRegister, value: bigint): RegisterNode[] {
  const context = { cr4: vcpu.register('cr4'), efer: vcpu.register('efer') }
  return decodeRegister(name, value, context).map(field => {
    const whole = { register: name, field: field.name }
    return isAddressField(field)
      ? { name: field.name, value: hex(field.value), meaning: field.meaning, ...whole }
      : { ...decimalNode(field.name, field.value, field.meaning), ...whole }
  })
}

/** A register with its fields below it: `0x80050033 [PE MP ET NE WP AM PG]`. */
export function decodedNode(vcpu: VcpuView, register: DecodedRegister): RegisterNode {
  const value = vcpu.register(register)
  const fields = decodeRegister(register, value, { cr4: vcpu.register('cr4'), efer: vcpu.register('efer') })
  return {
    name: register,
    value: `${hex(value)} [${summarizeFields(fields)}]`,
    register,
    children: fieldNodes(vcpu, register, value),
  }
}

export function controlNodes(vcpu: VcpuView, describe: Describe): RegisterNode[] {
  const nodes = CONTROL.map((name): RegisterNode => {
    const node = decodedNode(vcpu, name)
    if (name !== 'cr3') return node
    return { ...node, address: { space: 'physical', address: vcpu.register('cr3') & TABLE_ADDRESS } }
  })
  nodes.splice(1, 0, { ...addressNode('cr2', vcpu.register('cr2'), 16, describe), register: 'cr2' })
  nodes.push({ ...decimalNode('cr8', vcpu.register('cr8'), 'task priority'), register: 'cr8' })
  return [...nodes, ...pdpteNodes(vcpu), ...keyNodes(vcpu)]
}

export function debugNodes(vcpu: VcpuView, describe: Describe): RegisterNode[] {
  const addresses = [0, 1, 2, 3].map(index => {
    const register = `dr${index}`
    return { ...addressNode(register, vcpu.register(register), 16, describe), register }
  })
  return [...addresses, decodedNode(vcpu, 'dr6'), decodedNode(vcpu, 'dr7')]
}

/** PDPTE registers, where PAE paging uses them (SDM vol. 3, 4.4.1). */
function pdpteNodes(vcpu: VcpuView): RegisterNode[] {
  if (pagingMode(vcpu) !== 'PAE paging') return []
  return [0, 1, 2, 3].map(index => {
    const name = `pdpte${index}`
    const value = vcpu.register(name)
    if ((value & 1n) === 0n) return { name, value: `${hex(value)} [not present]` }
    return { name, value: hex(value), address: { space: 'physical', address: value & TABLE_ADDRESS } }
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
  return [{ name: 'pkru', value: hex(value), register: 'pkru', children }]
}
