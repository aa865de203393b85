/** Operands of a statement. */

import type { Token } from './source-line.ts'

/** Splits at commas outside of parentheses and brackets. */
export function operandsOf(tokens: readonly Token[]): Token[][] {
  const operands: Token[][] = []
  let depth = 0
  for (const token of tokens) {
    if (/^[([{]$/.test(token.text)) depth++
    if (/^[)\]}]$/.test(token.text)) depth--
    if (token.text === ',' && depth <= 0) {
      if (operands.length === 0) operands.push([])
      operands.push([])
      continue
    }
    if (operands.length === 0) operands.push([])
    operands[operands.length - 1].push(token)
  }
  return operands
}
