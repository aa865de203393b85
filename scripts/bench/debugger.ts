/**
 * `npm run bench:debugger`: conditions, steps, watchpoints, memory reads and stacks a second in `debugger/` and over
 * DAP, beside gdb on QEMU's stub doing the same with the same guests in the same run; and how much a condition that
 * never holds on a hot function of Debian's kernel slows its boot.
 *
 *     npm run bench:debugger -- --only lines,memory     # see TOPICS
 *     npm run bench:debugger -- --no-gdb --no-dap --no-boot
 *
 * Goals are ratios within the run, since seconds say little on a busy machine. Exit status 1 when one is missed.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { qemuVersion } from './contestants.ts'
import { HOT_FUNCTION, measureBoot } from './debugger/boot.ts'
import { Gdb } from './debugger/by-gdb.ts'
import * as ours from './debugger/in-debugger.ts'
import * as dap from './debugger/over-dap.ts'
import { gdbVersion } from './gdb-on-qemu.ts'

interface Topic {
  readonly key: string
  readonly name: string
  /** `ms`: less is better. */
  readonly unit: '/s' | 'MiB/s' | 'ms'
  inDebugger(): Promise<number>
  overDap?(): Promise<number>
  byGdb(gdb: Gdb): Promise<number>
  /** How many times gdb's figure that of `debugger/` must be; for `ms`: how many times as quick. */
  readonly times: number
  /** A figure that was promised for a quiet machine: it is told, and no failure. */
  readonly orientation?: number
}

/** A boot may take so many times as long. */
const SLOWEST_BOOT = 1.5

const TOPICS: readonly Topic[] = [
  {
    ...{ key: 'predicates', name: 'conditions: a predicate on registers', unit: '/s', times: 1000, orientation: 1e6 },
    inDebugger: ours.predicates,
    byGdb: gdb => gdb.conditions(),
  },
  {
    ...{ key: 'conditions', name: 'conditions: $rdi == 12345678', unit: '/s', times: 1000, orientation: 1e6 },
    inDebugger: ours.conditions,
    overDap: dap.conditions,
    byGdb: gdb => gdb.conditions(),
  },
  {
    ...{ key: 'instructions', name: 'instruction steps', unit: '/s', times: 10 },
    inDebugger: ours.instructionSteps,
    overDap: dap.instructionSteps,
    byGdb: gdb => gdb.instructionSteps(),
  },
  {
    ...{ key: 'lines', name: 'source-line steps', unit: '/s', times: 10 },
    inDebugger: ours.lineSteps,
    overDap: dap.lineSteps,
    byGdb: gdb => gdb.lineSteps(),
  },
  {
    ...{ key: 'watchpoints', name: 'changes of a watched hot word', unit: '/s', times: 10 },
    inDebugger: async () => ours.watchpointHits(await ours.hotWord()),
    overDap: async () => dap.watchpointHits(await ours.hotWord()),
    byGdb: async gdb => gdb.watchpointHits(await ours.hotWord()),
  },
  {
    ...{ key: 'memory', name: 'memory reads, linear', unit: 'MiB/s', times: 10 },
    inDebugger: ours.memoryReads,
    overDap: dap.memoryReads,
    byGdb: gdb => gdb.memoryReads(),
  },
  {
    ...{ key: 'stacks', name: 'from a stop to its stack', unit: 'ms', times: 1 },
    inDebugger: ours.stopToStack,
    overDap: dap.stopToStack,
    byGdb: gdb => gdb.stopToStack(),
  },
]

const WIDTHS = [38, 20, 14, 14] as const

const { values: options } = parseArgs({
  options: {
    gdb: { type: 'boolean', default: true },
    dap: { type: 'boolean', default: true },
    boot: { type: 'boolean', default: true },
    only: { type: 'string' },
  },
  allowNegative: true,
})
const scratch = mkdtempSync(join(tmpdir(), 'ringside-bench-'))
try {
  await main(options.only?.split(','))
} finally {
  rmSync(scratch, { recursive: true })
}
process.exit(process.exitCode ?? 0)

async function main(only: readonly string[] | undefined): Promise<void> {
  const keys = [...TOPICS.map(({ key }) => key), 'boot']
  const unknown = only?.find(key => !keys.includes(key))
  if (unknown !== undefined) throw new Error(`--only ${unknown}: there is no such topic, but ${keys.join(', ')}`)
  const wanted = (key: string): boolean => only?.includes(key) ?? true
  const beside = options.gdb && gdbVersion() !== undefined && qemuVersion() !== undefined
  console.log(beside ? `Ringside beside ${gdbVersion()} on ${qemuVersion()}` : 'Ringside alone: no goal can be judged')
  const [load] = loadavg()
  if (load > availableParallelism())
    console.log(`The machine is busy (load ${load.toFixed(1)}): ratios say something, rates little.`)
  console.log(`\n${columns('', 'debugger/', 'over DAP', 'gdb')}   ratio`)
  const gdb = beside ? new Gdb(scratch) : undefined
  for (const topic of TOPICS) if (wanted(topic.key)) await measure(topic, gdb)
  if (options.boot && wanted('boot')) await boot()
}

async function measure(topic: Topic, gdb: Gdb | undefined): Promise<void> {
  const inDebugger = await topic.inDebugger()
  const overDap = options.dap ? await topic.overDap?.() : undefined
  const byGdb = gdb && (await topic.byGdb(gdb))
  const figures = [inDebugger, overDap, byGdb].map(value => figure(value, topic.unit))
  console.log(`${columns(topic.name, ...figures)}   ${verdict(topic, inDebugger, byGdb)}`)
  if (topic.orientation !== undefined && inDebugger < topic.orientation)
    console.log(`${' '.repeat(WIDTHS[0])}  below ${figure(topic.orientation, topic.unit)}, which a quiet machine shows`)
}

function verdict({ name, unit, times }: Topic, inDebugger: number, byGdb: number | undefined): string {
  if (byGdb === undefined) return ''
  const ratio = unit === 'ms' ? byGdb / inDebugger : inDebugger / byGdb
  const reached = ratio >= times
  if (!reached) fail(`${name}: ${ratio.toFixed(1)} times gdb, ${times} wanted`)
  return `${ratio >= 10 ? Math.round(ratio).toLocaleString('en') : ratio.toFixed(1)}, goal ${times}: ${reached ? 'reached' : 'MISSED'}`
}

async function boot(): Promise<void> {
  const result = await measureBoot(scratch)
  if (typeof result === 'string') {
    console.log(`boot: skipped, ${result}`)
    return
  }
  const { without, withCondition, evaluations } = result
  const ratio = withCondition / without
  const reached = ratio <= SLOWEST_BOOT
  console.log(
    `boot to a shell: ${without.toFixed(1)} s; with a condition on ${HOT_FUNCTION} ${withCondition.toFixed(1)} s, ` +
      `${evaluations.toLocaleString('en')} evaluations: ${ratio.toFixed(2)} times as long, ` +
      `goal ${SLOWEST_BOOT}: ${reached ? 'reached' : 'MISSED'}`,
  )
  if (!reached) fail('boot: a condition slows it by more than half')
}

function figure(value: number | undefined, unit: Topic['unit']): string {
  if (value === undefined) return '-'
  return `${unit === 'ms' ? value.toFixed(3) : Math.round(value).toLocaleString('en')} ${unit}`
}

function columns(name: string, ...figures: readonly string[]): string {
  return name.padEnd(WIDTHS[0]) + figures.map((text, index) => text.padStart(WIDTHS[index + 1])).join('')
}

function fail(message: string): void {
  console.error(`MISSED: ${message}`)
  process.exitCode = 1
}
