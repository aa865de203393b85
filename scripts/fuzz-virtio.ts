/**
 * `npm run fuzz:virtio`: drivers of noise (test/fuzz/virtio-noise.ts) against each virtio device over each transport,
 * until each pair has borne so many operations. A seed that fails is written to test/fuzz/virtio-seeds.json, which the
 * tests play again.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { VirtualClock } from '../src/util/virtual-clock.ts'
import { emptyReport, type NoiseReport, VirtioNoise } from '../test/fuzz/virtio-noise.ts'
import { type FuzzSeed, parseSeeds, SEEDS_FILE } from '../test/fuzz/virtio-seeds.ts'
import { VIRTIO_SUBJECTS } from '../test/fuzz/virtio-subjects.ts'
import { hasTransport, type TransportName, VIRTIO_TRANSPORTS } from '../test/fuzz/virtio-transports.ts'

/** Operations before a new device and driver. */
const OPERATIONS_EACH = 2000
/** A device that fails so often needs no more examples. */
const MOST_FAILURES = 5

const { values } = parseArgs({
  options: {
    operations: { type: 'string', default: '1e6' },
    seed: { type: 'string', default: '1' },
    device: { type: 'string' },
    transport: { type: 'string' },
  },
})
const operations = Number(values.operations)
const first = Number(values.seed)
const names = values.device === undefined ? Object.keys(VIRTIO_SUBJECTS) : [values.device]
const transports = VIRTIO_TRANSPORTS.filter(name => values.transport === undefined || values.transport === name)
const numbersAreRight = [operations, first].every(n => Number.isInteger(n) && n > 0)
if (!numbersAreRight || names.some(name => !(name in VIRTIO_SUBJECTS)) || transports.length === 0) {
  console.error(`usage: npm run fuzz:virtio -- [--operations N] [--seed FIRST] [--device NAME] [--transport NAME]
devices: ${Object.keys(VIRTIO_SUBJECTS).join(', ')}
transports: ${VIRTIO_TRANSPORTS.join(', ')}`)
  process.exit(64)
}
for (const name of names) for (const transport of transports) if (exists(name, transport)) fuzz(name, transport)

function exists(name: string, transport: TransportName): boolean {
  const { device, close } = VIRTIO_SUBJECTS[name].make(new VirtualClock())
  close?.()
  return hasTransport(device, transport)
}

function fuzz(name: string, transport: TransportName): void {
  const started = performance.now()
  const total = emptyReport()
  let failures = 0
  let seed = first
  for (; total.operations < operations && failures < MOST_FAILURES; seed++) {
    const noise = new VirtioNoise(VIRTIO_SUBJECTS[name], seed, transport)
    try {
      noise.play(OPERATIONS_EACH)
    } catch (error) {
      failures++
      process.exitCode = 1
      console.error(`${name} over ${transport}, seed ${seed}, operation ${noise.report.operations}:`, error)
      remember({ device: name, transport, seed, operations: OPERATIONS_EACH })
    }
    add(total, noise.report)
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  const counts = Object.entries(total).map(([what, count]) => `${count} ${what}`)
  const seeds = `seeds ${first} to ${seed - 1}`
  console.log(`${name} over ${transport}: ${seeds}, ${counts.join(', ')}, ${failures} failures, ${seconds} s`)
}

function add(total: NoiseReport, more: NoiseReport): void {
  total.operations += more.operations
  total.kicks += more.kicks
  total.taken += more.taken
  total.used += more.used
  total.broken += more.broken
  total.resets += more.resets
}

function remember(failed: FuzzSeed): void {
  const seeds = parseSeeds(readFileSync(SEEDS_FILE, 'utf8'))
  const same = (seed: FuzzSeed) =>
    seed.device === failed.device && (seed.transport ?? 'mmio') === failed.transport && seed.seed === failed.seed
  if (seeds.some(same)) return
  writeFileSync(SEEDS_FILE, `${JSON.stringify([...seeds, failed], undefined, 2)}\n`)
}
