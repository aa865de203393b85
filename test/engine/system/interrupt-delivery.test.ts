import { describe, expect, it } from 'vitest'
import { Segment } from '../../../src/engine/cpu-state.ts'
import { GuestFault } from '../../../src/engine/fault.ts'
import * as S from '../../../src/engine/state.ts'
import { deliver, deliverEvent, escalate, eventOf, raise } from '../../../src/engine/system/interrupt-delivery.ts'
import {
  type FakeCpu,
  FakeExit,
  gate,
  IDT,
  KERNEL_CS,
  KERNEL_DS,
  longCpu,
  protectedCpu,
  TSS,
  toUser,
  toUser64,
  USER_CS,
  USER_CS64,
  USER_DS,
} from './fake-cpu.ts'

const RSP = 4
const IF = 0x200
const RF = 0x10000

function gate64(cpu: FakeCpu, vector: number, offset: bigint, access = 0x8e, ist = 0, selector = KERNEL_CS): void {
  const at = IDT + BigInt(vector * 16)
  cpu.memory.write64(at, gate(selector, Number(offset & 0xffffffffn), access, ist), true)
  cpu.memory.write64(at + 8n, offset >> 32n, true)
}

function gate32(cpu: FakeCpu, vector: number, offset: number, access = 0x8e, selector = KERNEL_CS): void {
  cpu.memory.write64(IDT + BigInt(vector * 8), gate(selector, offset, access), true)
}

function faultIn(action: () => void): GuestFault {
  try {
    action()
  } catch (thrown) {
    if (thrown instanceof GuestFault) return thrown
    throw thrown
  }
  throw new Error('no fault')
}

const stack64 = (cpu: FakeCpu, count: number): bigint[] =>
  Array.from({ length: count }, (_, i) => cpu.memory.read64(cpu.state.gpr(RSP) + BigInt(i * 8), true))
const stack32 = (cpu: FakeCpu, count: number): number[] =>
  Array.from({ length: count }, (_, i) => cpu.memory.read32(BigInt(cpu.state.gpr32(RSP) + i * 4), true))

describe('event delivery in long mode', () => {
  it('pushes SS:RSP and aligns the stack also without a change of ring', () => {
    const cpu = longCpu()
    gate64(cpu, 0x20, 0xffffffff80002000n)
    cpu.state.rflags = 0x202
    deliverEvent(cpu, { vector: 0x20, kind: 'external' })
    expect(cpu.state.rip).toBe(0xffffffff80002000n)
    expect(cpu.state.gpr(RSP)).toBe(0xffff888000008000n - 40n)
    expect(stack64(cpu, 5)).toEqual([
      0xffffffff80001000n,
      BigInt(KERNEL_CS),
      0x202n,
      0xffff888000008008n,
      BigInt(KERNEL_DS),
    ])
    expect(cpu.state.rflags & IF).toBe(0)
    expect(cpu.selector(Segment.SS)).toBe(KERNEL_DS)
  })

  it('takes the ring 0 stack from the TSS and leaves SS null, with the error code of a page fault on top', () => {
    const cpu = toUser64(longCpu())
    cpu.memory.supervisorOnly.add(8)
    gate64(cpu, 14, 0xffffffff80003000n)
    cpu.state.rflags = 0x246
    expect(raise(cpu, new GuestFault(14, 6, 0xdeadb000n))).toBe('delivered')
    expect(cpu.state.get64(S.CR2)).toBe(0xdeadb000n)
    expect(cpu.state.gpr(RSP)).toBe(0x9000n - 48n)
    expect(stack64(cpu, 6)).toEqual([
      6n,
      0x401000n,
      BigInt(USER_CS64),
      BigInt(0x246 | RF),
      0x7ffd00008000n,
      BigInt(USER_DS),
    ])
    expect(cpu.state.cpl).toBe(0)
    expect(cpu.selector(Segment.SS)).toBe(0)
    expect(cpu.selector(Segment.CS)).toBe(KERNEL_CS)
  })

  it('uses the interrupt stack table, also in ring 0, and blocks NMIs', () => {
    const cpu = longCpu()
    gate64(cpu, 2, 0xffffffff80003000n, 0x8e, 1)
    deliverEvent(cpu, { vector: 2, kind: 'nmi' })
    expect(cpu.state.gpr(RSP)).toBe(0xa000n - 40n)
    expect(cpu.state.get32(S.INTERRUPTIBILITY)).toBe(8)
  })

  it('faults with IDT and EXT bits as the manual says', () => {
    const cpu = toUser64(longCpu())
    gate64(cpu, 0x80, 0x1000n, 0x8e)
    expect(cpu.faultOf('Int_imm8', { immediate: 0x80n })).toMatchObject({ vector: 13, errorCode: 0x402 })
    gate64(cpu, 0x80, 0x1000n, 0x6e)
    expect(cpu.faultOf('Int_imm8', { immediate: 0x80n })).toMatchObject({ vector: 11, errorCode: 0x402 })
    expect(faultIn(() => deliverEvent(cpu, { vector: 0x80, kind: 'external' }))).toMatchObject({ errorCode: 0x403 })
    gate64(cpu, 0x80, 0x1000n, 0xee, 0, USER_CS)
    expect(cpu.faultOf('Int_imm8', { immediate: 0x80n })).toMatchObject({ vector: 13, errorCode: USER_CS & ~3 })
    cpu.state.set32(S.IDTR_LIMIT, 0x7ff)
    expect(faultIn(() => deliverEvent(cpu, { vector: 0x80, kind: 'external' }))).toMatchObject({ errorCode: 0x403 })
  })

  it('returns past the instruction from INT n and INT3', () => {
    const cpu = toUser64(longCpu())
    gate64(cpu, 3, 0xffffffff80003000n, 0xef)
    cpu.state.rflags = 0x202 | RF
    cpu.run('Int3', { length: 1 })
    expect(stack64(cpu, 3)).toEqual([0x401001n, BigInt(USER_CS64), 0x202n])
    expect(cpu.state.rflags & IF).toBe(IF)
  })

  it('changes nothing when the stack is absent, and becomes a double fault on its own stack', () => {
    const cpu = toUser64(longCpu())
    cpu.memory.absent.add(8)
    gate64(cpu, 14, 0xffffffff80003000n)
    gate64(cpu, 8, 0xffffffff80004000n, 0x8e, 1)
    expect(raise(cpu, new GuestFault(14, 4, 0x1000n))).toBe('delivered')
    expect(cpu.state.rip).toBe(0xffffffff80004000n)
    expect(stack64(cpu, 2)).toEqual([0n, 0x401000n])
    expect(cpu.state.get64(S.CR2)).toBe(0x8ff8n)
  })

  it('ends in a triple fault', () => {
    const cpu = longCpu()
    cpu.state.set32(S.IDTR_LIMIT, 0)
    expect(raise(cpu, new GuestFault(6))).toBe('triple-fault')
    expect(cpu.state.rip).toBe(0xffffffff80001000n)
  })

  it('asks the interceptor before every exception, and not for interrupts', () => {
    const cpu = longCpu()
    const seen: number[] = []
    const intercept = ({ vector }: { vector: number }) => {
      seen.push(vector)
      if (vector === 13) throw new FakeExit({ reason: 'hlt' }, false)
    }
    expect(() => deliver(cpu, { vector: 0x30, kind: 'external' }, intercept)).toThrow()
    expect(seen).toEqual([13])
    expect(cpu.state.rip).toBe(0xffffffff80001000n)
  })

  it('returns with IRETQ to where it came from', () => {
    const cpu = toUser64(longCpu())
    gate64(cpu, 0x20, 0xffffffff80002000n)
    cpu.state.rflags = 0x293
    deliverEvent(cpu, { vector: 0x20, kind: 'external' })
    cpu.run('Iretq', { operandSize: 64 })
    expect(cpu.state.rip).toBe(0x401000n)
    expect(cpu.state.gpr(RSP)).toBe(0x7ffd00008000n)
    expect(cpu.state.rflags).toBe(0x293)
    expect(cpu.state.cpl).toBe(3)
    expect(cpu.selector(Segment.CS)).toBe(USER_CS64)
    expect(cpu.selector(Segment.SS)).toBe(USER_DS)
  })
})

describe('event delivery in protected mode', () => {
  it('stays on the stack within a ring', () => {
    const cpu = protectedCpu()
    gate32(cpu, 13, 0x6000, 0x8f)
    cpu.state.rflags = 0x202
    raise(cpu, new GuestFault(13, 0x28))
    expect(stack32(cpu, 4)).toEqual([0x28, 0x5000, KERNEL_CS, 0x202 | RF])
    expect(cpu.state.rflags & IF).toBe(IF)
    expect(cpu.state.gpr32(RSP)).toBe(0x8000 - 16)
  })

  it('switches to the stack of ring 0 from ring 3, and back with IRETD', () => {
    const cpu = toUser(protectedCpu())
    cpu.memory.supervisorOnly.add(8)
    gate32(cpu, 0x80, 0x6000, 0xee)
    cpu.state.rflags = 0x3202
    cpu.run('Int_imm8', { immediate: 0x80n })
    expect(stack32(cpu, 5)).toEqual([0x5002, USER_CS, 0x3202, 0x8000, USER_DS])
    expect(cpu.selector(Segment.SS)).toBe(KERNEL_DS)
    cpu.setSegment(Segment.DS, KERNEL_DS, 0xc093)
    cpu.run('Iretd')
    expect(cpu.state.rip).toBe(0x5002n)
    expect(cpu.state.cpl).toBe(3)
    expect(cpu.state.gpr32(RSP)).toBe(0x8000)
    expect(cpu.state.segment(Segment.DS)).toMatchObject({ selector: 0, rights: 0x10000 })
    expect(cpu.selector(Segment.ES)).toBe(USER_DS)
  })

  it('pushes 16 bits through a 16-bit gate', () => {
    const cpu = protectedCpu()
    gate32(cpu, 0x21, 0x6000, 0x86)
    deliverEvent(cpu, { vector: 0x21, kind: 'external' })
    expect(cpu.state.gpr32(RSP)).toBe(0x8000 - 6)
    expect(cpu.memory.read16(0x7ffan)).toBe(0x5000)
  })

  it('reports a bad ring 0 stack as an invalid TSS', () => {
    const cpu = toUser(protectedCpu())
    gate32(cpu, 0x21, 0x6000)
    cpu.memory.write32(TSS + 8n, USER_DS)
    expect(faultIn(() => deliverEvent(cpu, { vector: 0x21, kind: 'external' }))).toMatchObject({
      vector: 10,
      errorCode: (USER_DS & ~3) | 1,
    })
    cpu.state.setSegment(Segment.TR, { selector: 0x28, base: TSS, limit: 5, rights: 0x8b })
    expect(faultIn(() => deliverEvent(cpu, { vector: 0x21, kind: 'external' }))).toMatchObject({
      vector: 10,
      errorCode: 0x29,
    })
  })

  it('leaves virtual-8086 mode with nine doublewords and null segments', () => {
    const cpu = protectedCpu()
    for (const [i, index] of [Segment.ES, Segment.CS, Segment.SS, Segment.DS, Segment.FS, Segment.GS].entries())
      cpu.setSegment(index, 0x100 + i, 0xf3, 0xffff, BigInt((0x100 + i) * 16))
    cpu.state.cpl = 3
    cpu.state.rflags = 0x23202
    cpu.state.rip = 0x10n
    cpu.state.setGpr(RSP, 0xfffen)
    gate32(cpu, 13, 0x6000)
    raise(cpu, new GuestFault(13, 0))
    expect(stack32(cpu, 10)).toEqual([0, 0x10, 0x101, 0x33202, 0xfffe, 0x102, 0x100, 0x103, 0x104, 0x105])
    expect(cpu.selector(Segment.DS)).toBe(0)
    expect(cpu.state.rflags & 0x20000).toBe(0)
    cpu.state.setGpr(RSP, cpu.state.gpr(RSP) + 4n)
    cpu.run('Iretd')
    expect(cpu.state.rflags & 0x20000).toBe(0x20000)
    expect(cpu.state.segment(Segment.GS)).toMatchObject({ selector: 0x105, base: 0x1050n, limit: 0xffff })
    expect(cpu.state.cpl).toBe(3)
    expect(cpu.state.rip).toBe(0x10n)
  })

  it('needs IOPL 3 for INT n in virtual-8086 mode, not for INT3', () => {
    const cpu = protectedCpu()
    cpu.state.cpl = 3
    cpu.state.rflags = 0x20002
    gate32(cpu, 3, 0x6000, 0xee)
    expect(cpu.faultOf('Int_imm8', { immediate: 3n })).toMatchObject({ vector: 13, errorCode: 0 })
    cpu.run('Int3')
    expect(cpu.state.cpl).toBe(0)
  })
})

describe('event delivery in real mode', () => {
  it('goes through the interrupt vector table', () => {
    const cpu = protectedCpu()
    cpu.state.set32(S.CR0, 0x10)
    cpu.state.set64(S.IDTR_BASE, 0n)
    cpu.setSegment(Segment.CS, 0x100, 0x9b, 0xffff, 0x1000n)
    cpu.setSegment(Segment.SS, 0x200, 0x93, 0xffff, 0x2000n)
    cpu.state.rip = 0x34n
    cpu.state.rflags = 0x202
    cpu.memory.write32(0x10n * 4n, 0xf0001234)
    cpu.run('Int_imm8', { immediate: 0x10n })
    expect(cpu.state.segment(Segment.CS)).toMatchObject({ selector: 0xf000, base: 0xf0000n })
    expect(cpu.state.rip).toBe(0x1234n)
    expect([0n, 2n, 4n].map(i => cpu.memory.read16(0x2000n + 0x7ffan + i))).toEqual([0x36, 0x100, 0x202])
    cpu.run('Iretw', { operandSize: 16 })
    expect(cpu.state.rip).toBe(0x36n)
    expect(cpu.state.rflags).toBe(0x202)
    expect(cpu.state.gpr32(RSP)).toBe(0x8000)
  })
})

describe('meeting exceptions', () => {
  it('follow the table of double faults', () => {
    const exception = (vector: number) => eventOf(new GuestFault(vector))
    expect(escalate(exception(13), new GuestFault(11))).toBe('double-fault')
    expect(escalate(exception(13), new GuestFault(14))).toBe('serial')
    expect(escalate(exception(14), new GuestFault(14))).toBe('double-fault')
    expect(escalate(exception(14), new GuestFault(10))).toBe('double-fault')
    expect(escalate(exception(6), new GuestFault(13))).toBe('serial')
    expect(escalate(exception(8), new GuestFault(14))).toBe('triple-fault')
    expect(escalate({ vector: 14, kind: 'external' }, new GuestFault(14))).toBe('serial')
  })
})
