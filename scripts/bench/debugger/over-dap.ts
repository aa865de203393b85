/** The same over DAP: an adapter in a process of its own, as an editor starts it, and requests answered one by one. */

import { fileURLToPath } from 'node:url'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { DapClient } from '../../dap-client.ts'
import { median } from '../stopwatch.ts'
import {
  CALLS,
  CALLS_COUNTED,
  COUNTED_CALLS,
  FRAMES,
  HOT_WORD_BYTES,
  INTERPRETER,
  MEMORY_READ,
  NESTED,
  ONE_READ,
  type SessionGuest,
  STACKS,
  STORES,
  TOUR,
  WARM_UP,
  Window,
} from './guests.ts'

const MAIN = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url))
const THREAD = { threadId: 1 }
const NEVER_HOLDS = '$rdi == 12345678'

class AdapterSession {
  readonly client: DapClient

  private constructor(client: DapClient) {
    this.client = client
  }

  /** Stopped at a function. */
  static async at(guest: SessionGuest, name: string): Promise<AdapterSession> {
    const session = new AdapterSession(DapClient.spawn(process.execPath, [MAIN, 'dap']))
    const { client } = session
    await client.launch({ program: guest.image, cmdline: guest.commandLine, memory: '256M' })
    await session.breakAt([{ name }])
    await session.#stop('configurationDone')
    return session
  }

  async breakAt(breakpoints: readonly DebugProtocol.FunctionBreakpoint[]): Promise<void> {
    await this.client.request('setFunctionBreakpoints', { breakpoints })
  }

  /** A request that lets the guest go on, until it stands still again. */
  async #stop(command: string, args: object = {}): Promise<void> {
    const stopped = this.client.event('stopped')
    await Promise.all([this.client.request(command, args), stopped])
    // The messages so far are of no use to anybody, and they are many.
    this.client.transcript.length = 0
  }

  go(command: 'continue' | 'stepIn', granularity?: 'line' | 'instruction'): Promise<void> {
    return this.#stop(command, granularity === undefined ? THREAD : { ...THREAD, granularity })
  }

  async rate(work: () => Promise<number>): Promise<number> {
    let done = 0
    const window = new Window()
    while (window.isOpen) done += await work()
    const rate = window.perSecond(done)
    await this.client.close()
    return rate
  }
}

export async function conditions(): Promise<number> {
  const session = await AdapterSession.at(COUNTED_CALLS, 'fibonacci')
  await session.breakAt([{ name: 'fibonacci', condition: NEVER_HOLDS }])
  const window = new Window()
  const ended = session.client.event('terminated')
  await session.client.request('continue', THREAD)
  await ended
  const rate = window.perSecond(CALLS_COUNTED)
  await session.client.close()
  return rate
}

async function steps(guest: SessionGuest, name: string, granularity: 'line' | 'instruction'): Promise<number> {
  const session = await AdapterSession.at(guest, name)
  await session.breakAt([])
  for (let count = 0; granularity === 'line' && count < WARM_UP; count++) await session.go('stepIn', granularity)
  return session.rate(async () => {
    await session.go('stepIn', granularity)
    return 1
  })
}

export const instructionSteps = (): Promise<number> => steps(CALLS, 'fibonacci', 'instruction')
export const lineSteps = (): Promise<number> => steps(TOUR, 'print', 'line')

export async function watchpointHits(word: bigint): Promise<number> {
  const session = await AdapterSession.at(INTERPRETER, 'interpret')
  await session.breakAt([])
  await session.client.request('setDataBreakpoints', {
    breakpoints: [{ dataId: `0x${word.toString(16)}#${HOT_WORD_BYTES}`, accessType: 'write', mode: 'change' }],
  })
  return session.rate(async () => {
    await session.go('continue')
    return 1
  })
}

/** Mebibytes a second, as base64 and back. */
export async function memoryReads(): Promise<number> {
  const session = await AdapterSession.at(STORES, 'sieve')
  let done = 0
  return session.rate(async () => {
    const memoryReference = `0x${(MEMORY_READ.address + (done % MEMORY_READ.bytes)).toString(16)}`
    const { data } = await session.client.request<{ data: string }>('readMemory', { memoryReference, count: ONE_READ })
    session.client.transcript.length = 0
    const { length } = Buffer.from(data, 'base64')
    done += length
    return length / 2 ** 20
  })
}

/** Milliseconds from the `stopped` event until the response with the stack, the median. */
export async function stopToStack(): Promise<number> {
  const session = await AdapterSession.at(TOUR, NESTED)
  await session.breakAt([])
  const spent: number[] = []
  for (let stop = 0; stop < STACKS; stop++) {
    await session.go('stepIn', 'instruction')
    const stopped = performance.now()
    await session.client.request('stackTrace', { ...THREAD, startFrame: 0, levels: FRAMES })
    spent.push(performance.now() - stopped)
  }
  await session.client.close()
  return median(spent)
}
