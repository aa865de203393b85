/** Types by the names that an expression spells. */

import type { StructType, Type } from '../../symbols/dwarf/type-model.ts'
import { arrayOf, builtInType, pointerTo } from './built-in-types.ts'
import { ExpressionError } from './expression-error.ts'
import type { Scope } from './scope.ts'
import type { TypeSyntax } from './syntax.ts'

/** undefined for `void`. The guest's own `u32` comes before ours. Throws {@link ExpressionError}. */
export function namedType(syntax: TypeSyntax, scope: Scope): Type | undefined {
  let type = baseType(syntax.name, scope)
  for (let i = 0; i < syntax.pointers; i++) type = pointerTo(type, scope.pointerSize)
  for (const count of syntax.counts.toReversed()) {
    if (type === undefined) throw new ExpressionError('there are no arrays of void')
    type = arrayOf(type, count)
  }
  return type
}

function baseType(name: string, scope: Scope): Type | undefined {
  const builtIn = builtInType(name, scope.pointerSize)
  if (builtIn !== undefined) return builtIn === null ? undefined : builtIn
  const found = scope.type(name)
  if (found === undefined) throw new ExpressionError(`no type "${name}" is known`)
  return found
}

/** Where a member lies; its names may be those of anonymous structures inside, base classes and variants. */
export interface FoundMember {
  readonly type: Type
  readonly offset: number
  readonly bits: { readonly offset: number; readonly size: number } | undefined
}

/** A hostile file can nest a structure in itself. */
const DEEPEST = 16

export function findMember(struct: StructType, name: string, depth = 0): FoundMember | undefined {
  if (depth > DEEPEST) return undefined
  const variants = struct.variants?.variants.flatMap(variant => variant.members) ?? []
  for (const member of [...struct.members, ...variants]) {
    if (member.name === name) return { type: member.type, offset: member.offset, bits: member.bits }
    if ((member.name !== undefined && !member.inherited) || member.type.kind !== 'struct') continue
    const inner = findMember(member.type, name, depth + 1)
    if (inner !== undefined) return { ...inner, offset: member.offset + inner.offset }
  }
  return undefined
}

/** For messages and completion. */
export function memberNames(struct: StructType, depth = 0): string[] {
  if (depth > DEEPEST) return []
  const variants = struct.variants?.variants.flatMap(variant => variant.members) ?? []
  return [...struct.members, ...variants].flatMap(({ name, inherited, type }) => {
    if (name !== undefined && !inherited) return [name]
    return type.kind === 'struct' ? memberNames(type, depth + 1) : []
  })
}

export function noMember(struct: StructType, name: string): ExpressionError {
  const names = memberNames(struct)
  if (names.length === 0)
    return new ExpressionError(
      struct.incomplete
        ? `${struct.name} is only declared in the symbol files: its members are not known`
        : `${struct.name} has no members`,
    )
  const shown = names.slice(0, 12).join(', ')
  return new ExpressionError(`${struct.name} has no member "${name}"; it has ${shown}${names.length > 12 ? ', …' : ''}`)
}
