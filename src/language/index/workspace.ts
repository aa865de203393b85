/** All sources that are known: open ones as the editor has them, others as they are in the workspace's folders. */

import type { Dialect } from '../syntax/source-line.ts'
import type { SymbolDefinition, SymbolUse } from './file-symbols.ts'
import { SourceDocument } from './source-document.ts'
import type { WorkspaceFiles } from './workspace-files.ts'

/** Files that share names by including each other; more are left out. */
const MOST_TOGETHER = 256

export interface Located<T> {
  readonly document: SourceDocument
  readonly at: T
}

/** What a name at some place means. */
export interface SymbolAt {
  readonly name: string
  readonly at: SymbolDefinition | SymbolUse
}

export class Workspace {
  readonly #files: WorkspaceFiles
  readonly #open = new Map<string, SourceDocument>()
  /** Null for a file that can't be read. */
  readonly #onDisk = new Map<string, SourceDocument | null>()
  #discovered = false

  constructor(files: WorkspaceFiles) {
    this.#files = files
  }

  open(uri: string, dialect: Dialect, text: string, version: number): SourceDocument {
    const document = new SourceDocument(uri, dialect, text, version)
    this.#open.set(uri, document)
    return document
  }

  change(uri: string, text: string, version: number): void {
    this.#open.get(uri)?.update(text, version)
  }

  close(uri: string): void {
    this.#open.delete(uri)
    this.forget(uri)
  }

  /** A file was made, changed or removed outside of the editor. */
  forget(uri: string): void {
    this.#onDisk.delete(uri)
    this.#discovered = false
  }

  /** Folders were added or removed. */
  forgetAll(): void {
    this.#onDisk.clear()
    this.#discovered = false
  }

  opened(uri: string): SourceDocument | undefined {
    return this.#open.get(uri)
  }

  /** An open source, or one of the workspace's folders. */
  known(uri: string): SourceDocument | undefined {
    return this.#open.get(uri) ?? this.all().find(document => document.uri === uri)
  }

  /** Every source of the workspace's folders, and every open one. */
  all(): SourceDocument[] {
    if (!this.#discovered) {
      this.#discovered = true
      for (const uri of this.#files.list()) this.#document(uri, undefined)
    }
    const onDisk = [...this.#onDisk.values()].filter(document => document !== null && !this.#open.has(document.uri))
    return [...this.#open.values(), ...onDisk.filter(document => document !== null)]
  }

  /** The document that an include names. */
  included(from: SourceDocument, path: string): SourceDocument | undefined {
    const uri = this.#files.resolve(from.uri, path)
    return uri === undefined ? undefined : this.#document(uri, from.dialect)
  }

  /** Whether anything includes a file: then it isn't assembled alone. */
  isIncluded(document: SourceDocument): boolean {
    return this.all().some(
      other => other !== document && other.symbols.includes.some(({ path }) => this.included(other, path) === document),
    )
  }

  /** A document with those that it includes and those that include it: one namespace. The document is the first. */
  together(document: SourceDocument): SourceDocument[] {
    const found = new Set([document])
    const includers = this.#includers()
    // Upwards first, so that what the includers include is reached too.
    for (const each of found)
      for (const above of includers.get(each) ?? []) if (found.size < MOST_TOGETHER) found.add(above)
    for (const each of found)
      for (const { path } of each.symbols.includes) {
        const below = this.included(each, path)
        if (below !== undefined && found.size < MOST_TOGETHER) found.add(below)
      }
    return [...found]
  }

  /** Whether every file that `document` or its relatives include was found. */
  isComplete(documents: readonly SourceDocument[]): boolean {
    return documents.every(each => each.symbols.includes.every(({ path }) => this.included(each, path) !== undefined))
  }

  /** Where a name is defined: among the files that share names with `document`, else where it is visible to all. */
  definitions(document: SourceDocument, name: string): Located<SymbolDefinition>[] {
    const near = this.together(document).flatMap(each => located(each, each.symbols.definitionsByName.get(name)))
    if (near.length > 0 || name.includes('@')) return near
    return this.all()
      .filter(each => each.symbols.globals.has(name))
      .flatMap(each => located(each, each.symbols.definitionsByName.get(name)))
  }

  /** Definitions and uses of a name, seen from `document`: in all files if it is visible to all. */
  occurrences(document: SourceDocument, name: string): Located<SymbolDefinition | SymbolUse>[] {
    const definitions = this.definitions(document, name)
    const owners = definitions.length > 0 ? definitions.map(each => each.document) : [document]
    const files = new Set(owners.flatMap(each => this.together(each)))
    const visible = definitions.some(({ document }) => document.symbols.globals.has(name))
    if (visible || definitions.length === 0) {
      for (const each of this.all()) {
        const ownMeaning = each.symbols.definitionsByName.has(name) && !each.symbols.globals.has(name)
        if (!ownMeaning && !name.includes('@')) files.add(each)
      }
    }
    const scope = name.includes('@') ? [document] : [...files]
    return scope.flatMap(each => [
      ...located<SymbolDefinition | SymbolUse>(each, each.symbols.definitionsByName.get(name)),
      ...located(each, each.symbols.usesByName.get(name)),
    ])
  }

  #includers(): Map<SourceDocument, SourceDocument[]> {
    const map = new Map<SourceDocument, SourceDocument[]>()
    for (const each of this.all())
      for (const { path } of each.symbols.includes) {
        const below = this.included(each, path)
        if (below !== undefined) map.set(below, [...(map.get(below) ?? []), each])
      }
    return map
  }

  /** @param includedFrom the dialect of what includes it; otherwise its name decides. */
  #document(uri: string, includedFrom: Dialect | undefined): SourceDocument | undefined {
    const known = this.#open.get(uri) ?? this.#onDisk.get(uri)
    if (known !== undefined) return known ?? undefined
    const text = this.#files.read(uri)
    const dialect = includedFrom ?? (/\.[sS]$/.test(uri) ? 'gas' : 'nasm')
    const document = text === undefined ? null : new SourceDocument(uri, dialect, text, 0)
    this.#onDisk.set(uri, document)
    return document ?? undefined
  }
}

/** The symbol whose name stands at a place. */
export function symbolAt(document: SourceDocument, line: number, column: number): SymbolAt | undefined {
  const { symbols } = document
  const covers = ({ start, end, line: other }: SymbolDefinition | SymbolUse): boolean =>
    other === line && start <= column && column <= end
  const found = symbols.definitions.find(covers) ?? symbols.uses.find(covers)
  return found === undefined || isSection(found) ? undefined : { name: found.name, at: found }
}

const isSection = (at: SymbolDefinition | SymbolUse): boolean => 'kind' in at && at.kind === 'section'

function located<T>(document: SourceDocument, items: readonly T[] | undefined): Located<T>[] {
  return (items ?? []).map(at => ({ document, at }))
}
