import { expect, test } from 'vitest'
import { FastReset } from '../../../src/devices/fast-reset/fast-reset.ts'
import { ResetControl } from '../../../src/devices/fast-reset/reset-control.ts'
import { Bench } from '../bench.ts'

test('port 0x92 switches A20 and resets when its lowest bit rises', () => {
  const bench = new Bench()
  const a20: boolean[] = []
  let resets = 0
  const port = new FastReset({
    onReset: () => {
      resets++
    },
    onA20: enabled => a20.push(enabled),
  })
  port.attach(bench.bus)
  expect(bench.in(0x92)).toBe(0x02)
  bench.out(0x92, 0x00)
  bench.out(0x92, 0x02)
  expect([a20, resets]).toEqual([[false, true], 0])
  bench.out(0x92, 0x03)
  bench.out(0x92, 0x03)
  expect([resets, bench.in(0x92)]).toEqual([1, 0x03])
})

test('port 0xCF9 resets when bit 2 rises', () => {
  let resets = 0
  const control = new ResetControl(() => {
    resets++
  })
  control.writePort(0xcf9, 1, 0x02)
  expect([resets, control.readPort(0xcf9, 1)]).toEqual([0, 0x02])
  control.writePort(0xcf9, 1, 0x06)
  control.writePort(0xcf9, 1, 0x06)
  expect(resets).toBe(1)
  control.reset()
  control.writePort(0xcf9, 1, 0x0e)
  expect([resets, control.readPort(0xcf9, 1)]).toEqual([2, 0x06])
})
