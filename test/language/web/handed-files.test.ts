/** Files that a client in a browser hands over. */

import { describe, expect, test } from 'vitest'
import { MOST_FILES } from '../../../src/language/source-names.ts'
import { HandedFiles } from '../../../src/language/web/handed-files.ts'
import { MOST_CHARACTERS } from '../../../src/language/web/handover.ts'

const FOLDER = 'vscode-vfs://github/owner/kernel'

/** With one folder, and what was asked for. */
function handedFiles() {
  const asked: string[] = []
  const files = new HandedFiles(uris => asked.push(...uris))
  files.setFolders([FOLDER])
  return { files, asked }
}

describe('an include', () => {
  test('is found beside the file, then in the folder', () => {
    const { files, asked } = handedFiles()
    const [beside, above] = [`${FOLDER}/boot/a.inc`, `${FOLDER}/b.inc`]
    files.take([beside, above].map(uri => ({ uri, text: '' })))
    expect(files.resolve(`${FOLDER}/boot/start.asm`, 'a.inc')).toBe(beside)
    expect(files.resolve(`${FOLDER}/boot/start.asm`, 'b.inc')).toBe(above)
    expect(files.resolve(`${FOLDER}/start.asm`, 'boot/../boot/./a.inc')).toBe(beside)
    expect(asked).toEqual([])
  })

  test('is found by an address that is written in another way', () => {
    const { files } = handedFiles()
    const uri = `${FOLDER}/with%20space%2Bplus/%C3%A4.inc`
    files.take([{ uri, text: 'x' }])
    expect(files.resolve(`${FOLDER}/with%20space+plus/start.asm`, 'ä.inc')).toBe(uri)
    expect(files.read(`${FOLDER}/with%20space+plus/ä.inc`)).toBe('x')
  })

  test('that is not there is asked for once, and awaited until the answer', () => {
    const { files, asked } = handedFiles()
    const include = () => files.resolve(`${FOLDER}/boot/start.S`, 'a b.h')
    expect(include()).toBeUndefined()
    expect(asked).toEqual([`${FOLDER}/boot/a%20b.h`, `${FOLDER}/a%20b.h`])
    files.take([{ uri: asked[0] }])
    expect(files.awaited).toBe(true)
    files.take([{ uri: asked[1], text: '' }])
    expect(files.awaited).toBe(false)
    expect(include()).toBe(asked[1])
    files.take([{ uri: asked[1] }])
    expect(include()).toBeUndefined()
    expect(asked).toHaveLength(2)
  })

  test.each(['../../../etc/passwd', '/etc/passwd', '../kernel-2/a.inc', '', 'a\0b'])('%j is not asked for', include => {
    const { files, asked } = handedFiles()
    expect(files.resolve(`${FOLDER}/start.asm`, include)).toBeUndefined()
    expect(asked.filter(uri => !uri.startsWith(`${FOLDER}/`))).toEqual([])
  })

  test.each([
    'untitled:Untitled-1',
    'vscode-vfs://github/owner/%ff/start.asm',
    'vscode-vfs://other/owner/kernel/a.asm',
  ])('of a file outside the folders, %s, is looked for in the folders only', from => {
    const { files, asked } = handedFiles()
    expect(files.resolve(from, 'a.inc')).toBeUndefined()
    expect(asked.filter(uri => !uri.startsWith(`${FOLDER}/`))).toEqual([])
  })

  test('does not ask for any number of files', () => {
    const { files, asked } = handedFiles()
    for (let i = 0; i < 5000; i++) files.resolve(`${FOLDER}/start.asm`, `${i}.inc`)
    expect(asked).toHaveLength(1000)
  })
})

describe('what is kept', () => {
  test('are sources of the folders; of the rest what was asked for, which is not listed', () => {
    const { files } = handedFiles()
    const header = `${FOLDER}/a.h`
    files.resolve(`${FOLDER}/a.S`, 'a.h')
    const names = [
      `${FOLDER}/a.S`,
      `${FOLDER}/build/b.s`,
      header,
      `${FOLDER}/b.h`,
      'file:///elsewhere/a.asm',
      'nonsense',
    ]
    expect(files.take(names.map(uri => ({ uri, text: uri })))).toEqual([])
    expect(names.filter(uri => files.read(uri) !== undefined)).toEqual([`${FOLDER}/a.S`, header])
    expect(files.list()).toEqual([`${FOLDER}/a.S`])
  })

  test('is a number of files, and the rest is told', () => {
    const { files } = handedFiles()
    const many = Array.from({ length: MOST_FILES + 2 }, (_, i) => ({ uri: `${FOLDER}/${i}.asm`, text: '' }))
    expect(files.take(many)).toEqual([`${FOLDER}/${MOST_FILES}.asm`, `${FOLDER}/${MOST_FILES + 1}.asm`])
    expect(files.list()).toHaveLength(MOST_FILES)
    expect(files.take([{ uri: `${FOLDER}/0.asm` }, many[MOST_FILES]])).toEqual([])
  })

  test('is a number of characters, which what is gone or replaced gives back', () => {
    const { files } = handedFiles()
    const [a, b] = [`${FOLDER}/a.asm`, `${FOLDER}/b.asm`]
    const half = 'x'.repeat(MOST_CHARACTERS / 2)
    expect(
      files.take([
        { uri: a, text: half },
        { uri: b, text: `${half}x` },
      ]),
    ).toEqual([b])
    expect(
      files.take([
        { uri: a, text: 'x' },
        { uri: b, text: `${half}x` },
      ]),
    ).toEqual([])
    expect(files.take([{ uri: a, text: half }])).toEqual([a])
    expect(files.read(a)).toBeUndefined()
    expect(files.take([{ uri: b }, { uri: a, text: half }])).toEqual([])
    expect(files.list()).toEqual([a])
  })

  test('goes with its folder', () => {
    const { files } = handedFiles()
    const other = 'vscode-vfs://github/owner/other'
    files.setFolders([FOLDER, other])
    files.take([FOLDER, other].map(folder => ({ uri: `${folder}/a.asm`, text: '' })))
    files.setFolders([other])
    expect(files.list()).toEqual([`${other}/a.asm`])
  })
})
