/**
 * Runs the storage guest as `ringside run` would, with the options given, and prints what each workload took as JSON:
 * seconds, processor time, instructions and exits between its two lines of the console. A process of its own for each measurement, so
 * that none finds code that another has made hot.
 */

import { PassThrough, Writable } from 'node:stream'
import { parseRunArguments } from '../../../src/cli/arguments.ts'
import { ConsoleInput } from '../../../src/cli/console-input.ts'
import { ConsoleOutput } from '../../../src/cli/console-output.ts'
import { configurationOf } from '../../../src/cli/run.ts'
import { RunSession } from '../../../src/cli/run-session.ts'
import { Pc } from '../../../src/machine/pc.ts'
import { markerIn } from './guest.ts'

interface Sample {
  readonly seconds: number
  /** Of the processor's, all threads together. */
  readonly cpuSeconds: number
  readonly instructions: number
  readonly exits: number
}

export interface Measurement extends Sample {
  readonly workload: number
}

const args = parseRunArguments(process.argv.slice(2))
const begun = new Map<number, Sample>()
const measured: Measurement[] = []
let line = ''
let output = ''

const pc = await Pc.create(configurationOf(args), {
  console: byte => {
    line += String.fromCharCode(byte)
    if (byte !== 10) return
    take(line.trimEnd())
    output += line
    line = ''
  },
  debugConsole: () => {},
})
pc.boot()
const nothing = new PassThrough()
nothing.end()
const sink = new Writable({ write: (_chunk, _encoding, done) => done() })
const session = new RunSession(args, pc, new ConsoleInput(nothing), [new ConsoleOutput(sink)])
await session.run(message => process.stderr.write(message))
pc.dispose()
if (measured.length === 0) process.stderr.write(output.slice(-2000))
process.stdout.write(`${JSON.stringify(measured)}\n`)
process.exit(0)

function take(text: string): void {
  const marker = markerIn(text)
  if (marker === undefined) return
  const now = sample()
  const before = begun.get(marker.workload)
  if (marker.what === 'begin' || before === undefined) begun.set(marker.workload, now)
  else
    measured.push({
      workload: marker.workload,
      seconds: now.seconds - before.seconds,
      cpuSeconds: now.cpuSeconds - before.cpuSeconds,
      instructions: now.instructions - before.instructions,
      exits: now.exits - before.exits,
    })
}

function sample(): Sample {
  const exits = Object.values(pc.vm.exits.byReason()).reduce((sum, count) => sum + count, 0)
  const { user, system } = process.cpuUsage()
  return {
    ...{ seconds: performance.now() / 1000, cpuSeconds: (user + system) / 1e6 },
    ...{ instructions: pc.vm.clock.count, exits },
  }
}
