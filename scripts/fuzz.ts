/**
 * `npm run fuzz`: guests of noise (test/fuzz/) until so many instructions have retired, in both tiers together. Each
 * runs interpreted and then with everything compiled that runs twice; both must come to the same end, within the guest's
 * frames, without an exception. A worker runs them, so that a guest that hangs is noticed and named by its seed.
 */

import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { type End, NoiseMachine } from '../test/fuzz/noise.ts'

interface Options {
  readonly seed: number
  readonly instructions: number
  readonly each: number
  readonly model: string
}

type Report =
  | { readonly kind: 'start'; readonly seed: number }
  | { readonly kind: 'end'; readonly seed: number; readonly end: End }
  | { readonly kind: 'failure'; readonly seed: number; readonly message: string }

/** Seconds that one guest may take in both tiers: hundreds of times what it does. */
const HANG_SECONDS = 120
/** Guests between new machines: what earlier guests leave in caches must not matter, nor must beginning without them. */
const GUESTS_OF_A_MACHINE = 500

function main(): void {
  const { values } = parseArgs({
    options: {
      instructions: { type: 'string', default: '1e8' },
      seed: { type: 'string', default: '1' },
      each: { type: 'string', default: '50000' },
      cpu: { type: 'string', default: 'max' },
      trace: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const [instructions, seed, each] = [values.instructions, values.seed, values.each].map(Number)
  if (values.help || ![instructions, seed, each].every(n => Number.isInteger(n) && n > 0)) {
    console.log('usage: npm run fuzz -- [--instructions N] [--seed FIRST] [--each N] [--cpu MODEL] [--trace]')
    console.log(
      'Seeds count up from the first; each guest retires up to --each instructions. --trace shows the exits of',
    )
    console.log('the first seed, where its two runs part, and nothing else.')
    process.exit(values.help ? 0 : 64)
  }
  const options = { seed, instructions, each, model: values.cpu }
  if (values.trace) trace(options)
  else watch(options)
}

function watch(options: Options): void {
  const started = Date.now()
  const worker = new Worker(new URL(import.meta.url), { workerData: options })
  let hang: NodeJS.Timeout | undefined
  let failed = false
  const totals = new Totals()
  const fail = (seed: number, message: string) => {
    failed = true
    const again = `npm run fuzz -- --seed ${seed} --each ${options.each} --cpu ${options.model} --trace`
    console.error(`seed ${seed}: ${message}\n  ${again}`)
  }
  worker.on('message', (report: Report) => {
    clearTimeout(hang)
    if (report.kind === 'failure') fail(report.seed, report.message)
    else if (report.kind === 'end') totals.add(report.end)
    else
      hang = setTimeout(() => {
        fail(report.seed, `has not ended after ${HANG_SECONDS} s`)
        void worker.terminate()
      }, HANG_SECONDS * 1000)
  })
  worker.on('exit', () => {
    clearTimeout(hang)
    const seconds = (Date.now() - started) / 1000
    console.log(`model ${options.model}, seeds from ${options.seed}, up to ${options.each} instructions each`)
    totals.print(seconds)
    process.exitCode = failed ? 1 : 0
  })
}

class Totals {
  #guests = 0
  #instructions = 0
  readonly #exits = new Map<string, number>()
  readonly #modes = new Map<string, number>()

  /** A guest that came to the same end in both tiers. */
  add(end: End): void {
    this.#guests++
    this.#instructions += 2 * end.instructions
    for (const [reason, count] of Object.entries(end.exits)) increase(this.#exits, reason, count)
    for (const [mode, count] of Object.entries(end.modes)) increase(this.#modes, mode, count)
  }

  print(seconds: number): void {
    console.log(
      `${this.#guests} guests, ${this.#instructions} instructions, half of them in either tier, in ${seconds.toFixed(0)} s`,
    )
    console.log('exits:')
    for (const [reason, count] of sorted(this.#exits)) console.log(`  ${String(count).padStart(10)} ${reason}`)
    console.log('modes at exits:')
    for (const [mode, count] of sorted(this.#modes)) console.log(`  ${String(count).padStart(10)} ${mode}`)
  }
}

function increase(counts: Map<string, number>, key: string, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by)
}

function sorted(counts: ReadonlyMap<string, number>): [string, number][] {
  return [...counts].sort((a, b) => b[1] - a[1])
}

function machines(model: string): [NoiseMachine, NoiseMachine] {
  return [new NoiseMachine({ model, hotEntries: 0 }), new NoiseMachine({ model, hotEntries: 2 })]
}

function work(options: Options): void {
  const report = (message: Report) => parentPort?.postMessage(message)
  let [interpreted, compiled] = machines(options.model)
  let instructions = 0
  for (let seed = options.seed, guests = 1; instructions < options.instructions; seed++, guests++) {
    report({ kind: 'start', seed })
    const noise = { seed, instructions: options.each }
    try {
      const end = interpreted.run(noise)
      const other = compiled.run(noise)
      const differs = differences(end, other)
      if (differs.length > 0) throw new Error(`the tiers come to different ends: ${differs.join(', ')}`)
      report({ kind: 'end', seed, end })
      instructions += 2 * end.instructions
    } catch (error) {
      report({
        kind: 'failure',
        seed,
        message: error instanceof Error ? (error.stack ?? error.message) : String(error),
      })
      // A guest that got out may have left anything.
      ;[interpreted, compiled] = machines(options.model)
      // Progress even where every guest fails.
      instructions += options.each
    }
    if (guests % GUESTS_OF_A_MACHINE === 0) [interpreted, compiled] = machines(options.model)
  }
}

function differences({ digests }: End, other: End): string[] {
  const others: Readonly<Record<string, string>> = other.digests
  return Object.entries(digests).flatMap(([part, digest]) => (others[part] === digest ? [] : [part]))
}

/** The exits of one guest in both tiers, up to where they part. */
function trace({ seed, each, model }: Options): void {
  const runs = machines(model).map(machine => {
    const lines: string[] = []
    try {
      machine.run({ seed, instructions: each }, line => lines.push(line))
    } catch (error) {
      lines.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
    }
    return lines
  })
  const parts = runs[0].findIndex((line, i) => line !== runs[1][i])
  for (const line of runs[0].slice(0, parts === -1 ? undefined : parts)) console.log(line)
  if (parts !== -1) console.log(`interpreted: ${runs[0][parts]}\ncompiled:    ${runs[1][parts]}`)
}

if (isMainThread) main()
else work(workerData)
