/** What takes long is told to the client, other messages are heard meanwhile, and it ends when nobody waits for it. */

import { fileURLToPath } from 'node:url'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { describe, expect, test } from 'vitest'
import { DapClient, DapError } from '../../scripts/dap-client.ts'
import { NO_FEATURES } from '../../src/adapter/client-features.ts'
import { CancelledError, Progress, requestOfProgress } from '../../src/adapter/progress.ts'
import { serve } from '../../src/adapter/server.ts'
import { launch } from '../../src/debugger/launch.ts'

const TOUR = fileURLToPath(new URL('../../guests/prebuilt/tour.elf', import.meta.url))

/** Work of one request whose time the test makes. */
function work(told: boolean) {
  const events: string[] = []
  const clock = { now: 0 }
  const abort = new AbortController()
  const client = { ...NO_FEATURES, progress: told }
  const event = (name: string, body: object) => events.push(`${name} ${JSON.stringify(body)}`)
  return { events, clock, abort, progress: new Progress({ client, event }, 7, abort.signal, () => clock.now) }
}

describe('work', () => {
  test('of less than half a second is not spoken of', async () => {
    const { events, clock, progress } = work(true)
    for (clock.now = 0; clock.now < 500; clock.now += 100) await progress.turn('Counting', clock.now / 500)
    progress.end()
    expect(events).toEqual([])
  })

  test('that takes longer is told of from then on', async () => {
    const { events, clock, progress } = work(true)
    for (clock.now = 0; clock.now < 800; clock.now += 100) await progress.turn('Counting', clock.now / 800)
    progress.end()
    expect(events).toEqual([
      'progressStart {"progressId":"request 7","title":"Counting","requestId":7,"cancellable":true}',
      'progressUpdate {"progressId":"request 7","percentage":75}',
      'progressUpdate {"progressId":"request 7","percentage":88}',
      'progressEnd {"progressId":"request 7"}',
    ])
  })

  test('is told of only to a client that understands it', async () => {
    const { events, clock, progress } = work(false)
    progress.begin('Loading')
    clock.now = 1000
    await progress.turn('Counting', 0.5)
    progress.end()
    expect(events).toEqual([])
  })

  test('lets others have their turn when it has worked a while, and not before', async () => {
    const { clock, progress } = work(true)
    let heard = 0
    setImmediate(() => heard++)
    await progress.turn('Counting', 0)
    expect(heard).toBe(0)
    clock.now = 60
    await progress.turn('Counting', 0)
    expect(heard).toBe(1)
  })

  test('ends when it is cancelled', async () => {
    const { abort, progress } = work(true)
    await progress.turn('Counting', 0)
    abort.abort()
    await expect(progress.turn('Counting', 0)).rejects.toThrow(CancelledError)
  })

  test('is known by the id of its progress', () => {
    expect(requestOfProgress('request 7')).toBe(7)
    for (const id of ['', 'request', 'request -1', 'request 7 ', 'request 99999999999999999999'])
      expect(requestOfProgress(id)).toBeUndefined()
  })
})

/** Requests are numbered from 1: initialize, launch, configurationDone, and this one. */
const NEXT = 4

async function begin(): Promise<DapClient> {
  const client = DapClient.connect((input, output) => void serve(input, output, launch))
  await client.launch({ program: TOUR, memory: '64M', stopOnEntry: true })
  await client.request('configurationDone')
  await client.event('stopped')
  return client
}

describe('a long disassembly', () => {
  const LONG = { memoryReference: '0x100000', instructionCount: 65536 }

  test.each([{ requestId: NEXT }, { progressId: `request ${NEXT}` }])('is cancelled by %j', async which => {
    const client = await begin()
    const answer = client.request('disassemble', LONG)
    await client.request('cancel', which)
    await expect(answer).rejects.toThrow(DapError)
    const response = client.transcript.find(each => 'request_seq' in each && each.request_seq === NEXT)
    expect(response).toMatchObject({ success: false, message: 'cancelled' })
    // What follows is served.
    expect(await client.request('threads')).toEqual({ threads: [{ id: 1, name: 'vCPU 0' }] })
    await client.close()
  })

  test('ends with the session', async () => {
    const client = await begin()
    const answer = client.request('disassemble', LONG).catch((error: unknown) => error)
    await client.request('terminate')
    await answer
    await client.event('terminated')
    await client.close()
  })

  test('is, in pieces, what it would be whole', async () => {
    const client = await begin()
    type Body = { instructions: DebugProtocol.DisassembledInstruction[] }
    const { instructions } = await client.request<Body>('disassemble', { ...LONG, instructionCount: 3000 })
    const { instructions: some } = await client.request<Body>('disassemble', {
      ...{ memoryReference: LONG.memoryReference, instructionOffset: 1000, instructionCount: 60 },
    })
    const plain = (each: DebugProtocol.DisassembledInstruction) => ({ ...each, location: undefined, symbol: undefined })
    expect(instructions).toHaveLength(3000)
    expect(instructions.slice(1000, 1060).map(plain)).toEqual(some.map(plain))
    expect(instructions[1024].symbol ?? '').not.toContain('+')
    await client.close()
  })
})

test('a launch that is cancelled starts nothing, and another can follow', async () => {
  const client = DapClient.connect((input, output) => {
    const impatient: typeof launch = async (options, turn) => {
      // As if symbols took as long as those of a kernel do.
      await new Promise(resolve => setTimeout(resolve, 60))
      return launch(options, turn)
    }
    void serve(input, output, impatient)
  })
  await client.request('initialize', { adapterID: 'ringside' })
  const launched = client.request('launch', { program: TOUR, stopOnEntry: true })
  await client.request('cancel', { requestId: 2 })
  await expect(launched).rejects.toThrow('cancelled')
  await client.launch({ program: TOUR, stopOnEntry: true })
  await client.close()
})
