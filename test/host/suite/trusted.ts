/** The tests in a folder that is trusted. */

import { testActivation } from './activation.ts'
import { listenToSessions } from './guest.ts'
import { runTests } from './named-tests.ts'

export function activate(): void {
  listenToSessions()
  testActivation()
  void runTests()
}
