/** Which ticks of VS Code's walkthrough page are to be set and removed, and in which order. */

import type { Step } from './observation.ts'
import { lessonOf, STEPS } from './steps.ts'

export interface Correction {
  readonly step: Step
  readonly tick: boolean
}

/**
 * What makes the ticks of every step true, whatever they are now.
 *
 * VS Code hides a walkthrough from its list when a step changes, in whichever direction, while all others are ticked. So
 * where one step is left, another one loses its tick for a moment. That can be seen and heard: it is left out unless
 * `thorough`.
 */
export function tickCorrections(isDone: (step: Step) => boolean, thorough: boolean): readonly Correction[] {
  const corrections: Correction[] = []
  for (const lesson of new Set(STEPS.map(lessonOf))) {
    const steps = STEPS.filter(step => lessonOf(step) === lesson)
    const done = steps.filter(isDone).map(step => ({ step, tick: true }))
    const undone = steps.filter(step => !isDone(step)).map(step => ({ step, tick: false }))
    corrections.push(...done)
    const [helper] = undone.length === 1 ? done : []
    if (helper === undefined) corrections.push(...undone)
    else if (thorough) corrections.push({ ...helper, tick: false }, ...undone, helper)
  }
  return corrections
}
