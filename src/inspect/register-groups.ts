/** The registers of a vCPU as a person wants to see them: in groups, flags and control registers taken apart. */

import { decodeRegister, summarizeFields } from './control-bits.ts'
import { controlNodes, debugNodes, fieldNodes } from './control-register-nodes.ts'
import { cpuMode } from './cpu-mode.ts'
import type { VcpuView } from './machine-view.ts'
import { modelSpecificNodes } from './model-specific-registers.ts'
import {
  addressNode,
  type Describe,
  decimalNode,
  padded,
  type RegisterGroup,
  type RegisterNode,
} from './register-node.ts'
import { segmentNodes } from './segment-registers.ts'
import { vectorNodes } from './vector-registers.ts'
import { virtualizationNodes } from './virtualization.ts'
import { x87Nodes } from './x87-registers.ts'

const GENERAL = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp']
const NUMBERED = ['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15']

export function registerGroups(vcpu: VcpuView, describe: Describe): RegisterGroup[] {
  return [
    { name: 'CPU mode', nodes: () => modeNodes(vcpu) },
    { name: 'General registers', nodes: () => generalNodes(vcpu, describe) },
    { name: 'Flags', nodes: () => fieldNodes(vcpu, 'rflags', vcpu.register('rflags')) },
    { name: 'Segments', nodes: () => segmentNodes(vcpu) },
    { name: 'Control registers', nodes: () => controlNodes(vcpu, describe) },
    { name: 'Debug registers', rare: true, nodes: () => debugNodes(vcpu, describe) },
    { name: 'Model-specific registers', rare: true, nodes: () => modelSpecificNodes(vcpu, describe) },
    { name: 'x87', rare: true, nodes: () => x87Nodes(vcpu) },
    { name: 'SSE and AVX', rare: true, nodes: () => vectorNodes(vcpu) },
    { name: 'Virtualization', rare: true, nodes: () => virtualizationNodes(vcpu) },
  ]
}

function modeNodes(vcpu: VcpuView): RegisterNode[] {
  const mode = cpuMode(vcpu)
  return [
    { name: 'summary', value: mode.summary },
    { name: 'mode', value: mode.mode },
    { name: 'code', value: `${mode.codeBits}-bit` },
    decimalNode('CPL', mode.cpl),
    { name: 'paging', value: mode.paging },
    ...(mode.pcid === undefined ? [] : [decimalNode('PCID', mode.pcid)]),
    { name: 'interrupts', value: mode.interruptsEnabled ? 'enabled' : 'disabled' },
  ]
}

function generalNodes(vcpu: VcpuView, describe: Describe): RegisterNode[] {
  const wide = cpuMode(vcpu).codeBits === 64
  const digits = wide ? 16 : 8
  const names = wide ? [...GENERAL, ...NUMBERED, 'rip', 'rflags'] : [...GENERAL, 'rip', 'rflags']
  return names.map(register => {
    const value = wide ? vcpu.register(register) : BigInt.asUintN(32, vcpu.register(register))
    const name = wide ? register : `e${register.slice(1)}`
    if (register !== 'rflags') return { ...addressNode(name, value, digits, describe), register }
    const flags = summarizeFields(decodeRegister('rflags', value, { cr4: 0n, efer: 0n }))
    return { name, value: `${padded(value, digits)} [${flags}]`, register }
  })
}
