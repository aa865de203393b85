/** Registers in lines of assembly, for their values while debugging. */

export interface RegisterWord {
  readonly start: number
  readonly end: number
  /** For the debugger's expressions: `$rax`. */
  readonly expression: string
}

// SDM vol. 1, 3.4: general registers in all their sizes, segments, RIP; vol. 3, 2.1: control and debug registers.
const REGISTER =
  /(?<![\w.$@])(?:[re]?[abcd]x|[abcd][hl]|[re]?(?:[sd]i|[sb]p)|[re]ip|(?:[sd]i|[sb]p)l|r(?:[89]|1[0-5])[bwd]?|[c-gs]s|cr[02348]|dr[0-367])(?![\w$@])/gi
const LONGEST_LINE = 2000

/** @param language `nasm` or `gas`: they differ in what begins a comment. */
export function registerWords(line: string, language: string): RegisterWord[] {
  const code = blanked(line.slice(0, LONGEST_LINE), language)
  return [...code.matchAll(REGISTER)].map(match => ({
    start: match.index,
    end: match.index + match[0].length,
    expression: `$${match[0].toLowerCase()}`,
  }))
}

/** The line with strings as spaces and without its comment. */
function blanked(line: string, language: string): string {
  const strings = line.replace(/"[^"]*"|'[^']*'/g, text => ' '.repeat(text.length))
  return strings.replace(language === 'nasm' ? /;.*/ : /(?:#|\/\/).*/, '')
}
