import { describe, expect, it } from 'vitest'
import * as S from '../../../src/engine/state.ts'
import { type FakeCpu, longCpu, protectedCpu, toUser } from './fake-cpu.ts'

function write(cpu: FakeCpu, register: number, value: bigint): void {
  cpu.state.setGpr(0, value)
  cpu.log.length = 0
  cpu.run('Mov_cr_r64', { register0: register, register1: 0 })
}

function writeFault(cpu: FakeCpu, register: number, value: bigint) {
  cpu.state.setGpr(0, value)
  return cpu.faultOf('Mov_cr_r64', { register0: register, register1: 0 })
}

const GP = { vector: 13, errorCode: 0 }

describe('CR0', () => {
  it('turns long mode on with paging when EFER.LME and CR4.PAE are set', () => {
    const cpu = protectedCpu()
    cpu.state.set32(S.EFER, 0x100)
    expect(writeFault(cpu, 0, 0x80000011n)).toMatchObject(GP)
    cpu.state.set32(S.CR4, 0x20)
    write(cpu, 0, 0x80000011n)
    expect(cpu.state.get32(S.EFER)).toBe(0x500)
    expect(cpu.log).toEqual(['flush all', 'context'])
    write(cpu, 0, 0x11n)
    expect(cpu.state.get32(S.EFER)).toBe(0x100)
  })

  it('refuses paging without protection, NW without CD, and leaving paging in 64-bit code', () => {
    expect(writeFault(protectedCpu(), 0, 0x80000010n)).toMatchObject(GP)
    expect(writeFault(protectedCpu(), 0, 0x20000011n)).toMatchObject(GP)
    expect(writeFault(longCpu(), 0, 0x11n)).toMatchObject(GP)
    expect(writeFault(longCpu(), 0, 0x180000011n)).toMatchObject(GP)
  })

  it('flushes everything when WP changes, and nothing for TS', () => {
    const cpu = longCpu()
    write(cpu, 0, 0x80010011n)
    expect(cpu.log).toEqual(['flush all', 'context'])
    write(cpu, 0, 0x80010019n)
    expect(cpu.log).toEqual(['context'])
    cpu.run('Clts')
    expect(cpu.state.get32(S.CR0)).toBe(0x80010011)
  })

  it('keeps ET set and PE with LMSW', () => {
    const cpu = protectedCpu()
    write(cpu, 0, 1n)
    expect(cpu.state.get32(S.CR0)).toBe(0x11)
    cpu.state.setGpr(0, 0xen)
    cpu.run('Lmsw_rm16', { operandSize: 16 })
    cpu.run('Smsw_r32m16')
    expect(cpu.state.gpr32(0)).toBe(0x1f)
  })
})

describe('CR3', () => {
  it('flushes non-global entries without PCIDs', () => {
    const cpu = longCpu()
    write(cpu, 3, 0x123000n)
    expect(cpu.log).toEqual(['flush', 'context'])
    expect(writeFault(cpu, 3, 1n << 40n)).toMatchObject(GP)
    expect(writeFault(cpu, 3, 1n << 63n)).toMatchObject(GP)
  })

  it('flushes one PCID, or nothing with bit 63', () => {
    const cpu = longCpu()
    write(cpu, 4, 0x20020n)
    write(cpu, 3, 0x123005n)
    expect(cpu.log).toEqual(['flush pcid 5', 'context'])
    write(cpu, 3, (1n << 63n) | 0x124006n)
    expect(cpu.log).toEqual(['context'])
    expect(cpu.state.get64(S.CR3)).toBe(0x124006n)
  })

  it('refuses reserved bits in PAE page-directory-pointer entries', () => {
    const cpu = protectedCpu()
    cpu.state.set32(S.CR4, 0x20)
    cpu.state.set32(S.CR0, 0x80000011)
    cpu.memory.write64(0x6000n, 0x7001n)
    write(cpu, 3, 0x6000n)
    cpu.memory.write64(0x6008n, 0x7003n)
    expect(writeFault(cpu, 3, 0x6000n)).toMatchObject(GP)
  })

  it('tells the hypervisor after the write when it asked', () => {
    const cpu = longCpu()
    cpu.controls.crExits.cr3 = true
    cpu.state.setGpr(0, 0x5000n)
    const left = cpu.exitOf('Mov_cr_r64', { register0: 3, register1: 0 })
    expect(left).toEqual({ exit: { reason: 'cr-access', register: 3, value: 0x5000n }, retired: true })
    expect(cpu.state.get64(S.CR3)).toBe(0x5000n)
  })
})

describe('CR4', () => {
  it('refuses what CPUID does not report, and leaving PAE in long mode', () => {
    const cpu = longCpu()
    for (const bit of [6, 12, 13, 14, 15, 19, 23, 24, 31])
      expect(writeFault(cpu, 4, 0x20n | (1n << BigInt(bit)))).toMatchObject(GP)
    expect(writeFault(cpu, 4, 0n)).toMatchObject(GP)
  })

  it('flushes for PGE, not for OSFXSR', () => {
    const cpu = longCpu()
    write(cpu, 4, 0xa0n)
    expect(cpu.log).toEqual(['flush all', 'context'])
    write(cpu, 4, 0x6a0n)
    expect(cpu.log).toEqual(['context'])
  })

  it('enables PCIDs in long mode with PCID 0 only', () => {
    const cpu = longCpu()
    cpu.state.set64(S.CR3, 0x1003n)
    expect(writeFault(cpu, 4, 0x20020n)).toMatchObject(GP)
    expect(writeFault(protectedCpu(), 4, 0x20020n)).toMatchObject(GP)
  })
})

describe('control registers', () => {
  it('are privileged, and CR1 and CR5 are none', () => {
    expect(writeFault(toUser(protectedCpu()), 0, 0n)).toMatchObject(GP)
    expect(writeFault(protectedCpu(), 1, 0n).vector).toBe(6)
    expect(protectedCpu().faultOf('Mov_r32_cr', { register0: 0, register1: 5 }).vector).toBe(6)
  })

  it('give the task priority as CR8', () => {
    const cpu = longCpu()
    write(cpu, 8, 5n)
    expect(cpu.taskPriority).toBe(5)
    expect(writeFault(cpu, 8, 16n)).toMatchObject(GP)
    cpu.run('Mov_r64_cr', { register0: 1, register1: 8 })
    expect(cpu.state.gpr(1)).toBe(5n)
  })
})

describe('debug registers', () => {
  const DR6 = S.DR + 48
  const DR7 = S.DR + 56

  it('keep their fixed bits', () => {
    const cpu = longCpu()
    cpu.state.setGpr(0, 0xffffffffn)
    cpu.run('Mov_dr_r64', { register0: 6, register1: 0 })
    expect(cpu.state.get64(DR6)).toBe(0xffffefffn)
    cpu.state.setGpr(0, 0n)
    cpu.run('Mov_dr_r64', { register0: 6, register1: 0 })
    expect(cpu.state.get64(DR6)).toBe(0xffff0ff0n)
    cpu.run('Mov_dr_r64', { register0: 7, register1: 0 })
    expect(cpu.state.get64(DR7)).toBe(0x400n)
    cpu.state.setGpr(0, 1n << 32n)
    expect(cpu.faultOf('Mov_dr_r64', { register0: 7, register1: 0 })).toMatchObject(GP)
  })

  it('are guarded by DR7.GD', () => {
    const cpu = longCpu()
    cpu.state.set64(DR7, 0x2400n)
    expect(cpu.faultOf('Mov_r64_dr', { register0: 0, register1: 0 }).vector).toBe(1)
    expect(cpu.state.get64(DR6) & 0x2000n).toBe(0x2000n)
  })

  it('alias DR4 and DR5 unless CR4.DE forbids it', () => {
    const cpu = longCpu()
    cpu.state.set64(DR6, 0xffff0ff1n)
    cpu.run('Mov_r64_dr', { register0: 3, register1: 4 })
    expect(cpu.state.gpr(3)).toBe(0xffff0ff1n)
    cpu.state.set32(S.CR4, 0x28)
    expect(cpu.faultOf('Mov_r64_dr', { register0: 3, register1: 4 }).vector).toBe(6)
  })
})
