/**
 * Pairs of instructions that one handler executes: a comparison and the branch after it, whose condition is then
 * computed from the operands at hand instead of from the flag words.
 */

import type { Definition, Definitions } from '../isa/definition.ts'
import type { Condition } from '../isa/instruction-scope.ts'

const FIRST = ['Cmp8', 'Cmp32', 'Cmp64', 'Test8', 'Test32', 'Test64', 'Sub32', 'Sub64', 'Dec32', 'Dec64', 'And32']
const SHAPES = ['rr', 'ri', 'rm', 'mr', 'mi', 'r']
const CONDITIONS: readonly Condition[] = ['e', 'ne', 'b', 'ae', 'be', 'a', 'l', 'ge', 'le', 'g', 's', 'ns']

export interface Fusion {
  readonly key: string
  readonly first: Definition
  readonly shape: string
  readonly second: Definition
}

/** Key of the fused handler of two handlers. */
export function fusionKey(first: string, second: string): string {
  return `${first}+${second}`
}

export function listFusions(definitions: Definitions): Fusion[] {
  const byName = new Map<string, Definition>()
  for (const definition of definitions.values()) if (!('assist' in definition)) byName.set(definition.name, definition)
  const fusions: Fusion[] = []
  for (const name of FIRST) {
    const first = byName.get(name)
    if (first === undefined) continue
    for (const shape of SHAPES) {
      if (shape.length !== first.bits.length) continue
      if ((name.startsWith('Test') || name.startsWith('Sub') || name.startsWith('And')) && shape === 'rm') continue
      for (const condition of CONDITIONS) {
        const second = byName.get(`J${condition}`)
        if (second === undefined) continue
        fusions.push({ key: fusionKey(`${name}:${shape}`, `J${condition}:b`), first, shape, second })
      }
    }
  }
  return fusions
}
