/** Hit conditions of breakpoints: which of its hits count. */

import { ExpressionError } from './expression/expression-error.ts'

const PATTERN = /^(==?|>=?|<=?|%|)\s*([0-9]{1,15}|0x[0-9a-f]{1,13})$/i

/**
 * `5` and `>= 5` from the fifth on, `== 5` the fifth only, `% 100` every hundredth; also `>`, `<`, `<=`.
 * Throws {@link ExpressionError}.
 */
export function parseHitCondition(text: string): (count: number) => boolean {
  const match = PATTERN.exec(text.trim())
  if (match === null)
    throw new ExpressionError(`hit condition "${text}": expected a number, or one after >= == > < <= %`)
  const number = Number(match[2])
  switch (match[1]) {
    case '=':
    case '==':
      return count => count === number
    case '>':
      return count => count > number
    case '<':
      return count => count < number
    case '<=':
      return count => count <= number
    case '%':
      if (number === 0) throw new ExpressionError(`hit condition "${text}": every zeroth hit is none`)
      return count => count % number === 0
    default:
      return count => count >= number
  }
}
