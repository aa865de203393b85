/** When events are taken: shadows, NMIs, HLT, double and triple faults, and processors that start others. */

import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { InterruptMessage } from '../../src/engine/processor.ts'
import { Guest, Host } from './guest/guest.ts'
import { CODE, DATA, enterLongMode, setGate, VMCALL } from './guest/long-mode.ts'

const host = new Host()
const guest = new Guest(host, { cpus: 2 })
const { vcpu } = guest
afterAll(() => guest.release())

const IF = 0x200
const VECTOR = 0x50
const HANDLER = 0x7400
/** inc ebx; iretq */
const COUNT = [0xff, 0xc3, 0x48, 0xcf]
const NMI: InterruptMessage = { mode: 'nmi', vector: 2, destination: 0, logical: false, level: false }

const word = (value: number): number[] => [0, 8, 16, 24].map(shift => (value >> shift) & 0xff)
const wrmsr = (msr: number, low: number, high = 0): number[] => [
  ...[0xb9, ...word(msr)],
  ...[0xb8, ...word(low)],
  ...[0xba, ...word(high)],
  ...[0x0f, 0x30],
]

function load(code: readonly number[], registers: Readonly<Record<string, bigint | number>> = {}): void {
  guest.write(CODE, code)
  guest.setRegisters({ rip: CODE, rbx: 0, rflags: 2, ...registers })
  guest.clock.count = 0
}
const rip = (): number => Number(guest.register('rip')) - CODE

beforeEach(() => {
  enterLongMode(guest)
  guest.write(HANDLER, COUNT)
  setGate(guest, VECTOR, HANDLER)
  setGate(guest, 2, HANDLER)
})

describe('an external interrupt', () => {
  it('is let in after the instruction that follows STI', () => {
    load([0xfb, 0x90, 0x90, 0x90]) // sti; nop
    vcpu.requestInterruptWindow(true)
    expect(guest.run(100)).toEqual({ reason: 'interrupt-window' })
    expect([rip(), guest.clock.count]).toEqual([2, 2])
    expect(vcpu.interruptible).toBe(true)
  })

  it('is let in at once when STI changes nothing', () => {
    load([0xfb, 0x90], { rflags: 2 | IF })
    vcpu.requestInterruptWindow(true)
    expect(guest.run(100)).toEqual({ reason: 'interrupt-window' })
    expect(rip()).toBe(0)
  })

  it('is not let in between STI and CLI', () => {
    load([0xfb, 0xfa, 0x90, ...VMCALL]) // sti; cli
    vcpu.requestInterruptWindow(true)
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    vcpu.requestInterruptWindow(false)
  })

  it('is let in after the instruction that follows MOV SS, and POP of a flag image that allows it', () => {
    load([0x8e, 0xd0, 0x90, 0x90], { rax: guest.register('ss'), rflags: 2 | IF }) // mov ss, ax; nop
    expect(guest.run(1)).toEqual({ reason: 'budget' })
    expect(vcpu.interruptible).toBe(false)
    vcpu.requestInterruptWindow(true)
    expect(guest.run(100)).toEqual({ reason: 'interrupt-window' })
    expect(rip()).toBe(3)

    enterLongMode(guest)
    load([0x68, ...word(2 | IF), 0x9d, 0x90]) // push; popfq; nop
    vcpu.requestInterruptWindow(true)
    expect(guest.run(100)).toEqual({ reason: 'interrupt-window' })
    expect(rip()).toBe(6)
  })

  it('is delivered between two instructions, and the program goes on as if nothing had been', () => {
    load([0xff, 0xc0, 0xff, 0xc0, ...VMCALL], { rax: 0, rflags: 2 | IF })
    guest.run(1)
    vcpu.injectInterrupt(VECTOR)
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect([guest.register('rax'), guest.register('rbx')]).toEqual([2n, 1n])
    // inc, inc ebx, iretq, inc, vmcall: its delivery counts for nothing.
    expect(guest.clock.count).toBe(5)
    expect(guest.register('rflags') & BigInt(IF)).toBe(BigInt(IF))
  })

  it('ends HLT, and the handler returns behind it', () => {
    load([0xfb, 0xf4, 0xff, 0xc0, ...VMCALL], { rax: 0 }) // sti; hlt; inc eax
    expect(guest.run(100)).toEqual({ reason: 'hlt' })
    expect(vcpu.activity).toBe('hlt')
    expect(guest.run(100)).toEqual({ reason: 'hlt' })
    expect(guest.clock.count).toBe(2)
    expect(vcpu.interruptible).toBe(true)
    vcpu.injectInterrupt(VECTOR)
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect([guest.register('rax'), guest.register('rbx')]).toEqual([1n, 1n])
  })
})

describe('a non-maskable interrupt', () => {
  it('is taken with IF clear, and ends HLT', () => {
    load([0xfa, 0xf4, ...VMCALL]) // cli; hlt
    expect(guest.run(100)).toEqual({ reason: 'hlt' })
    vcpu.acceptInterrupt(NMI)
    expect(vcpu.activity).toBe('active')
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect(guest.register('rbx')).toBe(1n)
  })

  it('waits for the IRET of the one before', () => {
    guest.write(HANDLER, [0xff, 0xc3, 0x90, 0x90, 0x48, 0xcf]) // inc ebx; nop; nop; iretq
    load([0x90, 0x90, ...VMCALL])
    vcpu.acceptInterrupt(NMI)
    guest.run(1)
    expect(guest.register('rip')).toBe(BigInt(HANDLER + 2))
    vcpu.acceptInterrupt(NMI)
    vcpu.acceptInterrupt(NMI)
    guest.run(2)
    expect(guest.register('rip')).toBe(BigInt(HANDLER + 4))
    guest.run(2)
    expect(guest.register('rip')).toBe(BigInt(HANDLER + 2))
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    // The second and third became one.
    expect(guest.register('rbx')).toBe(2n)
  })
})

describe('exceptions in the delivery of exceptions', () => {
  it('become a double fault, and a triple fault when there is no handler for that either', () => {
    load([0x0f, 0x0b, ...VMCALL]) // ud2
    guest.vcpu.registers.setTable('idtr', { base: 0x5000n, limit: 9 * 16 - 1 })
    // A gate that is not there: #NP in the delivery of #DE is a double fault.
    guest.write64(0x5000, 0n)
    guest.write64(0x5008, 0n)
    setGate(guest, 8, HANDLER)
    guest.write(HANDLER, [0x58, ...VMCALL]) // pop rax
    load([0x31, 0xc9, 0xf7, 0xf1], { rax: 1 }) // xor ecx, ecx; div ecx
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect(guest.register('rax')).toBe(0n)

    enterLongMode(guest)
    guest.vcpu.registers.setTable('idtr', { base: 0x5000n, limit: 0 })
    load([0x0f, 0x0b])
    expect(guest.run(100)).toEqual({ reason: 'triple-fault' })
    expect(vcpu.activity).toBe('shutdown')
    expect(guest.run(100)).toEqual({ reason: 'triple-fault' })
    expect(rip()).toBe(0)
    expect(guest.clock.count).toBe(0)
  })
})

describe('a processor', () => {
  const [ICR, APIC_BASE] = [0x830, 0x1b]
  const X2APIC = wrmsr(APIC_BASE, 0xfee0_0d00)
  const INIT = wrmsr(ICR, 0x4500, 1)
  const SIPI = wrmsr(ICR, 0x4600 | 0x20, 1)
  const second = guest.vcpus[1]

  it('waits for INIT and SIPI, then starts in real mode at the page of the vector', () => {
    second.reset()
    expect(second.activity).toBe('wait-for-sipi')
    expect(guest.run(100, second)).toMatchObject({ reason: 'hlt' })
    // mov word [0x500], 0x1234; mov ax, cs; mov [0x502], ax; vmcall
    guest.write(0x20000, [0xc7, 0x06, 0x00, 0x05, 0x34, 0x12, 0x8c, 0xc8, 0xa3, 0x02, 0x05, ...VMCALL])
    load([...X2APIC, ...INIT, ...SIPI, ...VMCALL])
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect(second.activity).toBe('active')
    expect(guest.run(100, second)).toEqual({ reason: 'vmcall' })
    expect(guest.read32(0x500)).toBe(0x2000_1234)
  })

  it('ignores a second SIPI while it runs, and starts again after another INIT', () => {
    guest.write(0x20000, [0x40, 0xeb, 0xfd]) // inc ax; jmp
    second.reset()
    load([...X2APIC, ...INIT, ...SIPI, ...SIPI, ...VMCALL])
    guest.run(100)
    guest.run(10, second)
    const before = second.registers.get('rax')
    expect(before).not.toBe(0n)
    load([...SIPI, ...VMCALL])
    guest.run(100)
    guest.run(2, second)
    expect(second.registers.get('rax')).toBe(before + 1n)
    load([...INIT, ...VMCALL])
    guest.run(100)
    expect(second.activity).toBe('wait-for-sipi')
    load([...SIPI, ...VMCALL])
    guest.run(100)
    guest.run(1, second)
    expect([second.registers.get('rax'), second.registers.get('rip')]).toEqual([1n, 1n])
  })

  it('is not changed by a look at it while INIT and SIPI wait for it', () => {
    guest.write(0x20000, [0x40, 0xeb, 0xfd]) // inc ax; jmp
    second.reset()
    load([...X2APIC, ...INIT, ...SIPI, ...VMCALL])
    guest.run(100)
    guest.run(10, second)
    const signals = [
      { code: INIT, activity: 'wait-for-sipi' },
      { code: SIPI, activity: 'active' },
    ]
    for (const { code, activity } of signals) {
      load([...code, ...VMCALL])
      guest.run(100)
      const before = second.save()
      expect(second.activity).toBe(activity)
      expect(second.save()).toEqual(before)
    }
    expect(second.registers.get('rax')).not.toBe(0n)
    second.takeSignals()
    expect([second.activity, second.registers.get('rax'), second.registers.get('rip')]).toEqual(['active', 0n, 0n])
  })

  it('interrupts another, which its halt ends', () => {
    second.reset()
    guest.write(0x20000, [0xf4])
    load([...X2APIC, ...INIT, ...SIPI, ...VMCALL])
    guest.run(100)
    expect(guest.run(100, second)).toEqual({ reason: 'hlt' })
    const ipi = wrmsr(ICR, 0x4400, 1) // NMI
    guest.write32(2 * 4, DATA)
    guest.write(DATA, VMCALL)
    load([...ipi, ...VMCALL])
    guest.run(100)
    expect(second.activity).toBe('active')
  })
})
