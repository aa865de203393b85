/** A person changes registers or memory between two instructions: what the vCPU makes of it when it is told. */

import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ProcessorEvent } from '../../src/engine/processor.ts'
import { Guest, Host, TIERS } from './guest/guest.ts'
import { CODE, DATA, enterLongMode, HOLE, PAGE_TABLE, setGate, VMCALL } from './guest/long-mode.ts'

const HANDLER = 0x7400

describe.each(TIERS)('changes from outside and $tier code', ({ hotEntries }) => {
  const host = new Host({ hotEntries })
  const guest = new Guest(host)
  const told: ProcessorEvent[] = []
  afterAll(() => guest.release())
  afterEach(() => guest.vcpu.observe(undefined))
  beforeEach(() => {
    enterLongMode(guest)
    setGate(guest, 14, HANDLER)
    guest.write(HANDLER, VMCALL)
    guest.write(CODE, [0x90, 0x89, 0x07, ...VMCALL]) // nop; mov [rdi], eax
    guest.setRegisters({ rdi: HOLE + 8, rax: 0x1234 })
    told.length = 0
  })

  const rip = () => Number(guest.register('rip'))
  const stopBeforeFault = (): void => {
    guest.vcpu.observe({
      ...{ interrupts: false, controlRegisters: false, msrs: false, transitions: false, returns: false },
      exceptions: 1 << 14,
      happened: event => told.push(event) > 0,
    })
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(CODE + 1)
  }

  it('a fault whose cause was repaired does not happen: its instruction is executed', () => {
    stopBeforeFault()
    guest.write64(PAGE_TABLE + (HOLE >> 12) * 8, BigInt(DATA) | 3n)
    guest.vcpu.stateChanged()
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect([rip(), guest.register('cr2')]).toEqual([CODE + 6, 0n])
    expect([...guest.read(DATA + 8, 2)]).toEqual([0x34, 0x12])
    expect(told).toHaveLength(1)
  })

  it('one that was not repaired is delivered without another word', () => {
    stopBeforeFault()
    guest.setRegisters({ r15: 1 })
    guest.vcpu.stateChanged()
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect([rip(), guest.register('cr2')]).toEqual([HANDLER + 3, BigInt(HOLE + 8)])
    expect(told).toHaveLength(1)
  })

  it('one at another address, or at another time, is told of', () => {
    stopBeforeFault()
    guest.setRegisters({ rdi: HOLE + 16 })
    guest.vcpu.stateChanged()
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(told).toHaveLength(2)
    guest.setRegisters({ rip: CODE })
    guest.vcpu.stateChanged()
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(told).toHaveLength(3)
  })

  it('does not happen to an instruction that is executed instead', () => {
    stopBeforeFault()
    guest.setRegisters({ rip: CODE + 3 })
    guest.vcpu.stateChanged()
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect(rip()).toBe(CODE + 6)
  })

  it('a page table is read anew: what a translation allowed before counts no more', () => {
    const entry = PAGE_TABLE + (DATA >> 12) * 8
    guest.setRegisters({ rdi: DATA })
    expect(guest.run(2)).toEqual({ reason: 'budget' })
    guest.write64(entry, BigInt(DATA) | 1n)
    guest.setRegisters({ rip: CODE })
    expect(guest.run(2)).toEqual({ reason: 'budget' })
    expect(rip(), 'the translation from before').toBe(CODE + 3)
    guest.setRegisters({ rip: CODE })
    guest.vcpu.stateChanged()
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect([rip(), guest.register('cr2')]).toEqual([HANDLER + 3, BigInt(DATA)])
  })
})
