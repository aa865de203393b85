import { describe, expect, test } from 'vitest'
import { TerminalText } from '../../src/extension/terminal-text.ts'

function shown(...pieces: readonly string[]): string {
  const text = new TerminalText()
  return pieces.map(piece => text.convert(piece)).join('')
}

describe('text for a terminal', () => {
  test.each([
    [['a\nb\n'], 'a\r\nb\r\n'],
    [['a\r\nb\r\n'], 'a\r\nb\r\n'],
    [['\n\n'], '\r\n\r\n'],
    [['a\r', '\nb'], 'a\r\nb'],
    [['a\r', '', '\nb'], 'a\r\nb'],
    [['a\r', '\n\n'], 'a\r\n\r\n'],
    [['50%\r', '60%\r'], '50%\r60%\r'],
    [['\x1b[1mbold\x1b[0m'], '\x1b[1mbold\x1b[0m'],
  ])('%j is shown as %j', (pieces, expected) => {
    expect(shown(...pieces)).toBe(expected)
  })
})
