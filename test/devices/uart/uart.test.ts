import { beforeEach, describe, expect, test } from 'vitest'
import { Uart } from '../../../src/devices/uart/uart.ts'
import { Bench, ProbeLine } from '../bench.ts'

const DATA = 0x3f8
const IER = 0x3f9
const IIR = 0x3fa
const FCR = 0x3fa
const LCR = 0x3fb
const MCR = 0x3fc
const LSR = 0x3fd
const MSR = 0x3fe
const SCR = 0x3ff

/** Four characters of 10 bits at 115200 baud. */
const FOUR_CHARACTERS = 347_223

let bench: Bench
let line: ProbeLine
let sent: number[]
let uart: Uart

beforeEach(() => {
  bench = new Bench()
  line = new ProbeLine()
  sent = []
  uart = new Uart({
    name: 'uart0',
    port: DATA,
    clock: bench.clock,
    interrupt: line,
    sink: byte => sent.push(byte),
  })
  uart.attach(bench.bus)
})

function type(text: string): number {
  return uart.receive(new TextEncoder().encode(text))
}

function setDivisor(divisor: number): void {
  bench.out(LCR, 0x83)
  bench.out(DATA, divisor & 0xff)
  bench.out(IER, divisor >>> 8)
  bench.out(LCR, 0x03)
}

describe('registers', () => {
  test('start as after a reset', () => {
    expect([IER, IIR, LCR, MCR, LSR, MSR, SCR].map(port => bench.in(port))).toEqual([0, 1, 0, 0, 0x60, 0xb0, 0])
  })

  test('keep what a driver probes for: scratch, four IER bits, the divisor behind DLAB', () => {
    bench.out(SCR, 0xa5)
    bench.out(IER, 0xff)
    setDivisor(0x1234)
    expect([bench.in(SCR), bench.in(IER)]).toEqual([0xa5, 0x0f])
    bench.out(LCR, 0x80)
    expect([bench.in(DATA), bench.in(IER)]).toEqual([0x34, 0x12])
  })

  test('identify a 16550A: FIFO bits only while enabled, no 64-byte FIFO', () => {
    expect(bench.in(IIR)).toBe(0x01)
    bench.out(FCR, 0xe7)
    expect(bench.in(IIR)).toBe(0xc1)
  })

  test('take 16-bit accesses as two of 8 bits', () => {
    bench.bus.writePort(MSR, 2, 0x7711)
    expect(bench.bus.readPort(MSR, 2)).toBe(0x77b0)
  })
})

describe('sending', () => {
  test('hands each byte to the host at once', () => {
    for (const byte of [0x48, 0x69]) bench.out(DATA, byte)
    expect(sent).toEqual([0x48, 0x69])
    expect(bench.in(LSR)).toBe(0x60)
  })

  test('interrupts when enabled with an empty register, every time', () => {
    for (let i = 0; i < 2; i++) {
      bench.out(IER, 0x02)
      expect(line.level).toBe(true)
      expect(bench.in(IIR)).toBe(0x02)
      expect(bench.in(IIR)).toBe(0x01)
      expect(line.level).toBe(false)
      bench.out(IER, 0)
    }
  })

  test('interrupts again with a new edge after each byte', () => {
    bench.out(IER, 0x02)
    const edges = line.edges
    bench.out(DATA, 1)
    expect(line.edges).toBe(edges + 1)
    bench.in(IIR)
    bench.out(DATA, 2)
    expect([line.edges, line.level]).toEqual([edges + 2, true])
  })

  test('passes all bytes of an interrupt-driven transmission', () => {
    const message = Array.from({ length: 100 }, (_, index) => index)
    bench.out(FCR, 0x81)
    bench.out(IER, 0x02)
    let left = message
    while (line.level && left.length > 0) {
      expect(bench.in(IIR) & 0x0f).toBe(0x02)
      for (const byte of left.slice(0, 16)) bench.out(DATA, byte)
      left = left.slice(16)
    }
    expect(sent).toEqual(message)
  })
})

describe('receiving', () => {
  test('shows one byte at a time without FIFOs', () => {
    type('ab')
    bench.out(IER, 0x01)
    expect([line.level, bench.in(IIR), bench.in(LSR)]).toEqual([true, 0x04, 0x61])
    expect([bench.in(DATA), bench.in(DATA)]).toEqual([0x61, 0x62])
    expect([line.level, bench.in(LSR)]).toEqual([false, 0x60])
  })

  test('interrupts at the trigger level', () => {
    bench.out(FCR, 0x81)
    bench.out(IER, 0x01)
    type('1234567')
    expect([line.level, bench.in(IIR)]).toEqual([false, 0xc1])
    type('8')
    expect([line.level, bench.in(IIR)]).toEqual([true, 0xc4])
    bench.in(DATA)
    expect(line.level).toBe(false)
  })

  test('interrupts after four character times of silence below the trigger level', () => {
    setDivisor(1)
    bench.out(FCR, 0x81)
    bench.out(IER, 0x01)
    type('x')
    bench.advance(FOUR_CHARACTERS - 2)
    expect(line.level).toBe(false)
    bench.advance(2)
    expect([line.level, bench.in(IIR)]).toEqual([true, 0xcc])
    expect(bench.in(DATA)).toBe(0x78)
    expect([line.level, bench.in(IIR)]).toEqual([false, 0xc1])
  })

  test('keeps what does not fit the FIFO and feeds it as the guest drains', () => {
    bench.out(FCR, 0x01)
    const text = 'abcdefghijklmnopqrstuvwxyz'
    expect(type(text)).toBe(26)
    let got = ''
    while (bench.in(LSR) & 1) got += String.fromCharCode(bench.in(DATA))
    expect(got).toBe(text)
    expect(bench.in(LSR) & 0x02).toBe(0)
  })

  test('takes no more than its queue holds and says so', () => {
    expect(uart.receive(new Uint8Array(100_000))).toBe(65536)
    expect(uart.receive(new Uint8Array(10))).toBe(1)
    bench.in(DATA)
    expect(uart.receive(new Uint8Array(10))).toBe(1)
  })

  test('waits for RTS once the guest drives it, so that a starting driver loses nothing', () => {
    bench.out(MCR, 0x1a)
    bench.out(MCR, 0x00)
    type('ls')
    bench.out(FCR, 0x07)
    bench.in(DATA)
    expect(bench.in(LSR) & 1).toBe(0)
    bench.out(MCR, 0x0b)
    expect([bench.in(DATA), bench.in(DATA)]).toEqual([0x6c, 0x73])
  })
})

describe('loopback', () => {
  test('returns modem outputs as inputs, as the autoconfiguration of drivers tests', () => {
    bench.out(MCR, 0x1a)
    expect(bench.in(MSR) & 0xf0).toBe(0x90)
    bench.out(MCR, 0x15)
    expect(bench.in(MSR) & 0xf0).toBe(0x60)
  })

  test('returns bytes to the receiver and not to the host, and overruns', () => {
    bench.out(FCR, 0x01)
    bench.out(MCR, 0x10)
    for (let i = 0; i < 17; i++) bench.out(DATA, i)
    expect(sent).toEqual([])
    expect(bench.in(LSR)).toBe(0x63)
    expect(bench.in(LSR)).toBe(0x61)
    expect(Array.from({ length: 16 }, () => bench.in(DATA))).toEqual(Array.from({ length: 16 }, (_, i) => i))
    expect(bench.in(LSR)).toBe(0x60)
  })
})

test('interrupts are reported by priority: line status, data, transmitter, modem status', () => {
  bench.out(IER, 0x0f)
  bench.out(MCR, 0x1f)
  bench.out(DATA, 1)
  bench.out(DATA, 2)
  bench.out(MCR, 0x10)
  expect(bench.in(IIR)).toBe(0x06)
  bench.in(LSR)
  expect(bench.in(IIR)).toBe(0x04)
  expect(bench.in(DATA)).toBe(2)
  expect(bench.in(IIR)).toBe(0x02)
  expect(bench.in(IIR)).toBe(0x00)
  // RI fell, the other inputs changed.
  expect(bench.in(MSR) & 0x0f).toBe(0x0f)
  expect([bench.in(IIR), line.level]).toEqual([0x01, false])
})

test('looking at the registers takes no byte and clears no interrupt', () => {
  bench.out(IER, 0x03)
  type('z')
  const before = uart.save()
  expect(uart.registers().find(view => view.name === 'RBR')).toMatchObject({ value: 0x7a })
  expect(uart.save()).toEqual(before)
})
