/** The list of capabilities in configuration space (PCI 3.0, 6.7), those of virtio (1.2, 4.1.4) and MSI-X decoded. */

import * as p from '../../devices/virtio/pci-registers.ts'

export interface CapabilityModel {
  /** In configuration space. */
  readonly offset: number
  readonly id: number
  readonly name: string
  readonly fields: readonly { readonly name: string; readonly value: string }[]
}

const CAPABILITIES_POINTER = 0x34
const STATUS = 0x06
const STATUS_CAPABILITIES = 1 << 4
const FIRST = 0x40
/** As many as there is room for: a list that is longer is a loop. */
const MOST_CAPABILITIES = 48

const MSIX = 0x11
const NAMES: Readonly<Record<number, string>> = {
  ...{ 1: 'power management', 5: 'MSI', 9: 'vendor-specific', 16: 'PCI Express', [MSIX]: 'MSI-X' },
}
const VIRTIO_STRUCTURES: Readonly<Record<number, string>> = {
  [p.CFG_TYPE_COMMON]: 'common configuration',
  [p.CFG_TYPE_NOTIFY]: 'notification',
  [p.CFG_TYPE_ISR]: 'ISR status',
  [p.CFG_TYPE_DEVICE]: 'device configuration',
  [p.CFG_TYPE_PCI]: 'access by configuration space',
}

/** @param isVirtio whose vendor-specific capabilities are virtio's. */
export function capabilitiesOf(config: DataView, isVirtio: boolean): CapabilityModel[] {
  if ((config.getUint16(STATUS, true) & STATUS_CAPABILITIES) === 0) return []
  const found: CapabilityModel[] = []
  let offset = config.getUint8(CAPABILITIES_POINTER) & ~3
  while (offset >= FIRST && found.length < MOST_CAPABILITIES) {
    found.push(capability(config, offset, isVirtio))
    offset = config.getUint8(offset + 1) & ~3
  }
  return found
}

function capability(config: DataView, offset: number, isVirtio: boolean): CapabilityModel {
  const id = config.getUint8(offset)
  const name = NAMES[id] ?? `capability 0x${id.toString(16)}`
  if (id === MSIX && fits(offset, 12)) return { offset, id, name, fields: msixFields(config, offset) }
  if (id === p.VENDOR_CAPABILITY && isVirtio && fits(offset, p.CAP_SIZE)) return virtioCapability(config, offset)
  return { offset, id, name, fields: [] }
}

const fits = (offset: number, length: number): boolean => offset + length <= 256

function virtioCapability(config: DataView, offset: number): CapabilityModel {
  const type = config.getUint8(offset + 3)
  const fields = [
    { name: 'BAR', value: String(config.getUint8(offset + p.CAP_BAR)) },
    { name: 'offset', value: hex(config.getUint32(offset + p.CAP_OFFSET, true)) },
    { name: 'length', value: hex(config.getUint32(offset + p.CAP_LENGTH, true)) },
  ]
  if (type === p.CFG_TYPE_NOTIFY && fits(offset, p.CAP_SIZE + 4))
    fields.push({ name: 'multiplier', value: String(config.getUint32(offset + p.CAP_SIZE, true)) })
  const name = `virtio: ${VIRTIO_STRUCTURES[type] ?? `structure ${type}`}`
  return { offset, id: p.VENDOR_CAPABILITY, name, fields }
}

function msixFields(config: DataView, offset: number): CapabilityModel['fields'] {
  const control = config.getUint16(offset + 2, true)
  const place = (at: number): string => {
    const value = config.getUint32(offset + at, true)
    return `BAR ${value & 7} + ${hex((value & ~7) >>> 0)}`
  }
  return [
    { name: 'entries', value: String((control & 0x7ff) + 1) },
    { name: 'enabled', value: control & 0x8000 ? 'yes' : 'no' },
    { name: 'all masked', value: control & 0x4000 ? 'yes' : 'no' },
    { name: 'table', value: place(4) },
    { name: 'pending bits', value: place(8) },
  ]
}

/** The message control register of MSI-X: `enabled` and `masked`; undefined without the capability. */
export function msixControl(
  config: DataView,
  capabilities: readonly CapabilityModel[],
): { readonly enabled: boolean; readonly masked: boolean } | undefined {
  const found = capabilities.find(({ id }) => id === MSIX)
  if (found === undefined || !fits(found.offset, 4)) return undefined
  const control = config.getUint16(found.offset + 2, true)
  return { enabled: (control & 0x8000) !== 0, masked: (control & 0x4000) !== 0 }
}

const hex = (value: number): string => `0x${value.toString(16)}`
