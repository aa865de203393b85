/** Names of types as their language writes them. */

import * as C from './constants.ts'
import type { Die } from './die.ts'
import { countsOf, targetOf } from './types.ts'

/** More types than any declaration names; bounds a hostile file's pointers to themselves. */
const MOST_PARTS = 128

interface Budget {
  left: number
}

const KEYWORDS: Readonly<Record<number, string>> = {
  [C.DW_TAG_structure_type]: 'struct',
  [C.DW_TAG_class_type]: 'class',
  [C.DW_TAG_union_type]: 'union',
  [C.DW_TAG_enumeration_type]: 'enum',
}

const QUALIFIERS: Readonly<Record<number, string>> = {
  [C.DW_TAG_const_type]: 'const',
  [C.DW_TAG_volatile_type]: 'volatile',
  [C.DW_TAG_restrict_type]: 'restrict',
  [C.DW_TAG_atomic_type]: '_Atomic',
}

export function typeName(die: Die): string {
  return declare(die, '', { left: MOST_PARTS })
}

/** `declarator` is what C writes around the name being declared: `*`, `(*)[4]`. */
function declare(die: Die | undefined, declarator: string, budget: Budget): string {
  if (die === undefined) return join('void', declarator)
  if (budget.left-- <= 0) return join('...', declarator)
  const target = (inner: string) => declare(targetOf(die), inner, budget)
  switch (die.tag) {
    case C.DW_TAG_pointer_type:
      return die.name === undefined ? target(pointerTo(die, `*${declarator}`)) : join(die.name, declarator)
    case C.DW_TAG_reference_type:
      return target(pointerTo(die, `&${declarator}`))
    case C.DW_TAG_rvalue_reference_type:
      return target(pointerTo(die, `&&${declarator}`))
    case C.DW_TAG_array_type:
      return target(
        declarator +
          countsOf(die)
            .map(count => `[${count ?? ''}]`)
            .join(''),
      )
    case C.DW_TAG_subroutine_type:
    case C.DW_TAG_subprogram:
      return target(`${declarator}(${parametersOf(die, budget)})`)
    case C.DW_TAG_const_type:
    case C.DW_TAG_volatile_type:
    case C.DW_TAG_restrict_type:
    case C.DW_TAG_atomic_type: {
      const qualifier = QUALIFIERS[die.tag]
      // A qualified pointer has its qualifier behind the star.
      if (targetOf(die)?.tag === C.DW_TAG_pointer_type) return target(join(` ${qualifier}`, declarator))
      return `${qualifier} ${target(declarator)}`
    }
    default:
      return join(ownName(die), declarator)
  }
}

function ownName(die: Die): string {
  const keyword = KEYWORDS[die.tag]
  const { name } = die
  const { language } = die.unit
  if (keyword === undefined) return name ?? `(tag 0x${die.tag.toString(16)})`
  if (language === 'rust' || language === 'c++') {
    return name === undefined ? `${keyword} {...}` : [...die.unit.namespacesOf(die), name].join('::')
  }
  return `${keyword} ${name ?? '{...}'}`
}

function pointerTo(die: Die, declarator: string): string {
  const tag = targetOf(die)?.tag
  const binds = tag === C.DW_TAG_array_type || tag === C.DW_TAG_subroutine_type
  return binds ? `(${declarator})` : declarator
}

function parametersOf(die: Die, budget: Budget): string {
  const names: string[] = []
  for (const child of die.unit.children(die)) {
    if (budget.left <= 0) break
    if (child.tag === C.DW_TAG_formal_parameter) names.push(declare(targetOf(child), '', budget))
    if (child.tag === C.DW_TAG_unspecified_parameters) names.push('...')
  }
  return names.length === 0 ? 'void' : names.join(', ')
}

function join(name: string, declarator: string): string {
  return declarator === '' ? name : `${name} ${declarator.trimStart()}`
}
