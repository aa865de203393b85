/** Completion in the debug console: commands, registers with their fields, symbols. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import { REGISTER_NAMES, registerFields } from '../../debugger/expression/registers.ts'
import { Fields } from '../../protocol/fields.ts'
import { COMMANDS } from '../repl/repl.ts'
import { COUNTS, RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

const MOST_SYMBOLS = 100
const LONGEST_TEXT = 10_000

export const completionRequests: RequestFamily = {
  completions(session, args) {
    const fields = new Fields('completions', args)
    const text = fields.string('text')
    if (text.length > LONGEST_TEXT) throw new RequestError(`completions: more than ${LONGEST_TEXT} characters`)
    const column = fields.integer('column', COUNTS)
    // Columns count from 1: the text left of the cursor.
    const targets = completionsOf(session, text.slice(0, Math.max(0, column - 1)))
    return { targets }
  },
}

function completionsOf(session: Session, text: string): DebugProtocol.CompletionItem[] {
  const field = /\$(\w+)\.(\w*)$/.exec(text)
  if (field !== null)
    return starting(registerFields(field[1].toLowerCase()), field[2]).map(label => item(label, field[2], text, 'field'))
  const register = /\$(\w*)$/.exec(text)
  if (register !== null)
    return starting(REGISTER_NAMES, register[1]).map(label => item(label, register[1], text, 'variable'))
  const own = commandWords(session, text)
  if (own.length > 0) return own
  const word = /[A-Za-z_]\w*$/.exec(text)?.[0] ?? ''
  const first = text.trimStart() === word || /^\s*help\s+\w*$/.test(text)
  const commands = first ? COMMANDS.filter(({ name }) => name.startsWith(word)) : []
  return [
    ...commands.map(({ name, summary }) => ({ ...item(name, word, text, 'keyword'), detail: summary })),
    ...(word === '' ? [] : session.debugger.symbols.namesStarting(word, MOST_SYMBOLS)).map(name =>
      item(name, word, text, 'function'),
    ),
  ]
}

/** What a command offers itself, such as names of devices. */
function commandWords(session: Session, text: string): DebugProtocol.CompletionItem[] {
  const [, name, rest] = /^\s*(\w+)\s+(.*)$/s.exec(text) ?? []
  const command = COMMANDS.find(each => each.name === name)
  if (rest === undefined || command?.words === undefined) return []
  const typed = /\S*$/.exec(rest)?.[0] ?? ''
  const before = rest.slice(0, rest.length - typed.length).split(/\s+/)
  const words = command.words(session.debugger.target.machine, before.filter(word => word !== '').length)
  return starting(words, typed).map(label => item(label, typed, text, 'value'))
}

const starting = (names: readonly string[], prefix: string): string[] =>
  names.filter(name => name.toLowerCase().startsWith(prefix.toLowerCase()))

/** Replaces the `typed` end of the text. Offsets count from 0. */
function item(
  label: string,
  typed: string,
  text: string,
  type: DebugProtocol.CompletionItemType,
): DebugProtocol.CompletionItem {
  return { label, type, start: text.length - typed.length, length: typed.length }
}
