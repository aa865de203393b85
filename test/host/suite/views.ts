/** Every view of the container: what it shows at a stop, between stops and without a guest, and how soon. */

import { strict as assert } from 'node:assert'
import { setTimeout as wait } from 'node:timers/promises'
import * as vscode from 'vscode'
import { extension } from './activation.ts'
import { eventually } from './eventually.ts'
import type { Guest } from './guest.ts'
import { test } from './named-tests.ts'
import { lastChange, note, pages, shows, texts } from './page.ts'
import { noBreakpoints, stopInTour } from './sessions.ts'

interface View {
  readonly id: string
  readonly name: string
  readonly type?: string
}

const STOPS = 20
const WARM_UP = 4
/** When nothing has changed for so long, nothing more will. Milliseconds. */
const QUIET = 400
const MOST_MILLISECONDS = 100

const views = (): readonly View[] => extension().packageJSON.contributes.views.ringside
const trees = (): readonly View[] => views().filter(({ type }) => type !== 'webview')

const bodyOf = ({ name }: View): string => `.sidebar .pane:has(.pane-header[aria-label^="${name}"]) .pane-body`

async function textOf(view: View): Promise<string> {
  return (await texts(bodyOf(view))).join('\n')
}

/** Opens each, the pages among them. */
export async function openViews(): Promise<void> {
  for (const { id } of views()) await vscode.commands.executeCommand(`${id}.focus`)
}

/** No guest is shown anywhere. */
export async function viewsAreEmpty(): Promise<void> {
  for (const view of trees())
    await eventually(
      `${view.name} to be empty`,
      async () => /no guest|no stops?\b|^\s*$/i.test(await textOf(view)) || undefined,
      () => textOf(view),
    )
}

export function testViews(): void {
  test('each view says that there is no guest', async () => {
    noBreakpoints()
    await openViews()
    await viewsAreEmpty()
    const all = await eventually('the page of each webview', async () => {
      const found = await pages()
      return found.filter(text => text.trim() !== '').length === views().length - trees().length ? found : undefined
    })
    for (const text of all) assert.match(text, /guest/i)
  })

  test('each view shows the machine that stands still', async () => {
    await using guest = await stopInTour({ rng: true })
    const before = await pages()
    assert(guest.messages.length > 0)
    for (const view of trees()) {
      const text = await eventually(`something in ${view.name}`, async () => {
        const found = await textOf(view)
        return /no guest|^\s*$/i.test(found) ? undefined : found
      })
      assert.doesNotMatch(text, /did not answer|undefined|\[object/, view.name)
    }
    await shows('.sidebar .monaco-list-row', /64-bit, CPL 0, 4-level paging/)
    await shows('.sidebar .monaco-list-row', /requestq/)
    for (const text of before) assert.doesNotMatch(text, /undefined|\[object/)
  })

  test('a register that changes is marked, and one that is set is shown', async () => {
    await using guest = await stopInTour()
    const [{ id: frameId }] = await guest.frames()
    await guest.request('setExpression', { expression: '$cr2', value: '0x7654321', frameId })
    await shows(bodyOf(view('ringside.processor')), /7654321/)
  })

  test('views say that the guest runs, and follow a pause', async () => {
    await using guest = await stopInTour()
    noBreakpoints()
    // A guest that would end at once is kept busy: its program waits for ticks, and the jump back is all that it does.
    await guest.request('evaluate', { expression: '$rip', frameId: (await guest.frames())[0].id, context: 'watch' })
    await guest.request('writeMemory', { memoryReference: await guest.evaluate('$rip'), data: LOOP })
    await guest.request('continue', { threadId: 1 })
    await shows(bodyOf(view('ringside.processor')), /Running; this was the last stop/)
    await guest.request('pause', { threadId: 1 })
    await guest.stopped()
    await eventually('the stop in the view', async () =>
      /Running/.test(await textOf(view('ringside.processor'))) ? undefined : true,
    )
  })

  test('all views are fresh soon after a stop', async () => {
    await using guest = await stopInTour({ rng: true })
    await openViews()
    await settled()
    const stops: Refresh[] = []
    for (let i = 0; i < WARM_UP + STOPS; i++) {
      const refresh = await step(guest)
      if (i >= WARM_UP) stops.push(refresh)
    }
    const [answered, shown] = [median(stops.map(stop => stop.answered)), median(stops.map(stop => stop.shown))]
    const most = Math.max(...stops.map(stop => stop.shown))
    const { length } = views()
    await note(`from a stop to the last answer to ${length} open views: median of ${STOPS} ${answered} ms`)
    await note(
      `to the last change in the window: median ${shown} ms, at most ${most} ms (the must: ${MOST_MILLISECONDS} ms)`,
    )
    assert(shown > 0, 'a stop changes what is to be seen')
  })
}

/** jmp to itself, in Base64. */
const LOOP = Buffer.from([0xeb, 0xfe]).toString('base64')

interface Refresh {
  /** Milliseconds from the event of the stop to the last answer to a request of ours, and to the last change. */
  readonly answered: number
  readonly shown: number
}

async function step(guest: Guest): Promise<Refresh> {
  await guest.request('stepIn', { threadId: 1, granularity: 'instruction' })
  const { time } = await guest.stopped()
  const last = await settled()
  const answers = guest.messages.filter(({ type, command }) => type === 'response' && command?.startsWith('ringside/'))
  return { answered: (answers.at(-1)?.time ?? time) - time, shown: last - time }
}

/** Resolves when the views have not changed for a while, with when they did last. */
async function settled(): Promise<number> {
  for (;;) {
    const last = await lastChange()
    if (Date.now() - last > QUIET) return last
    await wait(QUIET / 4)
  }
}

function view(id: string): View {
  const found = views().find(each => each.id === id)
  assert(found, id)
  return found
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
}
