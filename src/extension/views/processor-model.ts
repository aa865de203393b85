/** The view of processors: each vCPU with its mode and its registers, decoded. */

import type { ProcessorBody, ProcessorsBody, RegisterGroupBody } from '../../protocol/processor-requests.ts'
import type { RegisterSubject, Subject, ViewNode } from './view-node.ts'

type RegisterBody = RegisterGroupBody['registers'][number]

/** Groups that are open at first. */
const OPEN = ['Control registers']

export function processorNodes({ processors, focus }: ProcessorsBody): readonly ViewNode[] {
  return processors.map(processor => ({
    id: `vcpu${processor.threadId}`,
    label: `vCPU ${processor.threadId - 1}`,
    description: processor.summary,
    icon: processor.threadId === focus ? 'debug-stackframe-focused' : 'chip',
    expanded: processor.threadId === focus,
    children: [place(processor), ...processor.groups.map(group => groupNode(processor, group))],
  }))
}

function place({ threadId, rip, symbol, cpl }: ProcessorBody): ViewNode {
  return {
    id: `vcpu${threadId}/place`,
    label: `ring ${cpl}`,
    description: symbol === undefined ? rip : `${symbol}  ${rip}`,
    tooltip: 'Where it goes on, and with whose rights',
    icon: cpl === 3 ? 'person' : 'shield',
    subject: { code: rip, linear: rip, memory: rip },
  }
}

function groupNode(processor: ProcessorBody, { name, registers }: RegisterGroupBody): ViewNode {
  const id = `vcpu${processor.threadId}/${name}`
  return {
    id,
    label: name,
    expanded: OPEN.includes(name),
    children: registers.map(register => registerNode(processor, id, register)),
  }
}

function registerNode(processor: ProcessorBody, parent: string, register: RegisterBody): ViewNode {
  const { name, value, meaning, children = [] } = register
  const id = `${parent}/${name}`
  return {
    id,
    label: name,
    description: meaning === undefined ? value : `${value}  ${meaning}`,
    tooltip: meaning ?? `${name} = ${value}`,
    subject: subjectOf(processor, register),
    ...(children.length === 0 ? {} : { children: children.map(child => registerNode(processor, id, child)) }),
  }
}

function subjectOf({ frameId }: ProcessorBody, { value, register, field, address }: RegisterBody): Subject {
  return {
    ...(register === undefined ? {} : { register: registerSubject(frameId, register, field, value) }),
    ...(address === undefined ? {} : places(address)),
  }
}

function registerSubject(frameId: number, register: string, field: string | undefined, value: string): RegisterSubject {
  // What follows the number explains it: `0x80050033 [PE MP ...]`, `0x100a50 <stub_0>`.
  const [number] = value.split(' ')
  return { frameId, expression: `$${register}${field === undefined ? '' : `.${field}`}`, value: number }
}

/** As `memoryReference` has addresses (`protocol/address.ts`). */
function places(address: NonNullable<RegisterBody['address']>): Subject {
  if (address.space === 'physical') return { memory: `phys:${address.address}` }
  if (address.space === 'host') return { memory: `hpa:${address.address}` }
  const linear = address.cr3 === undefined ? address.address : `cr3=${address.cr3}:${address.address}`
  return { memory: linear, linear }
}
