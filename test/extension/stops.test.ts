/** Stops set from views: the view of them, and what a stop of the guest says of them. */

import { expect, test } from 'vitest'
import {
  asViewStop,
  type SetStop,
  stopKey,
  stopKeys,
  stopNodes,
  withHits,
} from '../../src/extension/views/stops-model.ts'
import type { ViewStop } from '../../src/protocol/view-stops.ts'

const ENTRY: ViewStop = { kind: 'change', memory: 'phys:0x1018', length: 8, name: 'PT[3] at phys:0x1018' }
const EXIT: ViewStop = { kind: 'event', filterId: 'exit', condition: 'io' }
const HANDLER: ViewStop = { kind: 'code', address: '0x100a50', name: 'vector 128, at system_call' }
const SET: readonly SetStop[] = [
  { stop: ENTRY, id: 4 },
  { stop: EXIT, id: 5 },
  { stop: HANDLER, id: 6 },
]

test('each is listed with what it waits for, and what can be done with it', () => {
  expect(stopNodes(SET)).toMatchObject([
    { label: 'PT[3] at phys:0x1018', description: 'when it changes', subject: { stop: ENTRY, memory: 'phys:0x1018' } },
    { label: 'exit: io', description: 'at each', subject: { stop: EXIT } },
    { label: 'vector 128, at system_call', description: 'before it runs', subject: { code: '0x100a50' } },
  ])
  expect(new Set(stopNodes(SET).map(({ id }) => id)).size).toBe(3)
})

test('a stop of the guest marks those that it was for; they keep what was said when others are hit', () => {
  const text = 'PT[3] at phys:0x1018 changed from 0x0 to 0x7, by 0x1 <map_page>'
  const first = withHits(SET, { hitBreakpointIds: [4, 99], text })
  expect(stopNodes(first)[0]).toMatchObject({ icon: 'debug-stackframe', description: `stopped here: ${text}` })
  const second = withHits(first, { hitBreakpointIds: [5], text: 'exit: io' })
  expect(stopNodes(second).map(({ description }) => description)).toEqual([
    text,
    'stopped here: exit: io',
    'before it runs',
  ])
  for (const body of [undefined, {}, { hitBreakpointIds: 'all' }, { hitBreakpointIds: [] }])
    expect(stopNodes(withHits(second, body))[1].description).toBe('exit: io')
})

test('stops are the same by what they stop at, whatever they are called', () => {
  expect(stopKey({ ...ENTRY, name: 'another' })).toBe(stopKey(ENTRY))
  expect(stopKeys(SET)).toEqual(new Set(['change phys:0x1018 8', 'event exit io', 'code 0x100a50']))
})

test('a command that is called with something else does nothing', () => {
  for (const stop of [ENTRY, EXIT, HANDLER]) expect(asViewStop({ ...stop, more: 1 })).toEqual(stop)
  for (const value of [undefined, 7, {}, { ...ENTRY, length: '8' }, { ...EXIT, condition: 1 }, { kind: 'code' }])
    expect(asViewStop(value)).toBeUndefined()
})
