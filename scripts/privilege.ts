/**
 * Runs guests/rules/privilege.asm under QEMU's TCG and in the engine and compares them, case by case. `--record` writes
 * what QEMU did to test/privilege/recorded.txt, which `npm test` compares the engine with.
 */

import { compare, linesOf } from '../test/privilege/compare.ts'
import { writeRecorded } from '../test/privilege/recorded.ts'
import { qemuVersion, runInEngine, runUnderQemu } from '../test/privilege/run.ts'

const say = (text: string): unknown => process.stdout.write(`${text}\n`)

const version = qemuVersion()
if (version === undefined) say('Nothing was compared: qemu-system-x86_64 is not installed.')
else {
  const recorded = linesOf(runUnderQemu())
  if (process.argv.includes('--record')) writeRecorded(`QEMU ${version}, TCG, -cpu max`, recorded)
  const { cases, known, unknown } = compare(recorded, linesOf(await runInEngine()))
  say(`${cases} cases under QEMU ${version} and in the engine`)
  for (const [{ reason }, count] of known) say(`${count} known differences: ${reason}`)
  for (const line of unknown) say(`  ${line}`)
  say(`${unknown.length} other differences`)
  process.exitCode = unknown.length === 0 ? 0 : 1
}
