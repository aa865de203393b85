import { expect, test } from 'vitest'
import { DebugConsole } from '../../../src/devices/debug-console/debug-console.ts'
import { Bench } from '../bench.ts'

test('bytes written to port 0xE9 reach the host, reads tell that the port is there', () => {
  const bench = new Bench()
  const bytes: number[] = []
  new DebugConsole(byte => bytes.push(byte)).attach(bench.bus)
  for (const byte of new TextEncoder().encode('hi')) bench.out(0xe9, byte)
  bench.bus.writePort(0xe8, 2, 0x2100)
  expect([String.fromCharCode(...bytes), bench.in(0xe9)]).toEqual(['hi!', 0xe9])
})
