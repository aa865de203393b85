/** Stops of every kind and steps, on the tour: a kernel with a timer, system calls, page faults and a user program. */

import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { launch } from '../../src/debugger/launch.ts'
import type { StepRequest, StopHit, StopRequest } from '../../src/debugger/stop-request.ts'
import type { GuestEnd, Stop, Target } from '../../src/debugger/target.ts'

const TOUR = fileURLToPath(new URL('../../guests/prebuilt/tour.elf', import.meta.url))
const USER_MAIN = 0x4000_0000n

class Scene {
  readonly target: Target
  output = ''
  readonly #addressOf: (name: string) => bigint
  #told: (what: Stop | GuestEnd) => void = () => {}

  private constructor(target: Target, addressOf: (name: string) => bigint) {
    this.target = target
    this.#addressOf = addressOf
    target.listener = {
      stopped: stop => this.#told(stop),
      ended: end => this.#told(end),
      failed: error => {
        throw error
      },
      output: (_source, bytes) => {
        this.output += Buffer.from(bytes).toString('latin1')
      },
    }
  }

  static async start(): Promise<Scene> {
    const debug = await launch({ program: TOUR, symbols: [], cmdline: '', memory: 64 * 2 ** 20 })
    return new Scene(debug.target, name => debug.symbols.byName(name)?.address ?? -1n)
  }

  at(name: string): bigint {
    const address = this.#addressOf(name)
    if (address < 0n) throw new Error(`no symbol ${name}`)
    return address
  }

  get rip(): bigint {
    return this.target.machine.vcpus[0].register('rip')
  }
  get cpl(): number {
    return this.target.machine.vcpus[0].cpl
  }

  async #until(action: () => void): Promise<Stop | GuestEnd> {
    const told = new Promise<Stop | GuestEnd>(resolve => {
      this.#told = resolve
    })
    action()
    return told
  }

  async stop(requests?: readonly StopRequest[]): Promise<Stop> {
    if (requests !== undefined) this.target.setStops(requests)
    const what = await this.#until(() => this.target.resume())
    if (!('reason' in what)) throw new Error(`the guest ended: ${what.description}`)
    return what
  }

  async step(request: Partial<StepRequest> = {}): Promise<Stop> {
    const what = await this.#until(() => this.target.step({ vcpu: 0, kind: 'into', ...request }))
    if (!('reason' in what)) throw new Error(`the guest ended: ${what.description}`)
    return what
  }

  async finish(requests: readonly StopRequest[] = []): Promise<{ instructions: number; output: string }> {
    this.target.setStops(requests)
    const end = await this.#until(() => this.target.resume())
    expect(end).toMatchObject({ status: 0 })
    return { instructions: this.target.instructions, output: this.output }
  }
}

let scene: Scene | undefined
afterEach(() => scene?.target.dispose())

async function begin(): Promise<Scene> {
  scene = await Scene.start()
  return scene
}

let plainRun: Promise<{ instructions: number; output: string }> | undefined
/** What the tour does when nobody looks. */
const plain = () => (plainRun ??= Scene.start().then(async each => each.finish()))

/** The one hit of a stop. */
function hitOf({ hits = [] }: Stop): StopHit {
  expect(hits).toHaveLength(1)
  return hits[0]
}

const code = (address: bigint, more: Partial<StopRequest> = {}): StopRequest =>
  ({ id: 1, kind: 'code', space: 'linear', address, ...more }) as StopRequest

describe('a target stops', () => {
  test('at code before and after paging, by linear and guest-physical address', async () => {
    const s = await begin()
    const [start, main] = [s.at('start'), s.at('kernel_main')]
    const second = s.at('enter_long_mode')
    const requests: StopRequest[] = [
      { id: 7, kind: 'code', space: 'linear', address: second },
      { id: 8, kind: 'code', space: 'physical', address: main },
    ]
    expect(s.rip).toBe(start)
    expect(await s.stop(requests)).toEqual({ reason: 'breakpoint', vcpu: 0, hits: [{ id: 7, kind: 'code' }] })
    expect(await s.stop()).toEqual({ reason: 'breakpoint', vcpu: 0, hits: [{ id: 8, kind: 'code' }] })
    expect(s.rip).toBe(main)
    expect(await s.finish()).toEqual(await plain())
  })

  test('when a condition holds, when a hit counts, at a privilege, and logs without stopping', async () => {
    const s = await begin()
    const print = s.at('serial_character')
    const logged: number[] = []
    const requests: StopRequest[] = [
      code(print, { id: 1, condition: view => (view.low(7) & 0xff) === 0x52 }), // 'R'
      code(print, { id: 2, hit: count => count === 3 }),
      code(print, { id: 3, log: view => logged.push(view.low(7) & 0xff) }),
      code(print, { id: 4, cpl: 3 }),
    ]
    expect(hitOf(await s.stop(requests))).toEqual({ id: 2, kind: 'code' })
    expect(String.fromCharCode(...logged)).toBe('tou')
    const { output } = await s.finish()
    expect(output).toBe((await plain()).output)
  })

  test('and goes on, for what is only to be told aside: the guest at rest, steps as if nothing were', async () => {
    const path = async (s: Scene, requests: readonly StopRequest[]) => {
      await s.stop([code(s.at('enter_long_mode'))])
      s.target.setStops(requests)
      const rips: bigint[] = []
      for (let step = 0; step < 40; step++) {
        expect(await s.step()).toMatchObject({ reason: 'step' })
        rips.push(s.rip)
      }
      return rips
    }
    const undisturbed = await Scene.start()
    const expected = await path(undisturbed, [])
    undisturbed.target.dispose()

    const s = await begin()
    const aside: string[] = []
    const requests: StopRequest[] = [
      { id: -1, kind: 'control-register', registers: [3], aside: vcpu => aside.push(`cr3 of ${vcpu} at ${s.rip}`) },
      { id: -2, kind: 'code', space: 'linear', address: expected[20], aside: () => aside.push(`code at ${s.rip}`) },
    ]
    expect(await path(s, requests)).toEqual(expected)
    const atRest = aside.filter(told => told.startsWith('cr3'))
    expect(atRest).toHaveLength(1)
    expect(expected.map(rip => `cr3 of 0 at ${rip}`)).toContain(atRest[0])
    expect(aside).toContain(`code at ${expected[20]}`)
    // What stops stops, whatever else is told.
    s.target.setStops([...requests, { id: 3, kind: 'code', space: 'linear', address: s.at('serial_character') }])
    expect(await s.stop()).toMatchObject({ reason: 'breakpoint', hits: [{ id: 3 }] })
    const main = code(s.at('serial_character'), { id: -4, aside: () => aside.push('printed') })
    expect(await s.finish([main])).toEqual(await plain())
    expect(aside.filter(told => told === 'printed').length).toBeGreaterThan(100)
  })

  test('at a change of data, with the values and the instruction that did it', async () => {
    const s = await begin()
    const address = s.at('timer_ticks')
    const stop = await s.stop([{ id: 1, kind: 'data', space: 'physical', address, length: 8, access: 'change' }])
    expect(stop.reason).toBe('data')
    const hit = hitOf(stop)
    if (hit.kind !== 'data') throw new Error(hit.kind)
    expect([hit.before[0], hit.after[0], hit.write, hit.address]).toEqual([0, 1, true, address])
    expect(hit.rip).toBeLessThan(s.rip)
    expect(hitOf(await s.stop())).toMatchObject({ after: Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0) })
    expect(await s.finish()).toEqual(await plain())
  })

  test('before exceptions and interrupts, at changes of privilege, and writes to CR3 and MSRs', async () => {
    const s = await begin()
    const cr3 = await s.stop([{ id: 1, kind: 'control-register', registers: [3] }])
    expect(hitOf(cr3)).toMatchObject({ kind: 'control-register', register: 3, old: 0n })
    const lstar = hitOf(await s.stop([{ id: 1, kind: 'msr', msrs: [0xc000_0082] }]))
    expect(lstar).toMatchObject({ kind: 'msr', msr: 0xc000_0082, old: 0n })
    const toUser = hitOf(await s.stop([{ id: 1, kind: 'transition', to: 'user' }]))
    expect(toUser).toMatchObject({ kind: 'transition', from: 0, to: 3 })
    expect([s.rip, s.cpl]).toEqual([USER_MAIN, 3])
    // The timer has waited for the flag that comes with ring 3.
    const toKernel = hitOf(await s.stop([{ id: 1, kind: 'transition', to: 'kernel' }]))
    expect(toKernel).toMatchObject({ kind: 'transition', from: 3, to: 0, cause: 'interrupt', rip: USER_MAIN })
    const call = hitOf(await s.stop())
    expect(call).toMatchObject({ kind: 'transition', from: 3, to: 0, cause: 'syscall' })
    const interrupt = await s.stop([{ id: 1, kind: 'interrupt', vectors: [32] }])
    expect(hitOf(interrupt)).toMatchObject({ kind: 'interrupt', vector: 32, nmi: false, rip: s.rip })
    const fault = await s.stop([{ id: 1, kind: 'exception', vectors: [14], cpl: 3 }])
    expect(fault.reason).toBe('event')
    expect(hitOf(fault)).toMatchObject({ kind: 'exception', vector: 14, errorCode: 6, rip: s.rip })
    expect(s.cpl).toBe(3)
    expect(await s.finish()).toEqual(await plain())
  })

  test('after accesses to ports and exits', async () => {
    const s = await begin()
    const out = hitOf(await s.stop([{ id: 1, kind: 'port', first: 0x20, last: 0x21, direction: 'out' }]))
    expect(out).toEqual({ id: 1, kind: 'port', port: 0x20, size: 1, write: true, value: 0x11 })
    // The transmitter of the UART is empty (bits 6 and 5 of its line status).
    const read = hitOf(await s.stop([{ id: 1, kind: 'port', first: 0x3fd, last: 0x3fd, direction: 'in' }]))
    expect(read).toEqual({ id: 1, kind: 'port', port: 0x3fd, size: 1, write: false, value: 0x60 })
    expect(hitOf(await s.stop([{ id: 2, kind: 'exit', reasons: ['ept-violation'] }]))).toMatchObject({ kind: 'exit' })
    expect(await s.finish()).toEqual(await plain())
  })
})

describe('a step', () => {
  test('is not dragged into the timer interrupt, whose handler runs; unless asked', async () => {
    for (const intoInterrupts of [false, true]) {
      const s = await begin()
      const ticks = () => s.target.machine.readPhysical(Number(s.at('timer_ticks')), 1)?.[0] ?? -1
      for (let tick = 0; tick < 3; tick++) {
        await s.stop([{ id: 1, kind: 'interrupt', cpl: 3 }])
        s.target.setStops([])
        const [before, at] = [ticks(), s.rip]
        // Into, so that a system call here is entered; it is no interrupt.
        const { hits } = await s.step({ intoInterrupts })
        expect(hits).toBeUndefined()
        if (intoInterrupts) expect([s.rip, s.cpl, ticks()]).toEqual([s.at('stub_32'), 0, before])
        else expect([s.rip === at, s.rip === s.at('stub_32'), ticks()]).toEqual([false, false, before + 1])
      }
      expect(await s.finish()).toEqual(await plain())
      s.target.dispose()
    }
  })

  test('goes into a system call, or over it to the instruction behind it in user mode', async () => {
    const s = await begin()
    const toKernel: StopRequest = { id: 1, kind: 'transition', to: 'kernel' }
    await s.stop([toKernel])
    const call = hitOf(await s.stop())
    if (call.kind !== 'transition') throw new Error(call.kind)
    expect(call.cause).toBe('syscall')
    const inside = s.rip
    // Out of it again by single instructions: a change of privilege is a step like any.
    s.target.setStops([])
    while (s.cpl === 0) await s.step()
    expect(s.rip).toBe(call.rip + 2n)
    await s.stop([code(call.rip)])
    s.target.setStops([])
    await s.step()
    expect([s.rip, s.cpl]).toEqual([inside, 0])
    await s.stop([code(call.rip)])
    s.target.setStops([])
    await s.step({ kind: 'over' })
    expect([s.rip, s.cpl]).toEqual([call.rip + 2n, 3])
    expect(await s.finish()).toEqual(await plain())
  })

  test('over an instruction that faults ends behind it; or in the handler when asked', async () => {
    for (const intoExceptions of [false, true]) {
      const s = await begin()
      await s.stop([{ id: 1, kind: 'exception', vectors: [14], cpl: 3 }])
      s.target.setStops([])
      const faulting = s.rip
      await s.step({ intoExceptions })
      if (intoExceptions) expect([s.rip, s.cpl]).toEqual([s.at('stub_14'), 0])
      else expect([s.rip > faulting && s.rip < faulting + 16n, s.cpl]).toEqual([true, 3])
      expect(await s.finish()).toEqual(await plain())
      s.target.dispose()
    }
  })

  test('over a call ends behind it, and a range is a step', async () => {
    const s = await begin()
    const main = s.at('kernel_main')
    await s.stop([code(main)])
    s.target.setStops([])
    let calls = 0
    for (let last = s.target.instructions; s.rip >= main && s.rip < main + 0x69n && calls < 5; ) {
      await s.step({ kind: 'over' })
      if (s.target.instructions > last + 1) calls++
      last = s.target.instructions
    }
    expect(calls).toBe(5)
    await s.step({ kind: 'over', ranges: [{ start: main, end: s.rip + 0x20n }] })
    expect(s.rip).toBeGreaterThanOrEqual(main + 0x20n)
    expect(await s.finish()).toEqual(await plain())
  })

  test('to an address on a stack stops there only for that stack', async () => {
    const s = await begin()
    await s.stop([code(s.at('print'))])
    s.target.setStops([])
    const vcpu = s.target.machine.vcpus[0]
    const stack = vcpu.register('rsp')
    const bytes = s.target.machine.readPhysical(Number(stack), 8)
    const address = Buffer.from(bytes ?? []).readBigUInt64LE()
    await s.step({ kind: 'to', address, stackAtLeast: stack + 8n })
    expect([s.rip, vcpu.register('rsp')]).toEqual([address, stack + 8n])
    expect(await s.finish()).toEqual(await plain())
  })
})

describe('debugging changes nothing', () => {
  test('with conditions, watchpoints and events that never hold', async () => {
    const s = await begin()
    const never = { condition: () => false }
    const all: StopRequest[] = [
      { ...never, id: 1, kind: 'code', space: 'linear', address: s.at('serial_character') },
      { ...never, id: 2, kind: 'code', space: 'physical', address: s.at('handle_interrupt') },
      { ...never, id: 3, kind: 'data', space: 'linear', address: s.at('timer_ticks'), length: 8, access: 'access' },
      { ...never, id: 4, kind: 'data', space: 'physical', address: 0n, length: 2 ** 21, access: 'write' },
      { ...never, id: 5, kind: 'exception' },
      { ...never, id: 6, kind: 'interrupt' },
      { ...never, id: 7, kind: 'control-register', registers: [0, 3, 4] },
      { ...never, id: 8, kind: 'msr' },
      { ...never, id: 9, kind: 'port', first: 0, last: 0xffff },
      { ...never, id: 10, kind: 'transition', to: 'either' },
      { ...never, id: 11, kind: 'int3' },
      { ...never, id: 12, kind: 'magic' },
    ]
    s.target.setStops(all)
    for (let i = 0; i < 50; i++) await s.step({ kind: i % 2 === 0 ? 'into' : 'over' })
    await s.stop([...all, code(s.at('enable_system_calls'), { id: 99 })])
    s.target.setStops(all)
    const end = await new Promise(resolve => {
      const { listener } = s.target
      if (listener === undefined) throw new Error('nobody listens')
      s.target.listener = {
        ...listener,
        stopped: stop => resolve(stop),
        ended: () => resolve({ instructions: s.target.instructions, output: s.output }),
        output: (source, bytes) => listener.output(source, bytes),
      }
      s.target.resume()
    })
    expect(end).toEqual(await plain())
  })
})
