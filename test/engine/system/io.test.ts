import { describe, expect, it } from 'vitest'
import { Segment } from '../../../src/engine/cpu-state.ts'
import * as S from '../../../src/engine/state.ts'
import { protectedCpu, TSS, TSS_SELECTOR, toUser } from './fake-cpu.ts'

const GP = { vector: 13, errorCode: 0 }

describe('IN and OUT', () => {
  it('retire an OUT before leaving', () => {
    const cpu = protectedCpu()
    cpu.state.setGpr(0, 0x12345678n)
    cpu.state.setGpr(2, 0xffff03f8n)
    expect(cpu.exitOf('Out_DX_AL', { length: 1 })).toEqual({
      exit: { reason: 'io', port: 0x3f8, size: 1, write: true, value: 0x78 },
      retired: true,
    })
    expect(cpu.state.rip).toBe(0x5001n)
    expect(cpu.exitOf('Out_imm8_EAX', { immediate: -16n }).exit).toMatchObject({ port: 0xf0, value: 0x12345678 })
  })

  it('run an IN again with its answer', () => {
    const cpu = protectedCpu()
    cpu.state.setGpr(0, 0x1122334455667788n)
    expect(cpu.exitOf('In_AX_imm8', { immediate: 0x60n })).toMatchObject({
      exit: { port: 0x60, size: 2, write: false },
      retired: false,
    })
    expect(cpu.state.rip).toBe(0x5000n)
    cpu.completion = { kind: 'in', value: 0xabcd }
    cpu.run('In_AX_imm8', { immediate: 0x60n })
    expect(cpu.state.gpr(0)).toBe(0x112233445566abcdn)
    cpu.completion = { kind: 'in', value: 0xef }
    cpu.run('In_AL_imm8', { immediate: 0x60n })
    expect(cpu.state.gpr(0)).toBe(0x112233445566abefn)
    cpu.completion = { kind: 'in', value: 0xfedcba98 }
    cpu.run('In_EAX_DX')
    expect(cpu.state.gpr(0)).toBe(0xfedcba98n)
  })

  it('ask the permission bitmap above IOPL', () => {
    const cpu = toUser(protectedCpu())
    expect(cpu.faultOf('In_AL_imm8', { immediate: 0x60n })).toMatchObject(GP)
    cpu.state.setSegment(Segment.TR, { selector: TSS_SELECTOR, base: TSS, limit: 0x67 + 0x21, rights: 0x8b })
    expect(cpu.exitOf('In_EAX_DX').exit).toMatchObject({ reason: 'io', port: 0, size: 4 })
    cpu.memory.write8(TSS + 0x68n + 12n, 0x08, true)
    expect(cpu.exitOf('In_AX_imm8', { immediate: 0x61n }).exit).toMatchObject({ port: 0x61 })
    expect(cpu.faultOf('In_AX_imm8', { immediate: 0x62n })).toMatchObject(GP)
    cpu.state.setGpr(2, 0x3f8n)
    expect(cpu.faultOf('In_AL_DX')).toMatchObject(GP)
    cpu.state.rflags = 0x3002
    expect(cpu.exitOf('In_AL_DX').exit).toMatchObject({ port: 0x3f8 })
  })
})

describe('string I/O', () => {
  it('repeats an iteration an execution until the count is zero', () => {
    const cpu = protectedCpu()
    cpu.memory.write16(0x6000n, 0x4241)
    cpu.state.setGpr(1, 2n)
    cpu.state.setGpr(6, 0x6000n)
    const outsb = () => cpu.exitOf('Outsb_DX_m8', { repeat: 1, hasMemory: true, address: cpu.state.gpr(6) })
    expect(outsb()).toMatchObject({ exit: { value: 0x41, write: true }, retired: true })
    expect(cpu.state.rip).toBe(0x5000n)
    expect(outsb().exit).toMatchObject({ value: 0x42 })
    expect(cpu.state.rip).toBe(0x5002n)
    expect([cpu.state.gpr(1), cpu.state.gpr(6)]).toEqual([0n, 0x6002n])
  })

  it('does nothing when the count is zero', () => {
    const cpu = protectedCpu()
    cpu.run('Insb_m8_DX', { repeat: 1, hasMemory: true, address: 0x6000n })
    expect(cpu.state.rip).toBe(0x5002n)
  })

  it('translates the destination before it reads the port', () => {
    const cpu = protectedCpu()
    cpu.memory.absent.add(6)
    expect(cpu.faultOf('Insd_m32_DX', { hasMemory: true, address: 0x6000n })).toMatchObject({
      vector: 14,
      errorCode: 2,
    })
  })

  it('goes down with DF and wraps at the address size', () => {
    const cpu = protectedCpu()
    cpu.state.rflags = 0x402
    cpu.state.setGpr(7, 0x1230001n)
    cpu.state.setGpr(1, 0xffff0001n)
    cpu.completion = { kind: 'in', value: 0xbeef }
    cpu.run('Insw_m16_DX', { addressSize: 16, repeat: 1, hasMemory: true, address: 1n })
    expect(cpu.state.gpr(7)).toBe(0x123ffffn)
    expect(cpu.state.gpr(1)).toBe(0xffff0000n)
    expect(cpu.memory.read16(1n)).toBe(0xbeef)
    expect(cpu.state.rip).toBe(0x5002n)
  })

  it('is checked like IN and OUT', () => {
    const cpu = toUser(protectedCpu())
    expect(cpu.faultOf('Outsb_DX_m8', { hasMemory: true, address: 0x6000n })).toMatchObject(GP)
    cpu.state.set32(S.CR0, 0x10)
    expect(cpu.exitOf('Outsb_DX_m8', { hasMemory: true, address: 0x6000n }).exit).toMatchObject({ reason: 'io' })
  })
})
