import { describe, expect, test } from 'vitest'
import { parseKeyboardInputArguments, parseScreenArguments } from '../../src/protocol/screen-requests.ts'

describe('screen arguments', () => {
  test('may have a version', () => {
    expect(parseScreenArguments(undefined)).toEqual({})
    expect(parseScreenArguments({ since: 'abc' })).toEqual({ since: 'abc' })
    expect(() => parseScreenArguments({ since: 1 })).toThrow('"since" must be a string')
  })
})

describe('keyboard input', () => {
  test('is keys or text', () => {
    expect(parseKeyboardInputArguments({ text: 'ls\n' })).toEqual({ text: 'ls\n' })
    expect(parseKeyboardInputArguments({ keys: [{ code: 'KeyA' }, { code: 'F1', action: 'up' }] })).toEqual({
      keys: [
        { code: 'KeyA', action: 'press' },
        { code: 'F1', action: 'up' },
      ],
    })
  })

  test.each([
    [undefined, 'arguments must be an object'],
    [{}, 'either "keys" or "text"'],
    [{ keys: [], text: '' }, 'either "keys" or "text"'],
    [{ keys: 'KeyA' }, '"keys" must be a list'],
    [{ keys: ['KeyA'] }, '"keys"[0]: arguments must be an object'],
    [{ keys: [{ code: 30 }] }, '"code" must be a string'],
    [{ keys: [{ code: 'KeyA', action: 'hold' }] }, '"action" must be one of down, up, press'],
    [{ keys: Array.from({ length: 257 }, () => ({ code: 'KeyA' })) }, 'at most 256 keys at once'],
    [{ text: 'x'.repeat(1001) }, 'at most 1000 characters'],
  ])('%j is neither', (value, message) => {
    expect(() => parseKeyboardInputArguments(value)).toThrow(message)
  })
})
