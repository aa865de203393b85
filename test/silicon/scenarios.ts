/** All scenarios, in the order of the recorded outcomes. */

import type { Scenario } from './scenario.ts'
import { alignment } from './scenarios/alignment.ts'
import { exceptions } from './scenarios/exceptions.ts'
import { limits } from './scenarios/limits.ts'
import { pages } from './scenarios/pages.ts'
import { privileged } from './scenarios/privileged.ts'
import { selectors } from './scenarios/selectors.ts'
import { stepping } from './scenarios/stepping.ts'
import { transfers } from './scenarios/transfers.ts'

export const SCENARIOS: readonly Scenario[] = [
  ...selectors(),
  ...limits(),
  ...transfers(),
  ...pages(),
  ...privileged(),
  ...exceptions(),
  ...alignment(),
  ...stepping(),
]
