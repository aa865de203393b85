/**
 * The walkthrough's steps against the real adapter: each becomes true when its text has been followed, and not before;
 * somebody who only clicks through completes none.
 */

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { DISK_NAME, diskImage } from '../../src/extension/walkthrough/disk-image.ts'
import type { Step } from '../../src/extension/walkthrough/observation.ts'
import { SessionObserver } from '../../src/extension/walkthrough/session-observer.ts'
import { STEPS } from '../../src/extension/walkthrough/steps.ts'
import { TRANSLATE, type TranslateBody } from '../../src/protocol/custom-requests.ts'
import { GoldenSession } from '../support/golden-session.ts'
import { GUESTS } from '../support/markers.ts'

vi.setConfig({ testTimeout: 120_000 })

const HEAP = '0x40010000'

let folder: string
const learners: Learner[] = []

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringside-walkthrough-'))
  writeFileSync(join(folder, DISK_NAME), diskImage())
})
afterEach(async () => {
  for (const learner of learners.splice(0)) await learner.session.client.close()
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Somebody who follows the walkthrough in one session, and the observer that looks over their shoulder. */
class Learner {
  readonly session: GoldenSession
  /** What the observer has asked the adapter. */
  readonly asked: string[] = []
  readonly #observer: SessionObserver
  readonly #done: Set<string>

  /** @param done ids of steps that are done; more come to it */
  constructor(program: string, done = new Set<string>()) {
    this.session = new GoldenSession(program)
    this.#done = done
    this.#observer = new SessionObserver({
      request: (command, args) => {
        this.asked.push(command)
        return this.session.client.request(command, args)
      },
      undone: () => STEPS.filter(({ id }) => !done.has(id)),
      done: ({ id }: Step) => done.add(id),
    })
    this.session.client.onMessage = message =>
      message.type === 'request' ? this.#observer.sent(message) : this.#observer.received(message)
    learners.push(this)
  }

  /** As the command of the walkthrough launches the kernel. */
  async start(args: object = {}): Promise<void> {
    await this.session.launch({ stopOnEntry: true, console: 'integratedTerminal', ...args }, FEATURES)
    await this.session.start()
  }

  async breakIn(...functions: (string | { name: string; condition: string })[]): Promise<void> {
    await this.session.request('setFunctionBreakpoints', {
      breakpoints: functions.map(each => (typeof each === 'string' ? { name: each } : each)),
    })
  }

  async stopAt(filterId?: string, condition?: string): Promise<void> {
    const option = { filterId, ...(condition === undefined ? {} : { condition }) }
    await this.session.request('setExceptionBreakpoints', {
      filters: [],
      filterOptions: filterId === undefined ? [] : [option],
    })
  }

  /** Asks for a translation as the view does. */
  async translate(address: string, access: string): Promise<TranslateBody> {
    return this.session.request<TranslateBody>(TRANSLATE, { address, access, threadId: 1 })
  }

  async translateRip(): Promise<TranslateBody> {
    const [{ instructionPointerReference = '' }] = await this.session.stack()
    return this.translate(instructionPointerReference, 'execute')
  }

  async end(): Promise<void> {
    await this.session.request('continue', { threadId: 1 })
    await this.session.client.event('terminated')
  }

  /** The steps that are done now, in order. */
  async done(): Promise<string[]> {
    await this.#observer.settled
    return [...this.#done]
  }
}

const FEATURES = { supportsMemoryEvent: true, supportsInvalidatedEvent: true }

/** Expects steps to become true one after the other: each by its action, and none before. */
async function expectInTurn(learner: Learner, turns: readonly (readonly [() => Promise<unknown>, string?])[]) {
  const expected = await learner.done()
  for (const [action, step] of turns) {
    await action()
    if (step !== undefined) expected.push(step)
    expect(await learner.done()).toEqual(expected)
  }
}

test('your first breakpoint in a kernel', async () => {
  const learner = new Learner('tour')
  const { session } = learner
  await expectInTurn(learner, [
    [() => learner.start()],
    [() => session.go('stepIn'), 'breakpoint.oneInstruction'],
    [() => learner.breakIn('kernel_main')],
    [() => session.go(), 'breakpoint.kernelMain'],
    [() => session.go('next'), 'breakpoint.over'],
    [() => session.go('stepIn'), 'breakpoint.into'],
    [() => learner.breakIn('touch_new_memory')],
    [() => session.go(), 'breakpoint.ring3'],
    [() => learner.breakIn({ name: 'handle_system_call', condition: 'number == 3' })],
    [() => session.go(), 'breakpoint.condition'],
    [() => learner.end(), 'breakpoint.powerOff'],
  ])
})

test('what CR3 means', async () => {
  const learner = new Learner('tour')
  const { session } = learner
  await expectInTurn(learner, [
    [() => learner.start()],
    [() => learner.translate('0x2000', 'read')],
    [() => learner.translateRip(), 'cr3.physical'],
    [() => learner.stopAt('cr')],
    [() => session.go(), 'cr3.loaded'],
    [() => learner.stopAt()],
    [() => learner.breakIn('kernel_main', 'user_main')],
    [() => session.go(), 'breakpoint.kernelMain'],
    [() => session.evaluate('$cr3')],
    [() => learner.translateRip(), 'cr3.walk'],
    [() => session.request('readMemory', { memoryReference: 'phys:0x1000', count: 4096 })],
    [
      async () => {
        const { levels } = await learner.translateRip()
        const memoryReference = `phys:${levels[0].table}`
        await session.request('readMemory', { memoryReference, count: 4096 })
      },
      'cr3.memory',
    ],
    [() => session.go()],
    [() => session.evaluate('$cr3'), 'cr3.shared'],
    [() => learner.translate('0x40000000', 'execute')],
    [() => learner.translateRip(), 'cr3.fourLevels'],
  ])
})

test('how a page fault travels', async () => {
  const done = new Set<string>(STEPS.filter(({ id }) => !id.startsWith('fault.')).map(({ id }) => id))
  const learner = new Learner('tour', done)
  const { session } = learner
  await expectInTurn(learner, [
    [() => learner.start()],
    [() => learner.breakIn('touch_new_memory')],
    [() => session.go()],
    [() => learner.translate(HEAP, 'read')],
    [() => learner.translate(HEAP, 'write'), 'fault.foreseen'],
    [() => learner.stopAt('exception', '#PF')],
    [() => session.go(), 'fault.raised'],
    [() => learner.stopAt()],
    [() => learner.breakIn('interrupt_entry', 'page_fault', 'map_page')],
    [() => session.go(), 'fault.gate'],
    [() => session.go()],
    [() => session.evaluate('frame->error_code'), 'fault.handler'],
    [() => session.go()],
    [() => learner.translate(HEAP, 'write')],
    [() => session.go('stepOut')],
    [() => learner.translate(HEAP, 'write'), 'fault.mapped'],
    [() => session.breakAt('user.c', 'read-back')],
    [() => session.go(), 'fault.repeated'],
    [() => learner.end()],
  ])

  const second = new Learner('modes', done)
  await expectInTurn(second, [
    [() => second.start()],
    [() => second.stopAt('exception', '#PF')],
    [() => second.session.go()],
    [
      () =>
        second.session.request('evaluate', {
          ...{ expression: '*letter_entry = *letter_entry | 3', context: 'repl', frameId: 1 },
        }),
    ],
    [() => second.end(), 'fault.mended'],
  ])
})

test('a page fault that the kernel mends itself is no repair', async () => {
  const learner = new Learner('modes')
  const { session } = learner
  await learner.start()
  await learner.stopAt('exception', '#PF')
  await session.go()
  await session.go()
  await learner.end()
  expect(await learner.done()).toEqual([])
})

test('from ring 3 to ring 0 and back', async () => {
  const learner = new Learner('modes')
  const { session } = learner
  await expectInTurn(learner, [
    [() => learner.start()],
    [() => session.breakAt('gates.asm', 'to-ring-3')],
    [() => session.go(), 'rings.beforeIretq'],
    [() => session.go('stepIn'), 'rings.toRing3'],
    [() => session.breakAt('gates.asm')],
    [() => learner.breakIn({ name: 'system_call', condition: 'number == 2' })],
    [() => session.go()],
    [() => session.go('stepIn'), 'rings.syscall'],
    [() => session.go('stepIn')],
    [() => session.go('stepIn'), 'rings.stack'],
    [() => learner.breakIn('handle_system_call')],
    [() => session.go()],
    [() => session.evaluate('frame->rdi'), 'rings.argument'],
    [() => session.breakAt('gates.asm', 'sysret')],
    [() => session.go()],
    [() => session.go('stepIn'), 'rings.sysret'],
  ])
})

test('a packet through a virtqueue', async () => {
  const learner = new Learner('virtqueue')
  const { session } = learner
  const look = () => session.request('ringside/virtqueues', {})
  await expectInTurn(learner, [
    [() => learner.start({ disks: [`${join(folder, DISK_NAME)},readonly`] })],
    [() => learner.breakIn('set_up_queue', 'post_request')],
    [() => session.go(), 'virtqueue.agreed'],
    [() => session.go(), 'virtqueue.ready'],
    [() => look()],
    [() => learner.breakIn('notify')],
    [() => session.go()],
    [() => look(), 'virtqueue.posted'],
    [() => learner.stopAt('virtqueue', 'kick')],
    [() => session.go(), 'virtqueue.kicked'],
    [() => learner.stopAt('virtqueue', 'used')],
    [() => session.go(), 'virtqueue.used'],
    [() => learner.stopAt()],
    [() => learner.breakIn('disk_interrupt')],
    [() => session.go(), 'virtqueue.interrupt'],
    [() => learner.end(), 'virtqueue.data'],
  ])
})

test.each(['tour', 'modes', 'virtqueue'])('who only starts %s and lets it run completes nothing', async program => {
  const learner = new Learner(program)
  await learner.start(program === 'virtqueue' ? { disks: [`${join(folder, DISK_NAME)},readonly`] } : {})
  // What views ask by themselves.
  for (const command of ['processors', 'exits', 'virtqueues', 'mappings', 'timeline'])
    await learner.session.request(`ringside/${command}`, {})
  await learner.end()
  expect(await learner.done()).toEqual([])
})

test('another kernel of the same name is asked for its symbols once, and no more', async () => {
  const program = join(folder, 'tour.elf')
  copyFileSync(`${GUESTS}prebuilt/bench.elf`, program)
  const learner = new Learner('tour')
  await learner.start({ program })
  await learner.session.go('stepIn', 'instruction')
  await learner.session.go('stepIn', 'instruction')
  expect(await learner.done()).toEqual([])
  expect(learner.asked).toEqual(['evaluate', 'evaluate'])
})

test('nothing is asked of other guests, nor when the steps of a kernel are done', async () => {
  const others = new Learner('bench')
  await others.start()
  await others.session.go('stepIn', 'instruction')
  await others.done()
  expect(others.asked).toEqual([])

  const finished = new Learner('tour', new Set(STEPS.filter(({ kernel }) => kernel === 'tour').map(({ id }) => id)))
  await finished.start()
  await finished.session.go('stepIn', 'instruction')
  await finished.done()
  expect(finished.asked).toEqual([])
})
