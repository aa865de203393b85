import { describe, expect, test } from 'vitest'
import { MemoryDisk } from '../../src/backends/disk/memory-disk.ts'
import { AcpiPm } from '../../src/devices/acpi-pm/acpi-pm.ts'
import { DebugConsole } from '../../src/devices/debug-console/debug-console.ts'
import { DebugExit } from '../../src/devices/debug-exit/debug-exit.ts'
import type { Device } from '../../src/devices/device.ts'
import { FastReset } from '../../src/devices/fast-reset/fast-reset.ts'
import { ResetControl } from '../../src/devices/fast-reset/reset-control.ts'
import { FwCfg } from '../../src/devices/fw-cfg/fw-cfg.ts'
import { Hpet } from '../../src/devices/hpet/hpet.ts'
import { I8042 } from '../../src/devices/i8042/i8042.ts'
import { Piix3Ide } from '../../src/devices/ide/piix3-ide.ts'
import { IoApic } from '../../src/devices/ioapic/ioapic.ts'
import { PciHost } from '../../src/devices/pci/pci-host.ts'
import { Pic } from '../../src/devices/pic/pic.ts'
import { Pit } from '../../src/devices/pit/pit.ts'
import { Rtc } from '../../src/devices/rtc/rtc.ts'
import { Uart } from '../../src/devices/uart/uart.ts'
import { VgaText } from '../../src/devices/vga-text/vga-text.ts'
import { VirtioMmioTransport } from '../../src/devices/virtio/mmio-transport.ts'
import { VirtioPciTransport } from '../../src/devices/virtio/pci-transport.ts'
import { VirtioCore } from '../../src/devices/virtio/virtio-core.ts'
import { VIRTIO_ID_BLOCK } from '../../src/devices/virtio/virtio-device.ts'
import { PciSlots } from '../../src/machine/pci-slots.ts'
import { DriverMemory } from '../support/virtio-driver.ts'
import { Bench, FlatMemory, random } from './bench.ts'
import { BUS_MASTER_BASE, DmaFlatMemory, numbered } from './ide/ata-driver.ts'
import { EchoDevice } from './virtio/echo-device.ts'

/** Of a type that had a legacy form. */
class EchoOfBlockType extends EchoDevice {
  override readonly type = VIRTIO_ID_BLOCK
}

/** A device on a bench of its own, with everything it does to its surroundings in a log. */
interface Setup {
  readonly bench: Bench
  readonly device: Device
  readonly log: string[]
  /** Something the host or another device does to it. */
  readonly poke: (choice: number) => void
}

interface Subject {
  readonly ports: readonly number[]
  /** Bases and sizes of MMIO ranges. */
  readonly mmio?: readonly (readonly [number, number])[]
  /** Battery-backed state outlives a reset. */
  readonly remembers?: boolean
  build(bench: Bench, log: string[]): { device: Device; poke?: (choice: number) => void }
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index)
}

function note(log: string[], what: string): (value?: unknown) => void {
  return value => log.push(`${what} ${JSON.stringify(value)}`)
}

function line(log: string[], name: string): { set: (asserted: boolean) => void } {
  return { set: asserted => log.push(`${name} ${asserted}`) }
}

const SUBJECTS: Record<string, Subject> = {
  uart: {
    ports: range(0x3f8, 8),
    build: (bench, log) => {
      const device = new Uart({
        name: 'uart0',
        port: 0x3f8,
        clock: bench.clock,
        interrupt: line(log, 'irq4'),
        sink: note(log, 'sent'),
      })
      device.attach(bench.bus)
      return { device, poke: choice => device.receive(new Uint8Array(choice % 40).fill(choice)) }
    },
  },
  pic: {
    ports: [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1],
    build: (bench, log) => {
      const device = new Pic({ output: line(log, 'intr') })
      device.attach(bench.bus)
      const poke = (choice: number): void => {
        if (choice % 5 === 0) log.push(`vector ${device.acknowledge()}`)
        else device.line(choice & 15).set((choice & 16) !== 0)
      }
      return { device, poke }
    },
  },
  pit: {
    ports: [...range(0x40, 4), 0x61],
    build: (bench, log) => {
      const device = new Pit({ clock: bench.clock, interrupt: line(log, 'irq0') })
      device.attach(bench.bus)
      return { device, poke: choice => device.setDisconnected(choice % 8 === 0) }
    },
  },
  ioapic: {
    ports: [],
    mmio: [[0xfec00000, 0x50]],
    build: (bench, log) => {
      const device = new IoApic({ send: note(log, 'message') })
      device.attach(bench.bus)
      const poke = (choice: number): void => {
        if (choice % 5 === 0) device.endOfInterrupt(choice & 0xff)
        else device.line(choice % 24).set((choice & 32) !== 0)
      }
      return { device, poke }
    },
  },
  'acpi-pm': {
    ports: [...range(0x600, 12), ...range(0x620, 4)],
    build: (bench, log) => {
      const device = new AcpiPm({
        clock: bench.clock,
        interrupt: line(log, 'sci'),
        onPowerOff: note(log, 'off'),
      })
      device.attach(bench.bus)
      return { device, poke: choice => (choice & 1 ? device.pressPowerButton() : device.raiseEvent(choice & 15)) }
    },
  },
  rtc: {
    ports: [0x70, 0x71],
    remembers: true,
    build: (bench, log) => {
      const device = new Rtc({ clock: bench.clock, interrupt: line(log, 'irq8'), start: 1_767_225_599 })
      device.attach(bench.bus)
      return { device, poke: choice => device.setDisconnected(choice % 4 === 0) }
    },
  },
  i8042: {
    ports: [0x60, 0x64],
    build: (bench, log) => {
      const device = new I8042({
        keyboardInterrupt: line(log, 'irq1'),
        mouseInterrupt: line(log, 'irq12'),
        onReset: note(log, 'reset'),
        onA20: note(log, 'a20'),
      })
      device.attach(bench.bus)
      return { device, poke: choice => device.typeScancodes(Uint8Array.of(choice & 0xff, 0xf0, choice & 0x7f)) }
    },
  },
  'fast-reset': {
    ports: [0x92],
    build: (bench, log) => {
      const device = new FastReset({ onReset: note(log, 'reset'), onA20: note(log, 'a20') })
      device.attach(bench.bus)
      return { device }
    },
  },
  'reset-control': {
    ports: [0xcf9],
    build: (bench, log) => {
      const device = new ResetControl(note(log, 'reset'))
      bench.bus.addPorts(0xcf9, 1, device)
      return { device }
    },
  },
  'debug-console': {
    ports: [0xe9],
    build: (bench, log) => {
      const device = new DebugConsole(note(log, 'byte'))
      device.attach(bench.bus)
      return { device }
    },
  },
  'debug-exit': {
    ports: range(0xf4, 4),
    build: (bench, log) => {
      const device = new DebugExit(note(log, 'exit'))
      device.attach(bench.bus)
      return { device }
    },
  },
  'pci-host': {
    // The address register more often than the rest, or hardly any access would find a function.
    ports: [0xcf8, 0xcf8, 0xcf8, 0xcf8, ...range(0xcf9, 7)],
    build: (bench, log) => {
      const device = new PciHost({
        bus: bench.bus,
        interrupt: irq => line(log, `irq${irq}`),
        resetControl: { readPort: () => 0x5a, writePort: (_port, _size, value) => note(log, 'reset')(value) },
      })
      device.attach()
      // A driver would look at what is there.
      const poke = (choice: number): void =>
        bench.bus.writePort(0xcf8, 4, 0x80000000 + (choice % 2) * 0x800 + (choice & 0xfc) + (choice & 0x300))
      return { device, poke }
    },
  },
  ide: {
    ports: [...range(0x1f0, 8), 0x3f6, 0x1f7, 0x1f7, ...range(BUS_MASTER_BASE, 8)],
    build: (bench, log) => {
      const memory = new DmaFlatMemory(0x10000)
      const device = new Piix3Ide({
        clock: bench.clock,
        memory,
        interrupt: irq => line(log, `irq${irq}`),
        disks: [new MemoryDisk(numbered(300), { readOnly: true })],
      })
      device.attach(bench.bus)
      const remap = (): void => {
        device.unmapBars()
        device.mapBars()
      }
      device.placeBars(() => BUS_MASTER_BASE)
      device.plug({ bus: bench.bus, interrupt: line(log, 'pin'), remap }, 0)
      const commands = [0x20, 0x25, 0x29, 0x30, 0xc4, 0xc6, 0xc8, 0xec]
      const poke = (choice: number): void => {
        new DataView(memory.bytes.buffer).setUint32(4 * (choice & 15), choice * 0x10001, true)
        bench.out(0x1f6, 0xe0)
        bench.out(0x1f7, commands[choice & 7])
      }
      return { device, poke }
    },
  },
  'fw-cfg': {
    ports: [...range(0x510, 2), ...range(0x514, 8)],
    build: (bench, log) => {
      const memory = new FlatMemory(0x10000)
      const device = new FwCfg(memory)
      device.attach(bench.bus)
      device.addFile('etc/a', new Uint8Array(100).fill(7))
      device.addFile('etc/b', new Uint8Array(100), note(log, 'written'))
      const poke = (choice: number): void => {
        const view = new DataView(memory.bytes.buffer)
        view.setUint32(0x100, ((0x18 + (choice % 12)) << 16) | (choice & 0x1f))
        view.setUint32(0x104, choice % 200)
        view.setUint32(0x108, choice % 50 === 0 ? choice : 0)
        view.setUint32(0x10c, choice % 3 === 0 ? choice : choice & 0xfff)
        bench.bus.writePort(0x514, 4, 0)
        bench.bus.writePort(0x518, 4, 0x00010000)
        log.push(`control ${view.getUint32(0x100)}`)
      }
      return { device, poke }
    },
  },
  vga: {
    ports: range(0x3b0, 0x30),
    mmio: [[0xa0000, 0x20000]],
    build: (bench, log) => {
      const device = new VgaText()
      device.attach(bench.bus)
      return { device, poke: () => log.push(JSON.stringify([device.text(), device.cursor()])) }
    },
  },
  hpet: {
    ports: [],
    mmio: [[0xfed00000, 0x180]],
    build: (bench, log) => {
      const device = new Hpet({
        clock: bench.clock,
        input: pin => line(log, `pin${pin}`),
        legacy: [line(log, 'irq0'), line(log, 'irq8')],
        onLegacy: note(log, 'legacy'),
      })
      device.attach(bench.bus)
      return { device }
    },
  },
  'virtio-mmio': {
    ports: [],
    mmio: [[0xfec10000, 0x120]],
    build: (bench, log) => {
      const core = new VirtioCore({ device: new EchoDevice(3), memory: new DriverMemory(), clock: bench.clock })
      const device = new VirtioMmioTransport({ core, base: 0xfec10000, interrupt: line(log, 'irq5') })
      device.attach(bench.bus)
      return { device, poke: disturb(core) }
    },
  },
  'virtio-pci': {
    // The legacy registers, and by configuration space the modern ones too.
    ports: [0xcf8, 0xcf8, ...range(0xcfc, 4), ...range(0xc000, 40)],
    mmio: [[0xfe004000, 0x4000]],
    build: (bench, log) => {
      const device = new EchoOfBlockType(3)
      const core = new VirtioCore({ device, memory: new DriverMemory(), clock: bench.clock, packed: true })
      const host = new PciHost({
        bus: bench.bus,
        interrupt: irq => line(log, `irq${irq}`),
        resetControl: { readPort: () => 0x5a, writePort: () => undefined },
      })
      host.attach()
      const send = note(log, 'message')
      new PciSlots(host).plug(new VirtioPciTransport({ core, generation: 'transitional', send }))
      const disturbCore = disturb(core)
      const poke = (choice: number): void => {
        bench.bus.writePort(0xcf8, 4, 0x80001800 + (choice & 0xfc))
        disturbCore(choice)
      }
      return { device: host, poke }
    },
  },
}

/** Changes of the device's own, and notifications of queues that its driver may have set up. */
function disturb(core: VirtioCore): (choice: number) => void {
  return choice => {
    if (choice % 16 === 0) core.fail('for the test')
    else if (choice % 2 === 0) core.configurationChanged()
    else core.kick(choice % 5)
  }
}

function setUp(subject: Subject): Setup {
  const bench = new Bench()
  const log: string[] = []
  const { device, poke } = subject.build(bench, log)
  return { bench, device, log, poke: poke ?? (() => undefined) }
}

/** Mostly small, sometimes all bits: what registers react to. */
function anyValue(next: (bound: number) => number, size: number): number {
  const value = [next(256), next(2 ** 32), 1 << next(32), 0xffffffff, 0][next(5)]
  return (size === 4 ? value : value & (2 ** (8 * size) - 1)) >>> 0
}

/** Plays `steps` random accesses and events, with all that is read in the log. The same seed plays the same. */
function play(subject: Subject, { bench, log, poke }: Setup, seed: number, steps: number): void {
  const next = random(seed)
  const sizes = [1, 1, 2, 4] as const
  const choosePort = (): number => subject.ports[next(subject.ports.length)]
  const chooseAddress = (): number => {
    const [base, size] = subject.mmio?.[0] ?? [0, 1]
    // Mostly where registers are.
    const offset = next(size)
    return base + (next(4) === 0 ? offset : offset & ~3)
  }
  for (let step = 0; step < steps; step++) {
    const size = sizes[next(4)]
    const byPort = subject.mmio === undefined || (subject.ports.length > 0 && next(2) === 0)
    const action = next(10)
    if (action === 0) poke(next(2 ** 16))
    else if (action === 1) {
      // Up to 3 s at once; at most 5 ms of timers that may go off every 10 ns.
      const target = bench.clock.now + next(next(4) === 0 ? 3_000_000_000 : 10_000)
      for (let fired = 0; bench.clock.deadline <= target && fired < 1000; fired++) {
        bench.clock.skipTo(bench.clock.deadline)
        bench.clock.fireDue()
      }
      bench.clock.skipTo(target)
      bench.clock.fireDue()
    } else if (action < 6) {
      const value = anyValue(next, size)
      if (byPort) bench.bus.writePort(choosePort(), size, value)
      else bench.bus.writeMmio(chooseAddress(), size, BigInt(value))
    } else if (byPort) log.push(`read ${bench.bus.readPort(choosePort(), size)}`)
    else log.push(`read ${bench.bus.readMmio(chooseAddress(), size)}`)
  }
}

describe.each(Object.entries(SUBJECTS))('%s', (_name, subject) => {
  test('bears any accesses, and shows its registers within their widths', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const setup = setUp(subject)
      play(subject, setup, seed * 7919, 2000)
      for (const { name, value, width } of setup.device.registers()) {
        expect(Number.isInteger(value), `${name} is ${value}`).toBe(true)
        expect(value >= 0 && value < 2 ** width, `${name} is ${value}, more than ${width} bits`).toBe(true)
      }
    }
  })

  test('goes on the same after it was saved as JSON and restored into a new one', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const first = setUp(subject)
      play(subject, first, seed * 104_729, 500)
      const saved: string = JSON.stringify({ clock: first.bench.clock.save(), device: first.device.save() })

      const second = setUp(subject)
      const state = JSON.parse(saved)
      second.bench.clock.restore(state.clock)
      second.device.restore(state.device)
      expect(second.log).toEqual([])
      expect(JSON.stringify({ clock: second.bench.clock.save(), device: second.device.save() })).toBe(saved)
      expect(second.device.registers()).toEqual(first.device.registers())

      first.log.length = 0
      play(subject, first, seed, 1000)
      play(subject, second, seed, 1000)
      expect(second.log).toEqual(first.log)
      expect(second.device.save()).toEqual(first.device.save())
    }
  })

  test('looking at its registers or saving it changes nothing', () => {
    const setup = setUp(subject)
    play(subject, setup, 31_337, 500)
    const before = JSON.stringify(setup.device.save())
    const logged = setup.log.length
    setup.device.registers()
    expect([JSON.stringify(setup.device.save()), setup.log.length]).toEqual([before, logged])
  })

  test('refuses state that is not its own', () => {
    const { device } = setUp(subject)
    if (Object.keys(JSON.parse(JSON.stringify(device.save()))).length === 0) return
    for (const state of [null, 7, 'text', [], {}])
      expect(() => device.restore(state)).toThrow(/saved state of .*damaged/)
  })

  if (subject.remembers) return
  test('is after a reset as it was at power-on', () => {
    const setup = setUp(subject)
    const initial = JSON.stringify(setup.device.save())
    setup.device.reset()
    expect(JSON.stringify(setup.device.save())).toBe(initial)
    for (let i = 0; i < 3; i++) {
      play(subject, setup, 4242 + i, 500)
      setup.bench.clock.restore({ count: 0, skipped: 0, timers: {} })
      setup.device.reset()
      expect(JSON.parse(JSON.stringify(setup.device.save()))).toEqual(JSON.parse(initial))
    }
  })
})
