/**
 * What a file defines and uses, by full names: a local label of NASM has its owner in front (`start.loop`), a numeric
 * label of GAS the line that it stands in (`1@17`).
 */

import type { Definition, DefinitionKind, Dialect, Reference, SourceLine, Span } from '../syntax/source-line.ts'

export interface SymbolDefinition extends Span {
  readonly name: string
  /** As written, without an owner. */
  readonly shortName: string
  readonly kind: DefinitionKind
  readonly line: number
  readonly value?: Definition['value']
  /** In a macro or repetition, or under a condition: several of that name may be right. */
  readonly several: boolean
}

export interface SymbolUse extends Span {
  readonly name: string
  readonly line: number
  readonly soft: boolean
}

export class FileSymbols {
  readonly definitions: readonly SymbolDefinition[]
  readonly uses: readonly SymbolUse[]
  readonly definitionsByName: ReadonlyMap<string, readonly SymbolDefinition[]>
  readonly usesByName: ReadonlyMap<string, readonly SymbolUse[]>
  /** Names visible to other files. */
  readonly globals: ReadonlySet<string>
  readonly externs: ReadonlySet<string>
  readonly includes: readonly (Span & { readonly path: string; readonly line: number })[]
  /** For each line the label that owns local labels there; undefined above the first. */
  readonly owners: readonly (string | undefined)[]

  constructor(lines: readonly SourceLine[], dialect: Dialect) {
    const pass = new Pass(dialect)
    for (const [number, line] of lines.entries()) pass.line(line, number)
    this.definitions = pass.definitions
    this.uses = pass.numericUses()
    this.definitionsByName = group(this.definitions)
    this.usesByName = group(this.uses)
    this.globals = pass.globals
    this.externs = pass.externs
    this.includes = pass.includes
    this.owners = pass.owners
  }
}

class Pass {
  readonly definitions: SymbolDefinition[] = []
  readonly globals = new Set<string>()
  readonly externs = new Set<string>()
  readonly includes: (Span & { path: string; line: number })[] = []
  readonly owners: (string | undefined)[] = []
  readonly #uses: SymbolUse[] = []
  readonly #dialect: Dialect
  readonly #numeric = new Map<string, SymbolDefinition[]>()
  #owner: string | undefined
  #macros = 0
  #conditions = 0

  constructor(dialect: Dialect) {
    this.#dialect = dialect
  }

  line(line: SourceLine, number: number): void {
    const { block } = line
    const closes = block?.edge === 'end'
    const opens = block?.edge === 'begin'
    if (block?.kind === 'macro' || block?.kind === 'repeat')
      this.#macros = Math.max(0, this.#macros + (closes ? -1 : 0))
    if (block?.kind === 'condition' && closes) this.#conditions = Math.max(0, this.#conditions - 1)
    for (const definition of line.definitions) this.#define(definition, number)
    this.owners.push(this.#owner)
    for (const reference of line.references) this.#use(reference, number)
    for (const name of line.visibility?.names ?? [])
      (line.visibility?.kind === 'global' ? this.globals : this.externs).add(name)
    if (line.include !== undefined) this.includes.push({ ...line.include, line: number })
    if (opens && (block.kind === 'macro' || block.kind === 'repeat')) this.#macros++
    if (opens && block.kind === 'condition') this.#conditions++
  }

  #define({ name, kind, start, end, value }: Definition, line: number): void {
    const full = this.#fullName(name, kind, line)
    const several =
      this.#macros > 0 || this.#conditions > 0 || kind === 'define' || kind === 'macro' || kind === 'section'
    const definition = { name: full, shortName: name, kind, line, start, end, several, ...(value && { value }) }
    this.definitions.push(definition)
    if (full !== name && this.#dialect === 'gas')
      this.#numeric.set(name, [...(this.#numeric.get(name) ?? []), definition])
  }

  #fullName(name: string, kind: DefinitionKind, line: number): string {
    if (this.#dialect === 'gas') return /^\d+$/.test(name) ? `${name}@${line}` : name
    if (kind === 'label' || kind === 'structure' || kind === 'constant') {
      if (isNasmLocal(name)) return (this.#owner ?? '') + name
      if (kind !== 'constant' && !name.startsWith('..')) this.#owner = name.includes('.') ? this.#owner : name
    }
    return name
  }

  #use({ name, start, end, soft }: Reference, line: number): void {
    const full = this.#dialect === 'nasm' && isNasmLocal(name) ? (this.#owner ?? '') + name : name
    this.#uses.push({ name: full, line, start, end, soft: soft || this.#macros > 0 })
  }

  /** Uses, those of numeric labels by the definition that they mean. */
  numericUses(): SymbolUse[] {
    if (this.#dialect === 'nasm') return this.#uses
    return this.#uses.map(use => {
      const number = /^(\d+)([fb])$/.exec(use.name)
      if (number === null) return use
      const all = this.#numeric.get(number[1]) ?? []
      const target =
        number[2] === 'f'
          ? all.find(({ line, start }) => line > use.line || (line === use.line && start > use.start))
          : all.findLast(({ line, start }) => line < use.line || (line === use.line && start < use.start))
      return target === undefined ? use : { ...use, name: target.name }
    })
  }
}

/** `.loop`, but neither `..start` nor `..@skip` (NASM manual, 3.9). */
export const isNasmLocal = (name: string): boolean => name.startsWith('.') && !name.startsWith('..')

function group<T extends { readonly name: string }>(items: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const list = groups.get(item.name)
    if (list === undefined) groups.set(item.name, [item])
    else list.push(item)
  }
  return groups
}
