import { beforeEach, describe, expect, test } from 'vitest'
import { cmosMemorySize } from '../../../src/devices/rtc/cmos-memory.ts'
import { Rtc } from '../../../src/devices/rtc/rtc.ts'
import { Bench, ProbeLine } from '../bench.ts'

const SECOND = 1e9
/** A Thursday. */
const START = Date.UTC(2026, 0, 1, 13, 59, 58) / 1000

let bench: Bench
let line: ProbeLine
let rtc: Rtc

beforeEach(() => {
  bench = new Bench()
  line = new ProbeLine()
  rtc = new Rtc({ clock: bench.clock, interrupt: line, start: START, cmos: new Map([[0x40, 0x77]]) })
  rtc.attach(bench.bus)
})

function read(register: number): number {
  bench.out(0x70, register)
  return bench.in(0x71)
}

function write(register: number, value: number): void {
  bench.out(0x70, register)
  bench.out(0x71, value)
}

/** Century, year, month, day, weekday, hours, minutes, seconds. */
function time(): number[] {
  return [0x32, 9, 8, 7, 6, 4, 2, 0].map(read)
}

describe('the time', () => {
  test('reads in BCD and 24 hours at first', () => {
    expect(time()).toEqual([0x20, 0x26, 0x01, 0x01, 5, 0x13, 0x59, 0x58])
    expect([read(0x0a), read(0x0b), read(0x0d)]).toEqual([0x26, 0x02, 0x80])
  })

  test('follows virtual time', () => {
    bench.advance(2 * SECOND)
    expect(time().slice(5)).toEqual([0x14, 0x00, 0x00])
    bench.advance(10 * 3600 * SECOND)
    expect(time()).toEqual([0x20, 0x26, 0x01, 0x02, 6, 0x00, 0x00, 0x00])
  })

  test('reads in binary and in 12 hours when told to', () => {
    write(0x0b, 0x04)
    expect(time()).toEqual([20, 26, 1, 1, 5, 0x81, 59, 58])
    write(0x0b, 0x00)
    expect(read(4)).toBe(0x81)
    bench.advance(11 * 3600 * SECOND)
    expect(read(4)).toBe(0x12)
  })

  test('can be set with the SET bit, and goes on from there', () => {
    write(0x0b, 0x82)
    for (const [register, value] of [
      [0x32, 0x19],
      [9, 0x99],
      [8, 0x12],
      [7, 0x31],
      [4, 0x23],
      [2, 0x59],
      [0, 0x59],
    ])
      write(register, value)
    bench.advance(5 * SECOND)
    expect(read(0)).toBe(0x59)
    write(0x0b, 0x02)
    expect(time()).toEqual([0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59])
    bench.advance(SECOND)
    expect(time()).toEqual([0x20, 0x00, 0x01, 0x01, 7, 0, 0, 0])
  })

  test('can be set while it runs', () => {
    write(4, 0x05)
    bench.advance(SECOND)
    expect(time().slice(5)).toEqual([0x05, 0x59, 0x59])
  })

  test('updates half a second after the divider starts', () => {
    write(0x0a, 0x76)
    bench.advance(3 * SECOND)
    expect(read(0)).toBe(0x58)
    write(0x0a, 0x26)
    bench.advance(SECOND / 2 - 1)
    expect(read(0)).toBe(0x58)
    bench.advance(1)
    expect(read(0)).toBe(0x59)
  })

  test('announces an update 244 µs ahead', () => {
    bench.advance(SECOND - 244_001)
    expect(read(0x0a)).toBe(0x26)
    bench.advance(1)
    expect(read(0x0a)).toBe(0xa6)
    bench.advance(244_000)
    expect(read(0x0a)).toBe(0x26)
  })
})

describe('interrupts', () => {
  test('update-ended comes every second, once acknowledged', () => {
    write(0x0b, 0x12)
    bench.advance(3 * SECOND)
    expect([line.level, line.edges]).toEqual([true, 1])
    expect(read(0x0c)).toBe(0xd0)
    expect([line.level, read(0x0c)]).toEqual([false, 0])
    bench.advance(SECOND)
    expect(line.edges).toBe(2)
  })

  test('the alarm comes at its time, with wildcards each time they match', () => {
    write(5, 0x14)
    write(3, 0x01)
    write(1, 0x30)
    write(0x0b, 0x22)
    bench.advance(91 * SECOND)
    expect(line.level).toBe(false)
    bench.advance(SECOND)
    expect([line.level, read(0x0c)]).toEqual([true, 0xf0])
    write(5, 0xff)
    write(3, 0xc0)
    bench.advance(59 * SECOND)
    expect(line.level).toBe(false)
    bench.advance(SECOND)
    expect(line.level).toBe(true)
  })

  test('the alarm may be tomorrow, or never', () => {
    write(5, 0x13)
    write(3, 0x59)
    write(1, 0x58)
    write(0x0b, 0x22)
    bench.advance(86399 * SECOND)
    expect(line.level).toBe(false)
    bench.advance(SECOND)
    expect(line.level).toBe(true)
    write(5, 0x77)
    read(0x0c)
    bench.advance(3 * 86400 * SECOND)
    expect(line.level).toBe(false)
  })

  test('periodic ones come at the rate of register A', () => {
    write(0x0b, 0x42)
    let count = 0
    for (let i = 0; i < 4096; i++) {
      bench.advance(SECOND / 4096)
      if (read(0x0c) & 0x40) count++
    }
    expect(count).toBe(1024)
    expect(line.edges).toBe(1024)
  })

  test('flags are set without interrupts too', () => {
    bench.advance(SECOND)
    expect([read(0x0c) & 0xd0, line.edges]).toEqual([0x50, 0])
  })
})

test('a reset disables interrupts and clears their flags, time goes on', () => {
  write(0x0b, 0x12)
  bench.advance(2 * SECOND)
  rtc.reset()
  expect([line.level, read(0x0b), read(2)]).toEqual([false, 0x02, 0x00])
  bench.advance(SECOND)
  expect([line.level, read(0)]).toEqual([false, 0x01])
})

describe('memory', () => {
  test('holds what it was given and what is written, index bit 7 aside', () => {
    expect(read(0xc0)).toBe(0x77)
    write(0x50, 0x12)
    expect([read(0x50), bench.in(0x70)]).toEqual([0x12, 0xff])
    rtc.reset()
    expect(read(0x50)).toBe(0x12)
  })

  test('tells the size of memory as firmware does', () => {
    const bytes = cmosMemorySize({ below4G: 256 * 2 ** 20, above4G: 2 ** 30, cpus: 2 })
    const word = (low: number): number => (bytes.get(low) ?? 0) | ((bytes.get(low + 1) ?? 0) << 8)
    expect([word(0x15), word(0x17), word(0x30), word(0x34), word(0x5b), bytes.get(0x5f)]).toEqual([
      640, 65535, 65535, 3840, 16384, 1,
    ])
  })
})
