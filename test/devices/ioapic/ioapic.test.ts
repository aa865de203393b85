import { beforeEach, describe, expect, test } from 'vitest'
import { IoApic } from '../../../src/devices/ioapic/ioapic.ts'
import type { InterruptMessage } from '../../../src/engine/processor.ts'
import { Bench } from '../bench.ts'

const SELECT = 0xfec00000
const WINDOW = 0xfec00010
const EOI = 0xfec00040
const LEVEL = 0x8000
const REMOTE_IRR = 0x4000
const MASKED = 0x10000

let bench: Bench
let sent: InterruptMessage[]
let ioapic: IoApic

beforeEach(() => {
  bench = new Bench()
  sent = []
  ioapic = new IoApic({ send: message => sent.push(message), id: 2 })
  ioapic.attach(bench.bus)
})

function read(register: number): number {
  bench.bus.writeMmio(SELECT, 4, BigInt(register))
  return Number(bench.bus.readMmio(WINDOW, 4))
}

function write(register: number, value: number): void {
  bench.bus.writeMmio(SELECT, 4, BigInt(register))
  bench.bus.writeMmio(WINDOW, 4, BigInt(value))
}

function entry(pin: number, low: number, destination = 0): void {
  write(0x11 + 2 * pin, destination * 2 ** 24)
  write(0x10 + 2 * pin, low)
}

test('reports its version, 24 entries, and an id that can be changed', () => {
  expect([read(0), read(1), read(2)]).toEqual([0x02000000, 0x00170020, 0x02000000])
  write(0, 0x0f000000)
  expect([read(0), read(1)]).toEqual([0x0f000000, 0x00170020])
})

test('starts with every entry masked', () => {
  for (let pin = 0; pin < 24; pin++) expect(read(0x10 + 2 * pin)).toBe(MASKED)
})

test('keeps the read-only bits of an entry', () => {
  entry(3, 0xffffffff, 0xff)
  expect([read(0x16), read(0x17)]).toEqual([0x1afff, 0xff000000])
  expect(read(0x40)).toBe(0)
})

describe('an edge input', () => {
  test('sends its message once for each rising edge', () => {
    entry(4, 0x0900 | 0x34, 3)
    const line = ioapic.line(4)
    line.set(true)
    line.set(true)
    expect(sent).toEqual([{ mode: 'lowest-priority', vector: 0x34, destination: 3, logical: true, level: false }])
    line.set(false)
    line.set(true)
    expect(sent).toHaveLength(2)
  })

  test('loses edges while it is masked', () => {
    entry(4, MASKED | 0x34)
    ioapic.line(4).set(true)
    entry(4, 0x34)
    expect(sent).toEqual([])
  })
})

describe('a level input', () => {
  test('sends again after the end of interrupt as long as it is asserted', () => {
    entry(10, LEVEL | 0x51)
    const line = ioapic.line(10)
    line.set(true)
    expect(sent).toMatchObject([{ mode: 'fixed', vector: 0x51, level: true }])
    expect(read(0x10 + 20)).toBe(LEVEL | REMOTE_IRR | 0x51)
    line.set(false)
    line.set(true)
    expect(sent).toHaveLength(1)
    ioapic.endOfInterrupt(0x50)
    expect(sent).toHaveLength(1)
    ioapic.endOfInterrupt(0x51)
    expect(sent).toHaveLength(2)
    line.set(false)
    bench.bus.writeMmio(EOI, 4, 0x51n)
    expect([sent.length, read(0x10 + 20)]).toEqual([2, LEVEL | 0x51])
  })

  test('sends when it is unmasked while asserted', () => {
    entry(10, MASKED | LEVEL | 0x51)
    ioapic.line(10).set(true)
    expect(sent).toEqual([])
    entry(10, LEVEL | 0x51)
    expect(sent).toHaveLength(1)
  })

  test('forgets that it is in service when it is made edge-triggered for a moment', () => {
    entry(10, LEVEL | 0x51)
    ioapic.line(10).set(true)
    entry(10, MASKED | 0x51)
    expect(read(0x10 + 20)).toBe(MASKED | 0x51)
    entry(10, LEVEL | 0x51)
    expect(sent).toHaveLength(2)
  })
})

test('passes on delivery modes and sends nothing for reserved ones', () => {
  for (let mode = 0; mode < 8; mode++) {
    entry(1, (mode << 8) | 0x40)
    ioapic.line(1).set(true)
    ioapic.line(1).set(false)
  }
  expect(sent.map(message => message.mode)).toEqual(['fixed', 'lowest-priority', 'smi', 'nmi', 'init', 'extint'])
})

test('takes narrow reads and ignores writes beside its registers', () => {
  bench.bus.writeMmio(SELECT, 1, 1n)
  expect([bench.bus.readMmio(WINDOW, 1), bench.bus.readMmio(WINDOW + 2, 2)]).toEqual([0x20n, 0x17n])
  bench.bus.writeMmio(WINDOW + 4, 4, 0x1234n)
  expect(bench.bus.readMmio(0xfec00100, 4)).toBe(0n)
})

test('has no pin 24', () => {
  expect(() => ioapic.line(24)).toThrow('pin 24')
})
