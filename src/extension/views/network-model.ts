/** The branch of the view of virtqueues about the network: the bridge, what it has learned, and the last packets. */

import type { PacketsBody } from '../../protocol/network-requests.ts'
import { grouped, type ViewNode } from './view-node.ts'

type Network = NonNullable<PacketsBody['network']>
type Port = Network['ports'][number]
type Packet = Network['packets'][number]
type Step = Packet['steps'][number]

/** Nothing for a machine without. */
export function networkNodes({ network }: PacketsBody): readonly ViewNode[] {
  if (network === undefined) return []
  const { card, ports, addresses, learned, frames, packets } = network
  const more: ViewNode = { id: 'network/addresses/more', label: `${grouped(learned - addresses.length)} more` }
  return [
    {
      id: 'network',
      label: 'Network',
      description: `${grouped(ports.length)} ports, ${grouped(frames)} frames`,
      icon: 'broadcast',
      children: [
        ...ports.map(port => portNode(port, card)),
        {
          id: 'network/addresses',
          label: 'learned addresses',
          description: grouped(learned),
          children: [
            ...addresses.map(({ mac, port, age }) => ({
              id: `network/address/${mac}`,
              label: mac,
              description: `at ${port}, ${grouped(age)} frames ago`,
            })),
            ...(learned > addresses.length ? [more] : []),
          ],
        },
        {
          id: 'network/packets',
          label: 'packets',
          description: `the last ${grouped(packets.length)}`,
          expanded: true,
          children: packets.toReversed().map(packetNode),
        },
      ],
    },
  ]
}

function portNode({ name, ...counters }: Port, card: string): ViewNode {
  const id = `network/port/${name}`
  const line = (label: string, count: number): ViewNode => ({
    ...{ id: `${id}/${label}`, label, description: grouped(count) },
  })
  return {
    ...{ id, label: name, icon: 'plug' },
    description: `${grouped(counters.framesIn)} frames in, ${grouped(counters.framesOut)} out`,
    ...(name === card ? { tooltip: 'the card of this machine' } : {}),
    children: [
      line('frames into the bridge', counters.framesIn),
      line('bytes into the bridge', counters.bytesIn),
      line('frames out of the bridge', counters.framesOut),
      line('bytes out of the bridge', counters.bytesOut),
      line('dropped', counters.dropped),
      line('flooded', counters.flooded),
    ],
  }
}

function packetNode({ number, length, summary, fields, steps }: Packet): ViewNode {
  const id = `network/packet/${number}`
  return {
    ...{ id, label: `${grouped(number)}`, description: `${summary}, ${grouped(length)} bytes`, icon: 'mail' },
    tooltip: fields.map(({ name, value }) => `${name}: ${value}`).join('\n'),
    children: steps.map((step, index) => stepNode(`${id}/${index}`, step)),
  }
}

function stepNode(id: string, { station, instructions, nanoseconds, chain }: Step): ViewNode {
  return {
    ...{ id, label: station },
    description: [
      `after ${grouped(instructions)} instructions`,
      ...(nanoseconds === undefined ? [] : [`${grouped(nanoseconds)} ns`]),
      ...(chain === undefined ? [] : [`queue ${chain.queue}, chain ${chain.id}`]),
    ].join(', '),
  }
}
