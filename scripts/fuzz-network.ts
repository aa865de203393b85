/**
 * `npm run fuzz:network`: frames of noise (test/fuzz/network-noise.ts) into bridge and user network, a million unless
 * told otherwise. A seed that fails is named; `--seed` plays it again.
 */

import { parseArgs } from 'node:util'
import { NetworkNoise } from '../test/fuzz/network-noise.ts'

/** Before a new network. */
const FRAMES_EACH = 20_000

const { values } = parseArgs({
  options: { frames: { type: 'string', default: '1e6' }, seed: { type: 'string', default: '1' } },
})
const [frames, first] = [values.frames, values.seed].map(Number)
if (![frames, first].every(n => Number.isInteger(n) && n > 0)) {
  console.error('usage: npm run fuzz:network -- [--frames N] [--seed FIRST]')
  process.exit(64)
}

const started = performance.now()
const total = { frames: 0, answers: 0, opened: 0, hostEvents: 0 }
let failures = 0
let seed = first
for (; total.frames < frames && failures < 5; seed++) {
  const noise = new NetworkNoise(seed)
  try {
    noise.play(Math.min(FRAMES_EACH, frames - total.frames))
  } catch (error) {
    failures++
    process.exitCode = 1
    console.error(`seed ${seed}, frame ${noise.report.frames}:`, error)
  }
  total.frames += noise.report.frames
  total.answers += noise.report.answers
  total.opened += noise.report.opened
  total.hostEvents += noise.report.hostEvents
}
const seconds = ((performance.now() - started) / 1000).toFixed(0)
console.log(
  `${total.frames} frames of seeds ${first} to ${seed - 1}, ${total.answers} answers, ${total.opened} connections, ` +
    `${total.hostEvents} events of the host, ${failures} failures, ${seconds} s`,
)
