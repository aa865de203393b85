/**
 * `npm run bench:debugger`: conditions, steps, watchpoints and memory reads a second in the debugger itself, beside gdb
 * on QEMU's stub doing the same with the same guests in the same run; and how much a condition that never holds on a hot
 * function of Debian's kernel slows its boot. Fails where Ringside misses its target.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { compileCondition } from '../../src/debugger/expression/condition.ts'
import { FrameScope } from '../../src/debugger/frame-scope.ts'
import { kernelSymbolsInRam, recognizeLinux } from '../../src/debugger/linux/kernel-tables.ts'
import { SourceStep } from '../../src/debugger/stepping.ts'
import type { StopRequest } from '../../src/debugger/stop-request.ts'
import { BUSYBOX, buildInitramfs, SHELL_PROMPT } from '../../test/linux/initramfs.ts'
import { findKernel } from '../../test/linux/kernel.ts'
import { qemuVersion } from './contestants.ts'
import { DebugSession } from './debug-session.ts'
import { gdbOnQemu, gdbVersion } from './gdb-on-qemu.ts'

const BENCH = fileURLToPath(new URL('../../guests/prebuilt/bench.elf', import.meta.url))
const TOUR = fileURLToPath(new URL('../../guests/prebuilt/tour.elf', import.meta.url))
/** Recursive calls without end, as far as this goes. */
const CALLS = { image: BENCH, commandLine: 'loop=fib n=60' }
const STORES = { image: BENCH, commandLine: 'loop=sieve n=1000000' }
const HOT_FUNCTION = '_raw_spin_lock'
const MILLISECONDS = 2000
/** Bytes of stack below the first call of `fibonacci(60)`, 32 a call: most of its calls are so deep. */
const CALL_DEPTH = 43n * 32n

/** Evaluations and hits that gdb is given: seconds. */
const GDB_HITS = 300

interface Row {
  readonly name: string
  readonly unit: string
  readonly ours: number
  readonly theirs: number | undefined
  /** What ours must be at least: so much, and so many times theirs. */
  readonly atLeast?: number
  readonly times?: number
}

const { values: options } = parseArgs({
  options: { gdb: { type: 'boolean', default: true }, boot: { type: 'boolean', default: true } },
  allowNegative: true,
})
const scratch = mkdtempSync(join(tmpdir(), 'ringside-bench-'))
const beside = options.gdb && gdbVersion() !== undefined && qemuVersion() !== undefined
try {
  await main()
} finally {
  rmSync(scratch, { recursive: true })
}
process.exit(process.exitCode ?? 0)

async function main(): Promise<void> {
  console.log(beside ? `Ringside beside ${gdbVersion()} on ${qemuVersion()}\n` : 'Ringside alone\n')
  const rows: Row[] = []
  for (const measure of [conditions, instructionSteps, lineSteps, watchpointHits, memoryReads]) {
    const row = await measure()
    for (const each of row) {
      rows.push(each)
      console.log(line(each))
    }
  }
  if (options.boot) await boot()
  for (const row of rows) {
    const misses =
      (row.atLeast !== undefined && row.ours < row.atLeast) ||
      (row.times !== undefined && row.theirs !== undefined && row.ours < row.times * row.theirs)
    if (misses) fail(`${row.name}: less than wanted`)
  }
}

function line({ name, unit, ours, theirs }: Row): string {
  const number = (value: number) => Math.round(value).toLocaleString('en')
  const ratio = theirs === undefined ? '' : `   ${number(theirs)} by gdb, ${number(ours / theirs)} times`
  return `${name.padEnd(44)} ${number(ours)} ${unit}${ratio}`
}

function fail(message: string): void {
  console.error(message)
  process.exitCode = 1
}

function perSecond(count: number, since: number): number {
  return (count / (performance.now() - since)) * 1000
}

async function at(guest: typeof CALLS, name: string): Promise<{ session: DebugSession; address: bigint }> {
  const session = await DebugSession.start(guest)
  const address = session.debugger.symbols.byName(name)?.address
  if (address === undefined) throw new Error(`${guest.image} has no symbol ${name}`)
  await session.stop([{ id: 0, kind: 'code', space: 'linear', address }])
  return { session, address }
}

async function conditions(): Promise<Row[]> {
  const { session, address } = await at(CALLS, 'fibonacci')
  const { machine } = session.target
  let asked = 0
  const measure = async (condition: StopRequest['condition']): Promise<number> => {
    const request: StopRequest = { id: 1, kind: 'code', space: 'linear', address, ...(condition ? { condition } : {}) }
    asked = 0
    const start = performance.now()
    await session.runFor(MILLISECONDS, [request])
    return perSecond(asked, start)
  }
  const compiled = compileCondition('$rdi == 12345678', new FrameScope(session.debugger.symbols))
  const words = await measure(view => ++asked > 0 && view.low(7) === 12345678)
  const expression = await measure(view => {
    asked++
    return compiled.test(machine.vcpus[view.index], machine)
  })
  session.target.dispose()
  const stop = [`condition 1 $n++ == ${GDB_HITS}`, 'continue']
  const theirs = beside
    ? GDB_HITS / (await secondsOf(CALLS, ['set $n = 0', 'hbreak fibonacci', 'continue'], stop))
    : undefined
  return [
    { name: 'conditions, a predicate on registers', unit: '/s', ours: words, theirs, atLeast: 1e6, times: 1000 },
    { name: 'conditions, $rdi == 12345678 compiled', unit: '/s', ours: expression, theirs, atLeast: 1e6, times: 1000 },
  ]
}

/** Seconds that gdb takes for commands, by clocks printed before and after. */
async function secondsOf(guest: typeof CALLS, before: readonly string[], commands: readonly string[]): Promise<number> {
  const clock = 'shell date +CLOCK%s.%N'
  const text = await gdbOnQemu(guest, [...before, clock, ...commands, clock], scratch)
  const clocks = [...text.matchAll(/CLOCK([\d.]+)/g)].map(match => Number(match[1]))
  if (clocks.length !== 2) throw new Error(`gdb did not finish: ${text.slice(-500)}`)
  return clocks[1] - clocks[0]
}

async function instructionSteps(): Promise<Row[]> {
  const { session } = await at(CALLS, 'fibonacci')
  session.target.setStops([])
  let steps = 0
  const start = performance.now()
  while (performance.now() - start < MILLISECONDS) {
    await session.step({ vcpu: 0, kind: 'into' })
    steps++
  }
  const ours = perSecond(steps, start)
  session.target.dispose()
  const theirs = beside
    ? 2000 / (await secondsOf(CALLS, ['hbreak fibonacci', 'continue', 'delete'], ['stepi 2000']))
    : undefined
  return [{ name: 'instruction steps', unit: '/s', ours, theirs, times: 10 }]
}

async function lineSteps(): Promise<Row[]> {
  const tour = { image: TOUR, commandLine: '' }
  const { session } = await at(tour, 'print')
  session.target.setStops([])
  const { symbols } = session.debugger
  let steps = 0
  const start = performance.now()
  while (steps < 2000 && performance.now() - start < MILLISECONDS) {
    const step = new SourceStep(symbols, session.target.machine, { vcpu: 0, kind: 'into', granularity: 'line' })
    let request: ReturnType<SourceStep['begin']> | undefined = step.begin()
    while (request !== undefined) request = step.stopped((await session.step(request)).vcpu)
    steps++
  }
  const ours = perSecond(steps, start)
  session.target.dispose()
  const theirs = beside
    ? 300 / (await secondsOf(tour, ['hbreak print', 'continue', 'delete'], ['step 300']))
    : undefined
  return [{ name: 'source-line steps', unit: '/s', ours, theirs, times: 10 }]
}

async function watchpointHits(): Promise<Row[]> {
  const { session } = await at(CALLS, 'fibonacci')
  // A return address on the stack of a recursive function, at a depth that it is at all the time.
  const address = session.target.machine.vcpus[0].register('rsp') - CALL_DEPTH
  const request: StopRequest = { id: 1, kind: 'data', space: 'linear', address, length: 8, access: 'write' }
  let hits = 0
  let start = performance.now()
  session.target.setStops([request])
  while (performance.now() - start < MILLISECONDS) {
    await session.stop()
    hits++
  }
  const stops = perSecond(hits, start)
  hits = 0
  start = performance.now()
  await session.runFor(MILLISECONDS, [{ ...request, condition: () => ++hits < 0 }])
  const asked = perSecond(hits, start)
  session.target.dispose()
  const watch = [
    ...['set $n = 0', 'hbreak fibonacci', 'continue', 'delete'],
    ...[`set $a = $rsp - ${CALL_DEPTH}`, 'watch *(long *)$a', `condition 2 $n++ == ${GDB_HITS}`],
  ]
  const theirs = beside ? GDB_HITS / (await secondsOf(CALLS, watch, ['continue'])) : undefined
  return [
    { name: 'hits of a watchpoint, stopped and continued', unit: '/s', ours: stops, theirs, times: 10 },
    { name: 'hits of a watchpoint, its condition asked', unit: '/s', ours: asked, theirs, times: 10 },
  ]
}

async function memoryReads(): Promise<Row[]> {
  const { session } = await at(STORES, 'sieve')
  const size = 65536
  let bytes = 0
  const start = performance.now()
  while (performance.now() - start < MILLISECONDS / 3) {
    const from = { space: 'linear', address: 0x10_0000n + BigInt(bytes % 2 ** 20) } as const
    bytes += session.debugger.readMemory(0, from, size).length
  }
  const ours = perSecond(bytes, start) / 2 ** 20
  session.target.dispose()
  const file = join(scratch, 'memory.bin')
  let theirs: number | undefined
  if (beside) {
    const dump = [`dump binary memory ${file} 0x100000 0x900000`]
    const seconds = await secondsOf(STORES, ['hbreak sieve', 'continue', 'delete'], dump)
    theirs = statSync(file).size / 2 ** 20 / seconds
  }
  return [{ name: 'memory read, linear', unit: 'MB/s', ours, theirs, times: 10 }]
}

/** The boot from the kernel's first instruction to a shell, with and without a condition on a function that is called all the time. */
async function boot(): Promise<void> {
  const kernel = findKernel()
  if (kernel === undefined || !existsSync(BUSYBOX)) {
    console.log("boot: skipped, it needs Debian's kernel (npm run fetch-kernel) and the package busybox-static")
    return
  }
  const initrd = join(scratch, 'initramfs.gz')
  writeFileSync(initrd, buildInitramfs())
  const guest = { image: kernel.image, initrd, commandLine: 'console=ttyS0 quiet nokaslr' }
  const seconds: number[] = []
  const counts: number[] = []
  let asked = 0
  for (const conditional of [false, true]) {
    const session = await DebugSession.start(guest)
    const address = await hotFunction(session, kernel.image)
    const condition = () => ++asked < 0
    const start = performance.now()
    await session.runUntil(
      SHELL_PROMPT,
      conditional ? [{ id: 1, kind: 'code', space: 'linear', address, condition }] : [],
    )
    seconds.push((performance.now() - start) / 1000)
    counts.push(session.target.instructions)
    session.target.dispose()
  }
  const [without, with_] = seconds
  console.log(
    `boot to a shell: ${without.toFixed(1)} s; with a condition on ${HOT_FUNCTION} ${with_.toFixed(1)} s ` +
      `(${(((with_ - without) / without) * 100).toFixed(0)} % more, ${asked.toLocaleString('en')} evaluations)`,
  )
  if (with_ > 1.5 * without) fail('boot: a condition slows it by more than half')
}

/** Runs to the decompressed kernel's first instruction, where its own tables tell where the function will be. */
async function hotFunction(session: DebugSession, image: string): Promise<bigint> {
  const linux = recognizeLinux(image, readFileSync(image))
  if (linux === undefined) throw new Error(`${image} is no Linux kernel`)
  await session.stop([{ id: 0, kind: 'code', space: 'physical', address: BigInt(linux.start) }])
  const found = kernelSymbolsInRam(session.target.machine, linux)?.find(({ name }) => name === HOT_FUNCTION)
  if (found === undefined) throw new Error(`the kernel has no ${HOT_FUNCTION}`)
  return found.address
}
