import { beforeEach, describe, expect, test } from 'vitest'
import { Pic } from '../../../src/devices/pic/pic.ts'
import { Bench, ProbeLine } from '../bench.ts'

const MASTER = 0x20
const SLAVE = 0xa0
const EOI = 0x20

let bench: Bench
let output: ProbeLine
let pic: Pic

function raise(irq: number): void {
  pic.line(irq).set(true)
}

function pulse(irq: number): void {
  raise(irq)
  pic.line(irq).set(false)
}

function initialize(icw4 = 0x01): void {
  for (const [port, base, wiring] of [
    [MASTER, 0x30, 0x04],
    [SLAVE, 0x38, 0x02],
  ]) {
    bench.out(port, 0x11)
    bench.out(port + 1, base)
    bench.out(port + 1, wiring)
    bench.out(port + 1, icw4)
    bench.out(port + 1, 0x00)
  }
}

beforeEach(() => {
  bench = new Bench()
  output = new ProbeLine()
  pic = new Pic({ output })
  pic.attach(bench.bus)
  initialize()
})

describe('requests', () => {
  test('on the master give its vectors, on the slave the slave vectors through the cascade', () => {
    pulse(4)
    expect([output.level, pic.acknowledge(), output.level]).toEqual([true, 0x34, false])
    bench.out(MASTER, EOI)
    pulse(12)
    expect([output.level, pic.acknowledge()]).toEqual([true, 0x3c])
    bench.out(SLAVE, EOI)
    bench.out(MASTER, EOI)
    expect(output.level).toBe(false)
  })

  test('of lower priority wait for the end of the one in service', () => {
    pulse(4)
    expect(pic.acknowledge()).toBe(0x34)
    pulse(5)
    expect(output.level).toBe(false)
    pulse(1)
    expect([output.level, pic.acknowledge()]).toEqual([true, 0x31])
    bench.out(MASTER, EOI)
    expect(output.level).toBe(false)
    bench.out(MASTER, EOI)
    expect(pic.acknowledge()).toBe(0x35)
  })

  test('that are masked wait for the mask to be lifted', () => {
    bench.out(MASTER + 1, 0x10)
    pulse(4)
    expect([output.level, bench.in(MASTER), bench.in(MASTER + 1)]).toEqual([false, 0x10, 0x10])
    bench.out(MASTER + 1, 0)
    expect(pic.acknowledge()).toBe(0x34)
  })

  test('on the slave that follow one another all arrive', () => {
    pulse(8)
    pulse(14)
    expect(pic.acknowledge()).toBe(0x38)
    bench.out(SLAVE, EOI)
    bench.out(MASTER, EOI)
    expect([output.level, pic.acknowledge()]).toEqual([true, 0x3e])
  })

  test('on edge inputs count once, on level inputs as long as they last', () => {
    raise(5)
    pic.acknowledge()
    bench.out(MASTER, EOI)
    expect(output.level).toBe(false)
    bench.out(0x4d0, 0x20)
    expect([output.level, pic.acknowledge()]).toEqual([true, 0x35])
    bench.out(MASTER, EOI)
    expect(output.level).toBe(true)
    pic.line(5).set(false)
    expect(output.level).toBe(false)
  })

  test('that go away leave a spurious interrupt 7, or 15 behind the cascade, with nothing in service', () => {
    expect(pic.acknowledge()).toBe(0x37)
    pulse(12)
    bench.out(SLAVE + 1, 0x10)
    expect([output.level, pic.acknowledge()]).toEqual([true, 0x3f])
    bench.out(SLAVE, 0x0b)
    expect(bench.in(SLAVE)).toBe(0)
    bench.out(MASTER, 0x0b)
    expect(bench.in(MASTER)).toBe(0x04)
  })
})

describe('commands', () => {
  test('ELCR has no bits for timer, keyboard, cascade, clock and FPU', () => {
    bench.out(0x4d0, 0xff)
    bench.out(0x4d1, 0xff)
    expect([bench.in(0x4d0), bench.in(0x4d1)]).toEqual([0xf8, 0xde])
  })

  test('a specific EOI ends that request and no other', () => {
    pulse(4)
    pic.acknowledge()
    pulse(1)
    pic.acknowledge()
    bench.out(MASTER, 0x64)
    bench.out(MASTER, 0x0b)
    expect(bench.in(MASTER)).toBe(0x02)
  })

  test('rotation on EOI gives the request just served the lowest priority', () => {
    pulse(0)
    pic.acknowledge()
    bench.out(MASTER, 0xa0)
    pulse(0)
    pulse(3)
    expect(pic.acknowledge()).toBe(0x33)
  })

  test('set priority makes the next one the highest', () => {
    bench.out(MASTER, 0xc4)
    pulse(4)
    pulse(5)
    expect(pic.acknowledge()).toBe(0x35)
  })

  test('automatic EOI keeps nothing in service, rotating if told to', () => {
    initialize(0x03)
    bench.out(MASTER, 0x80)
    pulse(1)
    pulse(1)
    expect(pic.acknowledge()).toBe(0x31)
    pulse(1)
    pulse(6)
    expect([pic.acknowledge(), pic.acknowledge()]).toEqual([0x36, 0x31])
  })

  test('special mask mode lets lower requests through while a masked one is in service', () => {
    pulse(1)
    pic.acknowledge()
    pulse(5)
    bench.out(MASTER + 1, 0x02)
    expect(output.level).toBe(false)
    bench.out(MASTER, 0x68)
    expect(pic.acknowledge()).toBe(0x35)
    bench.out(MASTER, EOI)
    bench.out(MASTER, 0x0b)
    expect(bench.in(MASTER)).toBe(0x02)
  })

  test('special fully nested mode lets a higher slave request interrupt a lower one', () => {
    initialize(0x11)
    pulse(14)
    expect(pic.acknowledge()).toBe(0x3e)
    pulse(9)
    expect([output.level, pic.acknowledge()]).toEqual([true, 0x39])
  })

  test('a poll acknowledges like the processor would', () => {
    pulse(3)
    bench.out(MASTER, 0x0c)
    expect([bench.in(MASTER), output.level]).toEqual([0x83, false])
    bench.out(MASTER, 0x0b)
    expect(bench.in(MASTER)).toBe(0x08)
    bench.out(MASTER, 0x0c)
    expect(bench.in(MASTER)).toBe(0)
  })

  test('initialization forgets edges and masks, and needs a new edge', () => {
    raise(4)
    bench.out(MASTER + 1, 0xff)
    initialize()
    expect([output.level, bench.in(MASTER + 1)]).toEqual([false, 0])
    pic.line(4).set(false)
    raise(4)
    expect(output.level).toBe(true)
  })

  test('initialization in single mode without ICW4 takes one word', () => {
    bench.out(MASTER, 0x12)
    bench.out(MASTER + 1, 0x50)
    bench.out(MASTER + 1, 0xfe)
    expect(bench.in(MASTER + 1)).toBe(0xfe)
    pulse(0)
    expect(pic.acknowledge()).toBe(0x50)
  })
})

test('level-triggered inputs may be set up as firmware does', () => {
  const firmware = new Pic({ output, levelTriggered: 0x0e21 })
  firmware.attach((bench = new Bench()).bus)
  expect([bench.in(0x4d0), bench.in(0x4d1)]).toEqual([0x20, 0x0e])
})
