/** Breakpoints of the debugger: the code is cut there, and nothing of the guest is touched. */

import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Guest, Host } from './guest/guest.ts'
import { CODE, enterLongMode, HOLE, setGate, VMCALL } from './guest/long-mode.ts'

const host = new Host()
const guest = new Guest(host)
afterAll(() => guest.release())
afterEach(() => host.processor.setBreakpoints({ linear: new Set() }))
beforeEach(() => enterLongMode(guest))

const breakAt = (...addresses: number[]) => host.processor.setBreakpoints({ linear: new Set(addresses.map(BigInt)) })
const rip = () => Number(guest.register('rip'))

describe('a breakpoint', () => {
  it('is reported before its instruction, once, and the run goes on from there', () => {
    guest.write(CODE, [0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, ...VMCALL]) // inc eax, three times
    guest.setRegisters({ rax: 0 })
    breakAt(CODE, CODE + 4)
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect([rip(), guest.register('rax')]).toEqual([CODE, 0n])
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect([rip(), guest.register('rax')]).toEqual([CODE + 4, 2n])
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
    expect(guest.register('rax')).toBe(3n)
  })

  it('is reported each time round a loop, whatever ran before it was set', () => {
    guest.write(CODE, [0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa, ...VMCALL]) // inc eax; dec ecx; jnz
    guest.setRegisters({ rcx: 3000 })
    guest.run(5000)
    const left = Number(guest.register('rcx'))
    breakAt(CODE)
    for (let i = 0; i < 20; i++) {
      expect(guest.run(1000)).toEqual({ reason: 'breakpoint' })
      expect(rip()).toBe(CODE)
    }
    expect(Number(guest.register('rcx'))).toBeLessThan(left - 18)
    breakAt()
    expect(guest.run(100_000)).toEqual({ reason: 'vmcall' })
  })

  it('at an instruction that faults and one at its handler are both reported', () => {
    setGate(guest, 14, 0x7400)
    guest.write(0x7400, VMCALL)
    guest.write(CODE, [0x8b, 0x07]) // mov eax, [rdi]
    guest.setRegisters({ rdi: HOLE })
    breakAt(CODE, 0x7400)
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(CODE)
    expect(guest.run(100)).toEqual({ reason: 'breakpoint' })
    expect(rip()).toBe(0x7400)
    expect(guest.run(100)).toEqual({ reason: 'vmcall' })
  })

  it('is of a linear address, in whatever page and mode it is reached', () => {
    // Real mode: CS 0x100, IP 0x20 is linear 0x1020.
    guest.vcpu.reset()
    const { registers } = guest.vcpu
    registers.setSegment('cs', { ...registers.segment('cs'), selector: 0x100, base: 0x1000n })
    guest.write(0x101e, [0x40, 0x40, 0x40]) // inc ax
    guest.setRegisters({ rip: 0x1e, rax: 0 })
    breakAt(0x1020)
    expect(guest.run(10)).toEqual({ reason: 'breakpoint' })
    expect([rip(), guest.register('rax')]).toEqual([0x20, 2n])
  })
})

describe('code segments', () => {
  it('may be more than the processor remembers', () => {
    // The same linear code under 2,305 segments: inc eax, then far to the segment below.
    const linear = 0xf000
    guest.vcpu.reset()
    const { registers } = guest.vcpu
    // 0: inc eax; 2: dec bx; 3: add dx, 16; 6: push bx; 7: push dx; 8: cmp bx, -1; 11: je 14; 13: retf; 14: vmcall
    guest.write(linear, [
      ...[0x66, 0x40, 0x4b, 0x83, 0xc2, 0x10, 0x53, 0x52],
      ...[0x83, 0xfb, 0xff, 0x74, 0x01, 0xcb, ...VMCALL],
    ])
    guest.setRegisters({ rax: 0 })
    for (let round = 0; round < 3; round++) {
      guest.setRegisters({ rbx: 0x900, rdx: linear - 0x9000, rsp: 0x8000, rip: linear - 0x9000 })
      registers.setSegment('cs', { ...registers.segment('cs'), selector: 0x900, base: 0x9000n })
      expect(guest.run(1_000_000)).toEqual({ reason: 'vmcall' })
    }
    expect(guest.register('rax')).toBe(BigInt(3 * 0x901))
  })
})
