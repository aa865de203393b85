/**
 * Runs the scenarios of test/silicon on the processor of the host and in the engine and compares them, line by line.
 * `--record` writes what the host did to test/silicon/recorded.txt, which `npm test` compares the engine with.
 */

import { parseCpuModel } from '../src/engine/cpu-model.ts'
import { Host } from '../test/engine/guest/guest.ts'
import { whyNot } from '../test/silicon/host-processor.ts'
import { KNOWN_DIFFERENCES } from '../test/silicon/known-differences.ts'
import { outcomesInEngine, outcomesOnHost } from '../test/silicon/outcomes.ts'
import { differences, hostProcessorName, readRecorded, writeRecorded } from '../test/silicon/recorded.ts'

const say = (text: string): unknown => process.stdout.write(`${text}\n`)

const reason = whyNot()
if (reason !== undefined) say(`Nothing was compared with the host: ${reason}.`)
else process.exitCode = compare()

function compare(): number {
  const processor = hostProcessorName()
  const lines = outcomesOnHost()
  if (process.argv.includes('--record')) writeRecorded({ processor, lines })
  const recorded = readRecorded()
  const moved = differences(recorded.lines, lines)
  say(`${lines.length} scenarios on ${processor}`)
  say(`${moved.length} ended otherwise than recorded from ${recorded.processor}`)
  for (const { expected, actual } of moved) say(`  recorded: ${expected}\n  now:      ${actual}`)

  const found = differences(lines, outcomesInEngine(new Host({ model: parseCpuModel('v3') })))
  let unknown = 0
  for (const { scenarios, reason } of KNOWN_DIFFERENCES)
    say(`${found.filter(({ name }) => scenarios.test(name)).length} known differences of the engine: ${reason}`)
  for (const { name, expected, actual } of found) {
    if (KNOWN_DIFFERENCES.some(({ scenarios }) => scenarios.test(name))) continue
    unknown++
    say(`  host:   ${expected}\n  engine: ${actual}`)
  }
  say(`${unknown} other differences of the engine`)
  // Another processor may rightly differ from the recorded one.
  return unknown === 0 && (moved.length === 0 || processor !== recorded.processor) ? 0 : 1
}
