import { describe, expect, it } from 'vitest'
import { Segment } from '../../../src/engine/cpu-state.ts'
import { GuestFault } from '../../../src/engine/fault.ts'
import * as S from '../../../src/engine/state.ts'
import { raise } from '../../../src/engine/system/interrupt-delivery.ts'
import {
  descriptor,
  type FakeCpu,
  GDT,
  gate,
  IDT,
  KERNEL_CS,
  KERNEL_DS,
  protectedCpu,
  TSS,
  TSS_SELECTOR,
  toUser,
  USER_CS,
  USER_DS,
} from './fake-cpu.ts'

const NEW_TSS = 0xb000n
const NEW_SELECTOR = 0x40
const pointer = (selector: number): bigint => BigInt(selector) << 32n
const accessByte = (cpu: FakeCpu, selector: number): number => cpu.memory.read8(GDT + BigInt(selector + 5), true)

interface Task {
  eip?: number
  eflags?: number
  cs?: number
  ss?: number
  ds?: number
  cr3?: number
}

function newTask(cpu: FakeCpu, task: Task = {}): void {
  const put = (offset: number, value: number) => cpu.memory.write32(NEW_TSS + BigInt(offset), value, true)
  cpu.describe(NEW_SELECTOR, descriptor(Number(NEW_TSS), 0x67, 0x89, 0))
  put(28, task.cr3 ?? 0)
  put(32, task.eip ?? 0x7000)
  put(36, task.eflags ?? 2)
  for (let i = 0; i < 8; i++) put(40 + i * 4, 0x100 + i)
  put(56, 0x9f00)
  put(72, task.ds ?? KERNEL_DS)
  put(76, task.cs ?? KERNEL_CS)
  put(80, task.ss ?? KERNEL_DS)
  put(84, task.ds ?? KERNEL_DS)
}

describe('a task switch', () => {
  it('by JMP saves the old task, loads the new one and moves the busy bit', () => {
    const cpu = protectedCpu()
    newTask(cpu, { cs: USER_CS, ss: USER_DS, ds: USER_DS })
    cpu.state.setGpr(3, 0xb0bn)
    cpu.run('Jmp_ptr1632', { immediate: pointer(NEW_SELECTOR), length: 7 })
    expect(cpu.memory.read32(TSS + 32n, true)).toBe(0x5007)
    expect(cpu.memory.read32(TSS + 52n, true)).toBe(0xb0b)
    expect(cpu.memory.read16(TSS + 76n, true)).toBe(KERNEL_CS)
    expect([accessByte(cpu, TSS_SELECTOR), accessByte(cpu, NEW_SELECTOR)]).toEqual([0x89, 0x8b])
    expect(cpu.state.rip).toBe(0x7000n)
    expect(cpu.state.gpr32(3)).toBe(0x103)
    expect(cpu.state.cpl).toBe(3)
    expect(cpu.selector(Segment.TR)).toBe(NEW_SELECTOR)
    expect(cpu.state.get32(S.CR0) & 8).toBe(8)
  })

  it('by CALL links back, and IRET with NT returns', () => {
    const cpu = protectedCpu()
    newTask(cpu)
    cpu.run('Call_ptr1632', { immediate: pointer(NEW_SELECTOR), length: 7 })
    expect(cpu.memory.read16(NEW_TSS)).toBe(TSS_SELECTOR)
    expect(cpu.state.rflags & 0x4000).toBe(0x4000)
    expect([accessByte(cpu, TSS_SELECTOR), accessByte(cpu, NEW_SELECTOR)]).toEqual([0x8b, 0x8b])
    cpu.run('Iretd', { length: 1 })
    expect(cpu.state.rip).toBe(0x5007n)
    expect(cpu.selector(Segment.TR)).toBe(TSS_SELECTOR)
    expect([accessByte(cpu, TSS_SELECTOR), accessByte(cpu, NEW_SELECTOR)]).toEqual([0x8b, 0x89])
    expect(cpu.memory.read32(NEW_TSS + 32n)).toBe(0x7001)
    expect(cpu.memory.read32(NEW_TSS + 36n) & 0x4000).toBe(0)
  })

  it('by a task gate of the IDT pushes the error code on the new stack', () => {
    const cpu = toUser(protectedCpu())
    newTask(cpu)
    cpu.memory.write64(IDT + 8n * 8n, gate(NEW_SELECTOR, 0, 0x85), true)
    expect(raise(cpu, new GuestFault(8, 0))).toBe('delivered')
    expect(cpu.state.rip).toBe(0x7000n)
    expect(cpu.state.gpr32(4)).toBe(0x9efc)
    expect(cpu.memory.read32(TSS + 32n)).toBe(0x5000)
  })

  it('enters virtual-8086 mode by its flags', () => {
    const cpu = protectedCpu()
    newTask(cpu, { eflags: 0x20002, cs: 0x1000, ss: 0x2000, ds: 0x3000, eip: 0x10 })
    cpu.run('Jmp_ptr1632', { immediate: pointer(NEW_SELECTOR) })
    expect(cpu.state.segment(Segment.DS)).toMatchObject({ selector: 0x3000, base: 0x30000n, rights: 0xf3 })
    expect(cpu.state.cpl).toBe(3)
  })

  it('raises a bad segment in the new task', () => {
    const cpu = protectedCpu()
    newTask(cpu, { ds: TSS_SELECTOR })
    cpu.memory.write64(IDT + 10n * 8n, gate(KERNEL_CS, 0x6000, 0x8e))
    cpu.run('Jmp_ptr1632', { immediate: pointer(NEW_SELECTOR) })
    expect(cpu.selector(Segment.TR)).toBe(NEW_SELECTOR)
    expect(cpu.state.rip).toBe(0x6000n)
    const esp = cpu.state.gpr(4)
    expect([0n, 4n].map(i => cpu.memory.read32(esp + i))).toEqual([TSS_SELECTOR, 0x7000])
  })

  it('refuses a busy, short or foreign TSS before anything changes', () => {
    const cpu = protectedCpu()
    const fault = () => cpu.faultOf('Jmp_ptr1632', { immediate: pointer(NEW_SELECTOR) })
    cpu.describe(NEW_SELECTOR, descriptor(Number(NEW_TSS), 0x67, 0x8b, 0))
    expect(fault()).toMatchObject({ vector: 13, errorCode: NEW_SELECTOR })
    cpu.describe(NEW_SELECTOR, descriptor(Number(NEW_TSS), 0x66, 0x89, 0))
    expect(fault()).toMatchObject({ vector: 10, errorCode: NEW_SELECTOR })
    cpu.describe(NEW_SELECTOR, descriptor(Number(NEW_TSS), 0x67, 0x09, 0))
    expect(fault()).toMatchObject({ vector: 11, errorCode: NEW_SELECTOR })
    expect(cpu.selector(Segment.TR)).toBe(TSS_SELECTOR)
  })

  it('works between 16-bit TSSs', () => {
    const cpu = protectedCpu()
    cpu.describe(NEW_SELECTOR, descriptor(Number(NEW_TSS), 0x2b, 0x81, 0))
    const put = (offset: number, value: number) => cpu.memory.write16(NEW_TSS + BigInt(offset), value)
    put(14, 0x1234)
    put(16, 2)
    put(34, KERNEL_DS)
    put(36, KERNEL_CS)
    put(38, KERNEL_DS)
    put(40, KERNEL_DS)
    cpu.run('Jmp_ptr1632', { immediate: pointer(NEW_SELECTOR) })
    expect(cpu.state.rip).toBe(0x1234n)
    expect(cpu.state.segment(Segment.FS).rights).toBe(0x10000)
    newTask(cpu)
    cpu.describe(0x48, descriptor(Number(TSS), 0x67, 0x89, 0))
    cpu.run('Jmp_ptr1632', { immediate: pointer(0x48) })
    expect(cpu.memory.read16(NEW_TSS + 14n)).toBe(0x1236)
  })

  it('announces the debug trap of the T flag', () => {
    const cpu = protectedCpu()
    newTask(cpu)
    cpu.memory.write16(NEW_TSS + 100n, 1)
    cpu.run('Jmp_ptr1632', { immediate: pointer(NEW_SELECTOR) })
    expect(cpu.state.get32(S.PENDING_DEBUG)).toBe(0x8000)
  })
})
