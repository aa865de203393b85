import { describe, expect, it } from 'vitest'
import { longCpu, protectedCpu, toUser, toUser64 } from './fake-cpu.ts'

const GP = { vector: 13, errorCode: 0 }

describe('POPF', () => {
  it('loads what the privilege level allows', () => {
    const image = 0x247fd7
    const cpu = protectedCpu()
    cpu.memory.write32(0x8000n, image)
    cpu.run('Popfd')
    expect(cpu.state.rflags).toBe(image)
    const user = toUser(protectedCpu())
    user.memory.write32(0x8000n, image)
    user.run('Popfd')
    expect(user.state.rflags).toBe(image & ~0x3200)
    user.state.rflags = 0x3002
    user.state.setGpr(4, 0x8000n)
    user.run('Popfd')
    expect(user.state.rflags).toBe(image)
  })

  it('needs IOPL 3 in virtual-8086 mode, and keeps IOPL there', () => {
    const cpu = protectedCpu()
    cpu.state.cpl = 3
    cpu.state.rflags = 0x20002
    expect(cpu.faultOf('Popfw', { operandSize: 16 })).toMatchObject(GP)
    cpu.state.rflags = 0x23002
    cpu.memory.write16(0x8000n, 0x0202)
    cpu.run('Popfw', { operandSize: 16 })
    expect(cpu.state.rflags).toBe(0x23202)
  })
})

describe('STAC and CLAC', () => {
  it('change AC in ring 0 only', () => {
    const cpu = longCpu()
    cpu.run('Stac')
    expect(cpu.state.rflags).toBe(0x40002)
    cpu.run('Clac')
    expect(cpu.state.rflags).toBe(2)
    expect(toUser64(longCpu()).faultOf('Stac').vector).toBe(6)
  })
})

describe('BOUND and INTO', () => {
  it('compare signed', () => {
    const cpu = protectedCpu()
    cpu.memory.write32(0x6000n, -5)
    cpu.memory.write32(0x6004n, 5)
    const bound = { hasMemory: true, address: 0x6000n, register0: 0 }
    cpu.state.setGpr(0, 0xfffffffbn)
    cpu.run('Bound_r32_m3232', bound)
    cpu.state.setGpr(0, 6n)
    expect(cpu.faultOf('Bound_r32_m3232', bound).vector).toBe(5)
  })

  it('do nothing without overflow', () => {
    const cpu = protectedCpu()
    cpu.run('Into', { length: 1 })
    expect(cpu.state.rip).toBe(0x5001n)
  })
})
