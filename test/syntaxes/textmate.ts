/**
 * The part of TextMate that the grammars use, on JavaScript's regular expressions: match, begin and end, captures with
 * names or patterns, and includes. Scopes of a token are joined; what no rule matches has the scope ''.
 */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface Rule {
  readonly name?: string
  readonly match?: string
  readonly begin?: string
  readonly end?: string
  readonly include?: string
  readonly captures?: Readonly<Record<string, Rule>>
  readonly patterns?: readonly Rule[]
}

export interface Grammar {
  readonly scopeName: string
  readonly patterns: readonly Rule[]
  readonly repository: Readonly<Record<string, Rule>>
}

export interface Token {
  readonly text: string
  readonly scope: string
}

/** A rule with the grammar that its includes refer to. */
interface Placed {
  readonly rule: Rule
  readonly grammar: Grammar
}

export function readJson(path: string): unknown {
  return JSON.parse(readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8'))
}

/** @param name of a file in `syntaxes/`, without its suffix. */
export function readGrammar(name: string): Grammar {
  const value = readJson(`syntaxes/${name}.tmLanguage.json`)
  if (!isGrammar(value)) throw new Error(`${name} has no scopeName, patterns or repository`)
  return value
}

function isGrammar(value: unknown): value is Grammar {
  return (
    typeof value === 'object' && value !== null && 'scopeName' in value && 'patterns' in value && 'repository' in value
  )
}

/** Every regular expression of a grammar. */
export function expressions(rule: Rule | Grammar): string[] {
  const own = 'scopeName' in rule ? [] : [rule.match, rule.begin, rule.end].filter(text => text !== undefined)
  const inner = 'scopeName' in rule ? Object.values(rule.repository) : Object.values(rule.captures ?? {})
  return [...own, ...[...inner, ...(rule.patterns ?? [])].flatMap(expressions)]
}

/**
 * Oniguruma's `(?i)` in front is JavaScript's flag; beyond that the expressions mean the same to both: with the flag u,
 * JavaScript refuses what only Oniguruma has, such as possessive repetition, atomic groups, `\h` and `\A`.
 */
export function compile(expression: string): RegExp {
  return expression.startsWith('(?i)') ? new RegExp(expression.slice(4), 'giu') : new RegExp(expression, 'gu')
}

export class Tokenizer {
  readonly #grammars: ReadonlyMap<string, Grammar>
  readonly #compiled = new Map<string, RegExp>()

  constructor(grammars: readonly Grammar[]) {
    this.#grammars = new Map(grammars.map(grammar => [grammar.scopeName, grammar]))
  }

  /** Tokens of each line, without those of white space only. */
  tokenize(scopeName: string, source: string): Token[][] {
    const grammar = this.#grammar(scopeName)
    const stack: Placed[] = [{ rule: { patterns: grammar.patterns }, grammar }]
    return source.split('\n').map(line => this.#line(line, stack).filter(({ text }) => text.trim() !== ''))
  }

  #line(line: string, stack: Placed[]): Token[] {
    const tokens: Token[] = []
    const emit = (from: number, to: number, scope = ''): void => {
      if (to > from) tokens.push({ text: line.slice(from, to).trim(), scope })
    }
    let at = 0
    for (;;) {
      const open = stack[stack.length - 1]
      const end = open.rule.end === undefined ? null : this.#find(open.rule.end, line, at)
      const found = this.#first(open, line, at)
      if (end !== null && (found === undefined || end.index <= found.match.index)) {
        emit(at, end.index + end[0].length, open.rule.name)
        at = end.index + end[0].length
        stack.pop()
      } else if (found !== undefined) {
        const { match, placed } = found
        emit(at, match.index, open.rule.name)
        at = match.index + match[0].length
        if (placed.rule.begin !== undefined) {
          stack.push(placed)
          emit(match.index, at, placed.rule.name)
        } else tokens.push(...this.#captured(match, placed))
        if (match[0] === '') throw new Error(`${placed.rule.match} matches nothing and would never end`)
      } else {
        emit(at, line.length, open.rule.name)
        return tokens
      }
    }
  }

  /** The rule that matches first; of several at one place the one that stands first. */
  #first(open: Placed, line: string, at: number): { match: RegExpExecArray; placed: Placed } | undefined {
    let best: { match: RegExpExecArray; placed: Placed } | undefined
    for (const placed of this.#flatten(open.rule.patterns ?? [], open.grammar)) {
      const match = this.#find(placed.rule.match ?? placed.rule.begin ?? '(?!)', line, at)
      if (match !== null && (best === undefined || match.index < best.match.index)) best = { match, placed }
    }
    return best
  }

  #captured(match: RegExpExecArray, { rule, grammar }: Placed): Token[] {
    if (rule.captures === undefined) return [{ text: match[0].trim(), scope: rule.name ?? '' }]
    const tokens: Token[] = []
    for (let i = 1; i < match.length; i++) {
      const capture = rule.captures[i]
      if (match[i] === undefined || capture === undefined) continue
      const inner = { rule: { patterns: capture.patterns ?? [] }, grammar }
      if (capture.patterns !== undefined) tokens.push(...this.#line(match[i], [inner]))
      else tokens.push({ text: match[i], scope: capture.name ?? '' })
    }
    return tokens
  }

  #flatten(rules: readonly Rule[], grammar: Grammar): Placed[] {
    return rules.flatMap((rule): Placed[] => {
      if (rule.include === undefined) {
        const group = rule.match === undefined && rule.begin === undefined
        return group ? this.#flatten(rule.patterns ?? [], grammar) : [{ rule, grammar }]
      }
      if (rule.include.startsWith('#')) {
        const named = grammar.repository[rule.include.slice(1)]
        if (named === undefined) throw new Error(`${grammar.scopeName} has no ${rule.include}`)
        return this.#flatten([named], grammar)
      }
      const other = this.#grammar(rule.include)
      return this.#flatten(other.patterns, other)
    })
  }

  #find(expression: string, line: string, at: number): RegExpExecArray | null {
    let compiled = this.#compiled.get(expression)
    if (compiled === undefined) this.#compiled.set(expression, (compiled = compile(expression)))
    compiled.lastIndex = at
    return compiled.exec(line)
  }

  #grammar(scopeName: string): Grammar {
    const grammar = this.#grammars.get(scopeName)
    if (grammar === undefined) throw new Error(`there is no grammar ${scopeName}`)
    return grammar
  }
}
