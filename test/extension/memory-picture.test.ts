/** The memory picture without VS Code and without a browser: its messages, its history of maps, what it draws. */

import { describe, expect, test } from 'vitest'
import { differencesBody } from '../../src/extension/memory-picture/difference-text.ts'
import { MapHistory } from '../../src/extension/memory-picture/map-history.ts'
import {
  isHostMessage,
  MOST_PORTIONS,
  parsePageMessage,
  parseState,
} from '../../src/extension/memory-picture/messages.ts'
import {
  eptPieces,
  hostItems,
  physicalItems,
  rangeItems,
  rightsText,
  roughSize,
  through,
} from '../../src/extension/memory-picture/picture-model.ts'
import { matches } from '../../src/extension/memory-picture/range-filter.ts'
import { bandsBetween, layOutStrip, reachOf } from '../../src/extension/memory-picture/strip-layout.ts'
import type { MappingsBody, RangeBody } from '../../src/protocol/custom-requests.ts'
import { mappingDifferences } from '../../src/protocol/mapping-differences.ts'
import type { AreaBody } from '../../src/protocol/memory-requests.ts'

const range = (
  start: string,
  end: string,
  target: string,
  rights: string,
  more: Partial<RangeBody> = {},
): RangeBody => ({
  ...{ start, end, target, contiguous: true, rights, pageSizes: [4096] },
  ...more,
})
const area = (kind: AreaBody['kind'], name: string, start: string, end: string): AreaBody => ({
  kind,
  name,
  start,
  end,
})

const CODE = range('0x100000', '0x102000', '0x100000', 'r-xs-', {
  symbol: 'start',
  contents: [area('ram', 'RAM', '0x100000', '0x102000'), area('section', '.text', '0x100000', '0x101000')],
})
const OPEN = range('0x200000', '0x201000', '0x5000', 'rwxu-')
const STACK = range('0xffff800000000000', '0xffff800000003000', '0x7000', 'rw-sg', {
  contiguous: false,
  scatter: {
    extents: [
      { start: '0xffff800000000000', end: '0xffff800000001000', target: '0x7000' },
      { start: '0xffff800000001000', end: '0xffff800000002000', target: '0x3000' },
    ],
    ...{ omitted: 1, digest: 7 },
  },
})
const MAP: MappingsBody = { ranges: [CODE, OPEN, STACK] }

describe('ranges of the picture', () => {
  const [code, open, stack] = rangeItems(MAP, undefined)

  test('look as their rights are, and what is writable and executable is suspicious', () => {
    expect([code, open, stack].map(({ look, user }) => [look, user])).toEqual([
      ['code', false],
      ['suspicious', true],
      ['data', false],
    ])
    expect(rightsText('rwxu-')).toBe('read, write, execute; user')
    expect(rightsText('r--sg')).toBe('read; supervisor; global')
    expect(rightsText('rw-')).toBe('read, write')
  })

  test('name the most telling first', () => {
    expect(code.names).toEqual(['start', '.text', 'RAM'])
  })

  test('lead where their pieces lead', () => {
    expect(code.pieces).toEqual([{ start: 0x10_0000n, end: 0x10_2000n, target: 0x10_0000n }])
    expect([stack.pieces.map(({ target }) => target), stack.omitted]).toEqual([[0x7000n, 0x3000n], 1])
  })

  test('are marked where they differ, and what is gone is among them', () => {
    const before = { ranges: [CODE, range('0x180000', '0x181000', '0x9000', 'r--s-'), { ...STACK, rights: 'r--sg' }] }
    const items = rangeItems(MAP, differencesBody(mappingDifferences(before, MAP), 'then'))
    expect(items.map(({ key, mark }) => [key, mark])).toEqual([
      ['0x100000', undefined],
      ['-0x180000', '-'],
      ['0x200000', '+'],
      ['0xffff800000000000', '~'],
    ])
    expect(items[1]).toMatchObject({ names: ['removed: r--s- at 0x9000'], pieces: [] })
    expect(items[1]).not.toHaveProperty('body')
  })

  test('are only changed where a part of them was added', () => {
    const before = { ranges: [range('0x100000', '0x101000', '0x100000', 'r-xs-')] }
    const [first] = rangeItems(
      { ranges: [CODE] },
      differencesBody(mappingDifferences(before, { ranges: [CODE] }), 'then'),
    )
    expect(first.mark).toBe('~')
  })
})

describe('a filter', () => {
  const items = rangeItems(MAP, undefined)
  const left = (filter: string, found?: bigint) =>
    items.filter(item => matches(item, filter, found)).map(({ key }) => key)

  test.each([
    ['', ['0x100000', '0x200000', '0xffff800000000000']],
    ['.text', ['0x100000']],
    ['SECTION', ['0x100000']],
    ['rwx', ['0x200000']],
    ['suspicious', ['0x200000']],
    ['rw-', ['0xffff800000000000']],
    ['r-xs', ['0x100000']],
    ['user', ['0x200000']],
    ['supervisor write', ['0xffff800000000000']],
    ['0x101fff', ['0x100000']],
    ['0xffff80000', ['0xffff800000000000']],
    ['nothing of the kind', []],
  ])('"%s" leaves its ranges', (filter, keys) => {
    expect(left(filter)).toEqual(keys)
  })

  test('that was evaluated leaves the range of its address', () => {
    expect(left('$rsp', 0xffff_8000_0000_2ff8n)).toEqual(['0xffff800000000000'])
    expect(left('$rsp')).toEqual([])
  })
})

describe('a strip', () => {
  const measures = { least: 20, doubling: 2, gap: 10 }
  const items = [
    { start: 0n, end: 0x1000n },
    { start: 0x1000n, end: 0x5000n },
    { start: 1n << 40n, end: 1n << 41n },
  ]
  const strip = layOutStrip(items, measures)

  test('has bands as high as the logarithm of their size, and cuts out what is between', () => {
    expect(strip.bands.map(({ kind, y, height }) => [kind, y, height])).toEqual([
      ['item', 0, 20],
      ['item', 20, 24],
      ['gap', 44, 10],
      ['item', 54, 76],
    ])
    expect(strip.height).toBe(130)
    expect(strip.bands[2]).toMatchObject({ start: 0x5000n, end: 1n << 40n })
    expect(layOutStrip([], measures)).toEqual({ bands: [], height: 0 })
  })

  test('shows a part of its space from where to where it is in it', () => {
    expect(reachOf(strip, { start: 0x3000n, end: 0x4000n })).toEqual({ top: 32, bottom: 38 })
    expect(reachOf(strip, { start: 0x800n, end: 1n << 42n })).toEqual({ top: 10, bottom: 130 })
    expect(reachOf(strip, { start: 0x6000n, end: 0x7000n })).toBeUndefined()
  })

  test('draws what is to be seen', () => {
    expect(bandsBetween(strip, 45, 50).map(({ kind }) => kind)).toEqual(['gap'])
  })
})

describe('the strips beside', () => {
  test('are areas without overlaps, the smaller before the larger, without the tables in them', () => {
    const areas = [
      ...[area('reserved', 'firmware', '0xe0000', '0x100000'), area('table', 'ACPI DSDT', '0xe0040', '0xe0900')],
      ...[area('ram', 'RAM', '0x100000', '0x4000000'), area('device', 'window', '0x200000', '0x201000')],
    ]
    expect(physicalItems(areas).map(({ name, start, end }) => [name, start, end])).toEqual([
      ['firmware', 0xe0000n, 0x100000n],
      ['RAM', 0x100000n, 0x200000n],
      ['window', 0x200000n, 0x201000n],
      ['RAM', 0x201000n, 0x4000000n],
    ])
  })

  test('are frames of the host in their order, joined', () => {
    const ept = {
      ranges: [
        range('0x0', '0x1000', '0x8000', 'rwx'),
        range('0x1000', '0x2000', '0x6000', 'rwx'),
        range('0x9000', '0xa000', '0x7000', 'rwx'),
      ],
    }
    expect(hostItems(ept)).toEqual([{ kind: 'host', name: 'frames', start: 0x6000n, end: 0x9000n }])
    const piece = { start: 0x40_0800n, end: 0x40_1800n, target: 0x800n }
    expect(through(eptPieces(ept), piece)).toEqual([
      { start: 0x800n, end: 0x1000n, target: 0x8800n },
      { start: 0x1000n, end: 0x1800n, target: 0x6000n },
    ])
  })

  test('say sizes roughly', () => {
    expect([roughSize(4096n), roughSize(0x4000_2000n), roughSize(3000n), roughSize(0xfffff0000000n)]).toEqual([
      ...['4 KiB', '~1 GiB', '~3 KiB', '~256 TiB'],
    ])
  })
})

describe('the history of maps', () => {
  const seen = (cr3: string, instructions: number) => ({ cr3, instructions, map: MAP })

  test('has the map of the stop before, however often that of this one is asked for', () => {
    const history = new MapHistory()
    history.begin('a')
    history.show(seen('0x1000', 10))
    expect(history.base('before')).toBeUndefined()
    history.show(seen('0x1000', 20))
    history.show(seen('0x2000', 20))
    expect(history.base('before')).toEqual(seen('0x1000', 10))
    expect(history.bases('0x2000')[1].label).toBe('the stop before: CR3 0x1000 at 10 instructions')
  })

  test('keeps what is to be remembered, once each and not without end', () => {
    const history = new MapHistory()
    expect(history.remember()).toBeUndefined()
    for (let i = 0; i < 20; i++) {
      history.show(seen('0x1000', i))
      const value = history.remember()
      expect(history.remember()).toBe(value)
      expect(history.base(value ?? '')).toEqual(seen('0x1000', i))
    }
    expect(history.bases('').filter(({ label }) => label.startsWith('remembered'))).toHaveLength(8)
  })

  test('offers address spaces that were seen, but for the one that is shown', () => {
    const history = new MapHistory()
    history.seen('0x1000', '0x2000')
    history.seen('0x2000', '0x3000')
    expect(history.spaces).toEqual(['0x2000', '0x3000', '0x1000'])
    expect(history.bases('0x3000').map(({ value }) => value)).toEqual(['', 'before', 'space:0x2000', 'space:0x1000'])
    expect(history.base('space:0x2000')).toEqual({ space: '0x2000' })
    expect(history.base('')).toBeUndefined()
  })

  test('begins anew with a session', () => {
    const history = new MapHistory()
    history.begin('a')
    history.show(seen('0x1000', 10))
    history.seen('0x1000')
    history.remember()
    history.begin('a')
    expect(history.spaces).toHaveLength(1)
    history.begin('b')
    expect(history.bases('').map(({ value }) => value)).toEqual(['', 'before'])
  })
})

describe('differences', () => {
  const told = (before: RangeBody[], after: RangeBody[]) =>
    differencesBody(mappingDifferences({ ranges: before }, { ranges: after }), 'then').lines.map(
      ({ mark, start, size, text }) => `${mark} ${start} ${size} ${text}`,
    )

  test('are lines', () => {
    const at = (start: string, end: string, target: string, rights = 'rw-u-') => range(start, end, target, rights)
    const page = at('0x1000', '0x2000', '0x9000')
    expect(told([], [page])).toEqual(['+ 0x1000 4 KiB added: rw-u- at 0x9000'])
    expect(told([page], [])).toEqual(['- 0x1000 4 KiB removed: rw-u- at 0x9000'])
    expect(told([page], [at('0x1000', '0x2000', '0x9000', 'r--u-')])).toEqual(['~ 0x1000 4 KiB rw-u- became r--u-'])
    expect(told([page], [at('0x1000', '0x2000', '0x8000')])).toEqual([
      '~ 0x1000 4 KiB leads to 0x8000, before to 0x9000',
    ])
    expect(told([page], [at('0x4000', '0x5000', '0x9000')])).toEqual([
      '+ 0x4000 4 KiB moved here from 0x1000: rw-u- at 0x9000',
    ])
    expect(told([page], [at('0x1000', '0x2000', '0x8000', 'r--u-')])).toEqual([
      '~ 0x1000 4 KiB rw-u- at 0x9000 became r--u- at 0x8000',
    ])
  })

  test('say what was not compared', () => {
    const { notes } = differencesBody({ differences: [], omitted: 3, upTo: 0x1000n, uncertain: true }, 'then')
    expect(notes).toHaveLength(3)
    expect(notes.join()).toContain('0x1000')
  })
})

describe('messages of the page', () => {
  test.each([
    [{ type: 'ready' }],
    [{ type: 'remember' }],
    [{ type: 'show', space: '', base: 'before', portions: 1 }],
    [{ type: 'find', expression: '$rsp' }],
    [{ type: 'openMemory', reference: 'hpa:0x1000' }],
    [{ type: 'openCode', reference: 'cr3=0x5000:0x1000' }],
    [{ type: 'translate', reference: '0x1000' }],
  ])('%j is one', message => {
    expect(parsePageMessage({ ...message, more: 1 })).toEqual(message)
  })

  test.each([
    [undefined],
    ['ready'],
    [{}],
    [{ type: 'exit' }],
    [{ type: 'show', space: '', base: '' }],
    [{ type: 'show', space: '', base: '', portions: 0 }],
    [{ type: 'show', space: '', base: '', portions: MOST_PORTIONS + 1 }],
    [{ type: 'show', space: 'x'.repeat(1001), base: '', portions: 1 }],
    [{ type: 'show', space: 7, base: '', portions: 1 }],
    [{ type: 'find' }],
    [{ type: 'openMemory', reference: 'file:///etc/passwd' }],
    [{ type: 'translate', reference: '$rip' }],
  ])('%j is none', message => {
    expect(parsePageMessage(message)).toBeUndefined()
  })

  test('to the page are told from what else comes to a window', () => {
    const picture = { guest: MAP, areas: [], spaces: [], bases: [] }
    for (const message of [
      { type: 'stopped' },
      { type: 'picture', picture },
      { type: 'found', expression: 'x', address: '0x1' },
      { type: 'remembered', base: 'x' },
      { type: 'failed', message: 'x' },
    ])
      expect(isHostMessage(message)).toBe(true)
    for (const message of [
      null,
      'x',
      {},
      { type: 'picture' },
      { type: 'picture', picture: { ...picture, guest: {} } },
      { type: 'found' },
    ])
      expect(isHostMessage(message)).toBe(false)
  })

  test('a state of another version is not restored', () => {
    const state = { space: '0x1000', base: '', portions: 2, filter: 'rwx' }
    expect(parseState(state)).toEqual(state)
    for (const other of [undefined, 7, {}, { ...state, portions: 99 }, { ...state, filter: 1 }])
      expect(parseState(other)).toBeUndefined()
  })
})
