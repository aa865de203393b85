/**
 * Every message of the golden conversations is one of the protocol: as literals they are checked by the compiler, and so
 * for members that do not exist too, against `@vscode/debugprotocol`, which its makers generate from the JSON schema of
 * the Debug Adapter Protocol. Requests of our own are checked against `src/protocol/`.
 */

import { execFileSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const OWN_BODIES: Readonly<Record<string, string>> = {
  'ringside/translate': 'TranslateBody',
  'ringside/exits': 'ExitsBody',
  'ringside/mappings': 'MappingsBody',
  'ringside/eptMappings': 'MappingsBody',
  'ringside/descriptorTable': 'DescriptorTableBody',
  'ringside/interruptControllers': 'InterruptControllersBody',
}

interface Message {
  readonly kind: 'response' | 'event'
  readonly name: string
  readonly body: string
}

/** What a golden conversation says came from the adapter. */
function messagesIn(text: string): Message[] {
  return text.split(/^(?=[<>] )/m).flatMap(part => {
    const [head, ...body] = part.split('\n')
    const match = /^< (?:event (\S+)|(\S+) done)$/.exec(head)
    if (match === null || body.join('').trim() === '') return []
    return [{ kind: match[1] === undefined ? 'response' : 'event', name: match[1] ?? match[2], body: body.join('\n') }]
  })
}

const capitalized = (name: string): string => name[0].toUpperCase() + name.slice(1)

function typeOf({ kind, name }: Message): string {
  const own = OWN_BODIES[name]
  if (own !== undefined) return `Own.${own}`
  return `NonNullable<DebugProtocol.${capitalized(name)}${kind === 'event' ? 'Event' : 'Response'}['body']>`
}

test('every message of the golden conversations has the type that the protocol gives it', () => {
  const messages = globSync('test/golden/*.txt', { cwd: ROOT })
    .flatMap(file => messagesIn(readFileSync(join(ROOT, file), 'utf8')))
    // Of these the protocol says no more than that there may be anything.
    .filter(({ name }) => name !== 'initialized')
  expect(messages.length).toBeGreaterThan(80)
  const source = [
    "import type { DebugProtocol } from '@vscode/debugprotocol'",
    "import type * as Own from '../../src/protocol/custom-requests.ts'",
    ...messages.map((message, i) => `export const message${i}: ${typeOf(message)} = ${message.body.trim()}`),
  ].join('\n')
  mkdirSync(join(ROOT, 'build'), { recursive: true })
  const folder = mkdtempSync(join(ROOT, 'build', 'messages-'))
  try {
    writeFileSync(join(folder, 'messages.ts'), source)
    const options = ['--noEmit', '--strict', '--allowImportingTsExtensions', '--skipLibCheck', '--module', 'nodenext']
    const compile = () =>
      execFileSync(
        join(ROOT, 'node_modules/.bin/tsc'),
        [...options, '--ignoreConfig', '--target', 'esnext', 'messages.ts'],
        {
          ...{ cwd: folder, encoding: 'utf8', stdio: 'pipe' },
        },
      )
    expect(outputOf(compile)).toBe('')
  } finally {
    rmSync(folder, { recursive: true })
  }
}, 60_000)

/** The compiler's errors are on its standard output. */
function outputOf(compile: () => string): string {
  try {
    return compile()
  } catch (error) {
    if (error instanceof Error && 'stdout' in error) return String(error.stdout)
    throw error
  }
}
