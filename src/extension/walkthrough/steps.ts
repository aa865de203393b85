/** The steps of all walkthroughs, in order: those of package.json, each with what makes it true. */

import { BREAKPOINT_STEPS } from './lessons/breakpoint.ts'
import { CR3_STEPS } from './lessons/cr3.ts'
import { PAGE_FAULT_STEPS } from './lessons/page-fault.ts'
import { RINGS_STEPS } from './lessons/rings.ts'
import { VIRTQUEUE_STEPS } from './lessons/virtqueue.ts'
import type { Step } from './observation.ts'

export const STEPS: readonly Step[] = [
  ...BREAKPOINT_STEPS,
  ...CR3_STEPS,
  ...PAGE_FAULT_STEPS,
  ...RINGS_STEPS,
  ...VIRTQUEUE_STEPS,
]

/** The context key that VS Code ticks a step by. */
export const contextKey = ({ id }: Pick<Step, 'id'>): string => `ringside.step.${id}`

/** The walkthrough that a step belongs to. */
export const lessonOf = ({ id }: Pick<Step, 'id'>): string => id.split('.')[0]
