import { describe, expect, it } from 'vitest'
import * as R from '../../../src/engine/apic/apic-registers.ts'
import { LocalApic } from '../../../src/engine/apic/local-apic.ts'
import { parseCpuModel } from '../../../src/engine/cpu-model.ts'
import type { InterruptMessage } from '../../../src/engine/processor.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'

interface Rig {
  apic: LocalApic
  clock: VirtualClock
  sent: InterruptMessage[]
  ended: number[]
  signals: string[]
  tscAdjust: bigint
}

function rig(id = 0): Rig {
  const clock = new VirtualClock()
  const sent: InterruptMessage[] = []
  const ended: number[] = []
  const signals: string[] = []
  const made = { clock, sent, ended, signals, tscAdjust: 0n }
  const apic = new LocalApic({
    id,
    model: parseCpuModel('max'),
    clock,
    bus: { send: (_source, message) => sent.push(message), endOfInterrupt: vector => ended.push(vector) },
    listener: {
      interruptPending: () => signals.push('pending'),
      nmi: () => signals.push('nmi'),
      init: () => signals.push('init'),
      startUp: vector => signals.push(`sipi ${vector}`),
    },
    now: () => clock.now,
    tsc: () => BigInt(clock.now) + made.tscAdjust,
  })
  return Object.assign(made, { apic })
}

const write = (apic: LocalApic, offset: number, value: number) => apic.writeMmio(offset, 4, value)
const read = (apic: LocalApic, offset: number) => apic.readMmio(offset, 4)
const enable = (apic: LocalApic) => write(apic, R.APIC_SVR, 0x1ff)

const fixed = (vector: number, more: Partial<InterruptMessage> = {}): InterruptMessage => ({
  mode: 'fixed',
  vector,
  destination: 0,
  logical: false,
  level: false,
  ...more,
})

/** Lets virtual time pass, firing timers. */
function pass(clock: VirtualClock, ns: number): void {
  clock.skipTo(clock.now + ns)
  clock.fireDue()
}

describe('local APIC', () => {
  it('delivers the highest pending vector and holds back what is not above the one in service', () => {
    const { apic } = rig()
    enable(apic)
    apic.accept(fixed(0x31))
    apic.accept(fixed(0x52))
    expect(apic.highestPending()).toBe(0x52)
    expect(apic.acknowledge()).toBe(0x52)
    expect(apic.highestPending()).toBeUndefined()
    apic.accept(fixed(0x5f))
    expect(apic.highestPending()).toBeUndefined()
    apic.accept(fixed(0x61))
    expect(apic.highestPending()).toBe(0x61)
    write(apic, R.APIC_EOI, 0)
    apic.acknowledge()
    write(apic, R.APIC_EOI, 0)
    expect(apic.highestPending()).toBe(0x5f)
  })

  it('holds interrupts back by task priority, and says when it sinks', () => {
    const { apic, signals } = rig()
    enable(apic)
    apic.taskPriority = 4
    apic.accept(fixed(0x41))
    expect(apic.highestPending()).toBeUndefined()
    expect(read(apic, R.APIC_TPR)).toBe(0x40)
    signals.length = 0
    apic.taskPriority = 3
    expect(signals).toEqual(['pending'])
    expect(apic.highestPending()).toBe(0x41)
  })

  it('accepts no fixed interrupt while software has it disabled, but NMI, INIT and SIPI', () => {
    const { apic, signals } = rig(1)
    apic.accept(fixed(0x41))
    expect(apic.highestPending()).toBeUndefined()
    apic.accept(fixed(0, { mode: 'nmi' }))
    apic.accept(fixed(0, { mode: 'init' }))
    apic.accept(fixed(0, { mode: 'init', deassert: true }))
    apic.accept(fixed(0x9a, { mode: 'start-up' }))
    expect(signals).toEqual(['nmi', 'init', 'sipi 154'])
  })

  it('tells the bus of the end of level-triggered interrupts only', () => {
    const { apic, ended } = rig()
    enable(apic)
    for (const message of [fixed(0x41, { level: true }), fixed(0x51)]) {
      apic.accept(message)
      apic.acknowledge()
      write(apic, R.APIC_EOI, 0)
    }
    expect(ended).toEqual([0x41])
  })

  it('reports an illegal vector in the ESR after a write to it', () => {
    const { apic } = rig()
    enable(apic)
    write(apic, R.APIC_LVT_ERROR, 0xfe)
    apic.accept(fixed(5))
    expect(read(apic, R.APIC_ESR)).toBe(0)
    write(apic, R.APIC_ESR, 0)
    expect(read(apic, R.APIC_ESR)).toBe(R.ESR_RECEIVE_ILLEGAL_VECTOR)
    expect(apic.highestPending()).toBe(0xfe)
  })

  it('passes PIC interrupts after reset on the bootstrap processor only, and by LINT0', () => {
    expect(rig(1).apic.acceptsExtint).toBe(false)
    const { apic } = rig(0)
    expect(apic.acceptsExtint).toBe(true)
    enable(apic)
    write(apic, R.APIC_LVT_LINT0, 0x10700)
    expect(apic.acceptsExtint).toBe(false)
  })

  it('signals an NMI at LINT1', () => {
    const { apic, signals } = rig()
    enable(apic)
    write(apic, R.APIC_LVT_LINT1, 0x400)
    apic.signalPin(1)
    expect(signals).toEqual(['nmi'])
  })

  describe('interprocessor interrupts', () => {
    it('sends what the ICR says to the bus', () => {
      const { apic, sent } = rig()
      enable(apic)
      write(apic, R.APIC_ICR_HIGH, 3 << 24)
      write(apic, R.APIC_ICR, 0x4000 | 0xfd)
      write(apic, R.APIC_ICR, 0xc4500)
      expect(sent[0]).toMatchObject({ mode: 'fixed', vector: 0xfd, destination: 3, logical: false })
      expect(sent[1]).toMatchObject({ mode: 'init', shorthand: 'others', deassert: false })
    })

    it('takes one to itself', () => {
      const { apic, sent } = rig()
      enable(apic)
      write(apic, R.APIC_ICR, 0x40000 | 0x77)
      expect(sent).toEqual([])
      expect(apic.highestPending()).toBe(0x77)
    })

    it('matches physical, flat, cluster and broadcast destinations', () => {
      const { apic } = rig(2)
      expect(apic.matches(fixed(0, { destination: 2 }))).toBe(true)
      expect(apic.matches(fixed(0, { destination: 1 }))).toBe(false)
      expect(apic.matches(fixed(0, { destination: 0xff }))).toBe(true)
      write(apic, R.APIC_LDR, 0x24000000)
      expect(apic.matches(fixed(0, { destination: 0x04, logical: true }))).toBe(true)
      expect(apic.matches(fixed(0, { destination: 0x03, logical: true }))).toBe(false)
      write(apic, R.APIC_DFR, 0)
      expect(apic.matches(fixed(0, { destination: 0x2c, logical: true }))).toBe(true)
      expect(apic.matches(fixed(0, { destination: 0x1c, logical: true }))).toBe(false)
    })
  })

  describe('timer', () => {
    it('counts down once in one-shot mode', () => {
      const { apic, clock } = rig()
      enable(apic)
      write(apic, R.APIC_TIMER_DIVIDE, 3)
      write(apic, R.APIC_LVT_TIMER, 0x40)
      write(apic, R.APIC_TIMER_INITIAL, 100)
      pass(clock, 800)
      expect(read(apic, R.APIC_TIMER_CURRENT)).toBe(50)
      expect(apic.highestPending()).toBeUndefined()
      pass(clock, 800)
      expect(apic.highestPending()).toBe(0x40)
      expect(read(apic, R.APIC_TIMER_CURRENT)).toBe(0)
      expect(clock.deadline).toBe(Number.POSITIVE_INFINITY)
    })

    it('keeps its phase in periodic mode, also when periods pass unseen', () => {
      const { apic, clock } = rig()
      enable(apic)
      write(apic, R.APIC_TIMER_DIVIDE, 0xb)
      write(apic, R.APIC_LVT_TIMER, 0x20040)
      write(apic, R.APIC_TIMER_INITIAL, 1000)
      pass(clock, 3500)
      expect(apic.acknowledge()).toBe(0x40)
      expect(clock.deadline).toBe(4000)
    })

    it('fires at the TSC deadline and reads zero afterwards', () => {
      const made = rig()
      const { apic, clock } = made
      made.tscAdjust = 5000n
      enable(apic)
      write(apic, R.APIC_LVT_TIMER, 0x400ec)
      apic.writeMsr(0x6e0, 7000n)
      expect(apic.readMsr(0x6e0)).toBe(7000n)
      expect(clock.deadline).toBe(2000)
      pass(clock, 2000)
      expect(apic.highestPending()).toBe(0xec)
      expect(apic.readMsr(0x6e0)).toBe(0n)
    })

    it('ignores a deadline in the other modes, and is disarmed by a change of mode', () => {
      const { apic, clock } = rig()
      enable(apic)
      apic.writeMsr(0x6e0, 7000n)
      expect(apic.readMsr(0x6e0)).toBe(0n)
      write(apic, R.APIC_LVT_TIMER, 0x40)
      write(apic, R.APIC_TIMER_INITIAL, 1000)
      write(apic, R.APIC_LVT_TIMER, 0x40040)
      expect(clock.deadline).toBe(Number.POSITIVE_INFINITY)
    })
  })

  describe('x2APIC', () => {
    const x2 = () => {
      const made = rig(18)
      expect(made.apic.writeMsr(0x1b, 0xfee00c00n)).toBe(true)
      made.apic.writeMsr(0x80f, 0x1ffn)
      return made
    }

    it('has a 32-bit id, a derived logical id, and no register page', () => {
      const { apic } = x2()
      expect(apic.readMsr(0x802)).toBe(18n)
      expect(apic.readMsr(0x80d)).toBe(0x10004n)
      expect(apic.mmioBase).toBeUndefined()
      expect(apic.matches(fixed(0, { destination: 0x1000c, logical: true }))).toBe(true)
      expect(apic.matches(fixed(0, { destination: 0x2000c, logical: true }))).toBe(false)
    })

    it('sends with one 64-bit write', () => {
      const { apic, sent } = x2()
      expect(apic.writeMsr(0x830, (0x12345n << 32n) | 0xfcn)).toBe(true)
      expect(sent[0]).toMatchObject({ mode: 'fixed', vector: 0xfc, destination: 0x12345 })
      expect(apic.writeMsr(0x83f, 0x61n)).toBe(true)
      expect(apic.highestPending()).toBe(0x61)
    })

    it('refuses reserved bits, read-only and absent registers', () => {
      const { apic } = x2()
      expect(apic.writeMsr(0x802, 0n)).toBe(false)
      expect(apic.writeMsr(0x80b, 1n)).toBe(false)
      expect(apic.writeMsr(0x808, 0x100n)).toBe(false)
      expect(apic.readMsr(0x80e)).toBeUndefined()
      expect(apic.readMsr(0x80b)).toBeUndefined()
      expect(rig().apic.readMsr(0x802)).toBeUndefined()
    })

    it('is left only by disabling the APIC', () => {
      const { apic } = x2()
      expect(apic.writeMsr(0x1b, 0xfee00800n)).toBe(false)
      expect(apic.writeMsr(0x1b, 0xfee00000n)).toBe(true)
      expect(apic.writeMsr(0x1b, 0xfee00c00n)).toBe(false)
      expect(apic.writeMsr(0x1b, 0xfee00800n)).toBe(true)
      expect(apic.mmioBase).toBe(0xfee00000)
    })
  })

  it('continues after save and restore as JSON', () => {
    const a = rig()
    enable(a.apic)
    write(a.apic, R.APIC_LVT_TIMER, 0x20040)
    write(a.apic, R.APIC_TIMER_INITIAL, 1000)
    a.apic.accept(fixed(0x71, { level: true }))
    a.apic.acknowledge()
    a.apic.accept(fixed(0x35))
    pass(a.clock, 700)
    const b = rig()
    b.clock.restore(a.clock.save())
    b.apic.restore(JSON.parse(JSON.stringify(a.apic.save())))
    expect(b.apic.registers()).toEqual(a.apic.registers())
    pass(a.clock, 1300)
    pass(b.clock, 1300)
    write(b.apic, R.APIC_EOI, 0)
    write(a.apic, R.APIC_EOI, 0)
    expect(b.ended).toEqual([0x71])
    expect(b.apic.highestPending()).toBe(0x40)
    expect(b.apic.save()).toEqual(a.apic.save())
  })
})
