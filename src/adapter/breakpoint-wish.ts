/** What all kinds of breakpoints have in DAP: conditions, hit counts, messages, and a mode that limits them. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import type { BreakpointPlace, BreakpointWish } from '../debugger/breakpoints.ts'
import type { Fields } from '../protocol/fields.ts'

const PRIVILEGES: Readonly<Record<string, number>> = { kernel: 0, user: 3 }

/** `change` is for data breakpoints that are told of writes. */
export const CHANGE_MODE = 'change'

export const BREAKPOINT_MODES: DebugProtocol.BreakpointMode[] = [
  {
    mode: 'kernel',
    label: 'Kernel',
    description: 'Only at CPL 0',
    appliesTo: ['source', 'instruction', 'data', 'exception'],
  },
  {
    mode: 'user',
    label: 'User',
    description: 'Only at CPL 3',
    appliesTo: ['source', 'instruction', 'data', 'exception'],
  },
  { mode: CHANGE_MODE, label: 'Change', description: 'Only writes of another value', appliesTo: ['data'] },
]

export function breakpointWish(item: Fields, place: BreakpointPlace): BreakpointWish {
  const given = (name: string): string | undefined => {
    const text = item.optionalString(name)?.trim()
    return text === '' ? undefined : text
  }
  const condition = given('condition')
  const hitCondition = given('hitCondition')
  const logMessage = given('logMessage')
  const cpl = PRIVILEGES[given('mode') ?? '']
  return {
    place,
    ...(condition === undefined ? {} : { condition }),
    ...(hitCondition === undefined ? {} : { hitCondition }),
    ...(logMessage === undefined ? {} : { logMessage }),
    ...(cpl === undefined ? {} : { cpl }),
  }
}
