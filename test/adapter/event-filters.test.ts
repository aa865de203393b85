import { describe, expect, test } from 'vitest'
import { filteredEvent } from '../../src/adapter/event-filters.ts'
import { RequestError } from '../../src/adapter/request.ts'

describe('a filter of events', () => {
  test.each([
    ['exception', '', { kind: 'exception' }, undefined],
    ['exception', '#PF, 13', { kind: 'exception', vectors: [14, 13] }, undefined],
    ['exception', 'pf if $cpl == 3', { kind: 'exception', vectors: [14] }, '$cpl == 3'],
    ['exception', 'if $rax', { kind: 'exception' }, '$rax'],
    ['unhandled', '', { kind: 'exception', unhandled: true }, undefined],
    ['interrupt', '0x20 236', { kind: 'interrupt', vectors: [32, 236] }, undefined],
    ['cr', '', { kind: 'control-register', registers: [3] }, undefined],
    ['cr', 'CR0, 4', { kind: 'control-register', registers: [0, 4] }, undefined],
    ['msr', '0xc0000082', { kind: 'msr', msrs: [0xc0000082] }, undefined],
    ['port', '', { kind: 'port', first: 0, last: 0xffff }, undefined],
    ['port', '0x3f8-0x3ff out', { kind: 'port', first: 0x3f8, last: 0x3ff, direction: 'out' }, undefined],
    ['exit', 'cpuid hlt', { kind: 'exit', reasons: ['cpuid', 'hlt'] }, undefined],
    ['transition', 'user', { kind: 'transition', to: 'user' }, undefined],
    ['event', '', { kind: 'guest-event' }, undefined],
    ['event', 'ready, done if $rax', { kind: 'guest-event', names: ['ready', 'done'] }, '$rax'],
    ['virtqueue', '', { kind: 'virtio', steps: ['kick'] }, undefined],
    [
      'virtqueue',
      'used taken virtio-blk0 1 sector 2048-4095 if $rax',
      {
        ...{ kind: 'virtio', steps: ['taken', 'used'], device: 'virtio-blk0', queue: 1 },
        sectors: { first: 2048, last: 4095 },
      },
      '$rax',
    ],
    [
      'virtqueue',
      'kick virtio-blk0 sector 7',
      { kind: 'virtio', steps: ['kick'], device: 'virtio-blk0', sectors: { first: 7, last: 7 } },
      undefined,
    ],
    ['broken', 'virtio-net0', { kind: 'virtio', steps: ['broken'], device: 'virtio-net0' }, undefined],
    ['int3', '', { kind: 'int3' }, undefined],
  ])('%s "%s"', (id, condition, event, expression) => {
    expect(filteredEvent(id, condition)).toEqual({ event, ...(expression === undefined ? {} : { expression }) })
  })

  test.each([
    ['nothing', '', 'there is no exception filter "nothing"'],
    ['exception', '256', 'a number from 0 to 255'],
    ['exception', 'page fault', '"page"'],
    ['cr', '2', 'cr0, cr3 or cr4'],
    ['port', '1 2', 'one port or one range'],
    ['port', '0x10000', 'a number from 0 to 65535'],
    ['exit', 'soon', 'there is no reason "soon"'],
    ['transition', 'up', 'kernel or user'],
    ['virtqueue', 'kick 0', '"0": steps (ready, kick, taken, used, interrupt, reset, broken), a device'],
    ['virtqueue', 'kick virtio-blk0 0 1', '"1": steps'],
    ['virtqueue', 'used virtio-blk0 sector 9-2', '"9-2": a sector or a range'],
    ['virtqueue', 'used virtio-blk0 x', '"x": a number from 0'],
    ['magic', '5', 'nothing but "if EXPRESSION"'],
  ])('%s "%s" is refused', (id, condition, why) => {
    expect(() => filteredEvent(id, condition)).toThrow(RequestError)
    expect(() => filteredEvent(id, condition)).toThrow(why)
  })
})
