/** The views of virtqueues and of PCI functions. */

import type { PciBody, VirtqueuesBody } from '../../protocol/device-requests.ts'
import { grouped, hexText, sizeText, type ViewNode } from './view-node.ts'

type Device = VirtqueuesBody['devices'][number]
type Queue = Device['queues'][number]
type Chain = Queue['chains'][number]
type Completed = Queue['history'][number]
type Descriptor = Chain['descriptors'][number]
type Function = PciBody['functions'][number]

export function virtqueueNodes({ devices }: VirtqueuesBody): readonly ViewNode[] {
  return devices.map(device => ({
    id: device.name,
    label: device.name,
    description: [device.place, device.status, ...(device.broken === undefined ? [] : [device.broken])].join(', '),
    tooltip: `${device.transport}; features: ${device.features.join(' ') || 'none'}`,
    icon: device.broken === undefined ? 'plug' : 'error',
    expanded: true,
    children: device.queues.map(queue => queueNode(device, queue)),
  }))
}

function queueNode({ name: device }: Device, queue: Queue): ViewNode {
  const id = `${device}/${queue.index}`
  const label = `${queue.index} ${queue.name}`
  if (!queue.enabled) return { id, label, description: 'not enabled', icon: 'circle-slash' }
  const chains = (name: string, list: readonly Chain[]): ViewNode => ({
    id: `${id}/${name}`,
    label: name,
    description: grouped(list.length),
    expanded: list.length > 0,
    children: list.map((chain, index) => chainNode(`${id}/${name}/${index}`, chain)),
  })
  return {
    id,
    label,
    description: `${queue.format ?? 'split'}, ${grouped(queue.size)} entries, ${grouped(queue.pending)} pending, ${grouped(queue.taken.length)} in the device`,
    icon: queue.problems.length === 0 ? 'list-ordered' : 'warning',
    expanded: true,
    children: [
      ...queue.problems.map((problem, index) => ({ id: `${id}/problem${index}`, label: problem, icon: 'warning' })),
      ...queue.fields.map(({ name, value, meaning }) => ({
        id: `${id}/field/${name}`,
        label: name,
        description: `${value}  ${meaning}`,
      })),
      ...queue.areas.map(({ name, address }) => ({
        id: `${id}/area/${name}`,
        label: name,
        description: `phys:${address}`,
        subject: { memory: `phys:${address}` },
      })),
      chains('pending', queue.chains),
      chains('in the device', queue.taken),
      completedNode(`${id}/completed`, queue),
    ],
  }
}

function completedNode(id: string, { history, remembered }: Queue): ViewNode {
  return {
    id,
    label: 'completed',
    description: `the last ${grouped(history.length)} of ${grouped(remembered)} remembered`,
    children: history.toReversed().map(chain => completedChain(`${id}/${chain.number}`, chain)),
  }
}

function completedChain(id: string, { id: chain, summary, buffers, written }: Completed): ViewNode {
  return {
    id,
    label: `id ${chain}`,
    description: `${summary}, ${grouped(written)} bytes written`,
    children: buffers.map(({ address, length, direction }, index) => ({
      id: `${id}/${index}`,
      label: `phys:${address}`,
      description: `${grouped(length)} bytes, the device ${direction === 'read' ? 'read' : 'wrote'}`,
      subject: { memory: `phys:${address}` },
    })),
  }
}

function chainNode(id: string, chain: Chain): ViewNode {
  const { summary, descriptors, omitted, problem } = chain
  return {
    id,
    label: chain.head === undefined ? `id ${chain.id}` : `head ${chain.head}`,
    description: problem === undefined ? summary : `${summary}: ${problem}`,
    ...(problem === undefined ? {} : { icon: 'warning' }),
    children: [
      ...descriptors.map((descriptor, index) => descriptorNode(`${id}/${index}`, descriptor)),
      ...(omitted === 0 ? [] : [{ id: `${id}/omitted`, label: `${grouped(omitted)} more` }]),
    ],
  }
}

function descriptorNode(
  id: string,
  { index, address, length, direction, flagNames, parts, problem }: Descriptor,
): ViewNode {
  const what = { read: 'the device reads', write: 'the device writes', table: 'indirect table' }[direction]
  const saying = parts.flatMap(({ name, fields }) => [name, ...fields.map(field => `${field.name} ${field.value}`)])
  return {
    id,
    label: `${index}`,
    description: [
      `phys:${address}`,
      `${grouped(length)} bytes`,
      what,
      ...saying,
      ...(problem === undefined ? [] : [problem]),
    ].join(', '),
    tooltip: flagNames.join(' '),
    ...(problem === undefined ? {} : { icon: 'warning' }),
    subject: { memory: `phys:${address}` },
  }
}

export function pciNodes({ functions }: PciBody): readonly ViewNode[] {
  return functions.map(pci => ({
    id: pci.place,
    label: `${pci.place} ${pci.device.name ?? `${hexText(pci.vendor.id)}:${hexText(pci.device.id)}`}`,
    tooltip: pci.name,
    icon: 'circuit-board',
    children: pciChildren(pci),
  }))
}

function pciChildren({
  place,
  name,
  vendor,
  device,
  classCode,
  command,
  status,
  windows,
  ...pci
}: Function): ViewNode[] {
  const line = (label: string, description: string): ViewNode => ({ id: `${place}/${label}`, label, description })
  const named = (value: { readonly id: number; readonly name?: string }): string =>
    value.name === undefined ? hexText(value.id) : `${hexText(value.id)}  ${value.name}`
  return [
    line('device in the machine', name),
    line('vendor', named(vendor)),
    line('device', named(device)),
    line('class', named(classCode)),
    line('command', command.join(', ') || 'none'),
    line('status', status.join(', ') || 'none'),
    ...(pci.interruptPin === undefined ? [] : [line('interrupt', `${pci.interruptPin}, line ${pci.interruptLine}`)]),
    ...windows.map(({ bar, kind, address, size, mapped }) => ({
      ...line(`BAR ${bar}`, `${address}, ${sizeText(BigInt(size))} of ${kind}${mapped ? '' : ', not mapped'}`),
    })),
    ...pci.capabilities.map(({ offset, name: capability, fields }) => ({
      ...line(capability, fields.map(field => `${field.name} ${field.value}`).join(', ')),
      id: `${place}/capability ${offset}`,
    })),
  ]
}
