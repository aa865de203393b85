import { describe, expect, test } from 'vitest'
import { KEY_NAMES } from '../../src/devices/i8042/key-codes.ts'
import { Keys } from '../../src/extension/screen/keys.ts'
import { isHostMessage, parsePageMessage, parseState } from '../../src/extension/screen/messages.ts'
import { cursorBox, runsOf, type TextScreen, withoutBlanks } from '../../src/extension/screen/screen-model.ts'

const palette = Array.from({ length: 16 }, (_, color) => `#0000${color.toString(16).padStart(2, '0')}`)
const SCREEN: TextScreen = {
  ...{ kind: 'text', version: '0a1b', columns: 6, blinks: true, palette, height: 16, off: false },
  rows: ['ab╔ c ', '      '],
  attributes: ['07074e1e8e07', '070707070707'],
  cursor: { row: 0, column: 4, first: 12, last: 13 },
}

describe('the picture', () => {
  test('has a run for cells that look the same, and cells of their own for what fonts may lack', () => {
    const [first, second] = runsOf(SCREEN)
    expect(first.map(({ column, text, alone }) => [column, text, alone])).toEqual([
      ...[
        [0, 'ab', false],
        [2, '╔', true],
        [3, ' ', false],
        [4, 'c', false],
      ],
      [5, ' ', false],
    ])
    expect(second.map(({ text }) => text)).toEqual(['      '])
  })

  test('has the colours of the attribute, and blinks where it says so', () => {
    const [first] = runsOf(SCREEN)
    expect(first[1]).toMatchObject({ foreground: palette[14], background: palette[4], blink: false })
    expect(first[3]).toMatchObject({ foreground: palette[14], background: palette[0], blink: true })
    const [bright] = runsOf({ ...SCREEN, blinks: false })
    expect(bright[3]).toMatchObject({ foreground: palette[14], background: palette[8], blink: false })
  })

  test('shows the cursor on its scan lines, in the colour of its cell, unless the display is off', () => {
    expect(cursorBox(SCREEN)).toEqual({ column: 4, top: 0.75, height: 0.125, color: palette[14] })
    expect(cursorBox({ ...SCREEN, off: true })).toBeUndefined()
    const { cursor: _, ...without } = SCREEN
    expect(cursorBox(without)).toBeUndefined()
  })

  test('is copied without the blanks at the ends of lines', () => {
    expect(withoutBlanks('ab  \n\n c d \n')).toBe('ab\n\n c d\n')
  })
})

describe('keys', () => {
  const key = (code: string, held: object = {}) => ({
    ...{ code, ctrlKey: false, shiftKey: false, metaKey: false, isComposing: false, ...held },
  })

  test('are the guest’s, function keys and Ctrl, Alt and Tab with them', () => {
    const keys = new Keys()
    for (const code of ['KeyA', 'F5', 'ControlLeft', 'AltRight', 'Tab', 'ArrowUp'])
      expect(keys.press(key(code), 0, false)).toBe('guest')
    expect(keys.press(key('KeyC', { ctrlKey: true }), 0, false)).toBe('guest')
    expect(keys.press(key('KeyV', { ctrlKey: true }), 0, true)).toBe('guest')
  })

  test('are those of a PC’s keyboard', () => {
    const use = (code: string) => new Keys().press(key(code), 0, false)
    for (const code of KEY_NAMES) expect([code, use(code)]).toEqual([code, 'guest'])
    for (const code of ['AudioVolumeUp', 'F13', 'Fn', 'BrowserBack', 'Power', 'NumpadParenLeft', 'Keys', ''])
      expect([code, use(code)]).toEqual([code, 'editor'])
  })

  test('of the clipboard, of the operating system and of input methods are the editor’s', () => {
    const keys = new Keys()
    for (const press of [
      key('KeyV', { ctrlKey: true, shiftKey: true }),
      key('Insert', { shiftKey: true }),
      key('KeyQ', { metaKey: true }),
      key('KeyQ', { isComposing: true }),
      key(''),
    ])
      expect(keys.press(press, 0, false)).toBe('editor')
    expect(keys.press(key('KeyC', { ctrlKey: true }), 0, true)).toBe('editor')
  })

  test('give the keyboard back when Escape comes twice, soon and with nothing between', () => {
    const keys = new Keys()
    const twice = (at: number) => {
      const use = keys.press(key('Escape'), at, false)
      keys.release('Escape')
      return use
    }
    expect([twice(1000), twice(2000), twice(2500), twice(2600)]).toEqual(['guest', 'guest', 'release', 'guest'])
    keys.press(key('KeyA'), 2700, false)
    expect(twice(2800)).toBe('guest')
  })

  test('that are held repeat, Escape too, and are let go with the keyboard', () => {
    const keys = new Keys()
    for (const at of [0, 30, 60]) expect(keys.press(key('Escape'), at, false)).toBe('guest')
    keys.press(key('ShiftLeft'), 100, false)
    expect(keys.release('ShiftLeft')).toBe(true)
    expect(keys.release('ShiftLeft')).toBe(false)
    expect(keys.releaseAll()).toEqual(['Escape'])
    expect(keys.releaseAll()).toEqual([])
  })
})

describe('messages of the page', () => {
  test.each([
    [{ type: 'ready' }],
    [{ type: 'look' }],
    [{ type: 'look', since: '0a1b' }],
    [{ type: 'keys', keys: [{ code: 'KeyA', down: true }] }],
    [{ type: 'text', text: 'ls\n' }],
  ])('%j is one', message => {
    expect(parsePageMessage({ ...message, more: 1 })).toEqual(message)
  })

  test.each([
    [undefined],
    ['ready'],
    [{ type: 'exit' }],
    [{ type: 'look', since: 5 }],
    [{ type: 'look', since: '<b>' }],
    [{ type: 'keys', keys: [] }],
    [{ type: 'keys', keys: [{ code: 'KeyA' }] }],
    [{ type: 'keys', keys: [{ code: '../a', down: true }] }],
    [{ type: 'keys', keys: Array.from({ length: 257 }, () => ({ code: 'KeyA', down: true })) }],
    [{ type: 'text', text: '' }],
    [{ type: 'text', text: 'x'.repeat(1001) }],
  ])('%j is none', message => {
    expect(parsePageMessage(message)).toBeUndefined()
  })
})

describe('messages of the extension', () => {
  test.each([
    [{ type: 'stopped' }],
    [{ type: 'running' }],
    [{ type: 'ended' }],
    [{ type: 'unchanged' }],
    [{ type: 'typed', note: '' }],
    [{ type: 'failed', message: 'no' }],
    [{ type: 'screen', screen: SCREEN }],
    [{ type: 'screen', screen: { kind: 'graphics', version: '1' } }],
  ])('%j is one', message => {
    expect(isHostMessage(message)).toBe(true)
  })

  test.each([
    [null],
    [{ type: 'typed' }],
    [{ type: 'screen' }],
    [{ type: 'screen', screen: { ...SCREEN, kind: 'unchanged' } }],
    [{ type: 'screen', screen: { ...SCREEN, rows: ['ab', '      '] } }],
    [{ type: 'screen', screen: { ...SCREEN, rows: ['ab╔ c '] } }],
    [{ type: 'screen', screen: { ...SCREEN, attributes: ['07', '07'] } }],
    [{ type: 'screen', screen: { ...SCREEN, attributes: ['zz074e1e8e07', '070707070707'] } }],
    [{ type: 'screen', screen: { ...SCREEN, palette: palette.slice(1) } }],
    [{ type: 'screen', screen: { ...SCREEN, palette: [...palette.slice(1), 'url(x)'] } }],
    [{ type: 'screen', screen: { ...SCREEN, columns: 1e9 } }],
    [{ type: 'screen', screen: { ...SCREEN, cursor: { row: -1, column: 0, first: 0, last: 0 } } }],
  ])('%j is none', message => {
    expect(isHostMessage(message)).toBe(false)
  })
})

test('what the page has kept is believed only if it is that', () => {
  expect(parseState({ fit: false, more: 1 })).toEqual({ fit: false })
  for (const value of [undefined, null, 'fit', { fit: 'yes' }]) expect(parseState(value)).toBeUndefined()
})
