/** Named tests, run one after the other; each is reported as soon as it has ended. */

import { setTimeout as wait } from 'node:timers/promises'
import { ONLY } from '../page-questions.ts'
import { ask } from './page.ts'

const LIMIT = 90_000

const tests: { readonly name: string; run(): Promise<void> }[] = []

export function test(name: string, run: () => Promise<void>): void {
  tests.push({ name, run })
}

export async function runTests(): Promise<void> {
  const only = new RegExp(process.env[ONLY] ?? '')
  for (const { name, run } of tests.filter(({ name }) => only.test(name))) {
    const begun = performance.now()
    const error = await outcome(run)
    const milliseconds = performance.now() - begun
    await ask({ ask: 'report', name, milliseconds, ...(error === undefined ? {} : { error }) })
  }
  await ask({ ask: 'end' })
}

async function outcome(run: () => Promise<void>): Promise<string | undefined> {
  try {
    const late = wait(LIMIT, 'late' as const, { ref: false })
    return (await Promise.race([run(), late])) === 'late' ? `not done after ${LIMIT / 1000} s` : undefined
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
}
