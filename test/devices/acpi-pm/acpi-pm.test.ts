import { beforeEach, describe, expect, test } from 'vitest'
import { AcpiPm } from '../../../src/devices/acpi-pm/acpi-pm.ts'
import { GPE0, PM_TIMER, PM1A_CONTROL, PM1A_EVENT, SLP_TYP_S5 } from '../../../src/devices/acpi-pm/registers.ts'
import { Bench, ProbeLine } from '../bench.ts'

const STATUS = PM1A_EVENT
const ENABLE = PM1A_EVENT + 2

let bench: Bench
let line: ProbeLine
let powerOffs: number
let pm: AcpiPm

beforeEach(() => {
  bench = new Bench()
  line = new ProbeLine()
  powerOffs = 0
  pm = new AcpiPm({
    clock: bench.clock,
    interrupt: line,
    onPowerOff: () => {
      powerOffs++
    },
  })
  pm.attach(bench.bus)
})

function read(port: number): number {
  return bench.bus.readPort(port, 2)
}

function write(port: number, value: number): void {
  bench.bus.writePort(port, 2, value)
}

test('the timer counts 3.579545 MHz in 24 bits', () => {
  bench.advance(1e9)
  expect(bench.bus.readPort(PM_TIMER, 4)).toBe(3579545)
  bench.advance(4e9)
  expect(bench.bus.readPort(PM_TIMER, 4)).toBe((5 * 3579545) % 2 ** 24)
})

test('hardware is in ACPI mode from the start', () => {
  expect(read(PM1A_CONTROL)).toBe(1)
  write(PM1A_CONTROL, 0)
  expect(read(PM1A_CONTROL)).toBe(1)
})

describe('soft off', () => {
  test('happens when S5 is entered, and only then', () => {
    write(PM1A_CONTROL, SLP_TYP_S5 << 10)
    write(PM1A_CONTROL, (1 << 10) | 0x2000)
    expect([powerOffs, read(PM1A_CONTROL)]).toEqual([0, 0x0401])
    write(PM1A_CONTROL, (SLP_TYP_S5 << 10) | 0x2000)
    expect([powerOffs, read(PM1A_CONTROL)]).toEqual([1, (SLP_TYP_S5 << 10) | 1])
  })
})

describe('events', () => {
  test('raise the SCI while they are enabled and set', () => {
    pm.pressPowerButton()
    expect([line.level, read(STATUS)]).toEqual([false, 0x100])
    write(ENABLE, 0xffff)
    expect([line.level, read(ENABLE)]).toEqual([true, 0x721])
    write(STATUS, 0x100)
    expect([line.level, read(STATUS)]).toEqual([false, 0])
  })

  test('tell that the top bit of the timer has changed', () => {
    write(ENABLE, 1)
    bench.advance(2.343e9)
    expect(line.level).toBe(false)
    bench.advance(1e6)
    expect([line.level, read(STATUS)]).toEqual([true, 1])
    write(STATUS, 1)
    expect(line.level).toBe(false)
    bench.advance(2.344e9)
    expect([line.level, line.edges]).toEqual([true, 2])
  })

  test('of general purpose raise it too', () => {
    bench.out(GPE0 + 3, 0x80)
    pm.raiseEvent(15)
    expect([line.level, read(GPE0), read(GPE0 + 2)]).toEqual([true, 0x8000, 0x8000])
    bench.bus.writePort(GPE0, 4, 0x80008000)
    expect([line.level, bench.bus.readPort(GPE0, 4)]).toEqual([false, 0x80000000])
  })
})
