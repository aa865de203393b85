import { describe, expect, test } from 'vitest'
import type { MappingsBody, RangeBody } from '../../src/protocol/custom-requests.ts'
import { mappingDifferences } from '../../src/protocol/mapping-differences.ts'

const hex = (value: number): string => `0x${value.toString(16)}`
const range = (start: number, end: number, target: number, rights = 'rw-u-'): RangeBody => ({
  ...{ start: hex(start), end: hex(end), target: hex(target), contiguous: true, rights, pageSizes: [4096] },
})
/** @param targets of its first pages; the range goes on to `end`. */
const scattered = (start: number, end: number, targets: readonly number[], digest: number): RangeBody => ({
  ...range(start, end, targets[0]),
  contiguous: false,
  scatter: {
    extents: targets.map((target, i) => ({
      ...{ start: hex(start + i * 0x1000), end: hex(start + (i + 1) * 0x1000), target: hex(target) },
    })),
    omitted: (end - start) / 0x1000 - targets.length,
    digest,
  },
})
const list = (...ranges: RangeBody[]): MappingsBody => ({ ranges })
/** `kind start-end` of each. */
const brief = (before: MappingsBody, after: MappingsBody): string[] =>
  mappingDifferences(before, after).differences.map(
    ({ kind, start, end, from }) =>
      `${kind} ${start.toString(16)}-${end.toString(16)}${from === undefined ? '' : ` from ${from.toString(16)}`}`,
  )

describe('differences between two maps', () => {
  test('are none between equal ones, however they are cut into ranges', () => {
    const whole = list(range(0x1000, 0x5000, 0x9000))
    expect(brief(whole, whole)).toEqual([])
    expect(brief(whole, list(range(0x1000, 0x2000, 0x9000), range(0x2000, 0x5000, 0xa000)))).toEqual([])
    expect(mappingDifferences(whole, whole)).toEqual({ differences: [], omitted: 0, uncertain: false })
  })

  test('are what was added and removed, also inside of what was there', () => {
    const before = list(range(0x1000, 0x3000, 0x1000), range(0x8000, 0x9000, 0x8000))
    const after = list(range(0x1000, 0x5000, 0x1000), range(0x20000, 0x21000, 0))
    expect(brief(before, after)).toEqual(['added 3000-5000', 'removed 8000-9000', 'added 20000-21000'])
    expect(brief(after, before)).toEqual(['removed 3000-5000', 'added 8000-9000', 'removed 20000-21000'])
    expect(brief(list(), before)).toEqual(['added 1000-3000', 'added 8000-9000'])
    expect(brief(before, list())).toEqual(['removed 1000-3000', 'removed 8000-9000'])
  })

  test('are rights and targets that changed, each where it did', () => {
    const before = list(range(0x1000, 0x9000, 0x1000))
    const after = list(
      range(0x1000, 0x2000, 0x1000),
      range(0x2000, 0x3000, 0x2000, 'r--u-'),
      range(0x3000, 0x4000, 0x70000),
      range(0x4000, 0x5000, 0x80000, 'r-xu-'),
      range(0x5000, 0x9000, 0x5000),
    )
    const { differences } = mappingDifferences(before, after)
    expect(differences).toEqual([
      {
        ...{ kind: 'rights', start: 0x2000n, end: 0x3000n },
        ...{ before: { rights: 'rw-u-', target: 0x2000n }, after: { rights: 'r--u-', target: 0x2000n } },
      },
      {
        ...{ kind: 'target', start: 0x3000n, end: 0x4000n },
        ...{ before: { rights: 'rw-u-', target: 0x3000n }, after: { rights: 'rw-u-', target: 0x70000n } },
      },
      {
        ...{ kind: 'rights and target', start: 0x4000n, end: 0x5000n },
        ...{ before: { rights: 'rw-u-', target: 0x4000n }, after: { rights: 'r-xu-', target: 0x80000n } },
      },
    ])
  })

  test('are one for a region that changed as a whole, page by page', () => {
    const pages = (first: number, step: number) =>
      list(...Array.from({ length: 8 }, (_, i) => range(0x1000 + i * 0x1000, 0x2000 + i * 0x1000, first + i * step)))
    expect(brief(pages(0, 0x2000), pages(0x100000, 0x3000))).toEqual(['target 1000-9000'])
    const readOnly = list(range(0x1000, 0x9000, 0x1000, 'r--u-'))
    expect(brief(list(range(0x1000, 0x4000, 0x1000), range(0x4000, 0x9000, 0x4000)), readOnly)).toEqual([
      'rights 1000-9000',
    ])
  })

  test('are one for a region that moved to other addresses', () => {
    const before = list(range(0x1000, 0x3000, 0x50000), range(0x8000, 0x9000, 0x60000))
    const after = list(range(0x8000, 0x9000, 0x60000), range(0xa000, 0xc000, 0x50000))
    expect(brief(before, after)).toEqual(['moved a000-c000 from 1000'])
    const shared = list(range(0xa000, 0xc000, 0x50000), range(0xd000, 0xf000, 0x50000))
    expect(brief(before, shared)).toEqual(['removed 8000-9000', 'moved a000-c000 from 1000', 'added d000-f000'])
  })

  test('of scattered pages are found in the pieces that were told, and by the digest in the others', () => {
    const before = list(scattered(0x1000, 0x9000, [0x70000, 0x20000], 1))
    expect(brief(before, list(scattered(0x1000, 0x9000, [0x70000, 0x20000], 1)))).toEqual([])
    expect(brief(before, list(scattered(0x1000, 0x9000, [0x70000, 0x30000], 2)))).toEqual(['target 2000-3000'])
    expect(brief(before, list(scattered(0x1000, 0x9000, [0x70000, 0x20000], 3)))).toEqual(['target 3000-9000'])
  })

  test('that cannot be known are not made up, and it is said', () => {
    const before = list(scattered(0x1000, 0x9000, [0x70000, 0x20000], 1))
    const longer = list(scattered(0x1000, 0xa000, [0x70000, 0x20000], 2))
    expect(brief(before, longer)).toEqual(['added 9000-a000'])
    expect(mappingDifferences(before, longer).uncertain).toBe(true)
  })

  test('end where one of the lists does', () => {
    const before = { ...list(range(0x1000, 0x2000, 0), range(0x4000, 0x8000, 0x4000)), next: '0x8000' }
    const after = list(range(0x4000, 0xa000, 0x4000), range(0x10000, 0x11000, 0))
    expect(brief(before, after)).toEqual(['removed 1000-2000'])
    expect(mappingDifferences(before, after).upTo).toBe(0x8000n)
  })

  test('reach up to the end of the address space', () => {
    const top = { ...range(0, 0, 0), start: '0xfffffffffffff000', end: '0x10000000000000000' }
    expect(brief(list(), list(top))).toEqual(['added fffffffffffff000-10000000000000000'])
  })

  test('are bounded', () => {
    const many = list(...Array.from({ length: 1500 }, (_, i) => range(i * 0x2000, i * 0x2000 + 0x1000, i * 0x3000)))
    const { differences, omitted } = mappingDifferences(list(), many)
    expect([differences.length, omitted]).toEqual([1000, 500])
  })
})
