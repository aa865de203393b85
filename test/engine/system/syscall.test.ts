import { describe, expect, it } from 'vitest'
import { Segment } from '../../../src/engine/cpu-state.ts'
import * as S from '../../../src/engine/state.ts'
import { longCpu, protectedCpu, toUser, toUser64 } from './fake-cpu.ts'

const STAR = 0x0023_0010_1234_5678n

describe('SYSCALL and SYSRET', () => {
  it('enter 64-bit code by LSTAR, save RIP and RFLAGS and apply the mask', () => {
    const cpu = toUser64(longCpu())
    cpu.state.set64(S.MSR_STAR, STAR)
    cpu.state.set64(S.MSR_LSTAR, 0xffffffff81000000n)
    cpu.state.set64(S.MSR_FMASK, 0x47700n)
    cpu.state.rflags = 0x10a93
    cpu.run('Syscall')
    expect(cpu.state.rip).toBe(0xffffffff81000000n)
    expect(cpu.state.gpr(1)).toBe(0x401002n)
    expect(cpu.state.gpr(11)).toBe(0xa93n)
    expect(cpu.state.rflags).toBe(0x893)
    expect(cpu.state.cpl).toBe(0)
    expect(cpu.state.segment(Segment.CS)).toEqual({ selector: 0x10, base: 0n, limit: 0xffffffff, rights: 0xa09b })
    expect(cpu.state.segment(Segment.SS)).toEqual({ selector: 0x18, base: 0n, limit: 0xffffffff, rights: 0xc093 })
    cpu.run('Sysretq', { operandSize: 64 })
    expect(cpu.state.rip).toBe(0x401002n)
    expect(cpu.state.rflags).toBe(0xa93)
    expect(cpu.state.cpl).toBe(3)
    expect(cpu.state.segment(Segment.CS)).toMatchObject({ selector: 0x33, rights: 0xa0fb })
    expect(cpu.state.segment(Segment.SS)).toMatchObject({ selector: 0x2b, rights: 0xc0f3 })
  })

  it('enter by CSTAR from compatibility mode, and return to it', () => {
    const cpu = toUser64(longCpu())
    cpu.setSegment(Segment.CS, 0x23, 0xc0fb)
    cpu.state.set64(S.MSR_STAR, STAR)
    cpu.state.set64(S.MSR_CSTAR, 0xffffffff81000100n)
    cpu.run('Syscall')
    expect(cpu.state.rip).toBe(0xffffffff81000100n)
    cpu.state.setGpr(1, 0x1_0804_8000n)
    cpu.run('Sysretd')
    expect(cpu.state.rip).toBe(0x8048000n)
    expect(cpu.state.segment(Segment.CS)).toMatchObject({ selector: 0x23, rights: 0xc0fb })
  })

  it('keep a non-canonical return address for the fetch in ring 3 to fault', () => {
    const cpu = longCpu()
    cpu.state.set64(S.MSR_STAR, STAR)
    cpu.state.setGpr(1, 0x800000000000n)
    cpu.run('Sysretq', { operandSize: 64 })
    expect(cpu.state.rip).toBe(0x800000000000n)
    expect(cpu.state.cpl).toBe(3)
  })

  it('use STAR in legacy mode', () => {
    const cpu = toUser(protectedCpu())
    cpu.state.set32(S.EFER, 1)
    cpu.state.set64(S.MSR_STAR, STAR)
    cpu.state.rflags = 0x202
    cpu.run('Syscall')
    expect(cpu.state.rip).toBe(0x12345678n)
    expect(cpu.state.gpr32(1)).toBe(0x5002)
    expect(cpu.state.rflags).toBe(2)
    expect(cpu.state.segment(Segment.CS).rights).toBe(0xc09b)
  })

  it('do not exist without EFER.SCE; SYSRET is privileged', () => {
    const cpu = toUser64(longCpu())
    expect(cpu.faultOf('Sysretq', { operandSize: 64 })).toMatchObject({ vector: 13, errorCode: 0 })
    cpu.state.set32(S.EFER, 0xd00)
    expect(cpu.faultOf('Syscall').vector).toBe(6)
  })
})

describe('SYSENTER and SYSEXIT', () => {
  it('work outside long mode', () => {
    const cpu = toUser(protectedCpu())
    expect(cpu.faultOf('Sysenter')).toMatchObject({ vector: 13, errorCode: 0 })
    cpu.state.set64(S.MSR_SYSENTER_CS, 8n)
    cpu.state.set64(S.MSR_SYSENTER_EIP, 0xc0100000n)
    cpu.state.set64(S.MSR_SYSENTER_ESP, 0xc0200000n)
    cpu.run('Sysenter')
    expect(cpu.state.rip).toBe(0xc0100000n)
    expect(cpu.state.gpr(4)).toBe(0xc0200000n)
    expect([Segment.CS, Segment.SS].map(index => cpu.selector(index))).toEqual([8, 0x10])
    cpu.state.setGpr(1, 0x8000n)
    cpu.state.setGpr(2, 0x401000n)
    cpu.run('Sysexitd')
    expect(cpu.state.rip).toBe(0x401000n)
    expect([Segment.CS, Segment.SS].map(index => cpu.selector(index))).toEqual([0x1b, 0x23])
    expect(cpu.state.cpl).toBe(3)
  })

  it('are invalid in long mode, as on AMD', () => {
    expect(toUser64(longCpu()).faultOf('Sysenter').vector).toBe(6)
  })
})
