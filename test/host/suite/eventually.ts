/** Waiting for what has no event. */

import { setTimeout as wait } from 'node:timers/promises'

const LIMIT = 20_000
const BETWEEN = 50

/** @param instead says what there is when time is up. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  instead?: () => Promise<string>,
): Promise<T> {
  const deadline = Date.now() + LIMIT
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (Date.now() > deadline) throw new Error(`not within ${LIMIT / 1000} s: ${what}; ${(await instead?.()) ?? ''}`)
    await wait(BETWEEN)
  }
}
