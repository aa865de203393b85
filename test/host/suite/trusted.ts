/** The tests in a folder that is trusted. */

import { testActivation } from './activation.ts'
import { testAssembly } from './assembly.ts'
import { testConfigurations } from './configurations.ts'
import { testFailures } from './failures.ts'
import { listenToSessions } from './guest.ts'
import { runTests } from './named-tests.ts'
import { testSessions } from './sessions.ts'
import { testViews } from './views.ts'

export function activate(): void {
  listenToSessions()
  // First: nothing of Ringside has been used yet.
  testActivation()
  testConfigurations()
  testSessions()
  testViews()
  testFailures()
  testAssembly()
  void runTests()
}
