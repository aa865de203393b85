import { beforeEach, describe, expect, test } from 'vitest'
import { Oscillator } from '../../../src/devices/oscillator.ts'
import { PIT_HERTZ, Pit } from '../../../src/devices/pit/pit.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'
import { Bench, ProbeLine } from '../bench.ts'

const CONTROL = 0x43
const PORT_B = 0x61

let bench: Bench
let line: ProbeLine
let pit: Pit

beforeEach(() => {
  bench = new Bench()
  line = new ProbeLine()
  pit = new Pit({ clock: bench.clock, interrupt: line })
  pit.attach(bench.bus)
})

/** Lets the timer's clock reach `tick` since power-on. */
function toTick(tick: number): void {
  bench.advance(new Oscillator(bench.clock, PIT_HERTZ).timeOf(tick) - bench.clock.now)
}

function program(counter: number, control: number, count: number): void {
  bench.out(CONTROL, (counter << 6) | control)
  bench.out(0x40 + counter, count & 0xff)
  bench.out(0x40 + counter, count >>> 8)
}

function latch(counter: number): number {
  bench.out(CONTROL, counter << 6)
  return bench.in(0x40 + counter) | (bench.in(0x40 + counter) << 8)
}

function status(counter: number): number {
  bench.out(CONTROL, 0xe0 | (2 << counter))
  return bench.in(0x40 + counter)
}

test('the crystal is exact in both directions however late it is', () => {
  const clock = new VirtualClock()
  for (const hertz of [32768, PIT_HERTZ, 3579545, 10_000_000]) {
    const oscillator = new Oscillator(clock, hertz)
    for (const tick of [1, 2, 3, 999_983, 1e9 + 7, 2e11 + 11]) {
      clock.skipped = oscillator.timeOf(tick)
      expect(oscillator.ticks).toBe(tick)
      clock.skipped--
      expect(oscillator.ticks).toBe(tick - 1)
    }
  }
})

describe('mode 2', () => {
  test('interrupts at the programmed rate', () => {
    // 1000 Hz, within the crystal.
    program(0, 0x34, 1193)
    line.edges = 0
    bench.advance(1e9)
    expect(line.edges).toBe(Math.floor(PIT_HERTZ / 1193))
  })

  test('counts down from the count to 1', () => {
    program(0, 0x34, 100)
    expect(latch(0)).toBe(100)
    toTick(99)
    expect([latch(0), status(0) >>> 7]).toEqual([1, 0])
    toTick(100)
    expect([latch(0), status(0) >>> 7]).toEqual([100, 1])
  })

  test('takes a new count over at the end of the period', () => {
    program(0, 0x34, 100)
    toTick(30)
    bench.out(0x40, 40)
    bench.out(0x40, 0)
    expect([latch(0), status(0) & 0x40]).toEqual([70, 0x40])
    toTick(110)
    expect([latch(0), status(0) & 0x40]).toEqual([30, 0])
  })

  test('a count of 0 is the longest, 65536', () => {
    program(0, 0x34, 0)
    line.edges = 0
    toTick(65535)
    expect(line.edges).toBe(0)
    toTick(65536)
    expect(line.edges).toBe(1)
  })
})

test('mode 3 spends half of the period high and counts by two', () => {
  program(0, 0x36, 5)
  const seen = [0, 1, 2, 3, 4, 5].map(tick => {
    toTick(tick)
    return [latch(0), status(0) >>> 7]
  })
  expect(seen).toEqual([
    [4, 1],
    [2, 1],
    [0, 1],
    [4, 0],
    [2, 0],
    [4, 1],
  ])
})

test('mode 0 rises once at the end of the count and counts on', () => {
  program(0, 0x30, 10)
  expect([line.level, status(0) >>> 7]).toEqual([false, 0])
  toTick(9)
  expect(line.level).toBe(false)
  toTick(10)
  expect([line.level, status(0) >>> 7, latch(0)]).toEqual([true, 1, 0])
  toTick(11)
  expect(latch(0)).toBe(0xffff)
  bench.advance(1e9)
  expect(line.edges).toBe(1)
})

test('mode 4 strobes for one tick, once for each count written', () => {
  program(0, 0x38, 10)
  line.edges = 0
  toTick(10)
  expect(status(0) >>> 7).toBe(0)
  toTick(11)
  expect([line.edges, line.level]).toEqual([1, true])
  bench.advance(1e9)
  expect(line.edges).toBe(1)
  bench.out(0x40, 5)
  bench.out(0x40, 0)
  bench.advance(1e6)
  expect(line.edges).toBe(2)
})

test('modes 1 and 5 wait for the gate', () => {
  for (const [control, whileCounting] of [
    [0x32, 0],
    [0x3a, 0x20],
  ]) {
    bench.out(PORT_B, 0)
    program(2, control, 1000)
    bench.advance(1e7)
    expect(bench.in(PORT_B) & 0x20).toBe(0x20)
    bench.out(PORT_B, 1)
    expect(latch(2)).toBe(1000)
    expect(bench.in(PORT_B) & 0x20).toBe(whileCounting)
    bench.out(PORT_B, 0)
    bench.advance(1e6)
    expect(bench.in(PORT_B) & 0x20).toBe(0x20)
  }
})

describe('the gate of counter 2', () => {
  test('holds mode 0', () => {
    bench.out(PORT_B, 1)
    program(2, 0x30, 1000)
    toTick(100)
    bench.out(PORT_B, 0)
    toTick(5000)
    expect(latch(2)).toBe(900)
    bench.out(PORT_B, 1)
    toTick(5100)
    expect(latch(2)).toBe(800)
  })

  test('restarts mode 2', () => {
    bench.out(PORT_B, 1)
    program(2, 0x34, 1000)
    toTick(300)
    bench.out(PORT_B, 0)
    expect(bench.in(PORT_B) & 0x20).toBe(0x20)
    toTick(400)
    bench.out(PORT_B, 1)
    expect(latch(2)).toBe(1000)
  })
})

test("a calibration loop like Linux's reads falling high bytes from counter 2", () => {
  bench.out(PORT_B, (bench.in(PORT_B) & ~2) | 1)
  bench.out(CONTROL, 0xb0)
  bench.out(0x42, 0xff)
  bench.out(0x42, 0xff)
  bench.in(0x42)
  const highBytes = [bench.in(0x42)]
  for (let i = 1; i < 4; i++) {
    toTick(256 * i)
    bench.in(0x42)
    highBytes.push(bench.in(0x42))
  }
  expect(highBytes).toEqual([0xff, 0xfe, 0xfd, 0xfc])
  expect(bench.in(PORT_B) & 0x20).toBe(0)
  toTick(0xffff)
  expect(bench.in(PORT_B) & 0x20).toBe(0x20)
})

describe('reading', () => {
  test('a latched count stays until it has been read', () => {
    program(0, 0x34, 0x1234)
    bench.out(CONTROL, 0x00)
    toTick(1000)
    bench.out(CONTROL, 0x00)
    expect([bench.in(0x40), bench.in(0x40)]).toEqual([0x34, 0x12])
    expect(bench.in(0x40)).toBe((0x1234 - 1000) & 0xff)
  })

  test('the read-back command latches status and count of several counters', () => {
    program(0, 0x34, 100)
    program(2, 0x30, 0x5678)
    bench.out(CONTROL, 0xc0 | 0x0a)
    expect([bench.in(0x40), bench.in(0x40), bench.in(0x40)]).toEqual([0xb4, 100, 0])
    expect(bench.in(0x42)).toBe(0x30)
  })

  test('byte access modes read and write their byte', () => {
    bench.out(CONTROL, 0x14)
    bench.out(0x40, 200)
    expect([bench.in(0x40), bench.in(0x40)]).toEqual([200, 200])
    bench.out(CONTROL, 0x24)
    bench.out(0x40, 2)
    expect([bench.in(0x40), latchHigh()]).toEqual([2, 2])
  })

  function latchHigh(): number {
    bench.out(CONTROL, 0x00)
    return bench.in(0x40)
  }

  test('BCD counts in decimal', () => {
    program(0, 0x35, 0x1000)
    toTick(1)
    expect(latch(0)).toBe(0x999)
    program(0, 0x31, 0)
    toTick(3)
    expect(latch(0)).toBe(0x9998)
  })

  test('the control port reads as all ones', () => {
    expect(bench.in(CONTROL)).toBe(0xff)
  })
})

test('taken over by the HPET, it lets go of its line and gives no edges', () => {
  program(0, 0x34, 100)
  pit.setDisconnected(true)
  expect(line.level).toBe(false)
  line.edges = 0
  bench.advance(1e9)
  expect(line.edges).toBe(0)
  pit.setDisconnected(false)
  bench.advance(1e6)
  expect(line.edges).toBeGreaterThan(10)
})

test('port 0x61 shows the refresh request toggling', () => {
  const bits = [0, 18, 36, 54].map(tick => {
    toTick(tick)
    return bench.in(PORT_B) & 0x10
  })
  expect(bits).toEqual([0, 0x10, 0, 0x10])
})

test('after a jump of the clock the missed periods are one interrupt', () => {
  program(0, 0x34, 2)
  line.edges = 0
  bench.clock.skipTo(3.6e12)
  bench.clock.fireDue()
  expect(line.edges).toBe(1)
})
