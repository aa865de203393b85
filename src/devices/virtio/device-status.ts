/** The device status field (Virtio 1.2, 2.1). */

export const STATUS_ACKNOWLEDGE = 1
export const STATUS_DRIVER = 2
export const STATUS_DRIVER_OK = 4
export const STATUS_FEATURES_OK = 8
export const STATUS_NEEDS_RESET = 64
export const STATUS_FAILED = 128

const NAMES: readonly (readonly [number, string])[] = [
  [STATUS_ACKNOWLEDGE, 'ACKNOWLEDGE'],
  [STATUS_DRIVER, 'DRIVER'],
  [STATUS_FEATURES_OK, 'FEATURES_OK'],
  [STATUS_DRIVER_OK, 'DRIVER_OK'],
  [STATUS_NEEDS_RESET, 'DEVICE_NEEDS_RESET'],
  [STATUS_FAILED, 'FAILED'],
]

export function statusNames(status: number): string {
  const names = NAMES.flatMap(([bit, name]) => ((status & bit) !== 0 ? [name] : []))
  return names.length === 0 ? 'reset' : names.join(' ')
}
