import { describe, expect, it } from 'vitest'
import { Segment } from '../../../src/engine/cpu-state.ts'
import * as S from '../../../src/engine/state.ts'
import {
  descriptor,
  GDT,
  KERNEL_CS,
  KERNEL_DS,
  LDT,
  longCpu,
  protectedCpu,
  TSS_SELECTOR,
  toUser,
  toUser64,
  USER_CS,
  USER_DS,
} from './fake-cpu.ts'

const load = (segment: number, selector: number) => ({
  operands: { register0: segment, register1: 0 },
  rax: BigInt(selector),
})

function mov(cpu: ReturnType<typeof protectedCpu>, segment: number, selector: number): void {
  const { operands, rax } = load(segment, selector)
  cpu.state.setGpr(0, rax)
  cpu.run('Mov_Sreg_r32m16', operands)
}

function movFault(cpu: ReturnType<typeof protectedCpu>, segment: number, selector: number) {
  const { operands, rax } = load(segment, selector)
  cpu.state.setGpr(0, rax)
  return cpu.faultOf('Mov_Sreg_r32m16', operands)
}

describe('loading a data segment', () => {
  it('fills the cache from the descriptor and sets its accessed bit', () => {
    const cpu = protectedCpu()
    cpu.describe(0x40, descriptor(0x12345678, 0xabcde, 0x92, 0x4))
    mov(cpu, Segment.ES, 0x40)
    expect(cpu.state.segment(Segment.ES)).toEqual({ selector: 0x40, base: 0x12345678n, limit: 0xabcde, rights: 0x4093 })
    expect(cpu.memory.read8(GDT + 0x45n)).toBe(0x93)
    expect(cpu.log).toContain('context')
  })

  it('makes the segment unusable with a null selector', () => {
    const cpu = protectedCpu()
    mov(cpu, Segment.FS, 3)
    expect(cpu.state.segment(Segment.FS)).toMatchObject({ selector: 3, rights: 0x10000 })
  })

  it('checks table limit, type, privilege and presence, in that order', () => {
    const cpu = toUser(protectedCpu())
    expect(movFault(cpu, Segment.DS, 0x103)).toMatchObject({ vector: 13, errorCode: 0x100 })
    expect(movFault(cpu, Segment.DS, 0x47)).toMatchObject({ vector: 13, errorCode: 0x44 })
    expect(movFault(cpu, Segment.DS, TSS_SELECTOR)).toMatchObject({ vector: 13, errorCode: TSS_SELECTOR })
    expect(movFault(cpu, Segment.DS, KERNEL_DS)).toMatchObject({ vector: 13, errorCode: KERNEL_DS })
    cpu.describe(0x40, descriptor(0, 0xfffff, 0x72, 0xc))
    expect(movFault(cpu, Segment.DS, 0x43)).toMatchObject({ vector: 11, errorCode: 0x40 })
    expect(cpu.selector(Segment.DS)).toBe(USER_DS)
  })

  it('finds descriptors of the LDT', () => {
    const cpu = protectedCpu()
    cpu.describe(0x40, descriptor(Number(LDT), 0xf, 0x82, 0))
    cpu.state.setGpr(0, 0x40n)
    cpu.run('Lldt_rm16')
    cpu.memory.write64(LDT + 8n, descriptor(0x1000, 0xff, 0xf2, 0))
    mov(cpu, Segment.GS, 0xf)
    expect(cpu.state.segment(Segment.GS)).toMatchObject({ selector: 0xf, base: 0x1000n, limit: 0xff })
    expect(movFault(cpu, Segment.GS, 0x17)).toMatchObject({ vector: 13, errorCode: 0x14 })
  })

  it('keeps the limit in real mode and takes 64 KiB in virtual-8086 mode', () => {
    const cpu = protectedCpu()
    cpu.state.set32(S.CR0, 0x10)
    mov(cpu, Segment.DS, 0x1234)
    expect(cpu.state.segment(Segment.DS)).toEqual({
      selector: 0x1234,
      base: 0x12340n,
      limit: 0xffffffff,
      rights: 0xc093,
    })
    cpu.state.set32(S.CR0, 0x11)
    cpu.state.rflags = 0x20002
    cpu.state.cpl = 3
    mov(cpu, Segment.DS, 0x1234)
    expect(cpu.state.segment(Segment.DS)).toEqual({ selector: 0x1234, base: 0x12340n, limit: 0xffff, rights: 0xf3 })
  })

  it('refuses CS and registers that are none', () => {
    expect(movFault(protectedCpu(), Segment.CS, KERNEL_CS)).toMatchObject({ vector: 6 })
    expect(movFault(protectedCpu(), 6, KERNEL_DS)).toMatchObject({ vector: 6 })
  })
})

describe('loading SS', () => {
  it('holds events off for one instruction', () => {
    const cpu = protectedCpu()
    mov(cpu, Segment.SS, KERNEL_DS)
    expect(cpu.state.get32(S.INTERRUPTIBILITY)).toBe(2)
  })

  it('wants a writable segment of the current privilege level', () => {
    const cpu = protectedCpu()
    expect(movFault(cpu, Segment.SS, 0)).toMatchObject({ vector: 13, errorCode: 0 })
    expect(movFault(cpu, Segment.SS, USER_DS)).toMatchObject({ vector: 13, errorCode: USER_DS & ~3 })
    expect(movFault(cpu, Segment.SS, KERNEL_CS)).toMatchObject({ vector: 13, errorCode: KERNEL_CS })
    cpu.describe(0x40, descriptor(0, 0xfffff, 0x12, 0xc))
    expect(movFault(cpu, Segment.SS, 0x40)).toMatchObject({ vector: 12, errorCode: 0x40 })
  })

  it('may be null in 64-bit code of rings 0 to 2', () => {
    const cpu = longCpu()
    mov(cpu, Segment.SS, 0)
    expect(cpu.state.segment(Segment.SS).rights).toBe(0x10000)
    expect(movFault(toUser64(longCpu()), Segment.SS, 3)).toMatchObject({ vector: 13, errorCode: 0 })
  })

  it('pops with the old stack size', () => {
    const cpu = protectedCpu()
    cpu.memory.write32(0x8000n, KERNEL_DS)
    cpu.run('Popd_SS')
    expect(cpu.state.gpr32(4)).toBe(0x8004)
  })
})

describe('far pointers', () => {
  it('load offset and segment, and nothing when the segment faults', () => {
    const cpu = protectedCpu()
    cpu.memory.write32(0x6000n, 0xcafe0000)
    cpu.memory.write16(0x6004n, KERNEL_DS)
    cpu.run('Les_r32_m1632', { hasMemory: true, address: 0x6000n, register0: 7 })
    expect(cpu.state.gpr(7)).toBe(0xcafe0000n)
    cpu.memory.write16(0x6004n, TSS_SELECTOR)
    cpu.memory.write32(0x6000n, 1)
    expect(cpu.faultOf('Les_r32_m1632', { hasMemory: true, address: 0x6000n, register0: 7 }).vector).toBe(13)
    expect(cpu.state.gpr(7)).toBe(0xcafe0000n)
  })
})

describe('LTR', () => {
  it('marks the TSS busy and takes a 64-bit base in long mode', () => {
    const cpu = longCpu()
    cpu.describe(TSS_SELECTOR, descriptor(0x4000, 0x67, 0x89, 0), 0xffff8000n)
    cpu.state.setGpr(0, BigInt(TSS_SELECTOR))
    cpu.run('Ltr_rm16')
    expect(cpu.state.segment(Segment.TR)).toEqual({
      selector: TSS_SELECTOR,
      base: 0xffff800000004000n,
      limit: 0x67,
      rights: 0x8b,
    })
    expect(cpu.memory.read8(GDT + BigInt(TSS_SELECTOR + 5))).toBe(0x8b)
    expect(cpu.faultOf('Ltr_rm16')).toMatchObject({ vector: 13, errorCode: TSS_SELECTOR })
  })

  it('is privileged and unknown in real mode', () => {
    expect(toUser(protectedCpu()).faultOf('Ltr_rm16')).toMatchObject({ vector: 13, errorCode: 0 })
    const cpu = protectedCpu()
    cpu.state.set32(S.CR0, 0x10)
    expect(cpu.faultOf('Ltr_rm16').vector).toBe(6)
  })
})

describe('questions about selectors', () => {
  const zero = (cpu: ReturnType<typeof protectedCpu>) => (cpu.state.rflags & 0x40) !== 0

  it('are answered in ZF with rights and limit', () => {
    const cpu = toUser(protectedCpu())
    cpu.state.setGpr(1, BigInt(USER_CS))
    cpu.run('Lar_r32_r32m16', { register0: 0, register1: 1 })
    expect(zero(cpu)).toBe(true)
    expect(cpu.state.gpr32(0)).toBe(0x00cffa00)
    cpu.run('Lsl_r32_r32m16', { register0: 0, register1: 1 })
    expect(cpu.state.gpr32(0)).toBe(0xffffffff)
    cpu.state.setGpr(1, BigInt(KERNEL_DS))
    cpu.run('Lsl_r32_r32m16', { register0: 0, register1: 1 })
    expect(zero(cpu)).toBe(false)
  })

  it('tell readable from writable', () => {
    const cpu = toUser(protectedCpu())
    const ask = (code: string, selector: number) => {
      cpu.state.setGpr(0, BigInt(selector))
      cpu.run(code)
      return zero(cpu)
    }
    expect(ask('Verr_rm16', USER_CS)).toBe(true)
    expect(ask('Verw_rm16', USER_CS)).toBe(false)
    expect(ask('Verw_rm16', USER_DS)).toBe(true)
    expect(ask('Verw_rm16', KERNEL_DS)).toBe(false)
    expect(ask('Verr_rm16', 0)).toBe(false)
  })

  it('raise an RPL with ARPL', () => {
    const cpu = protectedCpu()
    cpu.state.setGpr(0, 0x10n)
    cpu.state.setGpr(1, 3n)
    cpu.run('Arpl_rm16_r16', { operandSize: 16, register0: 0, register1: 1 })
    expect(cpu.state.gpr(0)).toBe(0x13n)
    expect(zero(cpu)).toBe(true)
    cpu.run('Arpl_rm16_r16', { operandSize: 16, register0: 0, register1: 1 })
    expect(zero(cpu)).toBe(false)
  })
})

describe('descriptor tables', () => {
  it('load and store with 64-bit bases, canonical only', () => {
    const cpu = longCpu()
    cpu.memory.write16(0x6000n, 0x123)
    cpu.memory.write64(0x6002n, 0xfffffe0000001000n)
    cpu.run('Lgdt_m1664', { hasMemory: true, address: 0x6000n })
    cpu.run('Sgdt_m1664', { hasMemory: true, address: 0x7000n })
    expect(cpu.memory.readBytes(0x7000n, 10)).toEqual(cpu.memory.readBytes(0x6000n, 10))
    cpu.memory.write64(0x6002n, 0x0001000000000000n)
    expect(cpu.faultOf('Lidt_m1664', { hasMemory: true, address: 0x6000n })).toMatchObject({ vector: 13, errorCode: 0 })
  })

  it('load 24 bits with a 16-bit operand', () => {
    const cpu = protectedCpu()
    cpu.memory.write32(0x6002n, 0x12345678)
    cpu.run('Lidt_m1632_16', { operandSize: 16, hasMemory: true, address: 0x6000n })
    expect(cpu.state.get64(S.IDTR_BASE)).toBe(0x345678n)
  })
})
