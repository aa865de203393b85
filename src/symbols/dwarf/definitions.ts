/** Types, variables and enumerators of a file by name, found when asked for and remembered on disk. */

import { DwarfError } from '../elf/elf-error.ts'
import * as C from './constants.ts'
import type { Die } from './die.ts'
import type { DwarfProgram } from './dwarf-program.ts'
import { qualifiedName } from './functions.ts'
import type { CacheKind } from './index-cache.ts'
import { findByName } from './name-search.ts'
import type { UnitList } from './unit-list.ts'

const BY_KEYWORD: Readonly<Record<string, readonly number[]>> = {
  struct: [C.DW_TAG_structure_type, C.DW_TAG_class_type],
  class: [C.DW_TAG_class_type, C.DW_TAG_structure_type],
  union: [C.DW_TAG_union_type],
  enum: [C.DW_TAG_enumeration_type],
}

const ALL_TYPES: readonly number[] = [
  C.DW_TAG_structure_type,
  C.DW_TAG_class_type,
  C.DW_TAG_union_type,
  C.DW_TAG_enumeration_type,
  C.DW_TAG_typedef,
  C.DW_TAG_base_type,
  C.DW_TAG_unspecified_type,
]

const MOST_MISSING = 10_000
/** Milliseconds of a search without result that is worth remembering for other sessions. */
const LONG_SEARCH = 200

/** Variables that share a name: how many are looked at for one with a place. */
const MOST_CANDIDATES = 64

export class Definitions {
  readonly #program: DwarfProgram
  /** Searches that found nothing: they read the whole file, and a condition may ask again and again. */
  readonly #missing = new Set<string>()

  constructor(program: DwarfProgram) {
    this.#program = program
  }

  /** `struct task_struct`, `task_struct`, `unsigned long`, `core::option::Option<u32>`. */
  type(wanted: string): Die | undefined {
    const [, keyword, rest] = /^(?:(struct|class|union|enum)\s+)?(.*)$/s.exec(wanted.trim()) ?? []
    const name = keyword === undefined ? baseTypeName(rest) : rest
    const tags = new Set(keyword === undefined ? ALL_TYPES : BY_KEYWORD[keyword])
    return this.#remembered('type', `${keyword ?? ''} ${name}`, lastPart(name), () => {
      for (const list of [this.#program.units, this.#program.typeUnits]) {
        for (const die of this.#search(list, name, tags, false)) return die
      }
      return undefined
    })
  }

  /** The definition that a declared type stands for. */
  resolve(declaration: Die): Die | undefined {
    const signed = declaration.reference(C.DW_AT_signature)
    if (signed !== undefined) return signed
    const { name } = declaration
    if (name === undefined) return undefined
    const keyword = Object.entries(BY_KEYWORD).find(([, tags]) => tags[0] === declaration.tag)?.[0]
    const full = declaration.unit.language === 'c' ? name : qualifiedName(declaration)
    const found = this.type(keyword === undefined ? full : `${keyword} ${full}`)
    return found === undefined || found.offset === declaration.offset ? undefined : found
  }

  enumerator(name: string): { enumerator: Die; type: Die } | undefined {
    const die = this.#remembered('enumerator', name, name, () => {
      for (const list of [this.#program.units, this.#program.typeUnits]) {
        for (const found of this.#search(list, name, ENUMERATORS, true)) return found
      }
      return undefined
    })
    const type = die?.unit.pathTo(die.offset)?.at(-2)
    return die === undefined || type === undefined ? undefined : { enumerator: die, type }
  }

  /** One with a place before one that is only declared. */
  variable(name: string): Die | undefined {
    return this.#remembered('variable', name, lastPart(name), () => {
      let declared: Die | undefined
      let seen = 0
      for (const die of this.#search(this.#program.units, name, VARIABLES, true)) {
        if (!isOutsideFunctions(die)) continue
        if (die.has(C.DW_AT_location) || die.has(C.DW_AT_const_value)) return die
        declared ??= die
        // The definition of a global completes a declaration, and has no name of its own; the symbol has its address.
        if (this.#program.symbols.named(name)?.global || ++seen >= MOST_CANDIDATES) break
      }
      return declared
    })
  }

  /** Functions of the name, declarations among them: a definition may only refer to one. */
  *functions(wanted: string): Generator<Die> {
    yield* this.#search(this.#program.units, wanted, FUNCTIONS, true)
  }

  *#search(list: UnitList, wanted: string, tags: ReadonlySet<number>, declarations: boolean): Generator<Die> {
    const name = lastPart(wanted)
    for (const die of findByName(list, { name, tags, declarations })) {
      if (name === wanted || isNamed(die, wanted)) yield die
    }
  }

  /** @param ownName the entry's name without its namespaces. */
  #remembered(kind: CacheKind, key: string, ownName: string, search: () => Die | undefined): Die | undefined {
    const { cache } = this.#program
    const remembered = cache.get(kind, key)
    if (remembered?.length === 0) return undefined
    const [list, offset] = remembered ?? []
    if (list !== undefined && offset !== undefined) {
      const known = this.#dieIn(list, offset)
      if (known?.string(C.DW_AT_name) === ownName) return known
    }
    const question = `${kind} ${key}`
    if (this.#missing.has(question)) return undefined
    const started = performance.now()
    const found = search()
    if (found === undefined) {
      if (this.#missing.size < MOST_MISSING) this.#missing.add(question)
      // The name of a local variable, such as `i`, is in every unit, and looked into everywhere.
      if (performance.now() - started > LONG_SEARCH) cache.set(kind, key, [])
    } else {
      cache.set(kind, key, [found.unit.list === this.#program.typeUnits ? 1 : 0, found.offset])
    }
    return found
  }

  /** A cache can be of another build that claims the same id: an entry has to be one. */
  #dieIn(list: number, offset: number): Die | undefined {
    const units = list === 1 ? this.#program.typeUnits : this.#program.units
    try {
      const header = units.headerAround(offset)
      return header && units.unit(header).pathTo(offset)?.at(-1)
    } catch (error) {
      if (error instanceof DwarfError) return undefined
      throw error
    }
  }
}

const ENUMERATORS: ReadonlySet<number> = new Set([C.DW_TAG_enumerator])
const VARIABLES: ReadonlySet<number> = new Set([C.DW_TAG_variable])
const FUNCTIONS: ReadonlySet<number> = new Set([C.DW_TAG_subprogram])

function isOutsideFunctions(die: Die): boolean {
  const path = die.unit.pathTo(die.offset) ?? []
  return path.slice(0, -1).every(({ tag }) => tag === C.DW_TAG_namespace || tag === C.DW_TAG_module)
}

/** The part behind the last `::` that is not inside `<...>`. */
export function lastPart(path: string): string {
  let depth = 0
  let start = 0
  for (let index = 0; index < path.length; index++) {
    const character = path[index]
    if (character === '<') depth++
    else if (character === '>') depth--
    else if (character === ':' && path[index + 1] === ':' && depth === 0) start = index + 2
  }
  return path.slice(start)
}

function isNamed(die: Die, wanted: string): boolean {
  const full = qualifiedName(die)
  return full === wanted || full.endsWith(`::${wanted}`)
}

/** C's integer types have one spelling in DWARF: GNU C's (C17 6.7.2 lists the others). */
function baseTypeName(name: string): string {
  const words = name.split(/\s+/)
  if (!words.every(word => C_WORDS.has(word))) return name
  const unsigned = words.includes('unsigned')
  const longs = words.filter(word => word === 'long').length
  if (words.includes('double')) return longs > 0 ? 'long double' : 'double'
  if (words.includes('char')) return unsigned ? 'unsigned char' : words.includes('signed') ? 'signed char' : 'char'
  const size = words.includes('short') ? 'short ' : 'long '.repeat(longs)
  return `${size}${unsigned ? 'unsigned ' : ''}int`
}

const C_WORDS: ReadonlySet<string> = new Set(['signed', 'unsigned', 'short', 'long', 'int', 'char', 'double'])
