/** The tests in a folder that nobody trusts yet. */

import { listenToSessions } from './guest.ts'
import { runTests } from './named-tests.ts'
import { testTrust } from './trust.ts'

export function activate(): void {
  listenToSessions()
  testTrust()
  void runTests()
}
