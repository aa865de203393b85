/** Renames a symbol everywhere, or says why that would change what the program means. */

import type { Range, TextEdit, WorkspaceEdit } from 'vscode-languageserver'
import { isDirective } from '../facts/directives.ts'
import { instructionName, isPrefix } from '../facts/mnemonics.ts'
import { isRegister } from '../facts/registers.ts'
import { isNasmLocal } from '../index/file-symbols.ts'
import type { SourceDocument } from '../index/source-document.ts'
import { symbolAt, type Workspace } from '../index/workspace.ts'
import { rangeOf } from './navigation.ts'

/** A rename that can't be done; the message is for the user. */
export class RenameError extends Error {}

/** The name as it is written at a place, for the editor to edit; undefined where there is none. */
export function renameable(
  document: SourceDocument,
  line: number,
  column: number,
): { range: Range; placeholder: string } | undefined {
  const symbol = symbolAt(document, line, column)
  if (symbol === undefined) return undefined
  const placeholder = document.lines[line].text.slice(symbol.at.start, symbol.at.end)
  return /^\d/.test(placeholder) ? undefined : { range: rangeOf(symbol.at), placeholder }
}

/** Throws {@link RenameError} for names that are no names, taken, or defined where nothing may be written. */
export function rename(
  workspace: Workspace,
  document: SourceDocument,
  line: number,
  column: number,
  newName: string,
): WorkspaceEdit {
  const symbol = symbolAt(document, line, column)
  if (symbol === undefined) throw new RenameError('There is no symbol here.')
  if (symbol.name.includes('@') && document.dialect === 'gas')
    throw new RenameError('Numeric labels are not renamed: each use means the nearest.')
  const definitions = workspace.definitions(document, symbol.name)
  if (definitions.length === 0)
    throw new RenameError(`"${symbol.name}" is not defined in the workspace: renaming it would cut it off.`)
  const written = document.lines[line].text.slice(symbol.at.start, symbol.at.end)
  checkName(newName, written, document)
  const owner = symbol.name.slice(0, symbol.name.length - written.length)
  const local = document.dialect === 'nasm' && isNasmLocal(written)
  const newFull = local ? owner + newName : newName
  if (newFull === symbol.name) return { changes: {} }
  const taken = workspace.definitions(document, newFull)
  if (taken.length > 0) {
    const [{ document: where, at }] = taken
    throw new RenameError(`"${newName}" is defined already, in ${where.uri.split('/').at(-1)}, line ${at.line + 1}.`)
  }
  const changes: Record<string, TextEdit[]> = {}
  const add = (uri: string, edit: TextEdit): void => {
    changes[uri] ??= []
    changes[uri].push(edit)
  }
  for (const { document: file, at } of workspace.occurrences(document, symbol.name)) {
    const text = file.lines[at.line].text.slice(at.start, at.end)
    add(file.uri, { range: rangeOf(at), newText: replacement(text, symbol.name, newFull, newName) })
  }
  // Local labels written in full, such as `start.loop`, have their owner's name in them.
  if (document.dialect === 'nasm' && !local)
    for (const file of workspace.together(definitions[0].document))
      for (const at of [...file.symbols.definitions, ...file.symbols.uses]) {
        const text = file.lines[at.line].text.slice(at.start, at.end)
        if (text.startsWith(`${symbol.name}.`))
          add(file.uri, { range: rangeOf(at), newText: newName + text.slice(symbol.name.length) })
      }
  return { changes }
}

/** What to write in place of `text`: local labels also occur in full. */
function replacement(text: string, oldFull: string, newFull: string, newName: string): string {
  const sign = text.startsWith('$') ? '$' : ''
  return text.slice(sign.length) === oldFull ? sign + newFull : sign + newName
}

function checkName(name: string, before: string, { dialect }: SourceDocument): void {
  const form = dialect === 'nasm' ? /^[A-Za-z_.?][\w.?@$~#]*$/ : /^[A-Za-z_.][\w.$]*$/
  if (!form.test(name) || name === '.' || name.length > 4095)
    throw new RenameError(`"${name.slice(0, 80)}" can't be the name of a symbol.`)
  if (dialect === 'nasm' && isNasmLocal(name) !== isNasmLocal(before))
    throw new RenameError(
      "A name with a dot in front is local to the label above it: that can't be changed by renaming.",
    )
  if (
    isRegister(name) ||
    isPrefix(name, dialect) ||
    instructionName(name, dialect) !== undefined ||
    isDirective(name, dialect)
  )
    throw new RenameError(`"${name}" is a word of the assembler.`)
}
