/** The adapter of a browser's worker, here with Node's own modules: messages in, messages out. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { ToWebAdapter } from '../../src/protocol/web-adapter.ts'
import { serveWorker, type WorkerScope } from '../../src/web/adapter-worker.ts'

const TOUR = readFileSync(new URL('../../guests/prebuilt/tour.elf', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'ringside-web-'))
afterAll(() => rmSync(directory, { recursive: true }))

type Answer = Readonly<Record<string, unknown>>

/** The editor's end of a worker. */
class Editor implements WorkerScope {
  onmessage: ((event: { readonly data: ToWebAdapter }) => void) | null = null
  closed = false
  readonly #answers: Answer[] = []
  #arrived: (() => void) | undefined
  #seq = 0

  postMessage(message: unknown): void {
    // What crosses the border is a copy, and so must be something that can be copied.
    const copy: unknown = structuredClone(message)
    if (typeof copy === 'object' && copy !== null) this.#answers.push({ ...copy })
    this.#arrived?.()
  }

  close(): void {
    this.closed = true
    this.#arrived?.()
  }

  send(data: ToWebAdapter): void {
    this.onmessage?.({ data })
  }

  async request(command: string, args: object = {}): Promise<Answer> {
    const seq = ++this.#seq
    this.send({ type: 'message', message: { seq, type: 'request', command, arguments: args } })
    return await this.until(answer => answer.request_seq === seq)
  }

  event(name: string): Promise<Answer> {
    return this.until(({ event }) => event === name)
  }

  async until(wanted: (answer: Answer) => boolean): Promise<Answer> {
    for (;;) {
      const found = this.#answers.find(wanted)
      if (found !== undefined) return found
      await new Promise<void>(resolve => {
        this.#arrived = resolve
      })
    }
  }
}

function open(): Editor {
  const editor = new Editor()
  serveWorker(editor)
  return editor
}

test('debugs a guest whose files were handed over', async () => {
  const editor = open()
  const [program, source] = [join(directory, 'prebuilt/tour.elf'), join(directory, 'tour/paging.c')]
  editor.send({ type: 'files', files: [{ path: program, bytes: TOUR }, { path: source }] })
  expect(await editor.request('initialize', { adapterID: 'ringside' })).toMatchObject({ success: true })
  expect(await editor.request('launch', { program, memory: '64M' })).toMatchObject({ success: true })
  await editor.event('initialized')
  await editor.request('setFunctionBreakpoints', { breakpoints: [{ name: 'give_page' }] })
  await editor.request('configurationDone')
  await editor.event('stopped')
  expect(await editor.request('stackTrace', { threadId: 1, levels: 1 })).toMatchObject({
    body: { stackFrames: [{ name: 'give_page', source: { name: 'paging.c', path: source } }] },
  })
  await editor.request('disconnect')
  await expect.poll(() => editor.closed).toBe(true)
})

test.each([
  [{ disks: ['d.img'] }, '"disks" are files that the guest writes to'],
  [{ shares: ['.'] }, '"shares" are folders of the machine'],
  [{ pcap: 'a.pcapng' }, '"pcap" is a file that is written'],
  [{ net: 'user,forward=tcp:2222:22' }, '"net": "user,forward=tcp:2222:22" needs sockets'],
])('says what a browser does not have: %j', async (options, reason) => {
  const editor = open()
  const program = join(directory, 'tour.elf')
  editor.send({ type: 'files', files: [{ path: program, bytes: TOUR }] })
  await editor.request('initialize', { adapterID: 'ringside' })
  const answer = await editor.request('launch', { program, ...options })
  expect(answer).toMatchObject({ success: false })
  expect(answer.message).toBe(`${reason}, which a browser does not have: open the folder in VS Code on a machine`)
  await editor.request('disconnect')
})
