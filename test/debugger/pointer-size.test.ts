/** How wide pointers and `long` are where no frame tells: as the code that runs, and as the symbol files say before. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { BreakpointStops } from '../../src/debugger/breakpoint-stops.ts'
import type { BreakpointPlace } from '../../src/debugger/breakpoints.ts'
import { Debugger } from '../../src/debugger/debugger.ts'
import type { StopView } from '../../src/debugger/stop-request.ts'
import { SymbolBook } from '../../src/debugger/symbol-book.ts'
import { FakeTarget } from '../support/fake-target.ts'

const TOUR = fileURLToPath(new URL('../../guests/prebuilt/tour.elf', import.meta.url))
const FILL = 0x3000n
const EVENT: BreakpointPlace = { kind: 'event', event: { kind: 'exception' } }

/** The condition asks the machine's view of the vCPU for all but its index. */
const VIEW: StopView = {
  ...{ index: 0, cpl: 0, count: 0, ripLow: 0x1000, ripHigh: 0, rootFrame: 0 },
  ...{ low: () => 0, high: () => 0, read: () => undefined, readBytes: () => undefined },
  get registers(): never {
    throw new Error('not asked for')
  },
}

function scene(book = new SymbolBook()) {
  const target = new FakeTarget([0x1000n])
  target.machine.write(Number(FILL), new Uint8Array(8).fill(0x11))
  const { vcpu } = target.machine
  const session = new Debugger(target, book)
  const stops = new BreakpointStops(book, target.machine, () => {})
  /** What a condition says of the 4 or 8 bytes that `unsigned long` has. */
  const holds = (condition: string, place: BreakpointPlace): boolean => {
    const wish = { place, condition }
    const [request] = stops.requests([{ id: 1, wish, resolved: true, addresses: [0x1000n] }])
    return request.condition?.(VIEW) ?? true
  }
  return { vcpu, session, holds }
}

const withTour = (): SymbolBook => {
  const book = new SymbolBook()
  book.addElf('tour', readFileSync(TOUR))
  return book
}

describe('a pointer', () => {
  test('has 4 bytes in a 32-bit guest', () => {
    const { session } = scene()
    expect(session.evaluate(0, '*(unsigned long*)0x3000')).toBe(0x1111_1111n)
    expect(session.evaluate(0, 'sizeof(char*)')).toBe(4n)
  })

  test('has 8 bytes in 64-bit mode', () => {
    const { session, vcpu } = scene()
    vcpu.set({ efer: 0xd01n })
    expect(session.evaluate(0, 'sizeof(char*)')).toBe(8n)
  })

  test('has as many as in the symbol files before the guest is in 64-bit mode', () => {
    const { session } = scene(withTour())
    expect(session.evaluate(0, 'sizeof(char*)')).toBe(8n)
  })

  test.each<[string, BreakpointPlace]>([
    ['of an event', EVENT],
    ['at an address', { kind: 'address', address: { space: 'linear', address: 0x1000n } }],
  ])('has in the condition of a breakpoint %s as many as in the mode then', (_what, place) => {
    const { vcpu, holds } = scene()
    expect(holds('*(unsigned long*)0x3000 == 0x11111111', place)).toBe(true)
    vcpu.set({ efer: 0xd01n })
    expect(holds('sizeof(char*) == 8', place)).toBe(true)
  })

  test('has in a condition before 64-bit mode as many as in the symbol files', () => {
    expect(scene(withTour()).holds('sizeof(char*) == 8', EVENT)).toBe(true)
  })
})
