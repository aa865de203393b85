/**
 * `npm run bench:symbols`: how long Ringside and gdb take, each in a new process, to resolve a breakpoint by name and by
 * line and to lay out `struct task_struct` in Debian's `vmlinux` (590 MB), and how much memory at most. They take turns
 * on the same file, in the file system's cache for both; medians are compared. Beside wall time stands the processor's,
 * which a busy machine changes little. Exit status 1 where Ringside misses a goal: a ratio to gdb within the run, or a
 * limit in seconds that even the processor's time exceeds.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { fetchDebugKernel, findDebugKernel } from '../../test/linux/debug-kernel.ts'
import { type Command, median, time } from './stopwatch.ts'

interface Question {
  readonly name: string
  readonly ours: readonly string[]
  /** What gdb is told; undefined when the question has no counterpart there. */
  readonly gdb: string | undefined
  /** Whether what an earlier session found may be used. */
  readonly cached: boolean
  /** What Ringside may take: seconds, megabytes, and `ratio` of gdb's time. */
  readonly limit: { readonly ratio?: number; readonly seconds?: number; readonly megabytes?: number }
}

const QUESTIONS: readonly Question[] = [
  {
    name: 'breakpoint on start_kernel',
    ours: ['function', 'start_kernel'],
    gdb: 'break start_kernel',
    cached: false,
    limit: { ratio: 0.5 },
  },
  {
    name: 'breakpoint on fs/read_write.c:461',
    ours: ['line', 'fs/read_write.c', '461'],
    gdb: 'break fs/read_write.c:461',
    cached: false,
    limit: { ratio: 0.5 },
  },
  {
    name: 'struct task_struct',
    ours: ['type', 'struct task_struct'],
    gdb: 'ptype struct task_struct',
    cached: false,
    limit: { seconds: 1.5, megabytes: 500 },
  },
  {
    name: 'struct task_struct, from the cache',
    ours: ['type', 'struct task_struct'],
    gdb: undefined,
    cached: true,
    limit: { seconds: 0.15, megabytes: 500 },
  },
  {
    name: 'enumerator PIDTYPE_PID',
    ours: ['enumerator', 'PIDTYPE_PID'],
    gdb: 'print PIDTYPE_PID',
    cached: false,
    limit: { ratio: 0.5, seconds: 0.5 },
  },
  {
    name: 'unknown name no_such_name',
    ours: ['variable', 'no_such_name'],
    gdb: undefined,
    cached: false,
    limit: { seconds: 0.5 },
  },
  {
    name: 'unknown name i, a local everywhere',
    ours: ['variable', 'i'],
    gdb: undefined,
    cached: false,
    limit: {},
  },
  {
    name: 'unknown name i, from the cache',
    ours: ['variable', 'i'],
    gdb: undefined,
    cached: true,
    limit: { seconds: 0.15 },
  },
]

/** Of /proc/PID/stat a second (proc(5)): the same on every x86 Linux. */
const TICKS = 100

interface Measurement {
  readonly seconds: number
  /** Seconds of the processor, of all threads. */
  readonly processor: number
  readonly megabytes: number
  readonly output: string
}

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, fetch: { type: 'boolean', default: false } },
})
const vmlinux = options.fetch ? fetchDebugKernel() : findDebugKernel()
if (vmlinux === undefined) {
  console.log('skipped: the -dbg package of the kernel is not in the cache; --fetch downloads it (283 MB)')
  process.exit(0)
}
const directory = mkdtempSync(join(tmpdir(), 'ringside-bench-symbols-'))
try {
  await measureAll(vmlinux, Number(options.rounds))
} finally {
  rmSync(directory, { recursive: true, force: true })
}

async function measureAll(path: string, rounds: number): Promise<void> {
  const bundle = join(directory, 'question.mjs')
  const entry = fileURLToPath(new URL('symbol-question.ts', import.meta.url))
  await build({ entryPoints: [entry], outfile: bundle, bundle: true, platform: 'node', format: 'esm', minify: true })
  // Both find the file in memory, as after any first use.
  readFileSync(path)
  const [load] = loadavg()
  if (load > availableParallelism())
    console.log(`the machine is busy (load ${load.toFixed(1)}): seconds say little, ratios something`)
  console.log(`${columns('', 'ours', 'gdb')}   ratio`)
  console.log(columns('', ...['', ''].map(() => 'wall  processor  memory')))
  for (const question of QUESTIONS) {
    const ours: Measurement[] = []
    const theirs: Measurement[] = []
    for (let round = 0; round < rounds; round++) {
      ours.push(await measure(oursCommand(bundle, path, question)))
      if (question.gdb !== undefined) theirs.push(await measure(gdbCommand(path, question.gdb)))
    }
    report(question, ours, theirs)
  }
}

function oursCommand(bundle: string, path: string, { ours, cached }: Question): Command {
  const cache = join(directory, 'cache')
  if (!cached) rmSync(cache, { recursive: true, force: true })
  return { program: 'env', arguments: [`XDG_CACHE_HOME=${cache}`, process.execPath, bundle, path, ...ours] }
}

/** No settings of the user, no scripts beside the file, no server for debugging information. */
function gdbCommand(path: string, command: string): Command {
  const setup = ['-nx', '-batch', '-iex', 'set auto-load off', '-iex', 'set debuginfod enabled off']
  const usage = ['-ex', 'shell grep VmHWM /proc/$PPID/status; sed "s/^/STAT /" /proc/$PPID/stat']
  return { program: 'gdb', arguments: [...setup, '-ex', command, ...usage, path] }
}

async function measure(command: Command): Promise<Measurement> {
  const { seconds, output, status } = await time(command)
  const kilobytes = /VmHWM:\s+(\d+) kB/.exec(output)?.[1]
  if (status !== 0 || kilobytes === undefined) throw new Error(`${command.program} failed:\n${output}`)
  return { seconds, processor: processorSeconds(output), megabytes: Number(kilobytes) / 1024, output }
}

/** What our question says of itself, or the line of /proc/PID/stat that gdb shows: utime and stime are its 14th and 15th. */
function processorSeconds(output: string): number {
  const own = /^CPU ([\d.]+)$/m.exec(output)?.[1]
  if (own !== undefined) return Number(own)
  const fields = /^STAT \d+ \(.*\) (.*)$/m.exec(output)?.[1].split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}

function report(question: Question, ours: readonly Measurement[], theirs: readonly Measurement[]): void {
  const mine = summary(ours)
  const other = theirs.length === 0 ? undefined : summary(theirs)
  const ratio = other && mine.seconds / other.seconds
  const texts = [mine, other].map(column => (column === undefined ? '-' : text(column)))
  console.log(`${columns(question.name, ...texts)}   ${ratio === undefined ? '' : ratio.toFixed(3)}`)
  for (const address of addressesIn(theirs[0]?.output ?? '')) {
    if (!ours[0].output.includes(address)) fail(`gdb says ${address}, Ringside ${ours[0].output.split('\n')[0]}`)
  }
  const { limit } = question
  if (limit.ratio !== undefined && ratio !== undefined && ratio > limit.ratio)
    fail(`takes more than ${limit.ratio} of gdb's time`)
  if (limit.seconds !== undefined && mine.processor > limit.seconds) fail(`takes more than ${limit.seconds} s`)
  else if (limit.seconds !== undefined && mine.seconds > limit.seconds)
    console.log(`  took more than ${limit.seconds} s, but the processor was elsewhere meanwhile`)
  const most = limit.megabytes ?? other?.megabytes
  if (most !== undefined && mine.megabytes > most) fail(`takes more than ${most.toFixed(0)} MB`)
}

type Summary = Omit<Measurement, 'output'>

function summary(runs: readonly Measurement[]): Summary {
  const of = (value: (run: Measurement) => number): number => median(runs.map(value))
  return { seconds: of(run => run.seconds), processor: of(run => run.processor), megabytes: of(run => run.megabytes) }
}

function text({ seconds, processor, megabytes }: Summary): string {
  return `${seconds.toFixed(3)} s ${processor.toFixed(3)} s ${megabytes.toFixed(0).padStart(4)} MB`
}

function columns(name: string, ...texts: readonly string[]): string {
  return name.padEnd(36) + texts.map(each => each.padStart(28)).join('')
}

/** gdb's "Breakpoint 1 at 0xffffffff8304ee5c: file ...". */
function addressesIn(output: string): string[] {
  return [...output.matchAll(/^Breakpoint \d+ at (0x[0-9a-f]+)/gm)].map(match => match[1])
}

function fail(reason: string): void {
  console.log(`  FAILS: ${reason}`)
  process.exitCode = 1
}
