/** One line to an adapter for the editor and for views, and what becomes of both when the adapter ends. */

import { describe, expect, test } from 'vitest'
import { AdapterLine } from '../../src/extension/adapter-line/adapter-line.ts'
import type { AdapterLinkListener } from '../../src/extension/adapter-line/adapter-link.ts'
import { members } from '../../src/extension/session-messages.ts'

/** A line to an adapter that the test plays. */
function line() {
  const sent: Record<string, unknown>[] = []
  const toEditor: object[] = []
  const passed: object[] = []
  const lost: string[] = []
  let adapter: AdapterLinkListener | undefined
  let disposed = false
  const it = new AdapterLine(
    {
      listen: listener => {
        adapter = listener
      },
      send: message => sent.push({ ...members(message) }),
      dispose: () => {
        disposed = true
      },
    },
    {
      toEditor: message => toEditor.push(message),
      viewsAsk: message => passed.push(message),
      lost: why => lost.push(why),
    },
  )
  if (adapter === undefined) throw new Error('nobody listens')
  const { message, ended } = adapter
  return { it, sent, toEditor, passed, lost, says: message, ends: ended, disposed: () => disposed }
}

const request = (seq: number, command: string) => ({ type: 'request', seq, command })
const TERMINATED = { type: 'event', seq: 0, event: 'terminated' }

describe('a line to an adapter', () => {
  test('carries what the editor and the adapter say to each other as it is', () => {
    const { it, sent, toEditor, says, passed } = line()
    it.fromEditor(request(1, 'initialize'))
    const answer = { type: 'response', seq: 1, request_seq: 1, command: 'initialize', success: true }
    says(answer)
    const event = { type: 'event', seq: 2, event: 'initialized' }
    says(event)
    expect(sent).toEqual([request(1, 'initialize')])
    expect(toEditor).toEqual([answer, event])
    expect(passed).toEqual([])
  })

  test('gives a view the answer to its request, and shows it to nobody but those who watch views', async () => {
    const { it, sent, toEditor, says, passed } = line()
    const first = it.request('ringside/exits', { recent: 1 })
    const second = it.request('ringside/pci')
    expect(sent[0]).toMatchObject({ type: 'request', command: 'ringside/exits', arguments: { recent: 1 } })
    expect(sent[1]).not.toHaveProperty('arguments')
    says({ type: 'response', seq: 9, request_seq: sent[1].seq, command: 'ringside/pci', success: true, body: { b: 2 } })
    says({ type: 'response', seq: 8, request_seq: sent[0].seq, success: true, body: { a: 1 } })
    expect(await Promise.all([first, second])).toEqual([{ a: 1 }, { b: 2 }])
    expect(toEditor).toEqual([])
    expect(passed.map(message => members(message).type)).toEqual(['request', 'request', 'response', 'response'])
  })

  test('numbers the requests of views as no editor does', () => {
    const { it, sent } = line()
    void it.request('a')
    void it.request('b')
    const [a, b] = sent.map(({ seq }) => Number(seq))
    expect(a).toBeGreaterThanOrEqual(2 ** 30)
    expect(b).toBe(a + 1)
  })

  test('a request that is refused rejects with the words of the adapter', async () => {
    const { it, sent, says } = line()
    const asked = it.request('ringside/ring', { device: 'x' })
    says({ type: 'response', request_seq: sent[0].seq, success: false, message: 'there is no device "x"' })
    await expect(asked).rejects.toThrow('there is no device "x"')
  })
})

describe('an adapter that ends', () => {
  test('after it has been disconnected is nobody’s loss', () => {
    const { it, toEditor, says, ends, lost } = line()
    it.fromEditor(request(7, 'disconnect'))
    const answer = { type: 'response', request_seq: 7, command: 'disconnect', success: true }
    says(answer)
    ends('exit status 0')
    expect(toEditor).toEqual([answer, TERMINATED])
    expect(lost).toEqual([])
  })

  test('after it has said that the guest is gone is none either, and is not told again', () => {
    const { it, toEditor, says, ends, lost } = line()
    says({ type: 'event', seq: 3, event: 'terminated' })
    ends('exit status 0')
    it.fromEditor(request(8, 'disconnect'))
    expect(toEditor).toEqual([
      { type: 'event', seq: 3, event: 'terminated' },
      { type: 'response', seq: 0, request_seq: 8, command: 'disconnect', success: true },
    ])
    expect(lost).toEqual([])
  })

  test('unasked is told with its last words, fails what was asked, and ends the session', async () => {
    const { it, sent, toEditor, ends, lost } = line()
    const asked = it.request('ringside/exits')
    it.fromEditor(request(4, 'continue'))
    expect(sent).toHaveLength(2)
    ends('out of memory')
    ends('out of memory')
    const message = 'the debug adapter has ended: out of memory'
    await expect(asked).rejects.toThrow(message)
    await expect(it.request('ringside/exits')).rejects.toThrow(message)
    expect(toEditor).toEqual([
      { type: 'response', seq: 0, request_seq: 4, command: 'continue', success: false, message },
      TERMINATED,
    ])
    expect(lost).toEqual(['out of memory'])
    expect(sent).toHaveLength(2)
  })

  test.each(['initialize', 'launch'])('during %s is told by the answer to that, which the editor shows', command => {
    const { it, toEditor, ends, lost } = line()
    it.fromEditor(request(2, command))
    ends('spawn nowhere ENOENT')
    expect(toEditor[0]).toMatchObject({ success: false, message: 'the debug adapter has ended: spawn nowhere ENOENT' })
    expect(lost).toEqual([])
  })

  test('when it is told to answers what the editor waits for', () => {
    const { it, toEditor, ends, lost } = line()
    it.fromEditor(request(5, 'terminate'))
    ends('exit status 0')
    expect(toEditor[0]).toMatchObject({ request_seq: 5, success: true })
    expect(toEditor[1]).toEqual(TERMINATED)
    expect(lost).toEqual([])
  })

  test('because the session is over is ended by us', () => {
    const { it, ends, lost, disposed } = line()
    it.dispose()
    expect(disposed()).toBe(true)
    ends('exit status 0')
    expect(lost).toEqual([])
  })
})
