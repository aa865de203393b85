/** Functions of a unit by address, with the chain of functions that were inlined there (DWARF 5, 3.3). */

import * as C from './constants.ts'
import type { AddressRange } from './debug-info.ts'
import type { Die } from './die.ts'
import { covers, rangesOf } from './range-lists.ts'
import { MAX_DEPTH, type Unit } from './unit.ts'

/** A subprogram, and from the outermost to the innermost what was inlined at the address. */
export interface FunctionChain {
  readonly subprogram: Die
  readonly inlined: readonly Die[]
}

interface FunctionRange extends AddressRange {
  readonly die: number
}

const SCOPES: ReadonlySet<number> = new Set([
  C.DW_TAG_namespace,
  C.DW_TAG_module,
  C.DW_TAG_structure_type,
  C.DW_TAG_class_type,
  C.DW_TAG_union_type,
  C.DW_TAG_enumeration_type,
])

export class FunctionIndex {
  readonly #byUnit = new WeakMap<Unit, readonly FunctionRange[]>()

  chainAt(unit: Unit, address: bigint): FunctionChain | undefined {
    const found = this.#ranges(unit).find(range => address >= range.low && address < range.high)
    if (found === undefined) return undefined
    const subprogram = unit.dieAt(found.die)
    return { subprogram, inlined: inlinedAt(subprogram, address) }
  }

  #ranges(unit: Unit): readonly FunctionRange[] {
    let ranges = this.#byUnit.get(unit)
    if (ranges === undefined) {
      ranges = collect(unit)
      this.#byUnit.set(unit, ranges)
    }
    return ranges
  }
}

function collect(unit: Unit): FunctionRange[] {
  const ranges: FunctionRange[] = []
  for (const die of unit.descendants(({ tag }) => SCOPES.has(tag)))
    if (die.tag === C.DW_TAG_subprogram)
      for (const { low, high } of rangesOf(die)) ranges.push({ low, high, die: die.offset })
  return ranges
}

/** Outermost first. */
function inlinedAt(subprogram: Die, address: bigint): readonly Die[] {
  const chain: Die[] = []
  let scope: Die | undefined = subprogram
  for (let depth = 0; scope !== undefined && depth < MAX_DEPTH; depth++) {
    scope = innerScope(scope, address)
    if (scope?.tag === C.DW_TAG_inlined_subroutine) chain.push(scope)
  }
  return chain
}

function innerScope(scope: Die, address: bigint): Die | undefined {
  for (const child of scope.unit.children(scope)) {
    if (child.tag !== C.DW_TAG_inlined_subroutine && child.tag !== C.DW_TAG_lexical_block) continue
    if (covers(rangesOf(child), address)) return child
  }
  return undefined
}

/** A name with its namespaces, where the language has them. */
export function qualifiedName(die: Die): string {
  const named = die.originWith(C.DW_AT_name)
  if (named === undefined) return linkageName(die) ?? '(anonymous)'
  const name = named.string(C.DW_AT_name) ?? '(anonymous)'
  if (named.unit.language === 'c' || named.unit.language === 'assembly') return name
  let scoped = named
  for (const origin of named.withOrigins()) scoped = origin
  return [...scoped.unit.namespacesOf(scoped), name].join('::')
}

export function linkageName(die: Die): string | undefined {
  return (
    die.originWith(C.DW_AT_linkage_name)?.string(C.DW_AT_linkage_name) ??
    die.originWith(C.DW_AT_MIPS_linkage_name)?.string(C.DW_AT_MIPS_linkage_name)
  )
}
