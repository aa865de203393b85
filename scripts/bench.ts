/**
 * `npm run bench`: how fast guests run under Ringside, as ratios to QEMU's TCG on the same machine in the same run.
 * Six loops (guests/bench/bench.c), and Debian's kernel from power-on to a shell prompt. The two take turns, several
 * rounds; medians of wall time from process start are compared, nothing is subtracted. With `--against COMMIT` the
 * bundle of that commit takes turns too.
 */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildInitramfs, SHELL_PROMPT } from '../test/linux/initramfs.ts'
import { fetchKernel } from '../test/linux/kernel.ts'
import { BUNDLE, type Guest, qemu, qemuVersion, ringside } from './bench/contestants.ts'
import { buildEarlier } from './bench/earlier.ts'
import { type Command, describe, geometricMean, median, type Run, time } from './bench/stopwatch.ts'

/** Iterations of each loop: seconds under QEMU, so that starting a process matters little on either side. */
const ITERATIONS: Readonly<Record<string, number>> = {
  collatz: 6_000_000,
  xorshift: 180_000_000,
  memcpy: 120_000,
  sieve: 180,
  fib: 38,
  interpreter: 30_000_000,
}
const LOOPS = Object.keys(ITERATIONS)
const BOOT = 'boot'
/** Benchmarks of their own. */
const OTHERS = ['storage', 'network', 'debugger', 'symbols', 'language']
const BENCH_IMAGE = fileURLToPath(new URL('../guests/prebuilt/bench.elf', import.meta.url))

interface Row {
  readonly name: string
  readonly instructions: number
  readonly ringsideSeconds: number
  readonly qemuSeconds: number
  readonly earlierSeconds: number | undefined
}

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: [...LOOPS, BOOT].join(',') },
    against: { type: 'string' },
    cpu: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const rounds = Number(options.rounds)
const only = options.only.split(',')
const unknown = only.filter(name => name !== BOOT && !LOOPS.includes(name))

if (options.help || unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
  console.log(
    `usage: npm run bench -- [--rounds N] [--only ${[...LOOPS, BOOT].join(',')}] [--against COMMIT] [--cpu MODEL]`,
  )
  process.exit(options.help ? 0 : 64)
}
const version = qemuVersion()
if (version === undefined) {
  console.error('qemu-system-x86_64 is not installed: on Debian and Ubuntu, apt-get install qemu-system-x86')
  process.exit(69)
}

// What is measured is what people run: the bundle.
const built = spawnSync(process.execPath, [fileURLToPath(new URL('build.ts', import.meta.url))], { stdio: 'ignore' })
if (built.status !== 0) throw new Error('the bundle could not be built: npm run build shows why')
const scratch = mkdtempSync(join(tmpdir(), 'ringside-bench-'))
const model = options.cpu === undefined ? {} : { cpu: options.cpu }
let earlier: string | undefined
try {
  if (options.against !== undefined) earlier = buildEarlier(options.against, scratch)
  await bench()
} finally {
  rmSync(scratch, { recursive: true })
}

async function bench(): Promise<void> {
  console.log(`Ringside on Node ${process.versions.node} beside ${version}, medians of ${rounds} rounds\n`)
  const more = earlier === undefined ? [[], []] : [[options.against?.slice(0, 12) ?? ''], ['s', 'of speed']]
  console.log(cells('', 'instructions', 'Ringside', 'QEMU TCG', 'Ringside', 'QEMU TCG', 'ratio', ...more[0]))
  console.log(cells('', 'millions', 's', 's', 'MIPS', 'MIPS', 'of speed', ...more[1]))
  const loops: Row[] = []
  for (const name of LOOPS.filter(name => only.includes(name))) {
    const row = await compare(name, { image: BENCH_IMAGE, commandLine: `loop=${name} n=${ITERATIONS[name]}`, ...model })
    loops.push(row)
    print(row)
  }
  if (loops.length > 1) {
    const mean = geometricMean(loops.map(row => row.qemuSeconds / row.ringsideSeconds))
    const gain = geometricMean(loops.map(row => (row.earlierSeconds ?? row.ringsideSeconds) / row.ringsideSeconds))
    const more = earlier === undefined ? [] : ['', gain.toFixed(2)]
    console.log(cells('geometric mean', '', '', '', '', '', mean.toFixed(2), ...more))
  }
  if (only.includes(BOOT)) print(await compare(BOOT, linuxGuest(), SHELL_PROMPT))
  console.log(`\nmore: ${OTHERS.map(name => `npm run bench:${name}`).join(', ')}`)
}

function linuxGuest(): Guest {
  const initrd = join(scratch, 'initramfs.gz')
  writeFileSync(initrd, buildInitramfs())
  return { image: fetchKernel().image, initrd, commandLine: 'console=ttyS0', ...model }
}

async function compare(name: string, guest: Guest, until?: string): Promise<Row> {
  const statistics = join(scratch, `${name}.json`)
  const ours = ringside(BUNDLE, guest, statistics, until)
  // An earlier one may have no models of the processor to choose from: it runs its own.
  const { cpu: _, ...plain } = guest
  const before = earlier === undefined ? undefined : ringside(earlier, plain, join(scratch, 'earlier.json'), until)
  const theirs = qemu(guest)
  const ringsideSeconds: number[] = []
  const qemuSeconds: number[] = []
  const earlierSeconds: number[] = []
  for (let round = 0; round < rounds; round++) {
    const ourRun = await time(ours, until)
    const theirRun = await time(theirs, until)
    if (before !== undefined) earlierSeconds.push((await time(before, until)).seconds)
    if (until === undefined) checkResult(name, ours, ourRun, theirRun)
    ringsideSeconds.push(ourRun.seconds)
    qemuSeconds.push(theirRun.seconds)
  }
  return {
    name,
    instructions: instructionsIn(statistics),
    ringsideSeconds: median(ringsideSeconds),
    qemuSeconds: median(qemuSeconds),
    earlierSeconds: before === undefined ? undefined : median(earlierSeconds),
  }
}

/** A wrong result is not worth a time: both must print the same line with the loop's checksum. */
function checkResult(name: string, command: Command, ours: Run, theirs: Run): void {
  const line = (run: Run) => run.output.split('\n').find(text => text.startsWith(`${name} `))
  if (line(ours) === undefined || line(ours) !== line(theirs)) {
    throw new Error(`${name}: expected "${line(theirs)}" from ${describe(command)}, got: ${ours.output.slice(-2000)}`)
  }
}

function instructionsIn(file: string): number {
  const statistics: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (typeof statistics === 'object' && statistics !== null && 'instructions' in statistics) {
    return Number(statistics.instructions)
  }
  throw new Error(`${file}: no count of instructions`)
}

function print(row: Row): void {
  const millions = row.instructions / 1e6
  const ratio = row.qemuSeconds / row.ringsideSeconds
  console.log(
    cells(
      row.name,
      millions.toFixed(0),
      row.ringsideSeconds.toFixed(2),
      row.qemuSeconds.toFixed(2),
      (millions / row.ringsideSeconds).toFixed(0),
      // QEMU boots through its firmware and takes its own path through Linux: its count is not ours.
      row.name === BOOT ? '' : (millions / row.qemuSeconds).toFixed(0),
      ratio.toFixed(2),
      ...(row.earlierSeconds === undefined
        ? []
        : [row.earlierSeconds.toFixed(2), (row.earlierSeconds / row.ringsideSeconds).toFixed(2)]),
    ),
  )
}

function cells(name: string, ...columns: string[]): string {
  return name.padEnd(15) + columns.map(column => column.padStart(13)).join('')
}
