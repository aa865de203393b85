/** The parameters and variables that a function has in scope at an address (DWARF 5, 4.1 and 3.5). */

import * as C from './constants.ts'
import type { Die } from './die.ts'
import { covers, rangesOf } from './range-lists.ts'
import { MAX_DEPTH } from './unit.ts'

export interface ScopedVariable {
  readonly die: Die
  /** Nesting of its block in the function; 0 for the function's own. */
  readonly depth: number
}

/** Outer blocks first. `scope` is a subprogram or one of its inlined functions. */
export function variablesInScope(scope: Die, address: bigint): readonly ScopedVariable[] {
  const variables: ScopedVariable[] = []
  const told = new Set<number>()
  let block: Die | undefined = scope
  for (let depth = 0; block !== undefined && depth < MAX_DEPTH; depth++) {
    let inner: Die | undefined
    for (const child of block.unit.children(block)) {
      if (isVariable(child)) {
        variables.push({ die: child, depth })
        const origin = child.reference(C.DW_AT_abstract_origin)
        if (origin !== undefined) told.add(origin.offset)
      } else if (child.tag === C.DW_TAG_lexical_block && inner === undefined && covers(rangesOf(child), address)) {
        inner = child
      }
    }
    block = inner
  }
  return [...onlyInOrigin(scope, told), ...variables]
}

/** A copy of a function may leave out what it has no code for, and the statics, which all copies share. */
function* onlyInOrigin(scope: Die, told: ReadonlySet<number>): Generator<ScopedVariable> {
  const origin = scope.reference(C.DW_AT_abstract_origin)
  if (origin === undefined) return
  for (const die of origin.unit.children(origin)) {
    if (isVariable(die) && !told.has(die.offset)) yield { die, depth: 0 }
  }
}

function isVariable(die: Die): boolean {
  return (die.tag === C.DW_TAG_variable || die.tag === C.DW_TAG_formal_parameter) && die.name !== undefined
}

/** Whether its storage outlives the function: its location is an address. */
export function isStatic(die: Die): boolean {
  if (die.tag !== C.DW_TAG_variable) return false
  const expression = die.originWith(C.DW_AT_location)?.block(C.DW_AT_location)
  return (
    (expression !== undefined && (expression[0] === C.DW_OP_addr || expression[0] === C.DW_OP_addrx)) ||
    die.originWith(C.DW_AT_external) !== undefined
  )
}
