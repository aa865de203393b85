import { expect, test } from 'vitest'
import { ExpressionError } from '../../src/debugger/expression/expression-error.ts'
import { parseHitCondition } from '../../src/debugger/hit-condition.ts'

const hits = (text: string): number[] => {
  const counts = parseHitCondition(text)
  return [1, 2, 3, 4, 5, 6].filter(count => counts(count))
}

test.each([
  ['3', [3, 4, 5, 6]],
  ['>= 3', [3, 4, 5, 6]],
  ['> 3', [4, 5, 6]],
  ['==3', [3]],
  ['= 0x3', [3]],
  ['<3', [1, 2]],
  ['<= 3', [1, 2, 3]],
  ['% 2', [2, 4, 6]],
])('the hit condition "%s" counts hits %j', (text, expected) => expect(hits(text)).toEqual(expected))

test.each(['', 'often', '% 0', '3 4', '-1', '!= 3'])('"%s" is no hit condition', text =>
  expect(() => parseHitCondition(text)).toThrow(ExpressionError),
)
