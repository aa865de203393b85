/** The view of what the processor finds in memory by its table registers, and of interrupt controllers. */

import type { DescriptorTableBody, InterruptControllersBody } from '../../protocol/custom-requests.ts'
import type { ViewStop } from '../../protocol/view-stops.ts'
import { stopKey } from './stops-model.ts'
import { grouped, hexText, type ViewNode } from './view-node.ts'

export interface Tables {
  readonly gdt: DescriptorTableBody
  readonly ldt: DescriptorTableBody
  readonly idt: DescriptorTableBody
  readonly tss: DescriptorTableBody
  readonly controllers: InterruptControllersBody
}

type Segment = NonNullable<DescriptorTableBody['segments']>[number]
type Gate = NonNullable<DescriptorTableBody['gates']>[number]
type LocalApic = InterruptControllersBody['localApics'][number]
type Register = LocalApic['registers'][number]

/** @param stops keys of those that are set */
export function tableNodes(
  { gdt, ldt, idt, tss, controllers }: Tables,
  stops: ReadonlySet<string>,
): readonly ViewNode[] {
  return [
    table('gdt', 'GDT', gdt, (gdt.segments ?? []).map(segmentNode('gdt'))),
    ...(ldt.base === undefined ? [] : [table('ldt', 'LDT', ldt, (ldt.segments ?? []).map(segmentNode('ldt')))]),
    table(
      'idt',
      'IDT',
      idt,
      (idt.gates ?? []).filter(({ type }) => type !== 'unused').map(gate => gateNode(gate, stops)),
    ),
    taskNode(tss),
    ...controllers.localApics.map(apicNode),
    ...controllers.controllers.map(({ name, registers }) => ({
      id: name,
      label: name === 'pic' ? '8259 pair' : name === 'ioapic' ? 'I/O APIC' : name,
      icon: 'circuit-board',
      children: registers.map(register => registerNode(name, register)),
    })),
  ]
}

function table(id: string, label: string, body: DescriptorTableBody, children: readonly ViewNode[]): ViewNode {
  const { base, limit, total, unreadable = 0 } = body
  if (base === undefined) return { id, label, description: 'none', icon: 'table' }
  const notes = [
    `${grouped(total)} entries at ${base}`,
    ...(limit === undefined ? [] : [`limit ${hexText(limit)}`]),
    ...(unreadable === 0 ? [] : [`${grouped(unreadable)} bytes are not mapped`]),
  ]
  return { id, label, description: notes.join(', '), icon: 'table', subject: { memory: base, linear: base }, children }
}

function segmentNode(parent: string): (segment: Segment) => ViewNode {
  // VS Code's search in a view looks at labels only: what one searches for stands there.
  return ({ selector, kind, type, base, limit, dpl, present, bits }) => {
    const id = `${parent}/${selector}`
    if (kind === 'null') return { id, label: `${hexText(selector)} null` }
    const width = kind === 'code' ? [`${bits}-bit`] : []
    const parts = [`DPL ${dpl}`, ...width, `base ${base}`, `limit ${hexText(limit)}`]
    return {
      id,
      label: `${hexText(selector)} ${type}`,
      description: [...parts, ...(present ? [] : ['not present'])].join(', '),
      subject: { memory: base, linear: base },
    }
  }
}

function gateNode(gate: Gate, stops: ReadonlySet<string>): ViewNode {
  const { vector, type, selector, offset, dpl, present, ist, symbol, exception } = gate
  const stop = vectorStop(gate)
  const parts = [type, `DPL ${dpl}`, `selector ${hexText(selector)}`, ...(ist === 0 ? [] : [`IST ${ist}`])]
  return {
    id: `idt/${vector}`,
    label: [vector, ...(exception === undefined ? [] : [exception]), symbol ?? offset].join(' '),
    description: [...parts, ...(present ? [] : ['not present'])].join(', '),
    tooltip: `Vector ${hexText(vector)}: ${offset}. Click to go to the handler`,
    ...(stops.has(stopKey(stop)) ? { icon: 'debug-breakpoint' } : {}),
    subject: { code: offset, linear: offset, stop },
    click: 'code',
  }
}

/** The last vector of exceptions, and that of the NMI (SDM vol. 3, 6.2 and 6.3). */
const LAST_EXCEPTION = 31
const NMI = 2

/**
 * At the handler where the gate lets an instruction of programs through, INT n: that is no event. Before the delivery of
 * an exception or an interrupt otherwise.
 */
function vectorStop({ vector, dpl, offset, symbol }: Gate): ViewStop {
  if (dpl === 3) return { kind: 'code', address: offset, name: `vector ${vector}, at ${symbol ?? offset}` }
  const filterId = vector <= LAST_EXCEPTION && vector !== NMI ? 'exception' : 'interrupt'
  return { kind: 'event', filterId, condition: `${vector}` }
}

function taskNode({ task }: DescriptorTableBody): ViewNode {
  if (task === undefined) return { id: 'tss', label: 'TSS', description: 'none loaded', icon: 'table' }
  const { kind, selector, base, fields, ports } = task
  const stack = (name: string): boolean => /^(R|E)?SP[0-2]$|^IST/.test(name)
  return {
    id: 'tss',
    label: 'TSS',
    description: `${kind}, selector ${hexText(selector)} at ${base}`,
    icon: 'table',
    subject: { memory: base, linear: base },
    children: [
      ...fields.map(({ name, value }) => ({
        id: `tss/${name}`,
        label: name,
        description: value,
        ...(stack(name) && value !== '0x0' ? { subject: { memory: value, linear: value } } : {}),
      })),
      ...(ports === undefined ? [] : [{ id: 'tss/ports', label: 'I/O ports', description: portsText(ports) }]),
    ],
  }
}

function portsText(ports: readonly { readonly first: number; readonly last: number }[]): string {
  if (ports.length === 0) return 'none allowed'
  return ports
    .map(({ first, last }) => (first === last ? hexText(first) : `${hexText(first)}-${hexText(last)}`))
    .join(' ')
}

function apicNode({ vcpu, mode, enabled, requested, inService, registers }: LocalApic): ViewNode {
  const id = `apic${vcpu}`
  const vectors = (list: readonly number[]): string => (list.length === 0 ? 'none' : list.join(' '))
  return {
    id,
    label: `Local APIC of vCPU ${vcpu}`,
    description: `${mode}, ${enabled ? 'enabled' : 'disabled'}`,
    icon: 'circuit-board',
    children: [
      { id: `${id}/requested`, label: 'requested', description: vectors(requested), tooltip: 'Vectors in IRR' },
      { id: `${id}/service`, label: 'in service', description: vectors(inService), tooltip: 'Vectors in ISR' },
      ...registers.map(register => registerNode(id, register)),
    ],
  }
}

function registerNode(parent: string, { name, value, meaning }: Register): ViewNode {
  return {
    id: `${parent}/${name}`,
    label: name,
    description: meaning === undefined ? hexText(value) : `${hexText(value)}  ${meaning}`,
  }
}
