/** Seeds that once failed, kept so that they don't again. */

import { fileURLToPath } from 'node:url'
import { type TransportName, VIRTIO_TRANSPORTS } from './virtio-transports.ts'

export const SEEDS_FILE = fileURLToPath(new URL('virtio-seeds.json', import.meta.url))

export interface FuzzSeed {
  readonly device: string
  /** `mmio` if absent. */
  readonly transport?: TransportName
  readonly seed: number
  readonly operations: number
}

export function parseSeeds(text: string): FuzzSeed[] {
  const value: unknown = JSON.parse(text)
  if (!Array.isArray(value) || !value.every(isSeed)) throw new Error(`${SEEDS_FILE} is not a list of seeds`)
  return value
}

function isSeed(value: unknown): value is FuzzSeed {
  if (typeof value !== 'object' || value === null) return false
  const { device, transport = 'mmio', seed, operations }: Partial<Record<keyof FuzzSeed, unknown>> = value
  const known = VIRTIO_TRANSPORTS.some(name => name === transport)
  return typeof device === 'string' && known && Number.isInteger(seed) && Number.isInteger(operations)
}
