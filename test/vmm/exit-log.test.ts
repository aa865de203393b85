import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { ExitLog, IO_QUALIFICATION_OUT } from '../../src/vmm/exit-log.ts'
import { ScriptedVcpu } from './support/scripted-processor.ts'

function makeVcpu(index = 0) {
  const controls = {
    eptPointer: undefined,
    vpid: 1,
    exceptionBitmap: 0,
    crExits: { cr0: false, cr3: false, cr4: false },
    tscOffset: 0n,
  }
  return new ScriptedVcpu(index, new VirtualClock(), controls, [])
}

describe('the exit log', () => {
  it('keeps each exit with its place and what it was about', () => {
    const log = new ExitLog()
    const vcpu = makeVcpu(1)
    vcpu.registers.set('rip', 0xffff_ffff_8100_0001n)
    log.record(17, vcpu, { reason: 'io', port: 0x3f8, size: 1, write: true, value: 65 })
    log.record(18, vcpu, { reason: 'ept-violation', gpa: 0x1_0000_0000, linear: 0n, qualification: 0x182 })
    const rip = 0xffff_ffff_8100_0001n
    expect(log.last(10)).toEqual([
      { count: 17, vcpu: 1, reason: 'io', qualification: IO_QUALIFICATION_OUT + 0x3f8, rip, gpa: 0 },
      { count: 18, vcpu: 1, reason: 'ept-violation', qualification: 0x182, rip, gpa: 0x1_0000_0000 },
    ])
    expect(log.byReason()).toEqual({ io: 1, 'ept-violation': 1 })
    expect(log.byRip(5)).toEqual({ addresses: [{ rip, exits: 2 }], others: 0 })
  })

  it('leaves out what only the caller caused', () => {
    const log = new ExitLog()
    log.record(1, makeVcpu(), { reason: 'budget' })
    log.record(1, makeVcpu(), { reason: 'breakpoint' })
    expect(log.total).toBe(0)
  })

  it('keeps the last 4096, and counts all', () => {
    const log = new ExitLog()
    const vcpu = makeVcpu()
    for (let i = 0; i < 5000; i++) {
      vcpu.registers.set('rip', BigInt(i))
      log.record(i, vcpu, { reason: 'hlt' })
    }
    expect(log.total).toBe(5000)
    const last = log.last(10_000)
    expect(last).toHaveLength(4096)
    expect(last[0].count).toBe(904)
    expect(last.at(-1)?.count).toBe(4999)
    expect(log.byRip(10)).toMatchObject({ others: 4990 })
  })

  it('restores its totals', () => {
    const log = new ExitLog()
    const vcpu = makeVcpu()
    vcpu.registers.set('rip', 0x1234n)
    log.record(1, vcpu, { reason: 'hlt' })
    const copy = new ExitLog()
    copy.restore(log.save())
    expect(copy.byReason()).toEqual({ hlt: 1 })
    expect(copy.byRip(1)).toEqual(log.byRip(1))
  })
})
