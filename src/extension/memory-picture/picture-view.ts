/** The view of the memory picture: asks for maps, keeps those of earlier stops, compares, lets the page draw. */

import * as vscode from 'vscode'
import { EPT_MAPPINGS, MAPPINGS, type MappingsBody, type RangeBody } from '../../protocol/custom-requests.ts'
import { mappingDifferences } from '../../protocol/mapping-differences.ts'
import { PHYSICAL_MAP, type PhysicalMapBody } from '../../protocol/memory-requests.ts'
import { PROCESSORS, type ProcessorsBody } from '../../protocol/processor-requests.ts'
import { addressOf } from '../address-expression.ts'
import type { MemoryDocuments } from '../memory-documents.ts'
import { WebviewPage } from '../pages/webview-page.ts'
import type { MachineState, SessionWatch } from '../session-watch.ts'
import { type DifferencesBody, differencesBody } from './difference-text.ts'
import { MapHistory, mapText } from './map-history.ts'
import { type Choice, type HostMessage, type PageMessage, parsePageMessage, type Wish } from './messages.ts'

type Stopped = Extract<MachineState, { kind: 'stopped' }>

/** Ranges that are asked for at once. */
const PORTION = 1000

export class MemoryPictureView implements vscode.Disposable {
  readonly #watch: SessionWatch
  readonly #memory: MemoryDocuments
  readonly #page: WebviewPage<HostMessage, PageMessage>
  readonly #history = new MapHistory()
  /** Counts questions: a late answer to an earlier one is dropped. */
  #question = 0

  constructor(extension: vscode.Uri, watch: SessionWatch, memory: MemoryDocuments) {
    this.#watch = watch
    this.#memory = memory
    this.#page = new WebviewPage(extension, watch, {
      view: 'ringside.memoryPicture',
      title: 'Memory picture',
      name: 'memory-picture',
      parse: parsePageMessage,
      question: 'show',
      answer: message => this.#answer(message),
    })
  }

  dispose(): void {
    this.#page.dispose()
  }

  async #answer(message: PageMessage): Promise<void> {
    const { state } = this.#watch
    if (message.type === 'ready' || state.kind !== 'stopped') return this.#page.tellState()
    switch (message.type) {
      case 'show':
        return await this.#show(state, message)
      case 'remember': {
        const base = this.#history.remember()
        return base === undefined ? undefined : this.#page.send({ type: 'remembered', base })
      }
      case 'find': {
        const { expression } = message
        const address = await addressOf(state.session, state.threadId, expression)
        return this.#page.send({ type: 'found', expression, address })
      }
      case 'openMemory':
        return await this.#memory.openMemory(message.reference)
      case 'openCode':
        return await this.#memory.openCode(message.reference)
      case 'translate':
        await vscode.commands.executeCommand('ringside.translate', { subject: { linear: message.reference } })
    }
  }

  async #show(state: Stopped, wish: Wish): Promise<void> {
    const question = ++this.#question
    const { session } = state
    this.#history.begin(session.id)
    const machine: ProcessorsBody = await session.request(PROCESSORS)
    const current = machine.processors.find(({ threadId }) => threadId === state.threadId)?.cr3 ?? '0x0'
    const cr3 = wish.space.trim() === '' ? current : await cr3Of(state, wish.space)
    const [guest, ept, { areas }] = await Promise.all([
      this.#map(state, cr3, wish.portions),
      // A target without EPT refuses; its guest's own tables are to be seen all the same.
      this.#portions(EPT_MAPPINGS, state, {}, wish.portions).catch(() => undefined),
      session.request(PHYSICAL_MAP) as Thenable<PhysicalMapBody>,
    ])
    const { instructions } = machine
    this.#history.show({ cr3, instructions, map: guest })
    this.#history.seen(...new Set([...machine.processors.map(processor => processor.cr3), cr3]))
    const differences = await this.#differences(state, wish, guest)
    if (question !== this.#question) return
    this.#page.send({
      type: 'picture',
      picture: {
        ...{ cr3, current: cr3 === current, instructions, guest, areas },
        ...(ept === undefined ? {} : { ept }),
        spaces: spaceChoices(machine, current, this.#history.spaces),
        bases: this.#history.bases(cr3),
        ...(differences === undefined ? {} : { differences }),
      },
    })
  }

  async #differences(state: Stopped, wish: Wish, guest: MappingsBody): Promise<DifferencesBody | undefined> {
    const base = this.#history.base(wish.base)
    if (base === undefined) return undefined
    if ('map' in base) return differencesBody(mappingDifferences(base.map, guest), mapText(base))
    const other = await this.#map(state, base.space, wish.portions)
    return differencesBody(mappingDifferences(other, guest), `address space ${base.space}`)
  }

  #map(state: Stopped, cr3: string, portions: number): Promise<MappingsBody> {
    return this.#portions(MAPPINGS, state, { threadId: state.threadId, cr3 }, portions)
  }

  async #portions(command: string, { session }: Stopped, args: object, portions: number): Promise<MappingsBody> {
    const ranges: RangeBody[] = []
    let next: string | undefined = '0'
    for (let portion = 0; portion < portions && next !== undefined; portion++) {
      const body: MappingsBody = await session.request(command, { ...args, start: next, limit: PORTION })
      ranges.push(...body.ranges)
      next = body.next
    }
    return { ranges, ...(next === undefined ? {} : { next }) }
  }
}

/** A number, or an expression of the innermost frame such as `$cr3`. */
async function cr3Of({ session, threadId }: Stopped, text: string): Promise<string> {
  const address = await addressOf(session, threadId, text)
  if (!/^0x[0-9a-f]{1,16}$/i.test(address)) throw new Error(`"${text}" is ${address}, which is no value of CR3`)
  return `0x${BigInt(address).toString(16)}`
}

function spaceChoices({ processors }: ProcessorsBody, current: string, seen: readonly string[]): Choice[] {
  const of = (cr3: string): string =>
    processors
      .filter(processor => processor.cr3 === cr3)
      .map(({ threadId }) => `vCPU ${threadId - 1}`)
      .join(', ')
  return [
    { value: '', label: `current: CR3 ${current}` },
    ...seen.map(cr3 => ({ value: cr3, label: `CR3 ${cr3}${of(cr3) === '' ? '' : ` (${of(cr3)})`}` })),
  ]
}
