/** The branch of the view of virtqueues about the network, on a body as the adapter gives it. */

import { expect, test } from 'vitest'
import { networkNodes } from '../../src/extension/views/network-model.ts'
import type { ViewNode } from '../../src/extension/views/view-node.ts'
import type { PacketsBody } from '../../src/protocol/network-requests.ts'

const counters = { framesIn: 1200, bytesIn: 5, framesOut: 3, bytesOut: 4, dropped: 0, flooded: 1 }
const chain = { device: 'virtio-net0', queue: 1, id: 7 }
const BODY: PacketsBody = {
  instructions: 9000,
  network: {
    ...{ card: 'virtio-net0', frames: 1201, learned: 3 },
    ports: [
      { name: 'virtio-net0', ...counters },
      { name: 'user', ...counters },
    ],
    addresses: [{ mac: '02:52:53:00:00:01', port: 'virtio-net0', age: 4 }],
    packets: [
      {
        ...{ number: 1200, length: 42, summary: 'ARP who has 10.0.2.2? 10.0.2.15 asks' },
        fields: [{ name: 'type', value: 'ARP' }],
        steps: [
          { station: 'virtio-net0: chain 7 kicked', instructions: 8000, chain },
          { station: 'virtio-net0: taken from transmitq', instructions: 8100, nanoseconds: 8500, chain },
          { station: 'bridge: in from virtio-net0', instructions: 8100, nanoseconds: 8500 },
        ],
      },
      { number: 1201, length: 60, summary: '60 bytes, not kept', fields: [], steps: [] },
    ],
  },
}

function byId(nodes: readonly ViewNode[], into = new Map<string, ViewNode>()): Map<string, ViewNode> {
  for (const node of nodes) {
    expect(into.has(node.id), node.id).toBe(false)
    into.set(node.id, node)
    byId(node.children ?? [], into)
  }
  return into
}

test('ports have their counters, addresses their ports, and packets, the newest first, their way', () => {
  const nodes = byId(networkNodes(BODY))
  const described = (id: string) => nodes.get(id)?.description
  expect(described('network')).toBe('2 ports, 1,201 frames')
  expect(described('network/port/user')).toBe('1,200 frames in, 3 out')
  expect(described('network/port/user/flooded')).toBe('1')
  expect(described('network/address/02:52:53:00:00:01')).toBe('at virtio-net0, 4 frames ago')
  expect(nodes.get('network/addresses/more')?.label).toBe('2 more')
  expect(nodes.get('network/packets')?.children?.map(({ label }) => label)).toEqual(['1,201', '1,200'])
  expect(described('network/packet/1200')).toBe('ARP who has 10.0.2.2? 10.0.2.15 asks, 42 bytes')
  expect(nodes.get('network/packet/1200')?.tooltip).toBe('type: ARP')
  expect(nodes.get('network/packet/1200')?.children?.map(({ label, description }) => [label, description])).toEqual([
    ['virtio-net0: chain 7 kicked', 'after 8,000 instructions, queue 1, chain 7'],
    ['virtio-net0: taken from transmitq', 'after 8,100 instructions, 8,500 ns, queue 1, chain 7'],
    ['bridge: in from virtio-net0', 'after 8,100 instructions, 8,500 ns'],
  ])
})

test('a machine without a network has no branch for it', () => {
  expect(networkNodes({ instructions: 1 })).toEqual([])
})
