import { describe, expect, it } from 'vitest'
import { Chipset } from '../../src/machine/chipset.ts'
import { configure } from '../../src/machine/configuration.ts'
import { FramePool } from '../../src/vmm/frame-pool.ts'
import { Vm } from '../../src/vmm/vm.ts'
import { ScriptedProcessor } from '../vmm/support/scripted-processor.ts'

function makeChipset(cpus = 2, hpet = false) {
  const processor = new ScriptedProcessor()
  const vm = new Vm({ processor, pool: new FramePool(processor.memory, 65536), memory: 4 * 2 ** 20, cpus })
  const shown: string[] = []
  const configuration = configure({
    image: { name: 'kernel', bytes: Uint8Array.of(1) },
    memory: 4 * 2 ** 20,
    cpus,
    hpet,
  })
  const chipset = new Chipset(configuration, vm, {
    console: byte => shown.push(`console ${byte}`),
    debugConsole: byte => shown.push(`debug ${byte}`),
  })
  vm.attach(chipset.platform)
  const out = (port: number, value: number, size: 1 | 2 | 4 = 1) => chipset.platform.bus.writePort(port, size, value)
  return { vm, chipset, shown, out, vcpus: processor.vcpus, ...chipset.platform }
}

/** ICW1 to ICW4, then everything unmasked: vectors 0x20 and 0x28. */
function initializePic(out: (port: number, value: number) => void) {
  for (const [port, base, wiring] of [
    [0x20, 0x20, 4],
    [0xa0, 0x28, 2],
  ]) {
    out(port, 0x11)
    out(port + 1, base)
    out(port + 1, wiring)
    out(port + 1, 1)
    out(port + 1, 0)
  }
}

describe('the chipset', () => {
  it('shows what the guest writes to the first serial port and to the debug console', () => {
    const { out, shown } = makeChipset()
    out(0x3f8, 65)
    out(0xe9, 66)
    out(0x2f8, 67)
    expect(shown).toEqual(['console 65', 'debug 66'])
  })

  it('brings A20 from port 92h and from the keyboard controller to every processor', () => {
    const { vcpus, out } = makeChipset(2)
    out(0x92, 0)
    out(0x64, 0xdf)
    out(0x64, 0xd1)
    out(0x60, 0xcd)
    out(0x92, 2)
    for (const vcpu of vcpus) expect(vcpu.events).toEqual(['a20 off', 'a20 on', 'a20 off', 'a20 on'])
  })

  it('brings the timer to the interrupt controller as request 0', () => {
    const { vm, vcpus, out } = makeChipset(1)
    initializePic(out)
    // Counter 0, mode 0 (once), 1193 ticks: about a millisecond.
    out(0x43, 0x30)
    out(0x40, 1193 & 0xff)
    out(0x40, 1193 >> 8)
    vm.run({ instructions: 1_100_000 })
    expect(vcpus[0].events).toHaveLength(1)
    expect(vcpus[0].events[0]).toBe('999848: injected 32')
  })

  it('brings the timer to input 2 of the I/O APIC too', () => {
    const { vm, vcpus, out, bus } = makeChipset()
    // Entry 2: fixed, edge, vector 0x31, to the local APIC with id 1.
    for (const [index, value] of [
      [0x15, 1 << 24],
      [0x14, 0x31],
    ]) {
      bus.writeMmio(0xfec0_0000, 4, BigInt(index))
      bus.writeMmio(0xfec0_0010, 4, BigInt(value))
    }
    out(0x43, 0x30)
    out(0x40, 0)
    out(0x40, 1)
    for (const vcpu of vcpus) vcpu.acceptsExtint = false
    vm.run({ instructions: 250_000 })
    expect(vcpus.map(vcpu => vcpu.events.length)).toEqual([0, 1])
    expect(vcpus[1].events[0]).toMatch(/: fixed 49$/)
  })

  it('powers off by ACPI, resets by three ports, and exits for tests', () => {
    const stopAfter = (write: (out: (port: number, value: number, size?: 1 | 2 | 4) => void) => void) => {
      const { vm, out } = makeChipset()
      write(out)
      return vm.run({ instructions: 10 })
    }
    expect(stopAfter(out => out(0x604, (5 << 10) | (1 << 13), 2))).toEqual({ kind: 'power-off' })
    expect(stopAfter(out => out(0xcf9, 6))).toEqual({ kind: 'reset' })
    expect(stopAfter(out => out(0x64, 0xfe))).toEqual({ kind: 'reset' })
    expect(stopAfter(out => out(0x92, 3))).toEqual({ kind: 'reset' })
    expect(stopAfter(out => out(0xf4, 0x10))).toEqual({ kind: 'debug-exit', value: 0x10 })
  })

  it('has devices with different names, which saved state needs', () => {
    const { chipset } = makeChipset()
    const names = chipset.devices.map(device => device.name)
    expect(new Set(names).size).toBe(names.length)
    for (const device of chipset.devices) device.restore(JSON.parse(JSON.stringify(device.save())))
  })

  it('has an HPET if it is asked for', () => {
    const capabilities = (hpet: boolean) => makeChipset(1, hpet).bus.readMmio(0xfed0_0000, 4) & 0xffffn
    expect(capabilities(true)).toBe(0xa201n)
    expect(capabilities(false)).toBe(0xffffn)
  })

  it('tells RAM, processors and memory map through fw_cfg', () => {
    const { bus, out } = makeChipset(2)
    const item = (key: number, length: number) => {
      out(0x510, key, 2)
      return Array.from({ length }, () => bus.readPort(0x511, 1))
    }
    expect(item(3, 8)).toEqual([0, 0, 0x40, 0, 0, 0, 0, 0])
    expect(item(5, 2)).toEqual([2, 0])
    // The first file is the memory map: RAM from 0 to the extended BIOS data area.
    expect(item(0x20, 20)).toEqual([...new Array(8).fill(0), 0, 0xfc, 9, 0, 0, 0, 0, 0, 1, 0, 0, 0])
  })

  it('shows text memory as text', () => {
    const { chipset, bus } = makeChipset()
    for (const [i, character] of [...'hi'].entries())
      bus.writeMmio(0xb8000 + i * 2, 2, BigInt(0x0700 | character.charCodeAt(0)))
    expect(chipset.screen.text()[0]).toBe('hi')
  })

  it('reads all ones where no device is', () => {
    const { bus } = makeChipset()
    expect(bus.readPort(0x5678, 4)).toBe(0xffff_ffff)
    expect(bus.claims(0xd000_0000)).toBe(false)
  })
})
