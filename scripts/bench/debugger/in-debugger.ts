/** What `src/debugger/` does a second, asked as the adapter asks it. */

import { compileCondition } from '../../../src/debugger/expression/condition.ts'
import { FrameScope } from '../../../src/debugger/frame-scope.ts'
import type { StopRequest } from '../../../src/debugger/stop-request.ts'
import { DebugSession } from '../debug-session.ts'
import { median } from '../stopwatch.ts'
import {
  CALLS,
  FRAMES,
  HOT_WORD,
  HOT_WORD_BYTES,
  INTERPRETER,
  MEMORY_READ,
  MILLISECONDS,
  NESTED,
  ONE_READ,
  type SessionGuest,
  STACKS,
  STORES,
  TOUR,
  WARM_UP,
  Window,
} from './guests.ts'

/** A session that has stopped at a function, without breakpoints from then on. */
async function at(guest: SessionGuest, name: string): Promise<{ session: DebugSession; address: bigint }> {
  const session = await DebugSession.start(guest)
  const address = session.debugger.symbols.byName(name)?.address
  if (address === undefined) throw new Error(`${guest.image} has no symbol ${name}`)
  await session.stop([{ id: 0, kind: 'code', space: 'linear', address }])
  session.target.setStops([])
  return { session, address }
}

/** Evaluations a second of a condition that never holds. */
async function evaluations(prepare: (session: DebugSession) => Required<StopRequest>['condition']): Promise<number> {
  const { session, address } = await at(CALLS, 'fibonacci')
  const condition = prepare(session)
  let asked = 0
  const counted: typeof condition = view => {
    asked++
    return condition(view)
  }
  const window = new Window()
  await session.runFor(MILLISECONDS, [{ id: 1, kind: 'code', space: 'linear', address, condition: counted }])
  const rate = window.perSecond(asked)
  session.target.dispose()
  return rate
}

/** RDI, by the number of the register: no expression could be quicker. */
export const predicates = (): Promise<number> => evaluations(() => view => view.low(7) === 12345678)

export const conditions = (): Promise<number> =>
  evaluations(({ debugger: { symbols }, target: { machine } }) => {
    const compiled = compileCondition('$rdi == 12345678', new FrameScope(symbols))
    return view => compiled.test(machine.vcpus[view.index], machine)
  })

export async function instructionSteps(): Promise<number> {
  const { session } = await at(CALLS, 'fibonacci')
  let steps = 0
  const window = new Window()
  for (; window.isOpen; steps++) await session.step({ vcpu: 0, kind: 'into' })
  const rate = window.perSecond(steps)
  session.target.dispose()
  return rate
}

/** Into every function, through the debugger with all that it does at a stop. */
export async function lineSteps(): Promise<number> {
  const { session } = await at(TOUR, 'print')
  const step = (): Promise<void> => session.stepInDebugger({ vcpu: 0, kind: 'into', granularity: 'line' })
  for (let count = 0; count < WARM_UP; count++) await step()
  let steps = 0
  const window = new Window()
  for (; window.isOpen; steps++) await step()
  const rate = window.perSecond(steps)
  session.target.dispose()
  return rate
}

/** The word that is watched, by its linear address: the guest puts it there under every hypervisor. */
export async function hotWord(): Promise<bigint> {
  const { session } = await at(INTERPRETER, 'interpret')
  const address = session.debugger.evaluate(0, HOT_WORD)
  session.target.dispose()
  return address
}

export async function watchpointHits(word: bigint): Promise<number> {
  const { session } = await at(INTERPRETER, 'interpret')
  session.target.setStops([
    { id: 1, kind: 'data', space: 'linear', address: word, length: HOT_WORD_BYTES, access: 'change' },
  ])
  let hits = 0
  const window = new Window()
  for (; window.isOpen; hits++) await session.stop()
  const rate = window.perSecond(hits)
  session.target.dispose()
  return rate
}

/** Mebibytes a second. */
export async function memoryReads(): Promise<number> {
  const { session } = await at(STORES, 'sieve')
  let bytes = 0
  const window = new Window()
  while (window.isOpen) {
    const address = BigInt(MEMORY_READ.address + (bytes % MEMORY_READ.bytes))
    bytes += session.debugger.readMemory(0, { space: 'linear', address }, ONE_READ).length
  }
  const rate = window.perSecond(bytes) / 2 ** 20
  session.target.dispose()
  return rate
}

/** Milliseconds from a stop until its stack is known, the median. */
export async function stopToStack(): Promise<number> {
  const { session } = await at(TOUR, NESTED)
  const spent: number[] = []
  for (let stop = 0; stop < STACKS; stop++) {
    await session.step({ vcpu: 0, kind: 'into' })
    const stopped = performance.now()
    // What a debugger knows of the last stop's stack is void.
    session.debugger.changed()
    session.debugger.stack(0).frames(0, FRAMES)
    spent.push(performance.now() - stopped)
  }
  session.target.dispose()
  return median(spent)
}
