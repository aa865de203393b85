/** Processes as adapters: ones that keep to the protocol, and ones that do not. */

import { describe, expect, test } from 'vitest'
import { AdapterProcess } from '../../src/extension/adapter-line/adapter-process.ts'
import { members } from '../../src/extension/session-messages.ts'

const running = (script: string): AdapterProcess =>
  new AdapterProcess({ command: process.execPath, args: ['-e', script], env: {} })

/** Everything that a process says, until it ends; it may be asked something first. */
async function conversation(adapter: AdapterProcess, ...messages: object[]) {
  const received: object[] = []
  const why = await new Promise<string>(resolve => {
    adapter.listen({ message: message => received.push(message), ended: resolve })
    for (const message of messages) adapter.send(message)
  })
  return { received, why }
}

/** Answers what it is sent, as text, once. */
const ECHO = `
  process.stdin.once('data', data => {
    const text = JSON.stringify({ type: 'event', event: 'echo', body: data.toString() })
    process.stdout.write('Content-Length: ' + Buffer.byteLength(text) + '\\r\\n\\r\\n' + text, () => process.exit(0))
  })`

describe('an adapter in a process', () => {
  test('gets messages framed, and its own are told apart', async () => {
    const { received, why } = await conversation(running(ECHO), { type: 'request', seq: 1, command: 'größe' })
    const text = JSON.stringify({ type: 'request', seq: 1, command: 'größe' })
    expect(received).toEqual([
      { type: 'event', event: 'echo', body: `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}` },
    ])
    expect(why).toBe('exit status 0')
  })

  test('has the environment of the editor and its own', async () => {
    const script = `const text = JSON.stringify({ own: process.env.OWN, path: process.env.PATH })
      process.stdout.write('Content-Length: ' + text.length + '\\r\\n\\r\\n' + text)`
    const adapter = new AdapterProcess({ command: process.execPath, args: ['-e', script], env: { OWN: 'yes' } })
    const { received } = await conversation(adapter)
    expect(members(received[0])).toEqual({ own: 'yes', path: process.env.PATH })
  })

  test('that dies leaves its last words', async () => {
    const { why } = await conversation(running(`console.error('no memory left'); process.exit(3)`))
    expect(why).toBe('exit status 3; no memory left')
  })

  test.each([
    ['no header', `process.stdout.write('hello\\r\\n')`, /"hello" is no header/],
    ['no JSON', `process.stdout.write('Content-Length: 3\\r\\n\\r\\nabc')`, /JSON/],
  ])('that says what has %s is ended', async (_what, script, complaint) => {
    const { received, why } = await conversation(running(`${script}; setInterval(() => {}, 1000)`))
    expect(received).toEqual([])
    expect(why).toMatch(complaint)
  })

  test('that can not be started says why', async () => {
    const { why } = await conversation(new AdapterProcess({ command: '/nowhere/node', args: [], env: {} }))
    expect(why).toMatch(/\/nowhere\/node ENOENT/)
  })

  test('that does not go by itself is ended', async () => {
    const adapter = running('setInterval(() => {}, 1000)')
    const ended = conversation(adapter)
    adapter.dispose()
    expect((await ended).why).toBe('killed by SIGTERM')
  })
})
