/** Feature bits that belong to rings and transports (Virtio 1.2, chapter 6). Those of devices are the devices'. */

/** Legacy: buffers may be arranged as the driver likes (6.3). */
export const VIRTIO_F_ANY_LAYOUT = 27
export const VIRTIO_F_INDIRECT_DESC = 28
export const VIRTIO_F_EVENT_IDX = 29
export const VIRTIO_F_VERSION_1 = 32
export const VIRTIO_F_RING_PACKED = 34
export const VIRTIO_F_IN_ORDER = 35
export const VIRTIO_F_NOTIFICATION_DATA = 38

export const RING_FEATURE_NAMES: Readonly<Record<number, string>> = {
  [VIRTIO_F_ANY_LAYOUT]: 'ANY_LAYOUT',
  [VIRTIO_F_INDIRECT_DESC]: 'INDIRECT_DESC',
  [VIRTIO_F_EVENT_IDX]: 'EVENT_IDX',
  [VIRTIO_F_VERSION_1]: 'VERSION_1',
  [VIRTIO_F_RING_PACKED]: 'RING_PACKED',
  [VIRTIO_F_IN_ORDER]: 'IN_ORDER',
  [VIRTIO_F_NOTIFICATION_DATA]: 'NOTIFICATION_DATA',
}

export function featureMask(...bits: readonly number[]): bigint {
  return bits.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n)
}

export function hasFeature(features: bigint, bit: number): boolean {
  return ((features >> BigInt(bit)) & 1n) !== 0n
}

/** Names of the bits that are set; a bit without one is called by its number. */
export function featureNames(features: bigint, own: Readonly<Record<number, string>>): string[] {
  const names: string[] = []
  for (let bit = 0; features >> BigInt(bit) !== 0n; bit++)
    if (hasFeature(features, bit)) names.push(RING_FEATURE_NAMES[bit] ?? own[bit] ?? `bit ${bit}`)
  return names
}
