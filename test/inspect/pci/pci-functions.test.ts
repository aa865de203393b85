/** PCI functions, interrupt routes and devices of a whole machine, as inspection decodes them. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { placedDevices } from '../../../src/inspect/devices.ts'
import { interruptRoutes } from '../../../src/inspect/interrupt-routes.ts'
import { capabilitiesOf } from '../../../src/inspect/pci/capabilities.ts'
import { pciFunctions } from '../../../src/inspect/pci/pci-functions.ts'
import { configure } from '../../../src/machine/configuration.ts'
import { parseEntropy } from '../../../src/machine/device-configuration.ts'
import { parseDisk } from '../../../src/machine/disk-configuration.ts'
import { Pc } from '../../../src/machine/pc.ts'

let folder: string
let pc: Pc

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ringside-pci-'))
  for (const name of ['a', 'b']) writeFileSync(join(folder, name), Buffer.alloc(4096))
  const image = { name: 'nothing', bytes: new Uint8Array(512) }
  const devices = [
    parseDisk(`${join(folder, 'a')},readonly`),
    parseDisk(`${join(folder, 'b')},readonly,interface=ide`),
    parseEntropy('transport=pci-legacy'),
    parseEntropy('transport=mmio'),
  ]
  const outputs = { console: () => undefined, debugConsole: () => undefined }
  pc = await Pc.create(configure({ image, memory: 4 * 2 ** 20, devices }), outputs)
})

afterAll(() => {
  pc.dispose()
  rmSync(folder, { recursive: true })
})

/** As a driver writes configuration space. */
function write(slot: number, offset: number, value: number): void {
  const { bus } = pc.chipset.platform
  bus.writePort(0xcf8, 4, 0x8000_0000 | (slot << 11) | offset)
  bus.writePort(0xcfc, 4, value)
}

test('functions are named, with windows, sizes and capabilities', () => {
  const functions = pciFunctions(pc.view)
  expect(functions.map(({ place, name }) => `${place} ${name}`)).toEqual([
    '00:00.0 pci-host-bridge',
    '00:01.0 pci-isa-bridge',
    '00:01.3 pci-power-management',
    '00:01.1 ide',
    '00:03.0 virtio-blk0',
    '00:04.0 virtio-rng0',
  ])
  const [disk, entropy] = functions.slice(-2)
  expect(disk).toMatchObject({
    vendor: { id: 0x1af4, name: 'Red Hat (virtio)' },
    device: { id: 0x1042, name: 'virtio block device' },
    classCode: { name: 'SCSI storage' },
    command: ['I/O', 'memory', 'bus master'],
    interruptPin: 'INTA',
    windows: [
      { bar: 1, kind: 'memory', size: 4096, mapped: true },
      { bar: 4, kind: 'memory64', size: 16384, prefetchable: true, mapped: true },
    ],
    msix: { enabled: false, entries: [{ masked: true }, { masked: true }] },
  })
  expect(disk.capabilities.map(({ name }) => name)).toEqual([
    'MSI-X',
    'virtio: common configuration',
    'virtio: ISR status',
    'virtio: device configuration',
    'virtio: notification',
    'virtio: access by configuration space',
  ])
  expect(entropy).toMatchObject({
    device: { id: 0x1005, name: 'virtio entropy source, transitional' },
    windows: [{ kind: 'io' }, { kind: 'memory' }],
  })
})

test('a window that the driver moves or turns off is shown where its register says, and as not decoded', () => {
  const windows = () => pciFunctions(pc.view).find(({ name }) => name === 'virtio-blk0')?.windows
  const place = windows()?.[0].address
  write(3, 0x04, 0)
  write(3, 0x14, 0xfd00_0000)
  expect(windows()?.[0]).toMatchObject({ address: 0xfd00_0000n, mapped: false })
  write(3, 0x04, 7)
  expect(windows()?.[0]).toMatchObject({ address: 0xfd00_0000n, mapped: true })
  write(3, 0x14, Number(place))
})

test('interrupts lead by pin, PIRQ and request, as the bridge and the controllers are programmed', () => {
  const route = (device: string) => interruptRoutes(pc.view).filter(each => each.device === device)
  expect(route('virtio-blk0')).toMatchObject([
    { source: 'INTA', pirq: 'PIRQ C', irq: 11, ioApic: { input: 11, masked: true } },
  ])
  // PIRQ C to nowhere, and to request 5.
  write(1, 0x60, 0x0a80_0a0a)
  expect(route('virtio-blk0')[0].irq).toBeUndefined()
  write(1, 0x60, 0x0a05_0a0a)
  expect(route('virtio-blk0')[0].irq).toBe(5)
  pc.chipset.platform.bus.writeMmio(0xfec0_0000, 4, 0x10n + 2n * 5n)
  pc.chipset.platform.bus.writeMmio(0xfec0_0010, 4, 0xa041n)
  expect(route('virtio-blk0')[0].ioApic).toMatchObject({ input: 5, vector: 0x41, mode: 'fixed', masked: false })
  expect(route('ide').map(({ irq }) => irq)).toEqual([14, 15])
  expect(route('pit')).toMatchObject([{ irq: 0, ioApic: { input: 2 } }])
  expect(route('virtio-rng1')).toMatchObject([{ irq: 5, source: 'IRQ 5' }])
})

test('with MSI-X the pin leads nowhere, and entries say their vector, destination and use', () => {
  const { bus } = pc.chipset.platform
  const [disk] = pciFunctions(pc.view).filter(({ name }) => name === 'virtio-blk0')
  const table = Number(disk.windows[0].address)
  for (const [at, value] of [
    [0, 0xfee0_3000n],
    [4, 0n],
    [8, 0x0051n],
    [12, 0n],
  ] as const)
    bus.writeMmio(table + 16 + at, 4, value)
  const common = Number(disk.windows[1].address)
  bus.writeMmio(common + 22, 2, 0n)
  bus.writeMmio(common + 26, 2, 1n)
  write(3, disk.capabilities[0].offset, 0x8000_0000)
  expect(interruptRoutes(pc.view).filter(({ device }) => device === 'virtio-blk0')).toMatchObject([
    { source: 'MSI-X 0', causes: [] },
    {
      source: 'MSI-X 1',
      causes: ['requestq'],
      message: { vector: 0x51, destination: 3, mode: 'fixed', masked: false },
    },
  ])
})

test('every device has a name and, where it can be moved, a place', () => {
  const places = new Map(placedDevices(pc.view).map(({ device, place }) => [device.name, place]))
  expect(places.get('virtio-rng1')).toBe('MMIO 0xfec10000')
  expect(places.get('virtio-blk0')).toBe('PCI 00:03.0')
  expect(places.get('uart0')).toBeUndefined()
})

test('a list of capabilities that is a loop, or leaves configuration space, ends', () => {
  const config = new DataView(new ArrayBuffer(256))
  config.setUint16(0x06, 0x10, true)
  config.setUint8(0x34, 0x40)
  config.setUint16(0x40, 0x4009, true)
  expect(capabilitiesOf(config, true)).toHaveLength(48)
  config.setUint16(0x40, 0xfc11, true)
  config.setUint16(0xfc, 0x0011, true)
  expect(capabilitiesOf(config, true).map(({ offset, fields }) => [offset, fields.length])).toEqual([
    [0x40, 5],
    [0xfc, 0],
  ])
})
