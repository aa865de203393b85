/** Where the paravirtual devices of a machine are, and how a guest learns of them. */

import { describe, expect, it } from 'vitest'
import { buildDsdt } from '../../src/machine/acpi/dsdt.ts'
import { Chipset } from '../../src/machine/chipset.ts'
import { ConfigurationError, configure, identityOf } from '../../src/machine/configuration.ts'
import { type DeviceConfiguration, parseEntropy } from '../../src/machine/device-configuration.ts'
import { announcedCommandLine, mmioWindows } from '../../src/machine/virtio-mmio-windows.ts'
import { FramePool } from '../../src/vmm/frame-pool.ts'
import { Vm } from '../../src/vmm/vm.ts'
import { ScriptedProcessor } from '../vmm/support/scripted-processor.ts'

const IMAGE = { name: 'kernel', bytes: Uint8Array.of(1) }
const MEMORY = 4 * 2 ** 20

function makeChipset(...options: string[]) {
  const processor = new ScriptedProcessor()
  const vm = new Vm({ processor, pool: new FramePool(processor.memory, 65536), memory: MEMORY, cpus: 1 })
  const devices = options.map(text => parseEntropy(text))
  const configuration = configure({ image: IMAGE, memory: MEMORY, devices })
  const chipset = new Chipset(configuration, vm, { console: () => undefined, debugConsole: () => undefined })
  const { bus } = chipset.platform
  const config = (slot: number, offset: number) => {
    bus.writePort(0xcf8, 4, 0x80000000 + slot * 0x800 + offset)
    return bus.readPort(0xcfc, 4)
  }
  return { chipset, bus, config, vm }
}

describe('virtio devices', () => {
  it('are plugged into PCI slots from 3 on, in order, with names of their own and windows that firmware placed', () => {
    const { chipset, config, bus } = makeChipset(
      '',
      'transport=pci-legacy',
      'transport=mmio',
      'transport=pci-transitional',
    )
    expect(chipset.virtio.map(({ core, place }) => `${core.device.name} ${place}`)).toEqual([
      'virtio-rng0 PCI 00:03.0',
      'virtio-rng1 PCI 00:04.0',
      'virtio-rng2 MMIO 0xfec10000',
      'virtio-rng3 PCI 00:05.0',
    ])
    expect([3, 4, 5, 6].map(slot => config(slot, 0))).toEqual([0x10441af4, 0x10051af4, 0x10051af4, 0xffffffff])
    // I/O, memory and bus mastering are on, so that a driver without a bus of its own finds them.
    expect(config(4, 4) & 7).toBe(7)
    expect(bus.readPort((config(4, 0x10) & ~3) + 12, 2)).toBe(64)
    expect(bus.readMmio((config(3, 0x20) & ~15) >>> 0, 4)).toBe(0n)
    expect(bus.readMmio(0xfec1_0000, 4)).toBe(0x74726976n)
  })

  it('keep their windows and forget what drivers set at a reset of the machine', () => {
    const { chipset, bus, config } = makeChipset('', 'transport=mmio')
    bus.writeMmio(0xfec1_0070, 4, 3n)
    const windows = config(3, 0x20)
    bus.writePort(0xcf8, 4, 0x80001820)
    bus.writePort(0xcfc, 4, 0xf0000000)
    chipset.reset()
    expect(bus.readMmio(0xfec1_0070, 4)).toBe(0n)
    expect(config(3, 0x20)).toBe(windows)
  })

  it('are saved and restored with the other devices', () => {
    const { chipset } = makeChipset('', 'transport=mmio', 'transport=pci-legacy')
    const saved = JSON.parse(JSON.stringify(chipset.devices.map(device => [device.name, device.save()])))
    const other = makeChipset('', 'transport=mmio', 'transport=pci-legacy').chipset
    for (const [index, device] of other.devices.entries()) {
      expect(device.name).toBe(saved[index][0])
      device.restore(saved[index][1])
    }
    expect(JSON.parse(JSON.stringify(other.devices.map(device => [device.name, device.save()])))).toEqual(saved)
  })

  it('are part of what a snapshot must agree with', () => {
    const identity = (...devices: DeviceConfiguration[]) =>
      JSON.stringify(identityOf(configure({ image: IMAGE, devices })))
    const texts = [
      identity(),
      identity(parseEntropy('')),
      identity(parseEntropy('packed=on')),
      identity(parseEntropy('transport=mmio')),
    ]
    expect(new Set(texts).size).toBe(4)
  })
})

describe('virtio-mmio devices', () => {
  const mmio = (count: number) => Array.from({ length: count }, () => parseEntropy('transport=mmio'))

  it('have windows and requests of their own, as far as there are any', () => {
    expect(
      mmioWindows([parseEntropy(''), ...mmio(4)]).map(({ base, irq, shared }) => [base.toString(16), irq, shared]),
    ).toEqual([
      ['fec10000', 5, false],
      ['fec11000', 6, false],
      ['fec12000', 7, false],
      ['fec13000', 11, true],
    ])
    expect(() => configure({ image: IMAGE, devices: mmio(9) })).toThrow(ConfigurationError)
  })

  it('are devices LNRO0005 in the DSDT, with their window and interrupt', () => {
    const dsdt = buildDsdt({ cpus: 1, hpet: false, mmio: mmioWindows(mmio(4)) })
    const text = Buffer.from(dsdt).toString('latin1')
    expect(text.match(/LNRO0005/g)).toHaveLength(4)
    const resources = (base: number, flags: number, irq: number) =>
      Buffer.from([0x86, 9, 0, 1, 0, base, 0xc1, 0xfe, 0, 0x10, 0, 0, 0x89, 6, 0, flags, 1, irq, 0, 0, 0]).toString(
        'latin1',
      )
    expect(text).toContain(resources(0x00, 0x03, 5))
    expect(text).toContain(resources(0x30, 0x09, 11))
    expect(Buffer.from(buildDsdt({ cpus: 1, hpet: false, mmio: [] })).toString('latin1')).not.toContain('LNRO')
  })

  it('are on the command line where the kernel uses no ACPI', () => {
    const line = (cmdline: string, acpi = true) => announcedCommandLine({ cmdline, acpi, devices: mmio(2) })
    const told = 'virtio_mmio.device=0x1000@0xfec10000:5 virtio_mmio.device=0x1000@0xfec11000:6'
    expect(line('quiet')).toBe('quiet')
    expect(line('quiet acpi=off')).toBe(`quiet acpi=off ${told}`)
    expect(line('', false)).toBe(told)
    expect(announcedCommandLine({ cmdline: 'acpi=off', acpi: true, devices: [] })).toBe('acpi=off')
  })
})
