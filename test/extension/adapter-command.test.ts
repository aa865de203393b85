import { expect, test } from 'vitest'
import { adapterCommand } from '../../src/extension/adapter-command.ts'

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
