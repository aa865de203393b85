/** The models of the tree views, on bodies as the adapter gives them. */

import { describe, expect, test } from 'vitest'
import { SpeedMeter } from '../../src/extension/speed-meter.ts'
import { runningText, statusOf } from '../../src/extension/status-text.ts'
import { pciNodes, virtqueueNodes } from '../../src/extension/views/devices-model.ts'
import { ExitRates, rateNodes, sparkline } from '../../src/extension/views/exit-rates.ts'
import { exitNodes } from '../../src/extension/views/exits-model.ts'
import { memoryMapNodes } from '../../src/extension/views/memory-map-model.ts'
import { processorNodes } from '../../src/extension/views/processor-model.ts'
import { tableNodes } from '../../src/extension/views/tables-model.ts'
import { timelineNodes } from '../../src/extension/views/timeline-model.ts'
import { contextValue, markChanges, remember, sizeText, type ViewNode } from '../../src/extension/views/view-node.ts'
import type { DescriptorTableBody } from '../../src/protocol/custom-requests.ts'
import type { VirtqueuesBody } from '../../src/protocol/device-requests.ts'
import type { ProcessorBody, ProcessorsBody } from '../../src/protocol/processor-requests.ts'

/** Every node by its id; fails when two have the same. */
function all(nodes: readonly ViewNode[], into: Record<string, ViewNode> = {}): Record<string, ViewNode> {
  for (const node of nodes) {
    expect(into[node.id], node.id).toBeUndefined()
    into[node.id] = node
    all(node.children ?? [], into)
  }
  return into
}

const VCPU: ProcessorBody = {
  ...{ threadId: 1, frameId: 1, summary: '64-bit, CPL 0, 4-level paging, IF=1', mode: '64-bit', cpl: 0 },
  ...{ cr3: '0x102000', rip: '0x100a50', symbol: 'stub_0' },
  groups: [
    {
      name: 'Control registers',
      registers: [
        {
          ...{ name: 'cr0', value: '0x80010033 [PE WP PG]', register: 'cr0' },
          children: [
            { name: 'WP', value: '1', decimal: '0x1', register: 'cr0', field: 'WP', meaning: 'write protect' },
          ],
        },
        { name: 'cr2', value: '0x40010000', register: 'cr2', address: { space: 'linear', address: '0x40010000' } },
        {
          name: 'cr3',
          value: '0x102000 [BASE=0x102000]',
          register: 'cr3',
          address: { space: 'physical', address: '0x102000' },
        },
        { name: 'gdtr', value: 'base 0x1', address: { space: 'linear', address: '0x1', cr3: '0x5000' } },
      ],
    },
  ],
}
const MACHINE: ProcessorsBody = {
  instructions: 2_955_543,
  focus: 2,
  processors: [VCPU, { ...VCPU, threadId: 2, frameId: 2 }],
}

describe('the view of processors', () => {
  test('opens the one that stopped, and says where it is', () => {
    const nodes = processorNodes(MACHINE)
    expect(nodes.map(({ label, expanded }) => [label, expanded])).toEqual([
      ['vCPU 0', false],
      ['vCPU 1', true],
    ])
    expect(all(nodes)['vcpu2/place']).toMatchObject({
      label: 'ring 0',
      description: 'stub_0  0x100a50',
      subject: { code: '0x100a50', linear: '0x100a50' },
    })
  })

  test('lets registers and their fields be set, each in the frame of its processor', () => {
    const nodes = all(processorNodes(MACHINE))
    const register = (id: string) => nodes[id].subject?.register
    expect(register('vcpu2/Control registers/cr0')).toEqual({ frameId: 2, expression: '$cr0', value: '0x80010033' })
    expect(register('vcpu1/Control registers/cr0/WP')).toEqual({ frameId: 1, expression: '$cr0.WP', value: '1' })
    expect(register('vcpu1/Control registers/gdtr')).toBeUndefined()
  })

  test('names the address space of what registers lead to', () => {
    const nodes = all(processorNodes(MACHINE))
    expect(nodes['vcpu1/Control registers/cr2'].subject).toMatchObject({ memory: '0x40010000', linear: '0x40010000' })
    const { memory, linear } = nodes['vcpu1/Control registers/cr3'].subject ?? {}
    expect([memory, linear]).toEqual(['phys:0x102000', undefined])
    expect(nodes['vcpu1/Control registers/gdtr'].subject).toEqual({
      memory: 'cr3=0x5000:0x1',
      linear: 'cr3=0x5000:0x1',
    })
  })

  test('the status bar is of the vCPU in front', () => {
    expect(statusOf(MACHINE, 2)).toMatchObject({
      text: '64-bit  CPL 0  CR3 0x102000  2,955,543 instructions',
      tooltip: expect.stringContaining('vCPU 1'),
    })
    expect(statusOf({ ...MACHINE, processors: [] }, 1).text).toBe('2,955,543 instructions')
  })

  test('the status bar has the process where there is one, and the address space behind it', () => {
    const { text, tooltip } = statusOf(MACHINE, 2, { name: 'sh', pid: 71 })
    expect(text).toBe('64-bit  CPL 0  sh[71]  2,955,543 instructions')
    expect(tooltip).toContain('CR3 0x102000')
  })

  test('the status bar of a guest that runs has its speed, when there are two counts', () => {
    const meter = new SpeedMeter()
    const at = (instructions: number, time: number) => meter.sample(instructions, time)
    expect(runningText({ instructions: 1000 }, at(1000, 0)).text).toBe('running  1,000 instructions')
    expect(at(2000, 50)).toBeUndefined()
    expect(runningText({ instructions: 25_001_000 }, at(25_001_000, 1000)).text).toBe(
      'running  25.0 MIPS  25,001,000 instructions',
    )
    // The guest began anew.
    expect(at(10, 2000)).toBeUndefined()
    expect(at(1_000_010, 3000)).toBe(1)
    meter.reset()
    expect(at(9_000_000, 4000)).toBeUndefined()
  })
})

describe('what changed since the last stop', () => {
  const before = processorNodes(MACHINE)
  const setCr2 = processorNodes({
    ...MACHINE,
    processors: [
      {
        ...VCPU,
        groups: VCPU.groups.map(group => ({
          ...group,
          registers: group.registers.map(node => (node.name === 'cr2' ? { ...node, value: '0x1' } : node)),
        })),
      },
      MACHINE.processors[1],
    ],
  })

  test('is marked, and what it is in', () => {
    const marked = all(markChanges(setCr2, remember(before)))
    expect(Object.keys(marked).filter(id => marked[id].changed)).toEqual([
      ...['vcpu1', 'vcpu1/Control registers', 'vcpu1/Control registers/cr2'],
    ])
  })

  test('is nothing at the first stop, and nothing when nothing changed', () => {
    expect(markChanges(setCr2, undefined)).toBe(setCr2)
    expect(Object.values(all(markChanges(before, remember(before)))).some(({ changed }) => changed)).toBe(false)
  })
})

test('menus know what can be done with a node', () => {
  expect(contextValue({ id: 'a', label: 'a', subject: { memory: '0x1', code: '0x1' } })).toBe('node memory code')
  expect(contextValue({ id: 'a', label: 'a' })).toBe('node')
})

test.each([
  [0n, '0 bytes'],
  [4096n, '4 KiB'],
  [4097n, '4097 bytes'],
  [0x4000_0000n, '1 GiB'],
  [2n ** 64n, '16 EiB'],
])('%i bytes are %s', (bytes, text) => {
  expect(sizeText(bytes)).toBe(text)
})

describe('the view of exits', () => {
  const exit = {
    instructions: 10,
    vcpu: 0,
    reason: 'io',
    detail: 'out to port 0x3f8',
    rip: '0x1000bf',
    symbol: 'outb+0x1c',
  }
  const nodes = exitNodes(
    {
      ...{ instructions: 1000, total: 4 },
      byReason: [
        { reason: 'io', count: 3 },
        { reason: 'ept-violation', count: 1 },
      ],
      byAddress: [{ address: '0x1000bf', symbol: 'outb', source: 'console.c:7', count: 3 }],
      overTime: { first: 0, last: 1000, counts: [0, 3, 1] },
      recent: [exit, { ...exit, instructions: 20, reason: 'ept-violation', detail: '', gpa: '0xfee00000' }],
    },
    new Set(['event exit io']),
    { exits: 3, instructions: 2_000_000 },
  )

  test('has shares by reason, and shows where the guest stops', () => {
    const byId = all(nodes)
    expect(byId['reason/io']).toMatchObject({
      description: '3  75.0 %',
      icon: 'debug-breakpoint',
      subject: { stop: { kind: 'event', filterId: 'exit', condition: 'io' } },
      click: 'stop',
    })
    expect(byId['reason/ept-violation'].icon).toBe('circle-outline')
  })

  test('has the lines of the places, which a click goes to', () => {
    expect(all(nodes)['place/0x1000bf']).toMatchObject({ description: '3  75.0 %  console.c:7', click: 'code' })
  })

  test('has the last exit first, and its memory where there is some', () => {
    const [newest, oldest] = all(nodes).recent.children ?? []
    expect(newest).toMatchObject({
      label: 'ept-violation outb+0x1c',
      description: 'at 20',
      subject: { memory: 'phys:0xfee00000' },
    })
    expect(oldest.description).toBe('out to port 0x3f8  at 10')
  })

  test('has the rate since the last stop and over time, in words for those who see no bars', () => {
    const byId = all(nodes)
    expect(byId.rate.description).toBe('3 in 2,000,000 instructions, 1.5 a million')
    expect(byId.overTime.description).toBe('▁█▄  4000.0 a million')
    expect(byId.overTime.tooltip).toBe('The last 4 exits, from instruction 0 to 1,000, in 3 spans: 0, 3, 1')
  })

  test('the rate counts from the stop before, in the same session and run', () => {
    const rates = new ExitRates()
    const at = (instructions: number, total: number, session = 'a') => rates.since(session, { instructions, total })
    expect(at(100, 10)).toBeUndefined()
    expect(at(100, 10)).toBeUndefined()
    expect(at(300, 14)).toEqual({ exits: 4, instructions: 200 })
    // Asked again at the same stop.
    expect(at(300, 14)).toEqual({ exits: 4, instructions: 200 })
    expect(at(50, 2)).toBeUndefined()
    expect(at(60, 2)).toEqual({ exits: 0, instructions: 10 })
    expect(at(70, 3, 'b')).toBeUndefined()
  })

  test('divides nothing by zero', () => {
    expect(sparkline([0, 0])).toBe('▁▁')
    expect(rateNodes({ exits: 0, instructions: 0 }, undefined)[0].description).toMatch(/no instruction between$/)
    expect(exitNodes({ instructions: 0, total: 0, byReason: [], recent: [], byAddress: [] }, new Set())).toHaveLength(4)
  })
})

test('the memory map has both layers, and says that there is more', () => {
  const range = {
    start: '0x40000000',
    end: '0x40001000',
    target: '0x10f000',
    contiguous: true,
    rights: 'r-xu-',
    pageSizes: [4096],
  }
  const guest = { ranges: [{ ...range, symbol: 'user_main' }], next: '0x50000000' }
  const nodes = all(memoryMapNodes({ guest, ept: { ranges: [{ ...range, contiguous: false }] } }))
  expect(nodes['guest/0x40000000']).toMatchObject({
    ...{ label: '0x40000000 user_main', description: 'r-xu-  4 KiB  at 0x10f000', icon: 'person' },
    subject: { linear: '0x40000000', code: '0x40000000' },
  })
  expect(nodes['guest/next'].label).toBe('more from 0x50000000 on')
  expect(nodes['ept/0x40000000']).toMatchObject({
    description: 'r-xu-  4 KiB  scattered',
    subject: { memory: 'phys:0x40000000' },
  })
  expect(memoryMapNodes({ guest, ept: undefined })).toHaveLength(1)
})

test('the view of memory tells what is in a range, at addresses of its space', () => {
  const contents = [
    { kind: 'section', name: '.text', start: '0x40000000', end: '0x40000c00' },
    { kind: 'ram', name: 'RAM', start: '0x40000000', end: '0x40001000' },
  ] as const
  const range = {
    ...{ start: '0x40000000', end: '0x40001000', target: '0x10f000', contiguous: true, rights: 'r-xu-' },
    ...{ pageSizes: [4096], contents, contentsOmitted: 2 },
  }
  const nodes = all(memoryMapNodes({ guest: { ranges: [range] }, ept: { ranges: [range] } }))
  expect(nodes['guest/0x40000000'].children?.map(({ label, description }) => [label, description])).toEqual([
    ['.text', '0x40000000  3 KiB  section'],
    ['RAM', '0x40000000  4 KiB'],
    ['and 2 more', undefined],
  ])
  expect(nodes['guest/0x40000000/0x40000000 0'].subject).toEqual({ memory: '0x40000000', linear: '0x40000000' })
  expect(nodes['ept/0x40000000/0x40000000 0'].subject).toEqual({ memory: 'phys:0x40000000' })
})

describe('the view of tables', () => {
  const none: DescriptorTableBody = { table: 'x', total: 0 }
  const gate = { type: 'interrupt gate', selector: 8, offset: '0x100a50', dpl: 3, present: true, ist: 1 } as const
  const nodes = all(
    tableNodes(
      {
        gdt: {
          ...{ table: 'gdt', total: 2, base: '0x101000', limit: 15, unreadable: 8 },
          segments: [
            {
              kind: 'null',
              selector: 0,
              base: '0x0',
              limit: 0,
              type: 'null',
              dpl: 0,
              present: false,
              bits: 16,
              size: 8,
            },
            {
              kind: 'code',
              selector: 8,
              base: '0x0',
              limit: 0,
              type: 'code, execute/read',
              dpl: 0,
              present: false,
              bits: 64,
              size: 8,
            },
          ],
        },
        ldt: none,
        idt: {
          ...{ table: 'idt', total: 2, base: '0x1090a0', limit: 31 },
          gates: [
            { ...gate, vector: 2, dpl: 0 },
            { ...gate, vector: 14, dpl: 0, symbol: 'stub_14', exception: '#PF' },
            { ...gate, vector: 32, dpl: 0, present: false },
            { ...gate, vector: 128, symbol: 'system_call' },
            { ...gate, vector: 15, type: 'unused' },
          ],
        },
        tss: {
          ...{ table: 'tss', total: 1 },
          task: {
            ...{
              kind: '64-bit',
              selector: 48,
              base: '0x109000',
              limit: 103,
              ports: [
                { first: 0x60, last: 0x64 },
                { first: 0x80, last: 0x80 },
              ],
            },
            fields: [
              { name: 'RSP0', value: '0x10b3c0' },
              { name: 'RSP1', value: '0x0' },
            ],
          },
        },
        controllers: {
          localApics: [
            {
              vcpu: 0,
              mode: 'xAPIC',
              enabled: true,
              requested: [32, 33],
              inService: [],
              levelTriggered: [],
              registers: [{ name: 'TPR', value: 16, width: 32 }],
            },
          ],
          controllers: [{ name: 'pic', registers: [{ name: 'master IMR', value: 254, width: 8, meaning: 'masked' }] }],
        },
      },
      new Set(['event exception 14']),
    ),
  )

  test('has handlers as symbols, and leaves out what is unused', () => {
    expect(nodes['idt/14']).toMatchObject({
      label: '14 #PF stub_14',
      description: 'interrupt gate, DPL 0, selector 0x8, IST 1',
      subject: { code: '0x100a50' },
      click: 'code',
    })
    expect(nodes['idt/15']).toBeUndefined()
  })

  test('stops at a vector: before its delivery, or at a handler that instructions reach as well', () => {
    expect(nodes['idt/14'].icon).toBe('debug-breakpoint')
    expect(nodes['idt/14'].subject?.stop).toEqual({ kind: 'event', filterId: 'exception', condition: '14' })
    expect(nodes['idt/2'].subject?.stop).toEqual({ kind: 'event', filterId: 'interrupt', condition: '2' })
    expect(nodes['idt/32'].subject?.stop).toEqual({ kind: 'event', filterId: 'interrupt', condition: '32' })
    const stop = { kind: 'code', address: '0x100a50', name: 'vector 128, at system_call' }
    expect(nodes['idt/128'].subject?.stop).toEqual(stop)
  })

  test('says what is not present, not mapped, or not there', () => {
    expect(nodes['gdt/8'].description).toMatch(/64-bit.*not present$/)
    expect(nodes.gdt.description).toBe('2 entries at 0x101000, limit 0xf, 8 bytes are not mapped')
    expect(nodes.ldt).toBeUndefined()
    const empty = { localApics: [], controllers: [] }
    const without = all(tableNodes({ gdt: none, ldt: none, idt: none, tss: none, controllers: empty }, new Set()))
    expect([without.gdt.description, without.tss.description]).toEqual(['none', 'none loaded'])
  })

  test('has stacks of the TSS to look at, ports and interrupt controllers', () => {
    expect(nodes['tss/RSP0'].subject?.memory).toBe('0x10b3c0')
    expect(nodes['tss/RSP1'].subject).toBeUndefined()
    expect(nodes['tss/ports'].description).toBe('0x60-0x64 0x80')
    expect(nodes['apic0/requested'].description).toBe('32 33')
    expect(nodes['apic0/TPR'].description).toBe('0x10')
    expect(nodes['pic/master IMR'].description).toBe('0xfe  masked')
  })
})

test('the timeline has the newest event first, under a name of its own at each stop', () => {
  const event = { vcpu: 0, cpl: 3, rip: '0x1', symbol: 'main', name: 'tick', values: ['0x7'] }
  const events = [
    { ...event, instructions: 1 },
    { ...event, instructions: 2 },
  ]
  const nodes = timelineNodes({ instructions: 9, total: 7, events })
  expect(nodes.map(({ id, description }) => [id, description])).toEqual([
    ['event/6', '0x7  at 2'],
    ['event/5', '0x7  at 1'],
  ])
})

describe('the views of devices', () => {
  type Queue = VirtqueuesBody['devices'][number]['queues'][number]
  const queue: Queue = {
    ...{ index: 0, name: 'requestq', enabled: true, size: 64, maximumSize: 64, pending: 1, remembered: 9 },
    format: 'split',
    areas: [{ name: 'used ring', address: '0x7000' }],
    fields: [{ name: 'avail.idx', value: 5, meaning: 'next entry' }],
    chains: [
      {
        ...{ head: 3, id: 3, summary: 'read, sector 0', fields: [], omitted: 2 },
        descriptors: [
          {
            ...{ index: 3, address: '0x5000', length: 512, flags: 2, flagNames: ['WRITE'] },
            direction: 'write',
            parts: [{ name: 'data', offset: 0, length: 512, fields: [{ name: 'sector', value: '0' }] }],
          },
        ],
      },
    ],
    taken: [],
    used: [],
    history: [
      {
        ...{ number: 8, id: 3, summary: 'write, sector 1', fields: [], omitted: 0, written: 1 },
        steps: [],
        buffers: [{ address: '0x6000', length: 16, direction: 'read' }],
      },
    ],
    problems: ['descriptor 4: beyond RAM'],
  }

  test('virtqueues have their chains down to buffers, and their problems first', () => {
    const device = { name: 'virtio-blk0', place: 'PCI 00:03.0', transport: 'pci', status: 'DRIVER_OK', features: [] }
    const body = {
      ...{ instructions: 1, traced: [] },
      devices: [{ ...device, queues: [queue] }],
    }
    const nodes = all(virtqueueNodes(body))
    expect(nodes['virtio-blk0/0/problem0'].label).toBe('descriptor 4: beyond RAM')
    expect(nodes['virtio-blk0/0/area/used ring'].subject?.memory).toBe('phys:0x7000')
    expect(nodes['virtio-blk0/0/pending/0'].description).toBe('read, sector 0')
    expect(nodes['virtio-blk0/0/pending/0/0'].description).toBe(
      'phys:0x5000, 512 bytes, the device writes, data, sector 0',
    )
    expect(nodes['virtio-blk0/0/pending/0/omitted'].label).toBe('2 more')
    expect(nodes['virtio-blk0/0/completed/8'].description).toBe('write, sector 1, 1 bytes written')
    expect(nodes['virtio-blk0/0/completed/8/0'].subject?.memory).toBe('phys:0x6000')
  })

  test('PCI functions may have several capabilities of one name', () => {
    const capability = { id: 9, name: 'vendor-specific', fields: [{ name: 'structure', value: 'common' }] }
    const id = { id: 0x1af4, name: 'Red Hat (virtio)' }
    const nodes = all(
      pciNodes({
        functions: [
          {
            ...{
              place: '00:03.0',
              name: 'virtio-rng0',
              vendor: id,
              device: { id: 0x1044 },
              subsystem: { vendor: 1, device: 2 },
            },
            ...{
              revision: 1,
              classCode: { id: 0xff00 },
              command: [],
              status: [],
              interruptLine: 11,
              interruptPin: 'INTA',
            },
            windows: [
              { bar: 4, kind: 'memory64', prefetchable: true, size: 16384, mapped: false, address: '0xfe004000' },
            ],
            capabilities: [
              { ...capability, offset: 0x40 },
              { ...capability, offset: 0x50 },
            ],
          },
        ],
      }),
    )
    expect(nodes['00:03.0'].label).toBe('00:03.0 0x1af4:0x1044')
    expect(nodes['00:03.0/BAR 4'].description).toBe('0xfe004000, 16 KiB of memory64, not mapped')
    expect(nodes['00:03.0/capability 80'].description).toBe('structure common')
  })
})
