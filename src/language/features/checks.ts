/** What is wrong with a file as far as we can tell without an assembler. */

import { type Diagnostic, DiagnosticSeverity } from 'vscode-languageserver'
import { isDirective } from '../facts/directives.ts'
import { instructionName, isPrefix } from '../facts/mnemonics.ts'
import type { SymbolDefinition, SymbolUse } from '../index/file-symbols.ts'
import type { SourceDocument } from '../index/source-document.ts'
import type { Workspace } from '../index/workspace.ts'
import type { Span } from '../syntax/source-line.ts'
import { rangeOf } from './navigation.ts'

const MOST_DIAGNOSTICS = 200

export function check(workspace: Workspace, document: SourceDocument): Diagnostic[] {
  const together = workspace.together(document)
  // What an unknown file may define is not missing.
  const complete = workspace.isComplete(together) && !usesPackage(together)
  const found = [...duplicates(document), ...missingFiles(workspace, document)]
  if (complete) found.push(...undefinedLabels(document, together), ...unknownOperations(document, together))
  return found.slice(0, MOST_DIAGNOSTICS)
}

/** `%use` brings macros that come with NASM. */
const usesPackage = (documents: readonly SourceDocument[]): boolean =>
  documents.some(({ lines }) => lines.some(({ tokens }) => tokens[0]?.text.toLowerCase() === '%use'))

function diagnostic(at: Span & { readonly line: number }, severity: DiagnosticSeverity, message: string): Diagnostic {
  return { range: rangeOf(at), severity, source: 'ringside', message }
}

function duplicates({ symbols, uri }: SourceDocument): Diagnostic[] {
  return [...symbols.definitionsByName.values()].flatMap(all => {
    const strict = all.filter(
      ({ several, kind, value }) => !several && !(kind === 'constant' && value !== undefined && uri.match(/\.[sS]$/)),
    )
    return strict.slice(1).map(at => duplicate(at, strict[0]))
  })
}

const duplicate = (at: SymbolDefinition, first: SymbolDefinition): Diagnostic =>
  diagnostic(at, DiagnosticSeverity.Error, `"${at.name}" is defined already, in line ${first.line + 1}.`)

function missingFiles(workspace: Workspace, document: SourceDocument): Diagnostic[] {
  return document.symbols.includes
    .filter(({ path }) => workspace.included(document, path) === undefined)
    .map(at => diagnostic(at, DiagnosticSeverity.Information, `"${at.path}" was not found in the workspace's folders.`))
}

/** NASM wants every symbol defined or declared; GAS leaves those that are not to the linker, but for numeric labels. */
function undefinedLabels(document: SourceDocument, together: readonly SourceDocument[]): Diagnostic[] {
  const isDefined = ({ name }: SymbolUse): boolean =>
    together.some(({ symbols }) => symbols.definitionsByName.has(name) || symbols.externs.has(name)) ||
    // Names of the assembler, sizes of structures, and what a macro may build from parameters.
    name.startsWith('..') ||
    name.startsWith('__') ||
    /^\$+$/.test(name) ||
    together.some(each => buildsNames(each))
  const isNumeric = ({ name }: SymbolUse): boolean => /^\d+[fb]$/.test(name)
  const uses = document.symbols.uses.filter(use => !use.soft && (document.dialect === 'nasm' || isNumeric(use)))
  return uses
    .filter(use => (isNumeric(use) && document.dialect === 'gas') || (!isDefined(use) && !isSize(use.name, together)))
    .map(use => diagnostic(use, DiagnosticSeverity.Error, `"${use.name}" is not defined.`))
}

/** NASM defines `NAME_size` for each structure (NASM manual, 4.11.10). */
const isSize = (name: string, together: readonly SourceDocument[]): boolean =>
  name.endsWith('_size') &&
  together.some(({ symbols }) =>
    symbols.definitionsByName.get(name.slice(0, -5))?.some(({ kind }) => kind === 'structure'),
  )

/** Whether a label is made of a macro's parameters: which ones there are, only an expansion knows. */
function buildsNames({ lines }: SourceDocument): boolean {
  return lines.some(({ tokens }) => {
    const colon = tokens.findIndex(({ text }) => text === ':')
    return (
      colon > 0 &&
      tokens
        .slice(0, colon)
        .some(({ pasted, kind, text }) => pasted || (kind === 'parameter' && /^(%\d|\\)/.test(text)))
    )
  })
}

function unknownOperations(document: SourceDocument, together: readonly SourceDocument[]): Diagnostic[] {
  const { dialect } = document
  const macros = new Set(
    together.flatMap(({ symbols }) =>
      symbols.definitions
        .filter(({ kind }) => kind === 'macro' || kind === 'define')
        .map(({ name }) => name.toLowerCase()),
    ),
  )
  const found: Diagnostic[] = []
  document.lines.forEach(({ statements }, line) => {
    for (const { operation } of statements) {
      if (operation === undefined || operation.kind !== 'name' || operation.pasted) continue
      const { text } = operation
      const known =
        instructionName(text, dialect) !== undefined ||
        isPrefix(text, dialect) ||
        isDirective(text, dialect) ||
        macros.has(text.toLowerCase()) ||
        text.startsWith('.') ||
        text.startsWith('__')
      if (known) continue
      const hint = dialect === 'nasm' ? '; a label needs a colon' : ''
      const message = `"${text}" is no instruction, directive or macro${hint}.`
      found.push(diagnostic({ line, start: operation.start, end: operation.end }, DiagnosticSeverity.Warning, message))
    }
  })
  return found
}
