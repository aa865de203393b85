/** Runs one extension of tests in a workbench of its own, and prints what they report. */

import { once } from 'node:events'
import { appendFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { COMMANDS } from '../../src/adapter/server.ts'
import { BRIDGE, ONLY, type PageAnswer, type PageQuestion, PROOFS, REQUESTS } from '../host/page-questions.ts'
import type { Proofs } from '../host/workspace.ts'
import { HostWindow } from './host-window.ts'
import type { Tools } from './install.ts'
import { Server } from './server.ts'

/** For all tests of a suite. */
const LIMIT = 480_000

/** At a stop VS Code shows its own view of the debugger, and our views would be hidden. */
const SETTINGS = { 'debug.openDebug': 'neverOpen' }

export interface SuiteOptions {
  readonly tools: Tools
  /** For the profile, logs and pictures. */
  readonly directory: string
  readonly suite: 'trusted' | 'untrusted'
  readonly folder: string
  /** `.vsix` files: the extension, and the one that tests it. */
  readonly extensions: readonly string[]
  readonly proofs: Proofs
  /** A regular expression. */
  readonly onlyNames: string | undefined
}

export interface Results {
  readonly passed: number
  readonly failed: number
}

export async function runSuite(options: SuiteOptions): Promise<Results> {
  const { tools, directory, suite, folder, extensions, proofs, onlyNames = '' } = options
  const results = { passed: 0, failed: 0 }
  let window: HostWindow | undefined
  let end = (): void => undefined
  const ended = new Promise<'ended'>(resolve => {
    end = () => resolve('ended')
  })

  const answer = async (question: PageQuestion): Promise<unknown> => {
    if (question.ask === 'end') return end()
    if (question.ask === 'note') return print(`       ${question.text}`)
    if (question.ask === 'report') {
      const { name, milliseconds, error } = question
      results[error === undefined ? 'passed' : 'failed']++
      print(`${error === undefined ? 'ok   ' : 'FAIL '}  ${name} (${Math.round(milliseconds)} ms)`)
      if (error !== undefined) {
        print(error.replaceAll(/^/gm, '       '))
        await window?.screenshot(join(directory, `failed-${results.failed}.png`))
      }
      return undefined
    }
    return await window?.answer(question)
  }
  const bridge = createServer((request, response) => {
    void read(request)
      .then(text => answer(JSON.parse(text)))
      .then(
        (value): PageAnswer => ({ value: value ?? null }),
        (error: unknown): PageAnswer => ({ error: error instanceof Error ? error.message : String(error) }),
      )
      .then(result => response.end(JSON.stringify(result)))
  })
  bridge.listen(0, '127.0.0.1')
  await once(bridge, 'listening')
  const address = bridge.address()
  if (address === null || typeof address === 'string') throw new Error('the bridge has no port')

  const env = {
    [BRIDGE]: `http://127.0.0.1:${address.port}/`,
    [ONLY]: onlyNames,
    [PROOFS]: JSON.stringify(proofs),
    [REQUESTS]: JSON.stringify(COMMANDS.filter(command => command.startsWith('ringside/'))),
  }
  const server = await Server.start(tools, directory, {
    extensions,
    restricted: suite === 'untrusted',
    env,
    settings: SETTINGS,
  })
  try {
    const log = join(directory, 'page.log')
    writeFileSync(log, '')
    const where = { url: server.url, folder }
    window = await HostWindow.open(tools.chromium, { ...where, log: line => appendFileSync(log, `${line}\n`) })
    // Tests that were never reported have not passed.
    if ((await Promise.race([ended, wait(LIMIT, 'late', { ref: false })])) === 'late') {
      results.failed++
      print(`FAIL   not done after ${LIMIT / 1000} s`)
      await window.screenshot(join(directory, 'late.png'))
    }
    return results
  } finally {
    await window?.close()
    server.stop()
    bridge.close()
    bridge.closeAllConnections()
  }
}

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

async function read(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(Buffer.from(part))
  return Buffer.concat(parts).toString('utf8')
}
