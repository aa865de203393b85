/** What `guest/scenario.sh` must print, computed without it. */

import { createHash } from 'node:crypto'
import { SCENARIO_END } from './initramfs.ts'

/** Output of `seq 1 last`. */
function sequence(last: number): string {
  return Array.from({ length: last }, (_, index) => `${index + 1}\n`).join('')
}

function digest(algorithm: string, text: string): string {
  return createHash(algorithm).update(text).digest('hex')
}

/** awk computes in double precision, as JavaScript does. */
function awkResults(): string {
  let harmonic = 0
  for (let n = 1; n <= 1000; n++) harmonic += 1 / n
  let e = 0
  let term = 1
  for (let n = 1; n < 30; n++) {
    e += term
    term /= n
  }
  const root = newtonRoot()
  return [
    harmonic.toFixed(12),
    Number(root.toPrecision(15)).toString(),
    Number(e.toPrecision(17)).toString(),
    (1 / 3e200).toExponential(6),
    (1e15 / 7).toFixed(0),
  ].join(' ')
}

function newtonRoot(): number {
  let root = 2
  for (;;) {
    const next = (root + 2 / root) / 2
    if (next >= root) return root
    root = next
  }
}

const FORK_STATUSES = Array.from({ length: 300 }, (_, index) => index % 5).reduce((sum, status) => sum + status, 0)
const SIGKILL_STATUS = 128 + 9
/** Files 1 to 10 of 1000 bytes each more, without the third, and the fourth counted again by its link. */
const TMPFS_BYTES = 55_000 - 3_000 + 4_000

/** The lines of the scenario, in order. */
export function expectedResults(cpus: number): string[] {
  return [
    `cpus ${cpus}`,
    'mounts 4',
    'sysfs ttyS0',
    `forks ${FORK_STATUSES} counted`,
    `sha256sum ${digest('sha256', sequence(20000))} -`,
    `gzip same ${sequence(20000).length}`,
    `awk ${awkResults()}`,
    `killed ${SIGKILL_STATUS}`,
    `tmpfs 10 ${TMPFS_BYTES} four`,
    `parallel ${digest('md5', sequence(9000))}`,
  ]
    .map(result => `scenario: ${result}`)
    .concat(SCENARIO_END)
}

/** The lines of the scenario in what a console showed. */
export function resultsIn(output: string): string[] {
  return output.split(/\r?\n/).filter(line => line.startsWith('scenario: '))
}
