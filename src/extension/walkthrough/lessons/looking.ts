/** What several lessons ask of an observation. */

import { hexNumber } from '../answers.ts'
import type { Observation, Stop, Translation } from '../observation.ts'

/** The frame that CR3 or an entry names: bits 51 to 12 (SDM vol. 3, tables 4-12 and 4-15). */
const FRAME = 0xf_ffff_ffff_f000n

export const frameOf = (entry: bigint): bigint => entry & FRAME

/** What the tour's program and the letter of the modes lie at, mapped or not: `USER_HEAP`, `LETTER`. */
export const NEW_MEMORY = 0x4001_0000n

/** Has the user, at this stop, asked for a translation like this? */
export function translated({ asked }: Observation, like: (translation: Translation) => boolean): boolean {
  return asked.some(answer => answer.kind === 'translation' && like(answer.translation))
}

/** Has the user, at this stop, read an expression with this value? Spaces do not matter. */
export function read({ asked }: Observation, expression: string, value: bigint): boolean {
  return asked.some(
    answer =>
      answer.kind === 'value' &&
      answer.expression.replaceAll(' ', '') === expression &&
      shownNumber(answer.result) === value,
  )
}

/** The number that a value is shown as, in either base. */
export function shownNumber(text: string | undefined): bigint | undefined {
  const [decimal] = /^[0-9]{1,20}(?![0-9a-fx])/i.exec(text ?? '') ?? []
  return decimal === undefined ? hexNumber(text) : BigInt(decimal)
}

/** Of an expression that the step has asked for. */
export const valueAt = (stop: Stop, expression: string): bigint | undefined => shownNumber(stop.values.get(expression))

export const isBreakpoint = (stop: Stop, name: string): boolean =>
  stop.reason === 'breakpoint' && stop.function === name
