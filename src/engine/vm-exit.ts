/** What leaves generated code for the run loop: thrown, never seen outside this folder. */

import type { Exit } from './processor.ts'

/** An exit to the hypervisor. */
export class VmExit {
  readonly exit: Exit
  /** Has the instruction retired? Otherwise it runs again. */
  readonly retired: boolean

  constructor(exit: Exit, retired: boolean) {
    this.exit = exit
    this.retired = retired
  }
}

/**
 * The instruction must run again as a block of its own, because what it does (a write to code or to the local APIC)
 * has to be followed by a look at what changed, exactly there and however blocks happen to be cut.
 */
export const RUN_ALONE = Symbol('run alone')
