import { describe, expect, it } from 'vitest'
import type { Exit } from '../../src/engine/processor.ts'
import { QUANTUM } from '../../src/vmm/turns.ts'
import type { ScriptStep } from './support/scripted-processor.ts'
import { makeVm } from './support/scripted-vm.ts'

const HLT: Exit = { reason: 'hlt' }
const OUT: Exit = { reason: 'io', port: 0x80, size: 1, write: true, value: 1 }

describe('running a VM', () => {
  it('comes back exactly at the end of the slice', () => {
    const { vm } = makeVm()
    expect(vm.run({ instructions: 12_345 })).toEqual({ kind: 'slice' })
    expect(vm.clock.count).toBe(12_345)
  })

  it('gives vCPUs turns of a quantum, and ends a turn at HLT but not at other exits', () => {
    const { vm, vcpus, processor } = makeVm(2)
    vcpus[0].script = [
      { instructions: 100, exit: OUT },
      { instructions: QUANTUM, exit: OUT },
    ]
    vcpus[1].script = [{ instructions: 50, exit: HLT }]
    vm.run({ instructions: 3 * QUANTUM })
    expect(processor.trace).toEqual([
      '100: vcpu0 io',
      `${QUANTUM + 50}: vcpu1 hlt`,
      // vCPU 0 has 100 instructions of its script left in its second turn.
      `${QUANTUM + 50 + 100}: vcpu0 io`,
    ])
  })

  it('orders everything the same however the run is sliced', () => {
    const runSliced = (slice: number) => {
      const { vm, vcpus, processor } = makeVm(3)
      for (const vcpu of vcpus)
        vcpu.script = Array.from(
          { length: 40 },
          (_, i): ScriptStep => ({ instructions: 777 * (vcpu.index + 1) + i * 13, exit: OUT }),
        )
      const timer = vm.clock.timer('tick', () => {
        processor.trace.push(`${vm.clock.count}: tick`)
        timer.arm(vm.clock.now + 7_001)
      })
      timer.arm(7_001)
      while (vm.clock.count < 150_000) vm.run({ instructions: Math.min(slice, 150_000 - vm.clock.count) })
      return processor.trace
    }
    const whole = runSliced(150_000)
    expect(whole.length).toBeGreaterThan(50)
    expect(runSliced(1_000)).toEqual(whole)
    expect(runSliced(333)).toEqual(whole)
  })

  it('fires timers at their exact count', () => {
    const { vm } = makeVm()
    const fired: number[] = []
    vm.clock.timer('a', () => fired.push(vm.clock.count)).arm(1_234)
    vm.clock.timer('b', () => fired.push(vm.clock.count)).arm(30_001)
    vm.run({ instructions: 100_000 })
    expect(fired).toEqual([1_234, 30_001])
  })

  it('skips idle time to the next timer, which may wake a vCPU', () => {
    const { vm, vcpus } = makeVm()
    vcpus[0].script = [{ instructions: 10, exit: HLT }]
    vm.clock
      .timer('wake', () => {
        vcpus[0].activity = 'active'
      })
      .arm(5e9)
    vm.run({ instructions: 100 })
    expect(vm.clock.count).toBe(100)
    expect(vm.clock.now).toBe(5e9 + 90)
  })

  it('comes back when idle, if the caller wants to wait', () => {
    const { vm, vcpus } = makeVm()
    vcpus[0].script = [{ instructions: 10, exit: HLT }]
    let fired = false
    vm.clock
      .timer('wake', () => {
        fired = true
      })
      .arm(5000)
    expect(vm.run({ instructions: 100, idle: 'return' })).toEqual({ kind: 'idle', until: 5000 })
    vm.passIdleTime(1000)
    expect(vm.clock.now).toBe(1010)
    expect(fired).toBe(false)
    vm.passIdleTime(1e9)
    expect(vm.clock.now).toBe(5000)
    vm.run({ instructions: 100, idle: 'return' })
    expect(fired).toBe(true)
  })

  it('asks whether to wait only when it is idle: what is waited for may have begun meanwhile', () => {
    const { vm, vcpus } = makeVm()
    vcpus[0].script = [{ instructions: 10, exit: HLT }]
    vm.clock.timer('wake', () => {}).arm(5000)
    const asked: number[] = []
    const idle = () => {
      asked.push(vm.clock.count)
      return 'return' as const
    }
    expect(vm.run({ instructions: 100, idle })).toEqual({ kind: 'idle', until: 5000 })
    expect(asked).toEqual([10])
  })

  it('says that it is halted for ever when nothing can wake it', () => {
    const { vm, vcpus } = makeVm()
    vcpus[0].script = [{ instructions: 10, exit: HLT }]
    expect(vm.run({ instructions: 100 })).toEqual({ kind: 'halted-forever' })
  })

  it('says so too when interrupts are off, whatever timers run', () => {
    const { vm, vcpus } = makeVm()
    vcpus[0].script = [{ instructions: 10, exit: HLT }]
    vcpus[0].registers.set('rflags', 2n)
    vm.clock.timer('tick', () => {}).arm(1000)
    expect(vm.run({ instructions: 100, idle: 'return' })).toEqual({ kind: 'halted-forever' })
  })

  it('comes back from a guest that only ticks and never runs', () => {
    const { vm, vcpus } = makeVm()
    vcpus[0].script = [{ instructions: 10, exit: HLT }]
    const timer = vm.clock.timer('tick', () => timer.arm(vm.clock.now + 1000))
    timer.arm(1000)
    expect(vm.run({ instructions: 100 })).toEqual({ kind: 'slice' })
  })

  it('stops after the access in which a device asked for it', () => {
    const { vm, vcpus } = makeVm()
    vcpus[0].script = [{ instructions: 10, exit: OUT }]
    vm.clock.timer('off', () => vm.requestStop({ kind: 'power-off' })).arm(5)
    expect(vm.run({ instructions: 100 })).toEqual({ kind: 'power-off' })
    expect(vm.clock.count).toBe(5)
    expect(vm.run({ instructions: 95 })).toEqual({ kind: 'slice' })
  })

  it('steps one instruction of a vCPU without changing the order of the rest', () => {
    const script = (): ScriptStep[] => Array.from({ length: 100 }, () => ({ instructions: 997, exit: OUT }))
    const plain = makeVm(2)
    const stepped = makeVm(2)
    for (const { vcpus } of [plain, stepped]) for (const vcpu of vcpus) vcpu.script = script()
    plain.vm.run({ instructions: 90_000 })

    const { vm, vcpus } = stepped
    vm.run({ instructions: 19_990 })
    for (let i = 0; i < 30; i++) expect(vm.step(vcpus[1], { instructions: 1e6 })).toEqual({ kind: 'step', vcpu: 1 })
    vm.run({ instructions: 90_000 - vm.clock.count })
    expect(stepped.processor.trace).toEqual(plain.processor.trace)
  })

  it('stops for breakpoints and triple faults', () => {
    const { vm, vcpus } = makeVm(2)
    vcpus[0].script = [{ instructions: 3, exit: { reason: 'breakpoint' } }]
    expect(vm.run({ instructions: 100 })).toEqual({ kind: 'breakpoint', vcpu: 0 })
    vcpus[0].script = [{ instructions: 1, exit: { reason: 'triple-fault' } }]
    expect(vm.run({ instructions: 100 })).toEqual({ kind: 'triple-fault', vcpu: 0 })
  })
})

describe('external interrupts', () => {
  it('are injected when the vCPU can take them', () => {
    const { vm, vcpus, external } = makeVm()
    vm.clock.timer('irq', () => external.push(0x30)).arm(40)
    vm.run({ instructions: 100 })
    expect(vcpus[0].events).toEqual(['40: injected 48'])
  })

  it('open an interrupt window while it can not', () => {
    const { vm, vcpus, external } = makeVm()
    external.push(0x30)
    vcpus[0].interruptible = false
    vcpus[0].script = [{ instructions: 7, exit: { reason: 'interrupt-window' } }]
    vm.run({ instructions: 5 })
    expect(vcpus[0].windowRequested).toBe(true)
    vm.run({ instructions: 2 })
    vcpus[0].interruptible = true
    vm.run({ instructions: 10 })
    expect(vcpus[0].events).toEqual(['7: injected 48'])
    expect(vcpus[0].windowRequested).toBe(false)
  })

  it('wake a halted vCPU, and only one that listens to the controller', () => {
    const { vm, vcpus, external } = makeVm(2)
    for (const vcpu of vcpus) vcpu.script = [{ instructions: 10, exit: HLT }]
    vcpus[0].acceptsExtint = false
    vm.clock.timer('irq', () => external.push(0x30)).arm(1000)
    vm.run({ instructions: 50 })
    expect(vcpus[0].events).toEqual([])
    expect(vcpus[1].events).toEqual(['20: injected 48'])
  })
})

describe('interrupt messages', () => {
  const fixed = { mode: 'fixed', vector: 0x40, level: false, logical: false } as const

  it('reach the local APICs they are addressed to', () => {
    const { vm, vcpus } = makeVm(3)
    vm.deliver({ ...fixed, destination: 1 })
    vm.deliver({ ...fixed, logical: true, destination: 0b101 })
    expect(vcpus.map(vcpu => vcpu.events.length)).toEqual([1, 1, 1])
  })

  it('of lowest priority reach one of several', () => {
    const { vm, vcpus } = makeVm(3)
    vcpus[0].priority = 0x50
    vcpus[1].priority = 0x20
    vcpus[2].priority = 0x20
    vm.deliver({ ...fixed, mode: 'lowest-priority', logical: true, destination: 0b111 })
    expect(vcpus.map(vcpu => vcpu.events.length)).toEqual([0, 1, 0])
  })
})
