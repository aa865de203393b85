/** Every view of the container: what it shows at a stop, between stops and without a guest, and how soon. */

import { strict as assert } from 'node:assert'
import { cpus, loadavg } from 'node:os'
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
const WARM_UP = 3
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

/** What the page of each webview says; one that has just been opened takes a while to load. */
const loadedPages = (): Promise<string[]> =>
  eventually('the page of each webview', async () => {
    const found = await pages()
    return found.filter(text => text.trim() !== '').length === views().length - trees().length ? found : undefined
  })

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
    for (const text of await loadedPages()) assert.match(text, /guest/i)
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

  test('a register that is set is shown', async () => {
    await openViews()
    await using guest = await stopInTour()
    const [{ id: frameId }] = await guest.frames()
    await guest.request('setExpression', { expression: '$rip', value: '0x123456', frameId })
    await shows(bodyOf(view('ringside.processor')), /123456/)
  })

  test('views say that the guest runs, and follow a pause', async () => {
    await using guest = await stopInTour()
    noBreakpoints()
    // The guest would end at once: it gets a jump to itself.
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
    await loadedPages()
    await settled()
    const stops: number[] = []
    for (let i = 0; i < WARM_UP + STOPS; i++) {
      const refreshed = await step(guest)
      if (i >= WARM_UP) stops.push(refreshed)
    }
    stops.sort((a, b) => a - b)
    const figures = `least ${stops[0]} ms, median ${stops[STOPS / 2]} ms, most ${stops.at(-1)} ms`
    await note(
      `${STOPS} stops, ${views().length} open views; load ${loadavg()[0].toFixed(1)} on ${cpus().length} processors`,
    )
    await note(`from a stop to the last change in a view: ${figures} (the must: ${MOST_MILLISECONDS} ms)`)
  })
}

/** jmp to itself, in Base64. */
const LOOP = Buffer.from([0xeb, 0xfe]).toString('base64')

/** @returns milliseconds from the event of the stop to the last change in a view; each step changes one, by RIP alone */
async function step(guest: Guest): Promise<number> {
  await guest.request('stepIn', { threadId: 1, granularity: 'instruction' })
  const { time } = await guest.stopped()
  return (await settled(time)) - time
}

/**
 * Resolves when the views have not changed for a while, with when they did last.
 * @param since when the first change may come. Both in milliseconds since 1970
 */
async function settled(since = 0): Promise<number> {
  let last = 0
  await eventually('a change in a view, and then none for a while', async () => {
    // To ask is work for the window, which would be measured with the rest.
    await wait(QUIET)
    last = await lastChange()
    return (last >= since && Date.now() - last > QUIET) || undefined
  })
  return last
}

function view(id: string): View {
  const found = views().find(each => each.id === id)
  assert(found, id)
  return found
}
