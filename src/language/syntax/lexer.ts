/** Tokens of a line, comments left out. */

import { type Dialect, LONGEST_LINE, type Token } from './source-line.ts'

export interface Lexed {
  readonly tokens: readonly Token[]
  readonly codeEnd: number
  readonly commentOpen: boolean
}

/** Sticky, each alternative in a group of its own: comment, string, number, name, parameter, punctuation. */
const NASM_TOKEN =
  /(;.*)|("[^"]*"?|'[^']*'?|`(?:\\.|[^`\\])*`?)|(\d+\.\d*(?:[eE][+-]?\d+)?|\d\w*|\$\d\w*)|(\$?[A-Za-z_.?@][\w.?@$~#]*)|(%%\w+|%\{[^}]*\}|%\$+\w+|%[+-]?\d+|%[+?*]+|%![\w]+|%[A-Za-z]\w*)|(<<|>>|&&|\|\||[=!<>]=|\S)/y
const GAS_TOKEN =
  /(\/\/.*|\/\*|#.*)|("(?:\\.|[^"\\])*"?|'(?:\\.|[^\\])'?)|(\d\w*(?:\.\d+)?)|([A-Za-z_.][\w.$]*(?:@(?=[A-Z])[A-Z]+)?)|(\\\(\)|\\@|\\\w+)|(<<|>>|&&|\|\||[=!<>]=|%[A-Za-z]\w*|\S)/y

const KINDS = ['string', 'number', 'name', 'parameter', 'punctuation'] as const

/** @param commentOpen whether the line begins inside a block comment. */
export function lex(text: string, dialect: Dialect, commentOpen: boolean): Lexed {
  const found: Token[] = []
  let at = 0
  let codeEnd = -1
  if (commentOpen) {
    const end = text.indexOf('*/')
    if (end < 0) return { tokens: [], codeEnd: 0, commentOpen: true }
    at = end + 2
  }
  const pattern = dialect === 'nasm' ? NASM_TOKEN : GAS_TOKEN
  const length = Math.min(text.length, LONGEST_LINE)
  while (at < length) {
    if (/\s/.test(text[at])) {
      at++
      continue
    }
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match === null) break
    const end = at + match[0].length
    if (match[1] === '/*') {
      const close = text.indexOf('*/', end)
      if (close < 0) return { tokens: marked(found, dialect), codeEnd: at, commentOpen: true }
      at = close + 2
      continue
    }
    if (match[1] !== undefined && !isDirectiveLine(text, at, found.length, dialect)) {
      codeEnd = at
      break
    }
    if (match[1] !== undefined) {
      // `#define` and its like: the sign and the word are one token.
      const word = /^#\s*\w+/.exec(match[0])?.[0] ?? '#'
      found.push({ kind: 'name', text: `#${word.slice(1).trim()}`, start: at, end: at + word.length })
      at += word.length
      continue
    }
    const kind = KINDS[match.findIndex((group, i) => i >= 2 && group !== undefined) - 2]
    // AT&T's %rax is a name whose percent sign is punctuation's.
    if (kind === 'punctuation' && match[0].length > 1 && match[0].startsWith('%')) {
      found.push({ kind, text: '%', start: at, end: at + 1 })
      found.push({ kind: 'name', text: match[0].slice(1), start: at + 1, end })
    } else found.push({ kind, text: match[0], start: at, end })
    at = end
  }
  return { tokens: marked(found, dialect), codeEnd: codeEnd < 0 ? text.length : codeEnd, commentOpen: false }
}

/** GAS takes # for a comment, and the C preprocessor goes over .S files before. */
function isDirectiveLine(text: string, at: number, tokensBefore: number, dialect: Dialect): boolean {
  return (
    dialect === 'gas' &&
    tokensBefore === 0 &&
    /^#\s*(define|undef|ifn?def|include|if|elif|else|endif|error|warning|pragma)\b/.test(text.slice(at, at + 24))
  )
}

/** Marks names that a parameter touches, or that stand beside NASM's `%+`. */
function marked(tokens: readonly Token[], dialect: Dialect): readonly Token[] {
  if (!tokens.some(({ kind }) => kind === 'parameter')) return tokens
  const isGlue = (token: Token | undefined): boolean => token !== undefined && token.kind === 'parameter'
  return tokens.map((token, i) => {
    if (token.kind !== 'name' && token.kind !== 'number') return token
    const before = tokens[i - 1]
    const after = tokens[i + 1]
    const touches =
      (isGlue(before) && before.end === token.start) ||
      (isGlue(after) && after.start === token.end) ||
      (dialect === 'nasm' && (before?.text === '%+' || after?.text === '%+'))
    return touches ? { ...token, pasted: true } : token
  })
}
