/**
 * Watches one debug session: whether it is one of a teaching kernel, and which steps of the walkthrough its machine
 * shows to be done. Between stops it only reads messages; at a stop it asks for the registers, and for what a step that
 * is not done wants to know there. Nothing is asked of other guests, or when all steps of the kernel are done.
 */

import { TRANSLATE } from '../../protocol/custom-requests.ts'
import { VIRTQUEUES } from '../../protocol/device-requests.ts'
import { PROCESSORS } from '../../protocol/processor-requests.ts'
import { members, messageEffect } from '../session-messages.ts'
import { innermostFrame, parseQueue, parseStop, parseTranslation } from './answers.ts'
import { consoleText, kernelOf, SYMBOLS } from './kernels.ts'
import type { Asked, Kernel, Observation, Step, Stop } from './observation.ts'

/** Kept of what a session says. */
const MOST_STOPS = 256
const MOST_ANSWERS = 64
const CONSOLE_CHARACTERS = 4096

export interface ObserverParts {
  /** A request to the adapter; rejects with its message. */
  request(command: string, args: object): PromiseLike<unknown>
  /** The steps that are not done yet. */
  undone(): readonly Step[]
  done(step: Step): void
}

interface Question {
  readonly command: string
  readonly expression: string
  readonly reference: string
}

export class SessionObserver {
  readonly #parts: ObserverParts
  #kernel: Kernel | undefined
  /** Do the symbols say that it is the kernel, and not another one of its name? Known at the first stop. */
  #recognised: boolean | undefined
  #past: readonly Stop[] = []
  #now: Stop | undefined
  #asked: readonly Asked[] = []
  #console = ''
  #exitCode: number | undefined
  /** Counts stops and starts: an answer that comes after the next one is dropped. */
  #moment = 0
  /** Requests of the user and their views that are not answered yet, by sequence number. */
  readonly #questions = new Map<number, Question>()
  /** Resolves when what the last stop said has been looked at. */
  settled: Promise<void> = Promise.resolve()

  constructor(parts: ObserverParts) {
    this.#parts = parts
  }

  /** @param message from the client to the adapter */
  sent(message: unknown): void {
    const { type, command, seq, arguments: args } = members(message)
    if (type !== 'request' || typeof seq !== 'number') return
    if (command === 'launch') this.#begin(kernelOf(members(args).program))
    if (command === 'restart') this.#begin(this.#kernel)
    const { expression, memoryReference, offset = 0, walkthrough } = members(args)
    if (this.#kernel === undefined || walkthrough === true || this.#questions.size >= MOST_ANSWERS) return
    if (command === TRANSLATE || command === 'evaluate' || command === 'readMemory' || command === VIRTQUEUES)
      this.#questions.set(seq, {
        command,
        expression: String(expression),
        reference: `${memoryReference}${offset === 0 ? '' : ` + ${offset}`}`,
      })
  }

  /** @param message from the adapter to the client */
  received(message: unknown): void {
    if (this.#kernel === undefined || this.#recognised === false) return
    const { type, event, body, request_seq } = members(message)
    if (type === 'response' && typeof request_seq === 'number') this.#answered(request_seq, members(message))
    if (type === 'event') this.#console = `${this.#console}${consoleText(event, body)}`.slice(-CONSOLE_CHARACTERS)
    if (type === 'event' && event === 'exited') this.#end(members(body).exitCode)
    const effect = messageEffect(message)
    if (effect.kind === 'running') this.#run()
    else if (effect.kind === 'changed' && this.#now !== undefined) this.#look(this.#now.reason, this.#now.text)
    else if (effect.kind === 'stopped') {
      this.#run()
      this.#look(String(members(body).reason), String(members(body).text ?? ''))
    }
  }

  #begin(kernel: Kernel | undefined): void {
    this.#run()
    this.#kernel = kernel
    this.#recognised = undefined
    this.#past = []
    this.#console = ''
    this.#exitCode = undefined
  }

  #run(): void {
    if (this.#now !== undefined) this.#past = [...this.#past, this.#now].slice(-MOST_STOPS)
    this.#now = undefined
    this.#asked = []
    this.#questions.clear()
    this.#moment++
  }

  #end(exitCode: unknown): void {
    this.#run()
    this.#exitCode = typeof exitCode === 'number' ? exitCode : undefined
    this.#check()
  }

  get #undone(): readonly Step[] {
    return this.#parts.undone().filter(({ kernel }) => kernel === this.#kernel)
  }

  #look(reason: string, text: string): void {
    if (this.#undone.length === 0) return
    const moment = ++this.#moment
    this.settled = this.#lookAt(moment, reason, text).catch(() => {
      // The session went on, or ended, before it had answered: there is nothing to be seen any more.
    })
  }

  async #lookAt(moment: number, reason: string, text: string): Promise<void> {
    this.#recognised ??= await this.#hasSymbols()
    if (!this.#recognised) return
    const body = await this.#request(PROCESSORS, {})
    const stop = parseStop(body, reason, text)
    if (stop === undefined) return
    const questions = this.#undone.map(step => step.asks?.(stop) ?? {})
    const values = new Map<string, string>()
    for (const expression of new Set(questions.flatMap(({ expressions = [] }) => expressions))) {
      const value = await this.#evaluate(expression, innermostFrame(body))
      if (value !== undefined) values.set(expression, value)
    }
    const queue = questions.some(({ queue = false }) => queue)
      ? parseQueue(await this.#request(VIRTQUEUES, {}))
      : undefined
    if (moment !== this.#moment) return
    this.#now = { ...stop, values, ...(queue === undefined ? {} : { queue }) }
    this.#check()
  }

  async #hasSymbols(): Promise<boolean> {
    const kernel = this.#kernel
    if (kernel === undefined) return false
    const found = await Promise.all(SYMBOLS[kernel].map(name => this.#evaluate(`&${name}`)))
    return found.every(value => value !== undefined)
  }

  /** undefined where it has no value. */
  async #evaluate(expression: string, frameId?: number): Promise<string | undefined> {
    const frame = frameId === undefined ? {} : { frameId }
    try {
      const { result } = members(await this.#request('evaluate', { expression, context: 'watch', ...frame }))
      return typeof result === 'string' ? result : undefined
    } catch {
      return undefined
    }
  }

  /** Marked as ours, which adapters do not look at: it is not the user who asks. */
  #request(command: string, args: object): PromiseLike<unknown> {
    return this.#parts.request(command, { ...args, walkthrough: true })
  }

  #answered(seq: number, response: { readonly [name: string]: unknown }): void {
    const question = this.#questions.get(seq)
    if (question === undefined) return
    this.#questions.delete(seq)
    const asked = response.success === true ? answerTo(question, response.body) : undefined
    if (asked === undefined) return
    this.#asked = [...this.#asked, asked].slice(-MOST_ANSWERS)
    this.#check()
  }

  #check(): void {
    const observation: Observation = {
      ...{ past: this.#past, now: this.#now, asked: this.#asked },
      ...{ console: this.#console, exitCode: this.#exitCode },
    }
    for (const step of this.#undone) if (step.done(observation)) this.#parts.done(step)
  }
}

function answerTo({ command, expression, reference }: Question, body: unknown): Asked | undefined {
  switch (command) {
    case TRANSLATE: {
      const translation = parseTranslation(body)
      return translation === undefined ? undefined : { kind: 'translation', translation }
    }
    case VIRTQUEUES: {
      const queue = parseQueue(body)
      return queue === undefined ? undefined : { kind: 'virtqueues', queue }
    }
    case 'readMemory': {
      const { data } = members(body)
      if (typeof data !== 'string') return undefined
      const bytes = Uint8Array.from(atob(data), character => character.charCodeAt(0))
      return { kind: 'memory', reference, bytes }
    }
    default: {
      const { result } = members(body)
      return typeof result === 'string' ? { kind: 'value', expression: expression.trim(), result } : undefined
    }
  }
}
