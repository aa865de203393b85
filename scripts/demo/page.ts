/**
 * What the demo prints: prose for a newcomer, requests (`>`), what comes back (`<`), the source that an editor shows then
 * (`:`) and the guest's console (`|`).
 * No line is wider than {@link WIDTH}; colours are for terminals only.
 */

import { inspect, stripVTControlCharacters, styleText } from 'node:util'

export const WIDTH = 98

export class Page {
  readonly #write: (text: string) => void
  readonly #colours: boolean
  /** Where in the demo a failure happened. */
  place = 'the beginning'
  #sections = 0
  /** The guest's last line, when it has not ended yet. */
  #unfinished = ''

  constructor(write: (text: string) => void, colours = false) {
    this.#write = write
    this.#colours = colours
  }

  title(text: string): void {
    this.#sections = 0
    this.place = text
    this.#print('', this.#style('bold', `${text}\n${'='.repeat(text.length)}`))
  }

  section(text: string): void {
    const head = `-- ${++this.#sections}. ${text} `
    this.place = `"${this.#sections}. ${text}"`
    this.#print('', this.#style('bold', head.padEnd(WIDTH, '-')), '')
  }

  /** Prose, wrapped. */
  say(text: string): void {
    this.#print(...wrap(text))
  }

  /** An empty line. */
  gap(): void {
    this.#print('')
  }

  asked(command: string, args: unknown): void {
    const shown = args === undefined ? '' : ` ${inspect(args, { breakLength: Infinity, depth: null })}`
    for (const line of wrap(`${command}${shown}`, '    ', /(?<=,) /)) this.#print(this.#style('cyan', `> ${line}`))
  }

  answered(...lines: readonly string[]): void {
    for (const line of lines.flatMap(long => wrap(long, '    '))) this.#print(line === '' ? '<' : `< ${line}`)
  }

  /** The line that an editor would point at. */
  source(line: number, text: string): void {
    this.#print(this.#style('yellow', `: ${line}  ${text.trim()}`))
  }

  /** What the guest writes to its serial console, in pieces as they come. */
  console(text: string): void {
    const lines = (this.#unfinished + stripVTControlCharacters(text).replaceAll('\r', '')).split('\n')
    this.#unfinished = lines.pop() ?? ''
    for (const line of lines) this.#consoleLine(line)
  }

  #print(...lines: readonly string[]): void {
    const unfinished = this.#unfinished.trimEnd()
    this.#unfinished = ''
    if (unfinished !== '') this.#consoleLine(unfinished)
    for (const line of lines) this.#write(`${line}\n`)
  }

  #consoleLine(line: string): void {
    this.#write(`${this.#style('green', `| ${line}`)}\n`)
  }

  #style(format: 'bold' | 'cyan' | 'green' | 'yellow', text: string): string {
    return this.#colours ? styleText(format, text, { validateStream: false }) : text
  }
}

/**
 * @param indent before every line but the first.
 * @param gap where a line may end.
 */
function wrap(text: string, indent = '', gap = / /): string[] {
  if (text.length <= WIDTH - 2) return [text]
  const lines: string[] = []
  let line = ''
  for (const word of text.split(gap)) {
    if (line !== '' && line.length + 1 + word.length > WIDTH - 2) {
      lines.push(line)
      line = indent + word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
