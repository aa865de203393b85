/** Paths and addresses in a browser. */

import { describe, expect, test } from 'vitest'
import { Mounts, withSourcePaths } from '../../src/extension/web/mounts.ts'

const folders = [
  { origin: 'vscode-vfs://github', path: '/us/kernel' },
  { origin: 'vscode-vfs://other', path: '/us/kernel/inner' },
]
const mounts = new Mounts(() => folders, { origin: 'https://cdn.example', path: '/extensions/ringside' })

describe('a path', () => {
  test('has the address of the folder that it lies in, the innermost of several', () => {
    expect(mounts.uriOf('/us/kernel/src/a b.c')).toBe('vscode-vfs://github/us/kernel/src/a%20b.c')
    expect(mounts.uriOf('/us/kernel/inner/a.c')).toBe('vscode-vfs://other/us/kernel/inner/a.c')
    expect(mounts.uriOf('/extensions/ringside/guests/tour/main.c')).toBe(
      'https://cdn.example/extensions/ringside/guests/tour/main.c',
    )
  })

  test('in no folder leads to what nobody serves', () => {
    expect(mounts.uriOf('/us/kernelling/a.c')).toBe('file:///us/kernelling/a.c')
    expect(mounts.isPackaged('/us/kernel/a.c')).toBe(false)
    expect(mounts.isPackaged('/extensions/ringside/guests/a')).toBe(true)
  })

  test('comes back from its address; what is a path stays one', () => {
    for (const path of ['/us/kernel/src/a b.c', '/us/kernel/100%.c', '/extensions/ringside/ü.c'])
      expect(mounts.pathOf(mounts.uriOf(path))).toBe(path)
    expect(mounts.pathOf('/us/kernel/a.c')).toBe('/us/kernel/a.c')
    expect(mounts.pathOf('c:/kernel')).toBe('c:/kernel')
  })
})

test('sources in a message change their paths, and nothing else does', () => {
  const frame = { id: 1, source: { name: 'a.c', path: '/a.c' }, line: 2 }
  const message = { body: { stackFrames: [frame, { id: 2 }], sources: [{ path: '/b.c' }], path: '/c' }, seq: 1 }
  expect(withSourcePaths(message, path => `vfs:${path}`)).toEqual({
    body: {
      stackFrames: [{ id: 1, source: { name: 'a.c', path: 'vfs:/a.c' }, line: 2 }, { id: 2 }],
      sources: [{ path: 'vfs:/b.c' }],
      path: '/c',
    },
    seq: 1,
  })
  expect(withSourcePaths({ source: 7, sources: 'x' }, () => '')).toEqual({ source: 7, sources: 'x' })
})
