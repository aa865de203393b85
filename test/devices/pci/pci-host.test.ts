import { beforeEach, describe, expect, test } from 'vitest'
import type { MmioHandler, PortHandler } from '../../../src/devices/device.ts'
import { ResetControl } from '../../../src/devices/fast-reset/reset-control.ts'
import { PciFunction } from '../../../src/devices/pci/pci-function.ts'
import { PciHost, pirqOf } from '../../../src/devices/pci/pci-host.ts'
import { Bench, ProbeLine } from '../bench.ts'

const ADDRESS = 0xcf8
const DATA = 0xcfc

/** A device with one window of each kind, each a byte wide in effect: it reads as the window's own number. */
class Card extends PciFunction {
  constructor(name: string, interruptPin: 1 | 2 | 3 | 4 = 1) {
    super(name, { vendor: 0x1234, device: 0x5678, revision: 9, classCode: 0xff0102, interruptPin })
    const window = (value: number): PortHandler & MmioHandler => ({
      readPort: () => value,
      writePort: () => undefined,
      readMmio: () => value,
      writeMmio: () => undefined,
    })
    this.addBar(0, { kind: 'io', size: 0x20, handler: window(0x10) })
    this.addBar(1, { kind: 'memory', size: 0x1000, handler: window(0x11) })
    this.addBar(4, { kind: 'memory64', size: 0x4000, handler: window(0x12), prefetchable: true })
    this.addCapability(0x09, Uint8Array.of(0xaa, 0xbb), Uint8Array.of(0x00, 0x0f))
    this.addCapability(0x11, Uint8Array.of(1, 2, 3, 4))
  }

  interrupt(asserted: boolean): void {
    this.setInterrupt(asserted)
  }
}

let bench: Bench
let requests: ProbeLine[]
let pirqLines: ProbeLine[]
let resets: number
let host: PciHost

beforeEach(() => {
  bench = new Bench()
  requests = Array.from({ length: 16 }, () => new ProbeLine())
  pirqLines = Array.from({ length: 4 }, () => new ProbeLine())
  resets = 0
  host = new PciHost({
    bus: bench.bus,
    interrupt: irq => requests[irq],
    pirqLines,
    resetControl: new ResetControl(() => {
      resets++
    }),
  })
  host.attach()
})

function select(slot: number, register: number, number = 0, bus = 0): void {
  const address = 0x80000000 + bus * 0x10000 + slot * 0x800 + number * 0x100 + (register & 0xfc)
  bench.bus.writePort(ADDRESS, 4, address)
}

function read(slot: number, register: number, size: 1 | 2 | 4, number = 0): number {
  select(slot, register, number)
  return bench.bus.readPort(DATA + (register & 3), size)
}

function write(slot: number, register: number, size: 1 | 2 | 4, value: number, number = 0): void {
  select(slot, register, number)
  bench.bus.writePort(DATA + (register & 3), size, value)
}

describe('configuration mechanism 1', () => {
  test('is found by the probe that kernels make', () => {
    bench.out(0xcfb, 0x01)
    bench.bus.writePort(ADDRESS, 4, 0x80000000)
    expect(bench.bus.readPort(ADDRESS, 4)).toBe(0x80000000)
    bench.bus.writePort(ADDRESS, 4, 0xffffffff)
    expect(bench.bus.readPort(ADDRESS, 4)).toBe(0x80fffffc)
    expect(bench.in(ADDRESS)).toBe(0xff)
  })

  test('shows the chipset of a pc machine', () => {
    const identities = [
      [0, 0],
      [1, 0],
      [1, 3],
    ].map(([slot, number]) => [read(slot, 0, 4, number), read(slot, 8, 4, number) >>> 8, read(slot, 0x0e, 1, number)])
    expect(identities).toEqual([
      [0x12378086, 0x060000, 0],
      [0x70008086, 0x060100, 0x80],
      [0x71138086, 0x068000, 0],
    ])
    expect([read(1, 0x40, 4, 3), read(1, 0x80, 1, 3), read(1, 0x3c, 2, 3)]).toEqual([0x601, 1, 0x0109])
  })

  test('reads all ones where no function is, on another bus, and when disabled', () => {
    expect([read(2, 0, 4), read(0, 0, 2, 1), read(31, 0, 1)]).toEqual([0xffffffff, 0xffff, 0xff])
    select(0, 0, 0, 1)
    expect(bench.bus.readPort(DATA, 4)).toBe(0xffffffff)
    bench.bus.writePort(ADDRESS, 4, 0)
    expect(bench.bus.readPort(DATA, 4)).toBe(0xffffffff)
    bench.bus.writePort(DATA, 4, 0)
  })

  test('leaves port 0xCF9 to the reset control register', () => {
    bench.bus.writePort(ADDRESS, 4, 0x80000600)
    expect(resets).toBe(0)
    bench.out(0xcf9, 0x06)
    expect([resets, bench.in(0xcf9), bench.bus.readPort(ADDRESS, 4)]).toEqual([1, 0x06, 0x80000600])
  })

  test('keeps identity against writes', () => {
    write(0, 0, 4, 0)
    write(0, 8, 4, 0)
    expect([read(0, 0, 4), read(0, 8, 4)]).toEqual([0x12378086, 0x06000002])
  })
})

describe('a function', () => {
  let card: Card

  beforeEach(() => {
    card = new Card('card')
    host.plug(3, 0, card)
  })

  test('tells the sizes of its windows', () => {
    const sizes = [0x10, 0x14, 0x18, 0x20, 0x24, 0x30].map(register => {
      write(3, register, 4, 0xffffffff)
      return read(3, register, 4)
    })
    expect(sizes).toEqual([0xffffffe1, 0xfffff000, 0, 0xffffc00c, 0xffffffff, 0])
  })

  test('has its windows where software puts them while decoding is enabled', () => {
    write(3, 0x10, 4, 0xc000)
    write(3, 0x14, 4, 0xe0000000)
    write(3, 0x20, 4, 0x40000000)
    write(3, 0x24, 4, 1)
    expect([bench.in(0xc000), bench.bus.claims(0xe0000000)]).toEqual([0xff, false])
    write(3, 4, 2, 3)
    expect([bench.in(0xc01f), bench.bus.readMmio(0xe0000fff, 1), bench.bus.readMmio(0x140000000, 4)]).toEqual([
      0x10,
      0x11n,
      0x12n,
    ])
    write(3, 0x14, 4, 0xe0001000)
    expect([bench.bus.claims(0xe0000fff), bench.bus.claims(0xe0001000)]).toEqual([false, true])
    write(3, 4, 2, 0)
    expect([bench.in(0xc000), bench.bus.claims(0xe0001000), bench.bus.claims(0x140000000)]).toEqual([
      0xff,
      false,
      false,
    ])
  })

  test('does not push another device aside with a window', () => {
    bench.bus.addMmio(0xfec00000, 0x1000, { readMmio: () => 0x77, writeMmio: () => undefined })
    write(3, 4, 2, 3)
    write(3, 0x14, 4, 0xfec00000)
    write(3, 0x10, 4, 0xce1)
    expect([bench.bus.readMmio(0xfec00000, 1), read(3, 0, 2)]).toEqual([0x77n, 0x1234])
    write(3, 0x14, 4, 0xfed00000)
    expect(bench.bus.readMmio(0xfed00000, 1)).toBe(0x11n)
  })

  test('two functions may swap their windows', () => {
    host.plug(4, 0, new Card('other'))
    write(3, 4, 2, 2)
    write(4, 4, 2, 2)
    write(3, 0x14, 4, 0xe0000000)
    write(4, 0x14, 4, 0xe0000000)
    expect(bench.bus.claims(0xe0000000)).toBe(true)
    write(3, 0x14, 4, 0xe0001000)
    expect([bench.bus.claims(0xe0000000), bench.bus.claims(0xe0001000)]).toEqual([true, true])
  })

  test('lists its capabilities', () => {
    expect([read(3, 6, 2) & 0x10, read(3, 0x34, 1)]).toEqual([0x10, 0x40])
    expect([read(3, 0x40, 4), read(3, 0x44, 4)]).toEqual([0xbbaa4409, 0x02010011])
    write(3, 0x42, 2, 0x5555)
    expect(read(3, 0x40, 4)).toBe(0xb5aa4409)
  })

  test('interrupts over the routed request, and over the direct line', () => {
    expect([read(3, 0x3c, 2), pirqOf(3, 1)]).toEqual([0x010b, 2])
    card.interrupt(true)
    expect([requests[11].level, pirqLines[2].level, read(3, 6, 2) & 8]).toEqual([true, true, 8])
    write(1, 0x62, 1, 0x05)
    expect([requests[11].level, requests[5].level]).toEqual([false, true])
    write(1, 0x62, 1, 0x80)
    expect([requests[5].level, pirqLines[2].level]).toEqual([false, true])
    write(3, 4, 2, 0x400)
    expect(pirqLines[2].level).toBe(false)
  })

  test('shares a line with others', () => {
    const other = new Card('other', 3)
    host.plug(1, 1, other)
    expect(pirqOf(1, 3)).toBe(2)
    card.interrupt(true)
    other.interrupt(true)
    card.interrupt(false)
    expect(requests[11].level).toBe(true)
    other.interrupt(false)
    expect([requests[11].level, requests[11].edges]).toEqual([false, 1])
  })

  test('is as it was plugged in after a reset', () => {
    write(3, 4, 2, 3)
    write(3, 0x14, 4, 0xe0000000)
    card.interrupt(true)
    host.reset()
    expect([read(3, 4, 2), read(3, 0x14, 4), read(3, 0x3c, 1)]).toEqual([0, 0, 0x0b])
    expect([bench.bus.claims(0xe0000000), requests[11].level]).toEqual([false, false])
  })
})

describe('plugging', () => {
  test('needs a free slot that exists', () => {
    expect(() => host.plug(0, 0, new Card('card'))).toThrow('slot 00:0.0 is taken')
    expect(() => host.plug(32, 0, new Card('card'))).toThrow('no slot 32.0')
  })

  test('windows must be powers of two in one of six registers', () => {
    const handler: MmioHandler = { readMmio: () => 0, writeMmio: () => undefined }
    class Wrong extends PciFunction {
      constructor(index: number, size: number) {
        super('wrong', { vendor: 1, device: 1, revision: 0, classCode: 0 })
        this.addBar(index, { kind: 'memory64', size, handler, prefetchable: false })
      }
    }
    expect(() => new Wrong(0, 3000)).toThrow('BAR 0: 3000 bytes is not a power of two')
    expect(() => new Wrong(5, 4096)).toThrow('a function has 6')
  })
})
