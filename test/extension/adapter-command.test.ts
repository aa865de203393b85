import { expect, test } from 'vitest'
import { adapterCommand, checkSettings } from '../../src/extension/adapter-line/adapter-command.ts'

const INSTALLATION = { extensionPath: '/ext', execPath: '/usr/share/code/code' }

test("the adapter runs on the editor's own executable as Node.js, without settings", () => {
  expect(adapterCommand({ path: '', node: '' }, INSTALLATION)).toEqual({
    command: '/usr/share/code/code',
    args: ['/ext/dist/ringside.mjs', 'dap'],
    env: { ELECTRON_RUN_AS_NODE: '1' },
  })
})

test('settings choose another adapter and another Node.js', () => {
  expect(adapterCommand({ path: '/r/ringside.mjs', node: '/usr/bin/node' }, INSTALLATION)).toMatchObject({
    command: '/usr/bin/node',
    args: ['/r/ringside.mjs', 'dap'],
  })
})

test('a setting whose file is not there is named; a program without a path is looked for', () => {
  expect(() => checkSettings({ path: '/nowhere/ringside.mjs', node: '' })).toThrow(
    'the setting "ringside.adapter.path" names /nowhere/ringside.mjs, which is not there',
  )
  expect(() => checkSettings({ path: '', node: '/nowhere/node' })).toThrow('"ringside.adapter.node"')
  expect(() => checkSettings({ path: '', node: 'node' })).not.toThrow()
})
