import { describe, expect, it } from 'vitest'
import { Segment } from '../../../src/engine/cpu-state.ts'
import * as S from '../../../src/engine/state.ts'
import {
  descriptor,
  gate,
  KERNEL_CS,
  KERNEL_DS,
  longCpu,
  protectedCpu,
  TSS_SELECTOR,
  toUser,
  toUser64,
  USER_CS,
  USER_CS64,
  USER_DS,
} from './fake-cpu.ts'

const RSP = 4
const GATE = 0x40
const pointer = (selector: number, offset: number): bigint => (BigInt(selector) << 32n) | BigInt(offset)

describe('far JMP', () => {
  it('enters a code segment of the same ring', () => {
    const cpu = protectedCpu()
    cpu.describe(0x40, descriptor(0x10000, 0xffff, 0x9a, 0))
    cpu.run('Jmp_ptr1632', { immediate: pointer(0x40, 0x1234) })
    expect(cpu.state.segment(Segment.CS)).toEqual({ selector: 0x40, base: 0x10000n, limit: 0xffff, rights: 0x9b })
    expect(cpu.state.rip).toBe(0x1234n)
  })

  it('checks privilege, presence and limit', () => {
    const cpu = protectedCpu()
    const fault = (selector: number, offset = 0) => cpu.faultOf('Jmp_ptr1632', { immediate: pointer(selector, offset) })
    expect(fault(0)).toMatchObject({ vector: 13, errorCode: 0 })
    expect(fault(KERNEL_DS)).toMatchObject({ vector: 13, errorCode: KERNEL_DS })
    expect(fault(USER_CS)).toMatchObject({ vector: 13, errorCode: USER_CS & ~3 })
    cpu.describe(0x40, descriptor(0, 0xff, 0x9a, 0))
    expect(fault(0x40, 0x100)).toMatchObject({ vector: 13, errorCode: 0 })
    cpu.describe(0x40, descriptor(0, 0xff, 0x1a, 0))
    expect(fault(0x40)).toMatchObject({ vector: 11, errorCode: 0x40 })
    expect(cpu.state.rip).toBe(0x5000n)
  })

  it('keeps the ring in a conforming segment', () => {
    const cpu = toUser(protectedCpu())
    cpu.describe(0x40, descriptor(0, 0xfffff, 0x9e, 0xc))
    cpu.run('Jmp_ptr1632', { immediate: pointer(0x40, 0x100) })
    expect(cpu.state.cpl).toBe(3)
    expect(cpu.selector(Segment.CS)).toBe(0x43)
  })

  it('goes from compatibility mode to 64-bit code', () => {
    const cpu = longCpu()
    cpu.describe(0x40, descriptor(0, 0xfffff, 0x9a, 0xc))
    cpu.setSegment(Segment.CS, 0x40, 0xc09b)
    cpu.state.rip = 0x1000n
    cpu.run('Jmp_ptr1632', { immediate: pointer(KERNEL_CS, 0x100200) })
    expect(cpu.state.segment(Segment.CS).rights).toBe(0xa09b)
    expect(cpu.state.rip).toBe(0x100200n)
  })

  it('takes any selector in real mode', () => {
    const cpu = protectedCpu()
    cpu.state.set32(S.CR0, 0x10)
    cpu.setSegment(Segment.CS, 0, 0x9b, 0xffff)
    cpu.run('Jmp_ptr1616', { operandSize: 16, immediate: pointer(0xf000, 0xfff0) })
    expect(cpu.state.segment(Segment.CS)).toMatchObject({ selector: 0xf000, base: 0xf0000n, limit: 0xffff })
  })
})

describe('far CALL and RETF', () => {
  it('return within a ring', () => {
    const cpu = protectedCpu()
    cpu.memory.write32(0x6000n, 0x7777)
    cpu.memory.write16(0x6004n, KERNEL_CS)
    cpu.run('Call_m1632', { hasMemory: true, address: 0x6000n, length: 6 })
    expect(cpu.state.rip).toBe(0x7777n)
    expect(cpu.memory.read32(0x7ff8n)).toBe(0x5006)
    cpu.run('Retfd_imm16', { immediate: 8n })
    expect(cpu.state.rip).toBe(0x5006n)
    expect(cpu.state.gpr32(RSP)).toBe(0x8008)
  })

  it('change nothing when the stack is absent', () => {
    const cpu = protectedCpu()
    cpu.memory.absent.add(7)
    expect(cpu.faultOf('Call_ptr1632', { immediate: pointer(KERNEL_CS, 0x100) })).toMatchObject({
      vector: 14,
      errorCode: 2,
    })
    expect(cpu.state.gpr32(RSP)).toBe(0x8000)
  })

  it('go through a call gate to ring 0 with parameters, and back out', () => {
    const cpu = toUser(protectedCpu())
    cpu.describe(GATE, gate(KERNEL_CS, 0x6000, 0xec, 2))
    cpu.memory.write32(0x8000n, 0x11)
    cpu.memory.write32(0x8004n, 0x22)
    cpu.run('Call_ptr1632', { immediate: pointer(GATE | 3, 0xdead), length: 7 })
    expect(cpu.state.rip).toBe(0x6000n)
    expect(cpu.state.cpl).toBe(0)
    expect(cpu.selector(Segment.SS)).toBe(KERNEL_DS)
    const top = cpu.state.gpr32(RSP)
    expect(top).toBe(0x9000 - 24)
    expect([0, 4, 8, 12, 16, 20].map(i => cpu.memory.read32(BigInt(top + i)))).toEqual([
      0x5007,
      USER_CS,
      0x11,
      0x22,
      0x8000,
      USER_DS,
    ])
    cpu.run('Retfd_imm16', { immediate: 8n })
    expect(cpu.state.cpl).toBe(3)
    expect(cpu.state.gpr32(RSP)).toBe(0x8008)
    expect(cpu.state.rip).toBe(0x5007n)
  })

  it('go through a 64-bit call gate', () => {
    const cpu = toUser64(longCpu())
    cpu.describe(GATE, gate(KERNEL_CS, 0x80006000, 0xec), 0xffffffffn)
    cpu.memory.write32(0x6000n, 0)
    cpu.memory.write16(0x6004n, GATE | 3)
    cpu.run('Call_m1632', { hasMemory: true, address: 0x6000n, length: 2 })
    expect(cpu.state.rip).toBe(0xffffffff80006000n)
    expect(cpu.state.gpr(RSP)).toBe(0x9000n - 32n)
    cpu.run('Retfq', { operandSize: 64 })
    expect(cpu.state.rip).toBe(0x401002n)
    expect(cpu.state.gpr(RSP)).toBe(0x7ffd00008000n)
    expect(cpu.selector(Segment.CS)).toBe(USER_CS64)
  })

  it('refuse a gate above the caller, and an inward return', () => {
    const cpu = toUser(protectedCpu())
    cpu.describe(GATE, gate(KERNEL_CS, 0x6000, 0x8c))
    expect(cpu.faultOf('Call_ptr1632', { immediate: pointer(GATE, 0) })).toMatchObject({ vector: 13, errorCode: GATE })
    cpu.memory.write32(0x8004n, KERNEL_CS)
    expect(cpu.faultOf('Retfd')).toMatchObject({ vector: 13, errorCode: KERNEL_CS })
    expect(cpu.faultOf('Jmp_ptr1632', { immediate: pointer(TSS_SELECTOR, 0) })).toMatchObject({ vector: 13 })
  })
})

describe('IRET', () => {
  function frame(cpu: ReturnType<typeof longCpu>, words: bigint[]): void {
    for (const [i, word] of words.entries()) cpu.memory.write64(cpu.state.gpr(RSP) + BigInt(i * 8), word)
  }

  it('pops SS:RSP also within ring 0 of 64-bit mode, and unblocks NMIs', () => {
    const cpu = longCpu()
    cpu.state.set32(S.INTERRUPTIBILITY, 8)
    frame(cpu, [0xffffffff80005000n, BigInt(KERNEL_CS), 0x246n, 0xffff888000001000n, BigInt(KERNEL_DS)])
    cpu.run('Iretq', { operandSize: 64 })
    expect(cpu.state.gpr(RSP)).toBe(0xffff888000001000n)
    expect(cpu.state.rflags).toBe(0x246)
    expect(cpu.state.get32(S.INTERRUPTIBILITY)).toBe(0)
  })

  it('refuses a non-canonical RIP and NT in long mode', () => {
    const cpu = longCpu()
    frame(cpu, [0x800000000000n, BigInt(KERNEL_CS), 2n, 0n, BigInt(KERNEL_DS)])
    expect(cpu.faultOf('Iretq', { operandSize: 64 })).toMatchObject({ vector: 13, errorCode: 0 })
    cpu.state.rflags = 0x4002
    expect(cpu.faultOf('Iretq', { operandSize: 64 })).toMatchObject({ vector: 13, errorCode: 0 })
  })

  it('leaves IF and IOPL alone where the ring may not change them', () => {
    const cpu = toUser64(longCpu())
    cpu.state.rflags = 0x202
    frame(cpu, [0x402000n, BigInt(USER_CS64), 0x43003n, 0x7ffd00008100n, BigInt(USER_DS)])
    cpu.run('Iretq', { operandSize: 64 })
    expect(cpu.state.rflags).toBe(0x40203)
  })

  it('returns from the 64-bit kernel to compatibility mode', () => {
    const cpu = longCpu()
    frame(cpu, [0x8048000n, BigInt(USER_CS), 0x202n, 0xffff1000n, BigInt(USER_DS)])
    cpu.run('Iretq', { operandSize: 64 })
    expect(cpu.state.segment(Segment.CS).rights & 0xff).toBe(0xfb)
    expect(cpu.state.cpl).toBe(3)
    expect(cpu.state.gpr(RSP)).toBe(0xffff1000n)
  })
})
