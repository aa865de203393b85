/** Virtio over PCI, as a driver finds it by configuration space (Virtio 1.2, 4.1). */

import { describe, expect, test } from 'vitest'
import { PciHost } from '../../../src/devices/pci/pci-host.ts'
import { legacyAreas } from '../../../src/devices/virtio/pci-legacy-interface.ts'
import { type PciGeneration, VirtioPciTransport } from '../../../src/devices/virtio/pci-transport.ts'
import { VirtioCore } from '../../../src/devices/virtio/virtio-core.ts'
import { VIRTIO_ID_BLOCK, VIRTIO_ID_ENTROPY } from '../../../src/devices/virtio/virtio-device.ts'
import type { InterruptMessage } from '../../../src/engine/processor.ts'
import { PciSlots } from '../../../src/machine/pci-slots.ts'
import { DriverMemory, NEXT, WRITE } from '../../support/virtio-driver.ts'
import { Bench, ProbeLine } from '../bench.ts'
import { EchoDevice } from './echo-device.ts'

class EchoOfType extends EchoDevice {
  override readonly type: number

  constructor(type: number) {
    super(2, 8)
    this.type = type
  }
}

interface Capability {
  readonly id: number
  readonly at: number
  /** Fields of a vendor capability. */
  readonly type: number
  readonly bar: number
  readonly offset: number
  readonly length: number
}

/** A machine with one function in slot 3, and what a driver does with it. */
class Machine {
  readonly bench = new Bench()
  readonly memory = new DriverMemory()
  readonly sent: InterruptMessage[] = []
  readonly lines = Array.from({ length: 16 }, () => new ProbeLine())
  readonly device: EchoDevice
  readonly core: VirtioCore
  readonly function: VirtioPciTransport
  readonly host: PciHost

  constructor(generation: PciGeneration, device: EchoDevice = new EchoOfType(VIRTIO_ID_ENTROPY)) {
    const { bench, memory } = this
    this.device = device
    this.core = new VirtioCore({ device, memory, clock: bench.clock, packed: true })
    this.function = new VirtioPciTransport({ core: this.core, generation, send: message => this.sent.push(message) })
    this.host = new PciHost({
      bus: bench.bus,
      interrupt: irq => this.lines[irq],
      resetControl: { readPort: () => 0, writePort: () => undefined },
    })
    this.host.attach()
    new PciSlots(this.host).plug(this.function)
  }

  config(offset: number, size: 1 | 2 | 4): number {
    this.bench.bus.writePort(0xcf8, 4, 0x80001800 + (offset & 0xfc))
    return this.bench.bus.readPort(0xcfc + (offset & 3), size)
  }

  setConfig(offset: number, size: 1 | 2 | 4, value: number): void {
    this.bench.bus.writePort(0xcf8, 4, 0x80001800 + (offset & 0xfc))
    this.bench.bus.writePort(0xcfc + (offset & 3), size, value)
  }

  get capabilities(): Capability[] {
    const found: Capability[] = []
    for (let at = this.config(0x34, 1); at !== 0; at = this.config(at + 1, 1))
      found.push({
        id: this.config(at, 1),
        at,
        type: this.config(at + 3, 1),
        bar: this.config(at + 4, 1),
        offset: this.config(at + 8, 4),
        length: this.config(at + 12, 4),
      })
    return found
  }

  structure(type: number): number {
    const capability = this.capabilities.find(candidate => candidate.id === 9 && candidate.type === type)
    if (capability === undefined) throw new Error(`no structure of type ${type}`)
    return this.bar(capability.bar) + capability.offset
  }

  bar(index: number): number {
    return this.config(0x10 + 4 * index, 4) & ~0xf
  }

  read(gpa: number, size: 1 | 2 | 4): number {
    return Number(this.bench.bus.readMmio(gpa >>> 0, size))
  }

  write(gpa: number, size: 1 | 2 | 4, value: number): void {
    this.bench.bus.writeMmio(gpa >>> 0, size, BigInt(value))
  }

  /** The steps of 3.1.1, with one queue at 10000h, 11000h and 12000h, and vectors if MSI-X is wanted. */
  startModern(msix: boolean): void {
    const common = this.structure(1)
    for (const status of [0, 1, 3]) this.write(common + 0x14, 1, status)
    this.write(common + 0x08, 4, 1)
    this.write(common + 0x0c, 4, 1)
    this.write(common + 0x14, 1, 11)
    this.write(common + 0x16, 2, 1)
    this.write(common + 0x18, 2, 4)
    if (msix) {
      this.enableMsix()
      this.write(common + 0x10, 2, 0)
      this.write(common + 0x1a, 2, 2)
    }
    for (const [register, value] of [
      [0x20, 0x10000],
      [0x24, 0],
      [0x28, 0x11000],
      [0x2c, 0],
      [0x30, 0x12000],
      [0x34, 0],
    ])
      this.write(common + register, 4, value)
    this.write(common + 0x1c, 2, 1)
    this.write(common + 0x14, 1, 15)
  }

  enableMsix(): void {
    const msix = this.capabilities.find(({ id }) => id === 0x11)?.at ?? 0
    const table = this.bar(this.config(msix + 4, 4) & 7)
    for (let vector = 0; vector <= this.config(msix + 2, 2); vector++) {
      this.write(table + 16 * vector, 4, 0xfee00000)
      this.write(table + 16 * vector + 8, 4, 0x50 + vector)
      this.write(table + 16 * vector + 12, 4, 0)
    }
    this.setConfig(msix + 2, 2, 0x8000)
  }

  /** Posts one chain of a byte to read and one to write in a split ring. */
  post({ descriptors, driver }: { descriptors: number; driver: number }, index = 1): void {
    const { view } = this.memory
    for (const [i, gpa, flags, next] of [
      [0, 0x20000, NEXT, 1],
      [1, 0x20001, WRITE, 0],
    ]) {
      view.setUint32(descriptors + 16 * i, gpa, true)
      view.setUint32(descriptors + 16 * i + 8, 1, true)
      view.setUint16(descriptors + 16 * i + 12, flags, true)
      view.setUint16(descriptors + 16 * i + 14, next, true)
    }
    this.memory.bytes[0x20000] = 0x5a
    view.setUint16(driver + 2, index, true)
  }
}

describe('the function', () => {
  test.each([
    { generation: 'modern', type: VIRTIO_ID_BLOCK, id: 0x1042, revision: 1, subsystem: 0x1100 },
    { generation: 'transitional', type: VIRTIO_ID_BLOCK, id: 0x1001, revision: 0, subsystem: VIRTIO_ID_BLOCK },
    { generation: 'legacy', type: VIRTIO_ID_ENTROPY, id: 0x1005, revision: 0, subsystem: VIRTIO_ID_ENTROPY },
  ] as const)('has the ids of a $generation device', ({ generation, type, id, revision, subsystem }) => {
    const machine = new Machine(generation, new EchoOfType(type))
    expect(machine.config(0, 4)).toBe(id * 0x10000 + 0x1af4)
    expect(machine.config(8, 1)).toBe(revision)
    expect(machine.config(0x2c, 4)).toBe(subsystem * 0x10000 + 0x1af4)
    expect(machine.config(0x10, 1) & 1).toBe(generation === 'modern' ? 0 : 1)
    expect(machine.capabilities.map(capability => capability.id === 9)).toEqual(
      generation === 'legacy' ? [false] : [false, true, true, true, true, true],
    )
  })

  test('can not be legacy where there was no such device', () => {
    expect(() => new Machine('legacy', new EchoDevice())).toThrow('none before virtio 1.0')
  })

  test('has its structures where the capabilities say, within their BAR', () => {
    const machine = new Machine('modern')
    const vendor = machine.capabilities.filter(({ id }) => id === 9)
    expect(vendor.map(({ type }) => type).sort()).toEqual([1, 2, 3, 4, 5])
    for (const { type, offset, length } of vendor) if (type !== 5) expect(offset + length).toBeLessThanOrEqual(0x4000)
    const common = machine.structure(1)
    expect(machine.read(common + 0x12, 2)).toBe(2)
    expect(machine.read(common + 0x18, 2)).toBe(8)
    machine.write(common + 0x16, 2, 9)
    expect(machine.read(common + 0x18, 2)).toBe(0)
    expect(machine.read(machine.structure(4), 4)).toBe(0x04030201)
  })
})

describe('the modern interface', () => {
  const areas = { descriptors: 0x10000, driver: 0x11000 }

  test('carries a request from the notification to an interrupt by MSI-X', () => {
    const machine = new Machine('modern')
    machine.startModern(true)
    machine.post(areas)
    machine.write(machine.structure(2) + 4, 2, 1)
    expect(machine.device.services).toEqual([])
    machine.bench.advance(2000)
    expect(machine.device.services).toEqual([1])
    expect(machine.memory.bytes[0x20001]).toBe(0x5a)
    expect(machine.sent.map(({ vector }) => vector)).toEqual([0x52])
    expect(machine.lines.some(({ level }) => level)).toBe(false)
    machine.device.port.configurationChanged()
    expect(machine.sent.map(({ vector }) => vector)).toEqual([0x52, 0x50])
  })

  test('interrupts by the pin without MSI-X, until the ISR is read', () => {
    const machine = new Machine('modern')
    machine.startModern(false)
    machine.post(areas)
    machine.write(machine.structure(2) + 4, 2, 1)
    machine.bench.advance(2000)
    const line = machine.lines[machine.config(0x3c, 1)]
    expect(line.level).toBe(true)
    expect(machine.read(machine.structure(3), 1)).toBe(1)
    expect(line.level).toBe(false)
    expect(machine.read(machine.structure(3), 1)).toBe(0)
  })

  test('gives no vector that is not there', () => {
    const machine = new Machine('modern')
    const common = machine.structure(1)
    machine.write(common + 0x10, 2, 3)
    machine.write(common + 0x1a, 2, 2)
    expect([machine.read(common + 0x10, 2), machine.read(common + 0x1a, 2)]).toEqual([0xffff, 2])
    machine.write(common + 0x14, 1, 0)
    expect(machine.read(common + 0x1a, 2)).toBe(0xffff)
  })

  test('is reached through configuration space too, and looking there has no effect', () => {
    const machine = new Machine('modern')
    machine.startModern(false)
    machine.device.port.configurationChanged()
    const { at } = machine.capabilities.find(({ id, type }) => id === 9 && type === 5) ?? { at: 0 }
    const aim = (offset: number, length: number) => {
      machine.setConfig(at + 4, 1, 4)
      machine.setConfig(at + 8, 4, offset)
      machine.setConfig(at + 12, 4, length)
    }
    aim(0x1000, 1)
    machine.function.readConfig(at + 16, 1)
    machine.function.registers()
    expect(machine.config(at + 16, 1)).toBe(2)
    expect(machine.config(at + 16, 1)).toBe(0)
    aim(0x14, 1)
    expect(machine.config(at + 16, 1)).toBe(15)
    machine.setConfig(at + 16, 1, 0)
    expect(machine.core.status).toBe(0)
    aim(0x3ffe, 4)
    expect(machine.config(at + 16, 4)).toBe(0)
    machine.setConfig(at + 16, 4, 0xffffffff)
  })

  test('goes on the same after it was saved and restored, interrupts included', () => {
    const machine = new Machine('modern')
    machine.startModern(true)
    machine.post(areas)
    machine.write(machine.structure(2) + 4, 2, 1)
    const saved = JSON.parse(JSON.stringify({ host: machine.host.save(), clock: machine.bench.clock.save() }))
    const other = new Machine('modern')
    other.memory.bytes.set(machine.memory.bytes)
    other.host.restore(saved.host)
    other.bench.clock.restore(saved.clock)
    other.bench.advance(2000)
    expect(other.sent.map(({ vector }) => vector)).toEqual([0x52])
    machine.bench.advance(2000)
    expect(other.host.save()).toEqual(machine.host.save())
  })
})

describe('the legacy interface', () => {
  const port = (machine: Machine) => machine.config(0x10, 4) & ~3

  function start(machine: Machine, msix = false): ReturnType<typeof legacyAreas> {
    const { bus } = machine.bench
    const io = port(machine)
    if (msix) machine.enableMsix()
    for (const status of [0, 1, 3]) bus.writePort(io + 18, 1, status)
    bus.writePort(io + 4, 4, bus.readPort(io, 4) & 0b100)
    bus.writePort(io + 14, 2, 1)
    bus.writePort(io + 8, 4, 0x10)
    if (msix) bus.writePort(io + 22, 2, 1)
    return legacyAreas(0x10, bus.readPort(io + 12, 2))
  }

  test('lays rings out as drivers before 1.0 do: the used ring at the next page', () => {
    expect(legacyAreas(0x10, 8)).toEqual({ descriptors: 0x10000, driver: 0x10080, device: 0x11000 })
    expect(legacyAreas(0x10, 256)).toEqual({ descriptors: 0x10000, driver: 0x11000, device: 0x12000 })
  })

  test('carries a request, also before DRIVER_OK, with an interrupt by the pin', () => {
    const machine = new Machine('legacy')
    const { bus } = machine.bench
    const areas = start(machine)
    expect(machine.core.features).toBe(0b100n)
    machine.post(areas)
    bus.writePort(port(machine) + 16, 2, 1)
    machine.bench.advance(2000)
    expect(machine.memory.bytes[0x20001]).toBe(0x5a)
    expect(machine.memory.view.getUint16(areas.device + 2, true)).toBe(1)
    expect(machine.lines[machine.config(0x3c, 1)].level).toBe(true)
    expect(bus.readPort(port(machine) + 19, 1)).toBe(1)
    expect(machine.lines[machine.config(0x3c, 1)].level).toBe(false)
  })

  test('has vectors, and the configuration behind them, while MSI-X is enabled', () => {
    const machine = new Machine('transitional')
    const { bus } = machine.bench
    const io = port(machine)
    expect(bus.readPort(io + 20, 4)).toBe(0x04030201)
    const areas = start(machine, true)
    expect(bus.readPort(io + 24, 4)).toBe(0x04030201)
    bus.writePort(io + 24, 1, 0x77)
    expect(machine.device.configuration[0]).toBe(0x77)
    bus.writePort(io + 18, 1, 7)
    machine.post(areas)
    bus.writePort(io + 16, 2, 1)
    machine.bench.advance(2000)
    expect(machine.sent.map(({ vector }) => vector)).toEqual([0x51])
  })

  test('offers none of the features that came later, and takes a queue away by page 0', () => {
    const machine = new Machine('transitional')
    const { bus } = machine.bench
    const io = port(machine)
    expect(bus.readPort(io, 4)).toBe(0x38000005)
    start(machine)
    bus.writePort(io + 8, 4, 0)
    expect(bus.readPort(io + 8, 4)).toBe(0)
    expect(machine.core.queues[1].enabled).toBe(false)
  })

  test('breaks where the page is no RAM, and is mended by a reset', () => {
    const machine = new Machine('legacy')
    const { bus } = machine.bench
    start(machine)
    bus.writePort(port(machine) + 14, 2, 0)
    bus.writePort(port(machine) + 8, 4, 0xffffffff)
    expect(machine.core.brokenReason).toMatch(/descriptor table at 0xffffffff000/)
    bus.writePort(port(machine) + 18, 1, 0)
    expect(machine.core.needsReset).toBe(false)
  })
})
