/** Events that a debugger asks for: told when they happen, before or after, and the run goes on as without. */

import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Observer, ProcessorEvent } from '../../src/engine/processor.ts'
import { Guest, Host, TIERS } from './guest/guest.ts'
import { CODE, enterLongMode, HOLE, PML4, setGate, VMCALL } from './guest/long-mode.ts'

const NOTHING = {
  ...{ exceptions: 0, interrupts: false, controlRegisters: false, msrs: false, transitions: false, returns: false },
}

describe.each(TIERS)('an observer of $tier code', ({ hotEntries }) => {
  const host = new Host({ hotEntries })
  const guest = new Guest(host)
  const told: ProcessorEvent[] = []
  afterAll(() => guest.release())
  afterEach(() => guest.vcpu.observe(undefined))
  beforeEach(() => {
    enterLongMode(guest)
    told.length = 0
  })

  const observe = (wanted: Partial<Observer>): void =>
    guest.vcpu.observe({ ...NOTHING, happened: event => told.push(event) > 0, ...wanted })
  const rip = () => Number(guest.register('rip'))

  it('stops before the delivery of an exception, which then happens', () => {
    setGate(guest, 14, 0x7400)
    guest.write(0x7400, VMCALL)
    guest.write(CODE, [0x90, 0x89, 0x07]) // nop; mov [rdi], eax
    guest.setRegisters({ rdi: HOLE + 8 })
    observe({ exceptions: 1 << 14 })
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect([rip(), guest.register('rsp'), guest.register('cr2')]).toEqual([CODE + 1, 0x31000n, 0n])
    const address = BigInt(HOLE + 8)
    expect(told).toEqual([
      { kind: 'exception', vector: 14, errorCode: 2, address, during: undefined, rip: BigInt(CODE + 1) },
    ])
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect([rip(), guest.register('cr2')]).toEqual([0x7400 + 3, address])
    expect(told).toHaveLength(1)
  })

  it('is told of a double fault by what caused it, and of each once', () => {
    guest.write(CODE, [0x0f, 0x0b]) // ud2
    setGate(guest, 8, 0x7400)
    guest.write(0x7400, VMCALL)
    guest.write64(0x5000 + 13 * 16, 0n) // no handler for #GP
    guest.write64(0x5000 + 6 * 16, 0n) // none for #UD
    observe({ exceptions: 0xffff_ffff })
    const vectors: unknown[] = []
    for (let exit = guest.run(100); exit.reason === 'breakpoint'; exit = guest.run(100)) {
      const last = told[told.length - 1]
      vectors.push(last.kind === 'exception' ? [last.vector, last.during, rip()] : last)
    }
    expect(vectors).toEqual([
      [6, undefined, CODE],
      [13, 6, CODE],
      [8, 6, CODE],
    ])
  })

  it('is told of control registers and MSRs after the write, with the value before', () => {
    // mov cr3, rax; mov ecx, 0xc0000102; mov eax, 0x1234; xor edx, edx; wrmsr
    guest.write(CODE, [
      0x0f,
      0x22,
      0xd8,
      0xb9,
      2,
      1,
      0,
      0xc0,
      0xb8,
      0x34,
      0x12,
      0,
      0,
      0x31,
      0xd2,
      0x0f,
      0x30,
      ...VMCALL,
    ])
    guest.setRegisters({ rax: PML4 })
    observe({ controlRegisters: true, msrs: true })
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(CODE + 3)
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(CODE + 17)
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect(told).toEqual([
      { kind: 'control-register', register: 3, old: BigInt(PML4), value: BigInt(PML4), rip: BigInt(CODE) },
      { kind: 'msr', msr: 0xc000_0102, old: 0n, value: 0x1234n, rip: BigInt(CODE + 15) },
    ])
  })

  it('is told of interrupts before their delivery, and of the return from them', () => {
    setGate(guest, 0x40, 0x7400)
    guest.write(0x7400, [0x48, 0xcf]) // iretq
    guest.write(CODE, [0xfb, 0x90, 0x90, 0x90, ...VMCALL]) // sti; nop...
    observe({ interrupts: true, returns: true })
    expect(guest.run(2)).toEqual({ reason: 'budget' })
    guest.vcpu.injectInterrupt(0x40)
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(CODE + 2)
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(CODE + 2)
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect(told).toEqual([
      { kind: 'interrupt', vector: 0x40, nmi: false, rip: BigInt(CODE + 2) },
      { kind: 'return', rip: 0x7400n },
    ])
  })

  it('is told of changes of CPL with their cause', () => {
    guest.write64(0x6000 + 24, 0x00cf_f300_0000_ffffn) // user data
    guest.write64(0x6000 + 32, 0x00af_fb00_0000_ffffn) // user code
    guest.vcpu.registers.setTable('gdtr', { base: 0x6000n, limit: 47 })
    for (let page = 0; page < 512; page++) guest.write64(0x4000 + page * 8, BigInt(page * 4096) | 7n)
    for (const table of [0x1000, 0x2000, 0x3000]) guest.write64(table, BigInt(guest.read64(table)) | 7n)
    guest.setRegisters({ msr_star: (0x10n << 48n) | (8n << 32n), msr_lstar: 0x7400, rcx: 0x11000, r11: 2, cr3: PML4 })
    guest.write(0x7400, VMCALL)
    guest.write(CODE, [0x48, 0x0f, 0x07]) // sysretq
    guest.write(0x11000, [0x0f, 0x05]) // syscall
    observe({ transitions: true })
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect([rip(), guest.vcpu.registers.cpl]).toEqual([0x11000, 3])
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect([rip(), guest.vcpu.registers.cpl]).toEqual([0x7400, 0])
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect(told).toEqual([
      { kind: 'transition', from: 0, to: 3, cause: 'sysret', rip: BigInt(CODE) },
      { kind: 'transition', from: 3, to: 0, cause: 'syscall', rip: 0x11000n },
    ])
  })
})
