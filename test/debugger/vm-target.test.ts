import { describe, expect, test } from 'vitest'
import type { GuestEnd, Stop } from '../../src/debugger/target.ts'
import { VmTarget } from '../../src/debugger/vm-target.ts'
import { VmView } from '../../src/machine/machine-view.ts'
import { type HostInput, HostInputs } from '../../src/util/host-input.ts'
import { makeVm, type ScriptedVm } from '../vmm/support/scripted-vm.ts'

interface Scene extends ScriptedVm {
  readonly target: VmTarget
  /** What the listener was told, in order. */
  readonly told: string[]
  /** Bytes that the serial port took. */
  readonly received: number[]
  readonly hostInputs: HostInputs
  resets: number
  /** Room in the serial receiver. */
  room: number
  /** The next stop or end, or an error. */
  next(): Promise<Stop | GuestEnd | Error>
}

function scene(cpus = 1): Scene {
  const scripted = makeVm(cpus)
  const { vm } = scripted
  const told: string[] = []
  const received: number[] = []
  const hostInputs = new HostInputs()
  const target = new VmTarget({
    vm,
    view: new VmView(vm, { devices: [] }),
    hostInputs,
    sendSerial: byte => {
      if (made.room === 0) return false
      made.room--
      received.push(byte)
      return true
    },
    powerCycle: () => undefined,
    reset: () => {
      made.resets++
    },
    dispose: () => vm.dispose(),
  })
  let resolve: (what: Stop | GuestEnd | Error) => void = () => {}
  target.listener = {
    stopped: stop => {
      told.push(`stopped ${stop.reason}`)
      resolve(stop)
    },
    ended: end => {
      told.push(`ended ${end.status}`)
      resolve(end)
    },
    failed: error => resolve(error),
    reset: () => told.push('reset'),
    output: (source, bytes) => told.push(`${source} ${Buffer.from(bytes).toString()}`),
  }
  const next = () => new Promise<Stop | GuestEnd | Error>(done => (resolve = done))
  const made: Scene = { ...scripted, target, told, received, hostInputs, resets: 0, room: Infinity, next }
  return made
}

describe('a virtual machine as a target', () => {
  test('stands before its first instruction', () => {
    const { target } = scene()
    expect(target.state).toEqual({ kind: 'stopped', stop: { reason: 'entry', vcpu: 0 } })
    expect(target.instructions).toBe(0)
  })

  test('runs in slices, between which a pause gets its turn', async () => {
    const { target, next } = scene()
    target.resume()
    expect(target.state.kind).toBe('running')
    // Not by the clock: on a busy machine the first slice may take longer than any delay.
    const timer = setInterval(() => {
      if (target.instructions > 10_000) target.pause()
    }, 1)
    expect(await next()).toEqual({ reason: 'pause', vcpu: 0 })
    clearInterval(timer)
    expect(target.instructions).toBeGreaterThan(10_000)
    expect(() => target.step({ vcpu: 0, kind: 'into' })).not.toThrow()
  })

  test('refuses to run twice', () => {
    const { target } = scene()
    target.resume()
    expect(() => target.resume()).toThrow('the guest does not stand still')
  })

  test('stops at a breakpoint of any vCPU', async () => {
    const { target, vcpus, next } = scene(2)
    vcpus[0].script = [{ instructions: 50 }]
    vcpus[1].script = [{ instructions: 5, exit: { reason: 'breakpoint' } }]
    target.resume()
    expect(await next()).toEqual({ reason: 'breakpoint', vcpu: 1 })
  })

  test('leaves the breakpoint that it stands at, and stops when it comes by again', async () => {
    const { target, vcpus, next } = scene()
    // A processor reports a breakpoint before the first instruction, and passes it when it is run again.
    vcpus[0].script = [
      { instructions: 0, exit: { reason: 'breakpoint' } },
      { instructions: 9, exit: { reason: 'breakpoint' } },
      { instructions: 1, exit: { reason: 'breakpoint' } },
    ]
    target.resume()
    expect(await next()).toMatchObject({ reason: 'breakpoint' })
    expect(target.instructions).toBe(9)
    target.resume()
    expect(await next()).toMatchObject({ reason: 'breakpoint' })
    expect(target.instructions).toBe(10)
  })

  test('steps a vCPU off its breakpoint after the others had their turn', async () => {
    const { target, vcpus, next } = scene(2)
    vcpus[0].script = [{ instructions: 100, exit: { reason: 'hlt' } }]
    vcpus[1].script = [{ instructions: 0, exit: { reason: 'breakpoint' } }]
    target.step({ vcpu: 1, kind: 'into' })
    expect(await next()).toEqual({ reason: 'step', vcpu: 1 })
    expect(target.instructions).toBe(101)
  })

  test('stops at a breakpoint of another vCPU while one is stepped', async () => {
    const { target, vcpus, next } = scene(2)
    vcpus[0].script = [{ instructions: 5, exit: { reason: 'breakpoint' } }]
    target.step({ vcpu: 1, kind: 'into' })
    expect(await next()).toEqual({ reason: 'breakpoint', vcpu: 0 })
  })

  test('steps one instruction', async () => {
    const { target, next } = scene()
    target.step({ vcpu: 0, kind: 'into' })
    expect(await next()).toEqual({ reason: 'step', vcpu: 0 })
    expect(target.instructions).toBe(1)
  })

  test.each([
    [{ kind: 'power-off' }, 0, 'The guest powered off.'],
    [{ kind: 'debug-exit', value: 3 }, 7, 'The guest ended with debug exit 3.'],
  ] as const)('ends with the guest: %j', async (stop, status, description) => {
    const { target, vm, next } = scene()
    vm.requestStop(stop)
    target.resume()
    expect(await next()).toEqual({ status, description })
    expect(() => target.resume()).toThrow()
  })

  test('boots again when the guest resets the machine', async () => {
    const made = scene()
    made.vm.requestStop({ kind: 'reset' })
    made.vcpus[0].script = [{ instructions: 5, exit: { reason: 'breakpoint' } }]
    made.target.resume()
    await made.next()
    expect(made.resets).toBe(1)
    expect(made.told).toContain('reset')
  })

  test('keeps the state of a triple fault, and ends when it is resumed', async () => {
    const { target, vcpus, next } = scene()
    vcpus[0].script = [{ instructions: 5, exit: { reason: 'triple-fault' } }]
    target.resume()
    expect(await next()).toEqual({ reason: 'shutdown', vcpu: 0, text: 'triple fault' })
    expect(target.machine.vcpus[0].register('rflags')).toBe(0x202n)
    target.resume()
    expect(await next()).toEqual({ status: 126, description: 'The guest ended: triple fault.' })
  })

  test('stops for good when nothing can wake the guest', async () => {
    const { target, vcpus, next } = scene()
    vcpus[0].registers.set('rflags', 2n)
    vcpus[0].script = [{ instructions: 5, exit: { reason: 'hlt' } }]
    target.resume()
    expect(await next()).toMatchObject({ reason: 'shutdown', text: 'every processor is halted with interrupts off' })
  })

  test('reports a fault of ours and stops for good', async () => {
    const { target, vm, next } = scene()
    vm.run = () => {
      throw new Error('out of frames')
    }
    target.resume()
    expect(await next()).toEqual(new Error('out of frames'))
    expect(target.state.kind).toBe('ended')
  })
})

describe('an idle guest', () => {
  function idle(milliseconds: number): Scene {
    const made = scene()
    const { vm, vcpus } = made
    vcpus[0].script = [
      { instructions: 100, exit: { reason: 'hlt' } },
      { instructions: 1, exit: { reason: 'breakpoint' } },
    ]
    vm.clock
      .timer('wake', () => {
        vcpus[0].activity = 'active'
      })
      .arm(milliseconds * 1e6)
    return made
  }

  test('waits for its timer in wall time, and wakes at the very nanosecond', async () => {
    const { target, vm, next } = idle(30)
    const started = performance.now()
    target.resume()
    await next()
    expect(performance.now() - started).toBeGreaterThan(25)
    expect(vm.clock.now).toBe(30e6 + 1)
  })

  test('can be paused meanwhile', async () => {
    const { target, vm, next } = idle(60_000)
    target.resume()
    setTimeout(() => target.pause(), 10)
    expect(await next()).toEqual({ reason: 'pause', vcpu: 0 })
    expect(vm.clock.now).toBeLessThan(10e9)
  })

  test('gets what is typed at once', async () => {
    const { target, received } = idle(60_000)
    target.resume()
    await new Promise(resolve => setTimeout(resolve, 10))
    target.writeConsole(Uint8Array.of(65))
    await new Promise(resolve => setTimeout(resolve, 10))
    expect(received).toEqual([65])
    target.dispose()
  })

  test('gets what comes from the host at once', async () => {
    const { target, vm, hostInputs } = idle(60_000)
    const delivered: number[] = []
    const input: HostInput & { waiting: boolean } = {
      live: true,
      waiting: false,
      onArrival: undefined,
      deliver: () => {
        if (input.waiting) delivered.push(vm.clock.count)
        input.waiting = false
      },
      close: () => {},
    }
    hostInputs.add(input)
    target.resume()
    await new Promise(resolve => setTimeout(resolve, 10))
    input.waiting = true
    input.onArrival?.()
    await new Promise(resolve => setTimeout(resolve, 10))
    expect(delivered).toEqual([100])
    target.dispose()
  })

  test('can be ended meanwhile', async () => {
    const { target, told } = idle(60_000)
    target.resume()
    await new Promise(resolve => setTimeout(resolve, 10))
    target.pause()
    target.dispose()
    await new Promise(resolve => setTimeout(resolve, 10))
    expect(told).toEqual([])
  })
})

describe('the console', () => {
  test('is told of output before the stop that follows it', async () => {
    const { target, vcpus, told, next } = scene()
    vcpus[0].script = [{ instructions: 5, exit: { reason: 'breakpoint' } }]
    for (const byte of Buffer.from('hello')) target.print('serial', byte)
    target.print('debug-console', 33)
    target.resume()
    await next()
    expect(told).toEqual(['serial hello', 'debug-console !', 'stopped breakpoint'])
  })

  test('keeps input that the serial port has no room for', async () => {
    const made = scene()
    made.room = 2
    made.target.writeConsole(Buffer.from('abc'))
    made.target.step({ vcpu: 0, kind: 'into' })
    await made.next()
    expect(made.received).toEqual([97, 98])
    made.room = 2
    made.target.step({ vcpu: 0, kind: 'into' })
    await made.next()
    expect(made.received).toEqual([97, 98, 99])
  })
})

describe('exits', () => {
  test('come as the last ones in words and as totals', async () => {
    const { target, vcpus, next } = scene()
    vcpus[0].registers.set('rip', 0x1234n)
    const out = { reason: 'io', port: 0x3f8, size: 1, write: true, value: 65 } as const
    vcpus[0].script = [
      { instructions: 5, exit: out },
      { instructions: 5, exit: { ...out, port: 0x60, write: false } },
      { instructions: 5, exit: { reason: 'cpuid', leaf: 1, subleaf: 0 } },
      { instructions: 5, exit: { reason: 'breakpoint' } },
    ]
    target.resume()
    await next()
    expect(target.exits(2, 5)).toEqual({
      total: 3,
      byReason: [
        { reason: 'io', count: 2 },
        { reason: 'cpuid', count: 1 },
      ],
      recent: [
        { instructions: 10, vcpu: 0, reason: 'io', detail: 'in from port 0x60', rip: 0x1234n, gpa: undefined },
        { instructions: 15, vcpu: 0, reason: 'cpuid', detail: 'leaf 0x1', rip: 0x1234n, gpa: undefined },
      ],
      byAddress: [{ address: 0x1234n, count: 3 }],
    })
  })
})
