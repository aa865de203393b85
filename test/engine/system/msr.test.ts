import { describe, expect, it } from 'vitest'
import { Segment } from '../../../src/engine/cpu-state.ts'
import { type FakeCpu, longCpu, protectedCpu, toUser } from './fake-cpu.ts'

const GP = { vector: 13, errorCode: 0 }

function prepare(cpu: FakeCpu, msr: number, value: bigint): void {
  cpu.state.setGpr(0, value & 0xffffffffn)
  cpu.state.setGpr(1, BigInt(msr))
  cpu.state.setGpr(2, value >> 32n)
}
function write(cpu: FakeCpu, msr: number, value: bigint): void {
  prepare(cpu, msr, value)
  cpu.run('Wrmsr')
}
function writeFault(cpu: FakeCpu, msr: number, value: bigint) {
  prepare(cpu, msr, value)
  return cpu.faultOf('Wrmsr')
}
const edxEax = (cpu: FakeCpu): bigint => (cpu.state.gpr(2) << 32n) | cpu.state.gpr(0)
function read(cpu: FakeCpu, msr: number): bigint {
  prepare(cpu, msr, 0n)
  cpu.run('Rdmsr')
  return edxEax(cpu)
}

describe('model-specific registers', () => {
  it('keep segment bases in the segment registers, canonical only', () => {
    const cpu = longCpu()
    write(cpu, 0xc0000101, 0xffff888000000000n)
    expect(cpu.state.segment(Segment.GS).base).toBe(0xffff888000000000n)
    expect(read(cpu, 0xc0000101)).toBe(0xffff888000000000n)
    for (const msr of [0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102])
      expect(writeFault(cpu, msr, 0x800000000000n)).toMatchObject(GP)
  })

  it('refuse unknown EFER bits and a change of LME under paging, and ignore LMA', () => {
    const cpu = longCpu()
    expect(writeFault(cpu, 0xc0000080, 0x1d01n)).toMatchObject(GP)
    expect(writeFault(cpu, 0xc0000080, 0xc01n)).toMatchObject(GP)
    cpu.log.length = 0
    write(cpu, 0xc0000080, 0x101n)
    expect(read(cpu, 0xc0000080)).toBe(0x501n)
    expect(cpu.log).toEqual(['flush all', 'context'])
  })

  it('move the time-stamp counter by TSC_ADJUST', () => {
    const cpu = longCpu()
    write(cpu, 0x10, 5000n)
    expect(read(cpu, 0x10)).toBe(5000n)
    expect(read(cpu, 0x3b)).toBe(4000n)
    write(cpu, 0x3b, 0n)
    expect(read(cpu, 0x10)).toBe(1000n)
  })

  it('check memory types', () => {
    const cpu = longCpu()
    write(cpu, 0x277, 0x0007040600070406n)
    expect(writeFault(cpu, 0x277, 2n)).toMatchObject(GP)
    expect(read(cpu, 0x277)).toBe(0x0007040600070406n)
    expect(read(cpu, 0xfe)).toBe(0x508n)
    expect(writeFault(cpu, 0xfe, 0n)).toMatchObject(GP)
    write(cpu, 0x2ff, 0xc06n)
    expect(writeFault(cpu, 0x2ff, 0xc02n)).toMatchObject(GP)
    write(cpu, 0x200, 0x80000006n)
    write(cpu, 0x201, 0xff80000800n)
    expect(writeFault(cpu, 0x201, 1n << 40n)).toMatchObject(GP)
    write(cpu, 0x26f, 0x0606060606060606n)
    expect(read(cpu, 0x26f)).toBe(0x0606060606060606n)
    expect(read(cpu, 0x20f)).toBe(0n)
  })

  it('of the local APIC go to it, where an absent one faults', () => {
    const cpu = longCpu()
    cpu.apicMsrs.set(0x1b, 0xfee00900n)
    expect(read(cpu, 0x1b)).toBe(0xfee00900n)
    expect(writeFault(cpu, 0x80f, 0n)).toMatchObject(GP)
  })

  it('that are unknown are decided by the hypervisor', () => {
    const cpu = longCpu()
    prepare(cpu, 0xc0010140, 0n)
    expect(cpu.exitOf('Rdmsr')).toMatchObject({ exit: { reason: 'rdmsr', msr: 0xc0010140 }, retired: false })
    cpu.completion = { kind: 'rdmsr', value: 0x1234567890n }
    expect(read(cpu, 0xc0010140)).toBe(0x1234567890n)
    cpu.completion = { kind: 'rdmsr', value: undefined }
    expect(cpu.faultOf('Rdmsr')).toMatchObject(GP)
    prepare(cpu, 0xc0010140, 7n)
    expect(cpu.exitOf('Wrmsr').exit).toEqual({ reason: 'wrmsr', msr: 0xc0010140, value: 7n })
    cpu.completion = { kind: 'wrmsr', known: false }
    expect(cpu.faultOf('Wrmsr')).toMatchObject(GP)
  })

  it('are privileged', () => {
    expect(toUser(protectedCpu()).faultOf('Rdmsr')).toMatchObject(GP)
  })
})

describe('CPUID', () => {
  it('asks the hypervisor and zero-extends its answer', () => {
    const cpu = longCpu()
    cpu.state.setGpr(0, 0xffffffff00000007n)
    cpu.state.setGpr(1, 1n)
    expect(cpu.exitOf('Cpuid').exit).toEqual({ reason: 'cpuid', leaf: 7, subleaf: 1 })
    cpu.completion = { kind: 'cpuid', result: { eax: 1, ebx: 0xffffffff, ecx: 3, edx: 4 } }
    cpu.run('Cpuid')
    expect([0, 3, 1, 2].map(register => cpu.state.gpr(register))).toEqual([1n, 0xffffffffn, 3n, 4n])
  })
})
