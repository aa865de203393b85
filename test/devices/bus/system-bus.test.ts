import { describe, expect, test } from 'vitest'
import { IsaInterrupts } from '../../../src/devices/bus/isa-interrupts.ts'
import { SystemBus } from '../../../src/devices/bus/system-bus.ts'
import type { MmioHandler, PortHandler } from '../../../src/devices/device.ts'
import { ProbeLine } from '../bench.ts'

class Recorder implements PortHandler, MmioHandler {
  readonly log: string[] = []
  readPort(port: number, size: number): number {
    this.log.push(`in ${port.toString(16)}/${size}`)
    return 0x12345678
  }
  writePort(port: number, size: number, value: number): void {
    this.log.push(`out ${port.toString(16)}/${size} ${value.toString(16)}`)
  }
  readMmio(offset: number, size: number): number {
    this.log.push(`read ${offset.toString(16)}/${size}`)
    return -2
  }
  writeMmio(offset: number, size: number, value: number): void {
    this.log.push(`write ${offset.toString(16)}/${size} ${value.toString(16)}`)
  }
}

describe('ports', () => {
  test('read as all ones and swallow writes where no device is', () => {
    const bus = new SystemBus()
    expect([bus.readPort(0x10, 1), bus.readPort(0x10, 2), bus.readPort(0x10, 4)]).toEqual([0xff, 0xffff, 0xffffffff])
    bus.writePort(0x10, 4, 1)
  })

  test('reach the device in one piece when it covers the access', () => {
    const bus = new SystemBus()
    const device = new Recorder()
    bus.addPorts(0x100, 4, device)
    expect(bus.readPort(0x100, 4)).toBe(0x12345678)
    expect(bus.readPort(0x101, 1)).toBe(0x78)
    bus.writePort(0x102, 2, 0xabcd)
    expect(device.log).toEqual(['in 100/4', 'in 101/1', 'out 102/2 abcd'])
  })

  test('are split where an access leaves the device', () => {
    const bus = new SystemBus()
    const device = new Recorder()
    bus.addPorts(0x100, 1, device)
    bus.addPorts(0x101, 2, device)
    expect(bus.readPort(0x100, 4)).toBe(0xff787878)
    bus.writePort(0xff, 4, 0x44332211)
    expect(device.log).toEqual(['in 100/1', 'in 101/1', 'in 102/1', 'out 100/1 22', 'out 101/2 4433'])
  })

  test('wrap at the end of the port space', () => {
    const bus = new SystemBus()
    bus.addPorts(0, 1, new Recorder())
    expect(bus.readPort(0xffff, 2)).toBe(0x78ff)
  })

  test('can belong to one device only', () => {
    const bus = new SystemBus()
    bus.addPorts(0x100, 8, new Recorder())
    expect(() => bus.addPorts(0x107, 2, new Recorder())).toThrow('port 0x107 belongs to another device')
    expect(() => bus.addPorts(0xffff, 2, new Recorder())).toThrow('outside of the port space')
    expect(bus.portsAreFree(0x108, 8)).toBe(true)
    expect(bus.portsAreFree(0x100, 1)).toBe(false)
    bus.removePorts(0x100)
    expect(bus.portsAreFree(0x100, 8)).toBe(true)
  })
})

describe('MMIO', () => {
  test('reaches the range that holds the address, as an offset', () => {
    const bus = new SystemBus()
    const [low, high] = [new Recorder(), new Recorder()]
    bus.addMmio(0xfee00000, 0x1000, high)
    bus.addMmio(0xfec00000, 0x1000, low)
    expect(bus.readMmio(0xfec00010, 4)).toBe(0xfffffffen)
    bus.writeMmio(0xfee00ff8, 8, 0x1122334455667788n)
    expect(low.log).toEqual(['read 10/4'])
    expect(high.log).toEqual(['write ff8/4 55667788', 'write ffc/4 11223344'])
    expect(bus.readMmio(0xfee00000, 8)).toBe(0xfffffffefffffffen)
  })

  test('claims its addresses and nothing beside', () => {
    const bus = new SystemBus()
    bus.addMmio(0x1000, 0x10, new Recorder())
    expect([0xfff, 0x1000, 0x100f, 0x1010].map(gpa => bus.claims(gpa))).toEqual([false, true, true, false])
    bus.removeMmio(0x1000)
    expect(bus.claims(0x1000)).toBe(false)
  })

  test('is split at the edge of a range, the rest reads as all ones', () => {
    const bus = new SystemBus()
    const device = new Recorder()
    bus.addMmio(0x1000, 0x10, device)
    expect(bus.readMmio(0x100e, 4)).toBe(0xfffffffen)
    expect(bus.readMmio(0x100f, 2)).toBe(0xfffen)
    bus.writeMmio(0xfff, 2, 0xbbaan)
    expect(device.log).toEqual(['read e/2', 'read f/1', 'write 0/1 bb'])
  })

  test('can belong to one device only', () => {
    const bus = new SystemBus()
    bus.addMmio(0x1000, 0x1000, new Recorder())
    expect(() => bus.addMmio(0x1fff, 1, new Recorder())).toThrow('overlaps 0x1000 to 0x1fff')
    expect(() => bus.addMmio(0x3000, 0, new Recorder())).toThrow('a range of 0 bytes')
  })
})

describe('ISA interrupt requests', () => {
  test('are asserted while any of their sources asserts them', () => {
    const lines = Array.from({ length: 16 }, () => new ProbeLine())
    const interrupts = new IsaInterrupts(irq => [lines[irq]])
    const [first, second, other] = [interrupts.source(4), interrupts.source(4), interrupts.source(3)]
    first.set(true)
    second.set(true)
    first.set(false)
    expect([lines[4].level, lines[4].edges, lines[3].level]).toEqual([true, 1, false])
    const state = interrupts.save()
    second.set(false)
    expect(lines[4].level).toBe(false)
    interrupts.restore(state)
    first.set(true)
    expect(lines[4].edges).toBe(1)
    other.set(true)
    expect(interrupts.registers()[0].value).toBe(0x18)
  })

  test('must be one of sixteen', () => {
    expect(() => new IsaInterrupts(() => []).source(16)).toThrow('0 to 15')
  })
})
