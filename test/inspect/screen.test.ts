import { expect, test } from 'vitest'
import { VgaText } from '../../src/devices/vga-text/vga-text.ts'
import { screenModel, screenText, screenVersion } from '../../src/inspect/screen.ts'
import { Bench } from '../devices/bench.ts'
import { FakeMachine } from '../support/fake-machine.ts'

function displayed() {
  const machine = new FakeMachine()
  const bench = new Bench()
  const display = new VgaText()
  display.attach(bench.bus)
  machine.display = display
  const screen = () => {
    const model = screenModel(machine)
    if (model?.kind !== 'text') throw new Error('no text')
    return model
  }
  return { machine, bench, screen }
}

test('a machine without a display has no screen', () => {
  expect(screenModel(new FakeMachine())).toBeUndefined()
})

test('rows are as long as there are columns, a code unit and two digits for each cell', () => {
  const { bench, screen } = displayed()
  bench.bus.writeMmio(0xb8000 + 160, 4, 0x4ec90a00n)
  const { rows, attributes, columns, palette } = screen()
  expect([rows.length, attributes.length, palette.length]).toEqual([25, 25, 16])
  expect(rows.every(row => row.length === columns)).toBe(true)
  expect([rows[1].slice(0, 3), attributes[1].slice(0, 6)]).toEqual([' ╔ ', '0a4e07'])
  expect(palette.slice(0, 8)).toEqual([
    ...['#000000', '#0000aa', '#00aa00', '#00aaaa', '#aa0000', '#aa00aa', '#aa5500', '#aaaaaa'],
  ])
})

test('as text it has no blanks at the ends', () => {
  const { bench, screen } = displayed()
  bench.bus.writeMmio(0xb8000 + 162, 2, 0x0741n)
  expect(screenText(screen())).toBe('\n A')
})

test('a graphics mode is no text', () => {
  const { bench, machine } = displayed()
  bench.out(0x3ce, 0x06)
  bench.out(0x3cf, 0x05)
  expect(screenModel(machine)).toEqual({ kind: 'graphics' })
})

test('versions differ exactly where screens do', () => {
  const { bench, screen } = displayed()
  const versions = new Set([screenVersion(screen())])
  for (let cell = 0; cell < 2000; cell += 7)
    for (const value of [0x0741n, 0x0742n, 0x1741n]) {
      bench.bus.writeMmio(0xb8000 + cell * 2, 2, value)
      versions.add(screenVersion(screen()))
    }
  expect(versions.size).toBe(1 + 3 * Math.ceil(2000 / 7))
  expect(screenVersion(screen())).toBe(screenVersion(screen()))
})
