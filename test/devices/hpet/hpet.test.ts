import { beforeEach, describe, expect, test } from 'vitest'
import { Hpet } from '../../../src/devices/hpet/hpet.ts'
import { Bench, ProbeLine } from '../bench.ts'

const BASE = 0xfed00000
const CONFIGURATION = 0x10
const STATUS = 0x20
const COUNTER = 0xf0
/** Ticks of 10 ns. */
const TICK = 10

const LEVEL = 0x02
const INTERRUPT = 0x04
const PERIODIC = 0x08
const VALUE_SET = 0x40
const NARROW = 0x100

let bench: Bench
let inputs: Map<number, ProbeLine>
let legacy: [ProbeLine, ProbeLine]
let legacySwitches: boolean[]

beforeEach(() => {
  bench = new Bench()
  inputs = new Map()
  legacy = [new ProbeLine(), new ProbeLine()]
  legacySwitches = []
  new Hpet({
    clock: bench.clock,
    input: pin => {
      const line = new ProbeLine()
      inputs.set(pin, line)
      return line
    },
    legacy,
    onLegacy: enabled => legacySwitches.push(enabled),
  }).attach(bench.bus)
})

function read(offset: number, size: 4 | 8 = 8): bigint {
  return bench.bus.readMmio(BASE + offset, size)
}

function write(offset: number, value: bigint | number, size: 4 | 8 = 8): void {
  bench.bus.writeMmio(BASE + offset, size, BigInt(value))
}

function timer(index: number): { configuration: number; comparator: number } {
  return { configuration: 0x100 + 0x20 * index, comparator: 0x108 + 0x20 * index }
}

function route(pin: number): number {
  return pin << 9
}

test('capabilities: 10 ns, three timers of 64 bits, legacy replacement, inputs 20 to 23', () => {
  expect(read(0)).toBe(0x009896808086a201n)
  expect([...inputs.keys()]).toEqual([20, 21, 22, 23])
  for (let index = 0; index < 3; index++) expect(read(timer(index).configuration)).toBe(0x00f0000000000030n)
  expect(read(timer(3).configuration)).toBe(0n)
})

describe('the main counter', () => {
  test('counts while it is enabled and can be set while it is not', () => {
    bench.advance(1000)
    expect(read(COUNTER)).toBe(0n)
    write(COUNTER, 0x1_0000_0000n)
    write(CONFIGURATION, 1)
    bench.advance(100 * TICK)
    expect(read(COUNTER)).toBe(0x1_0000_0064n)
    expect([read(COUNTER, 4), read(COUNTER + 4, 4)]).toEqual([0x64n, 1n])
    write(CONFIGURATION, 0)
    bench.advance(1000)
    expect(read(COUNTER)).toBe(0x1_0000_0064n)
  })
})

describe('a timer', () => {
  test('interrupts once at its comparator, by an edge', () => {
    write(timer(0).configuration, INTERRUPT | route(20))
    write(timer(0).comparator, 1000)
    write(CONFIGURATION, 1)
    bench.advance(999 * TICK)
    expect(inputs.get(20)?.edges).toBe(0)
    bench.advance(TICK)
    expect([inputs.get(20)?.edges, inputs.get(20)?.level, read(STATUS)]).toEqual([1, false, 0n])
    bench.advance(1e9)
    expect(inputs.get(20)?.edges).toBe(1)
  })

  test('interrupts by a level until its status is cleared', () => {
    write(timer(2).configuration, INTERRUPT | LEVEL | route(23))
    write(timer(2).comparator, 10)
    write(CONFIGURATION, 1)
    bench.advance(10 * TICK)
    expect([inputs.get(23)?.level, read(STATUS)]).toEqual([true, 4n])
    write(STATUS, 4)
    expect([inputs.get(23)?.level, read(STATUS)]).toEqual([false, 0n])
  })

  test('is set up for a period as Linux does it', () => {
    write(CONFIGURATION, 3, 4)
    write(timer(0).configuration, INTERRUPT | PERIODIC | VALUE_SET | NARROW, 4)
    write(timer(0).comparator, 500, 4)
    write(timer(0).comparator, 100, 4)
    expect(read(timer(0).comparator)).toBe(500n)
    bench.advance(499 * TICK)
    expect(legacy[0].edges).toBe(0)
    bench.advance(TICK)
    expect([legacy[0].edges, read(timer(0).comparator)]).toEqual([1, 600n])
    bench.advance(1000 * TICK)
    expect(legacy[0].edges).toBe(11)
  })

  test('takes a 64-bit comparator with VAL_SET in one write', () => {
    write(timer(0).configuration, INTERRUPT | PERIODIC | VALUE_SET)
    write(timer(0).comparator, 0x2_0000_0005n)
    write(timer(0).comparator, 7)
    expect(read(timer(0).comparator)).toBe(0x2_0000_0005n)
  })

  test('of 32 bits matches the lower half of the counter', () => {
    write(COUNTER, 0x7_ffff_fff0n)
    write(timer(1).configuration, INTERRUPT | NARROW | route(21))
    write(timer(1).comparator, 0xaaaa_0000_0010n)
    expect(read(timer(1).comparator)).toBe(0x10n)
    write(CONFIGURATION, 1)
    bench.advance(0x20 * TICK)
    expect(inputs.get(21)?.edges).toBe(1)
  })

  test('makes up for missed periods with one interrupt', () => {
    write(timer(0).configuration, INTERRUPT | PERIODIC | VALUE_SET | route(20))
    write(timer(0).comparator, 1)
    write(CONFIGURATION, 1)
    bench.clock.skipTo(1e12)
    bench.clock.fireDue()
    expect(inputs.get(20)?.edges).toBe(1)
  })

  test('is not interrupted by a write at the moment of its match', () => {
    write(timer(0).configuration, INTERRUPT | route(20))
    write(timer(0).comparator, 5)
    write(CONFIGURATION, 1)
    bench.clock.skipTo(5 * TICK)
    write(timer(1).comparator, 1)
    bench.clock.fireDue()
    expect(inputs.get(20)?.edges).toBe(1)
  })
})

test('legacy replacement is told to whom it concerns', () => {
  write(CONFIGURATION, 2)
  write(CONFIGURATION, 3)
  write(CONFIGURATION, 0)
  expect(legacySwitches).toEqual([true, false])
})
