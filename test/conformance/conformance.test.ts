import { type Code, CpuidFeature, Instruction } from 'iced-x86'
import { beforeAll, describe, expect, test } from 'vitest'
import { HostMemory } from '../../src/engine/host-memory.ts'
import { createProcessor } from '../../src/engine/software-processor.ts'
import { type Case, makeCases } from './cases.ts'
import { differences } from './compare.ts'
import { comparableForms } from './instructions.ts'
import { runOnHost } from './native.ts'
import { EngineRunner, HOST_MEMORY_NEEDED } from './run-in-engine.ts'

/** More for a longer search: `RINGSIDE_CASES=1000 RINGSIDE_SEED=7 npx vitest run test/conformance`. */
const CASES_PER_FORM = Number(process.env.RINGSIDE_CASES ?? 12)
const SEED = Number(process.env.RINGSIDE_SEED ?? 1)
/** Of all forms that differ so many are shown. */
const SHOWN = 25

const GROUPS: Readonly<Record<string, readonly CpuidFeature[]>> = {
  x87: [CpuidFeature.FPU, CpuidFeature.FPU287, CpuidFeature.FPU387],
  MMX: [CpuidFeature.MMX],
  SSE: [CpuidFeature.SSE],
  SSE2: [CpuidFeature.SSE2],
}
const GENERAL = 'general'

function groupOf(code: Code): string {
  const instruction = new Instruction()
  instruction.code = code
  const features = instruction.cpuidFeatures()
  instruction.free()
  return Object.keys(GROUPS).find(group => GROUPS[group].some(feature => features.includes(feature))) ?? GENERAL
}

const hostCanCompare = process.arch === 'x64' && process.platform === 'linux'

describe.skipIf(!hostCanCompare)('instructions do what the processor of the host does (x86-64 Linux only)', () => {
  let runner: EngineRunner

  beforeAll(async () => {
    const memory = new HostMemory(Math.ceil(HOST_MEMORY_NEEDED / 65536) * 65536)
    runner = new EngineRunner(await createProcessor(memory))
  })

  const forms = Map.groupBy(comparableForms(), groupOf)

  test.each([GENERAL, ...Object.keys(GROUPS)])(
    '%s',
    group => {
      const cases = (forms.get(group) ?? []).flatMap(code => makeCases(code, CASES_PER_FORM, SEED))
      expect(cases.length).toBeGreaterThan(0)
      const host = runOnHost(cases.map(({ record }) => record))
      const failures = new Map<Code, string>()
      cases.forEach((candidate, index) => {
        if (failures.has(candidate.code)) return
        const found = differences(candidate.record, host[index], runner.execute(candidate.record))
        if (found.length > 0) failures.set(candidate.code, describeFailure(candidate, found))
      })
      const shown = [...failures.values()].slice(0, SHOWN)
      expect.soft(shown.join('\n\n'), `${failures.size} forms differ (host's value first)`).toBe('')
    },
    600_000,
  )
})

function describeFailure({ text, record }: Case, found: readonly string[]): string {
  const code = [...record.code].map(byte => byte.toString(16).padStart(2, '0')).join(' ')
  return [`${text}   [${code}]`, ...found].join('\n  ')
}
