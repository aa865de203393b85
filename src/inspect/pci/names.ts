/** Names of what the PCI functions of a machine may be: vendors and devices by id, classes, and virtio devices by type. */

const VENDORS: Readonly<Record<number, string>> = { 32902: 'Intel', 6900: 'Red Hat (virtio)', 6966: 'Red Hat' }

const INTEL: Readonly<Record<number, string>> = {
  4663: '82441FX host bridge',
  28672: '82371SB (PIIX3) ISA bridge',
  28688: '82371SB (PIIX3) IDE',
  28947: '82371AB (PIIX4) power management',
}

/** Virtio 1.2, chapter 5. */
const VIRTIO_TYPES: Readonly<Record<number, string>> = {
  1: 'network card',
  2: 'block device',
  3: 'console',
  4: 'entropy source',
  5: 'balloon',
  9: 'shared folder (9P)',
}

/** Virtio 1.2, 4.1.2.1: transitional devices, then those of 1.0 and later by type. */
const TRANSITIONAL_TYPES: Readonly<Record<number, number>> = {
  ...{ 4096: 1, 4097: 2, 4098: 5, 4099: 3, 4101: 4, 4105: 9 },
}
const MODERN_FIRST = 0x1040
const MODERN_LAST = 0x107f

/** PCI 3.0, appendix D: base class, and subclasses of those that are met here. */
const CLASSES: Readonly<Record<number, string>> = {
  ...{ 0: 'unclassified', 1: 'mass storage', 2: 'network', 3: 'display', 5: 'memory', 6: 'bridge' },
  ...{ 7: 'communication', 8: 'system peripheral', 255: 'other' },
}
const SUBCLASSES: Readonly<Record<number, string>> = {
  ...{ 256: 'SCSI storage', 257: 'IDE controller', 384: 'mass storage', 512: 'Ethernet' },
  ...{ 1536: 'host bridge', 1537: 'ISA bridge', 1664: 'bridge', 1920: 'communication' },
}

export const vendorName = (vendor: number): string | undefined => VENDORS[vendor]

export function deviceName(vendor: number, device: number): string | undefined {
  if (vendor === 0x8086) return INTEL[device]
  if (vendor !== 0x1af4) return undefined
  const modern = device >= MODERN_FIRST && device <= MODERN_LAST
  const type = VIRTIO_TYPES[modern ? device - MODERN_FIRST : (TRANSITIONAL_TYPES[device] ?? 0)]
  return type === undefined ? undefined : `virtio ${type}${modern ? '' : ', transitional'}`
}

/** @param code base class, subclass and programming interface, 24 bits. */
export const className = (code: number): string =>
  SUBCLASSES[code >>> 8] ?? CLASSES[code >>> 16] ?? `class 0x${(code >>> 16).toString(16)}`
