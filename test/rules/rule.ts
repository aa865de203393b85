/**
 * Declares a rule of the architecture that a test shows. The title carries the area, the source and the rule, from
 * which `npm run rules` makes the table in `docs/system-rules.md`.
 */

import { it } from 'vitest'

/** Areas in the order of the table. */
export const AREAS = [
  'modes',
  'segments',
  'transfers',
  'tasks',
  'paging',
  'tlb',
  'exceptions',
  'debug',
  'interrupts',
  'apic',
  'system instructions',
  'extended state',
  'virtualization',
] as const
export type Area = (typeof AREAS)[number]

/**
 * @param source section of the manual, as "SDM vol. 3, 4.6.1" or "SDM vol. 2, IRET"
 * @param text the rule as one sentence without a full stop: what the processor does, and when
 */
export function rule(area: Area, source: string, text: string, test: () => void | Promise<void>): void {
  it(`${area} | ${source} | ${text}`, test)
}
