/** "Your first breakpoint in a kernel": stops and steps in the tour. */

import type { Observation, Step, Stop } from '../observation.ts'
import { isBreakpoint, valueAt } from './looking.ts'

/** `SYSTEM_CALL_EXIT` of guests/tour/system-calls.h, the only call of its kind. */
const EXIT = 3n

export const BREAKPOINT_STEPS: readonly Step[] = [
  {
    id: 'breakpoint.oneInstruction',
    kernel: 'tour',
    done: ({ past, now }) => past.at(-1)?.reason === 'entry' && now?.reason === 'step' && now.instructions === 1,
  },
  {
    id: 'breakpoint.kernelMain',
    kernel: 'tour',
    done: ({ now }) => now !== undefined && isBreakpoint(now, 'kernel_main') && now.mode === '64-bit' && now.cpl === 0,
  },
  {
    id: 'breakpoint.over',
    kernel: 'tour',
    // The line calls print(), which stands in the same function's next line when it is over.
    done: ({ past, now, console }) =>
      stepped(past.at(-1), now, 'kernel_main') && console.includes('tour: 64-bit kernel in ring 0'),
  },
  {
    id: 'breakpoint.into',
    kernel: 'tour',
    done: ({ past, now }) => stepped(past.at(-1), now, 'page_table_root'),
  },
  {
    id: 'breakpoint.ring3',
    kernel: 'tour',
    done: ({ now }) => now !== undefined && isBreakpoint(now, 'touch_new_memory') && now.cpl === 3,
  },
  {
    id: 'breakpoint.condition',
    kernel: 'tour',
    asks: callNumber,
    done: ({ past, now }) => isExitCall(now) && past.at(-1)?.function !== 'handle_system_call',
  },
  {
    id: 'breakpoint.powerOff',
    kernel: 'tour',
    asks: callNumber,
    done: ({ past, exitCode }: Observation) => exitCode === 0 && isExitCall(past.at(-1)),
  },
]

/** Has a step led from kernel_main() into this function? */
const stepped = (before: Stop | undefined, now: Stop | undefined, to: string): boolean =>
  before?.function === 'kernel_main' && now?.reason === 'step' && now.function === to

function callNumber(stop: Stop) {
  return isBreakpoint(stop, 'handle_system_call') ? { expressions: ['number'] } : {}
}

const isExitCall = (stop: Stop | undefined): boolean =>
  stop !== undefined && isBreakpoint(stop, 'handle_system_call') && valueAt(stop, 'number') === EXIT
