import { expect, test } from 'vitest'
import { DebugExit } from '../../../src/devices/debug-exit/debug-exit.ts'
import { Bench } from '../bench.ts'

test('what is written to port 0xf4, in any width, is the value of the exit', () => {
  const bench = new Bench()
  const values: number[] = []
  new DebugExit(value => values.push(value)).attach(bench.bus)
  bench.out(0xf4, 0x10)
  bench.bus.writePort(0xf4, 2, 0x1234)
  bench.bus.writePort(0xf4, 4, 0xdeadbeef)
  expect([values, bench.in(0xf4)]).toEqual([[0x10, 0x1234, 0xdeadbeef], 0])
})
