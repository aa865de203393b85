import { describe, expect, it } from 'vitest'
import type { AssistCpu } from '../../../src/engine/assist.ts'
import { GuestFault } from '../../../src/engine/fault.ts'
import * as S from '../../../src/engine/state.ts'
import { fullTagWord } from '../../../src/engine/x87/environment.ts'
import { x87Assists } from '../../../src/engine/x87/x87-assists.ts'
import { CR0_EM, CR0_MP, CR0_PE, CR0_TS } from '../../../src/x86/control-registers.ts'
import { createFakeCpu, fakeInstruction, OPERAND, UNMAPPED } from './fake-cpu.ts'

const ERROR_SUMMARY = 0x80
const STACK_OVERFLOW = 0x241
const PAGE_FAULT = 14

function run(cpu: AssistCpu, name: string, changes: Parameters<typeof fakeInstruction>[0] = {}): void {
  x87Assists[name](cpu, fakeInstruction(changes))
}

function vectorOf(action: () => void): number | undefined {
  try {
    action()
    return undefined
  } catch (fault) {
    if (fault instanceof GuestFault) return fault.vector
    throw fault
  }
}

const memory = { hasMemory: true, address: OPERAND }

/** 1 / 0 with the zero-divide exception unmasked. */
function divideByZero(cpu: AssistCpu): void {
  cpu.state.set32(S.X87_CONTROL, 0x37b)
  run(cpu, 'Fldz')
  run(cpu, 'Fld1')
  run(cpu, 'Fdiv_st0_sti', { register1: 1 })
}

describe('an unmasked x87 exception', () => {
  it('waits for the next instruction, which faults with #MF and does nothing', () => {
    const cpu = createFakeCpu()
    divideByZero(cpu)
    expect(cpu.state.get32(S.X87_STATUS) & ERROR_SUMMARY).toBe(ERROR_SUMMARY)
    expect(vectorOf(() => run(cpu, 'Fld1'))).toBe(16)
    expect(vectorOf(() => run(cpu, 'Wait'))).toBe(16)
    expect(vectorOf(() => run(cpu, 'Emms'))).toBe(16)
    expect(cpu.state.get32(S.X87_TAGS)).toBe(0xc0)
  })

  it('does not stop FNSTSW, FNCLEX, FNSAVE and FNINIT', () => {
    const cpu = createFakeCpu()
    divideByZero(cpu)
    run(cpu, 'Fnstsw_AX')
    expect(cpu.state.gpr32(0) & 0x84).toBe(0x84)
    run(cpu, 'Fnclex')
    expect(vectorOf(() => run(cpu, 'Fld1'))).toBeUndefined()
  })

  it('becomes pending when FLDCW unmasks it', () => {
    const cpu = createFakeCpu()
    run(cpu, 'Fldz')
    run(cpu, 'Fld1')
    run(cpu, 'Fdiv_st0_sti', { register1: 1 })
    cpu.memory.write16(OPERAND, 0x37b)
    run(cpu, 'Fldcw_m2byte', memory)
    expect(vectorOf(() => run(cpu, 'Fld1'))).toBe(16)
  })

  it('records the opcode of the instruction, and every instruction its pointers', () => {
    const cpu = createFakeCpu()
    cpu.memory.writeBytes(0x4000n, Uint8Array.of(0x66, 0xd8, 0x30))
    cpu.memory.write32(OPERAND, 0)
    cpu.state.set32(S.X87_CONTROL, 0x37b)
    cpu.state.set32(S.SEGMENTS + S.SEGMENT_STRIDE + S.SEGMENT_SELECTOR, 0x10)
    cpu.state.set32(S.SEGMENTS + 3 * S.SEGMENT_STRIDE + S.SEGMENT_SELECTOR, 0x18)
    run(cpu, 'Fld1')
    expect(cpu.state.get32(S.X87_OPCODE)).toBe(0)
    run(cpu, 'Fdiv_m32fp', { ...memory, length: 3 })
    expect(cpu.state.get32(S.X87_OPCODE)).toBe(0x030)
    expect([cpu.state.get64(S.X87_IP), cpu.state.get32(S.X87_CS)]).toEqual([0x4000n, 0x10])
    expect([cpu.state.get64(S.X87_DP), cpu.state.get32(S.X87_DS)]).toEqual([OPERAND, 0x18])
  })
})

describe('the x87', () => {
  it('faults with #NM when CR0.EM or CR0.TS is set, WAIT only with TS and MP', () => {
    const cpu = createFakeCpu()
    for (const bit of [CR0_EM, CR0_TS]) {
      cpu.state.set64(S.CR0, BigInt(CR0_PE | bit))
      for (const name of ['Fld1', 'Fninit', 'Fnstsw_AX', 'Fxsave_m512byte'])
        expect(vectorOf(() => run(cpu, name))).toBe(7)
      expect(vectorOf(() => run(cpu, 'Wait'))).toBeUndefined()
    }
    cpu.state.set64(S.CR0, BigInt(CR0_PE | CR0_TS | CR0_MP))
    expect(vectorOf(() => run(cpu, 'Wait'))).toBe(7)
  })

  it('gives EMMS #UD, not #NM, under CR0.EM', () => {
    const cpu = createFakeCpu()
    cpu.state.set64(S.CR0, BigInt(CR0_PE | CR0_EM))
    expect(vectorOf(() => run(cpu, 'Emms'))).toBe(6)
  })

  it('answers a masked stack overflow with the default NaN and C1', () => {
    const cpu = createFakeCpu()
    for (let i = 0; i < 9; i++) run(cpu, 'Fld1')
    expect(cpu.state.get32(S.X87_STATUS)).toBe(STACK_OVERFLOW)
    run(cpu, 'Fstp_m80fp', memory)
    expect(cpu.memory.read64(OPERAND)).toBe(0xc000_0000_0000_0000n)
    expect(cpu.memory.read16(OPERAND + 8n)).toBe(0xffff)
  })

  it('changes nothing when the memory operand faults', () => {
    for (const name of [
      'Fadd_m64fp',
      'Fld_m80fp',
      'Fstp_m32fp',
      'Fstp_m80fp',
      'Fbstp_m80bcd',
      'Fistp_m64int',
      'Fisttp_m16int',
      'Fnsave_m108byte',
      'Frstor_m108byte',
      'Fnstenv_m28byte',
      'Fldcw_m2byte',
    ]) {
      const cpu = createFakeCpu()
      run(cpu, 'Fldpi')
      const before = cpu.memory.readBytes(BigInt(S.STATE_BASE), S.STATE_SIZE)
      expect(vectorOf(() => run(cpu, name, { hasMemory: true, address: UNMAPPED - 1n }))).toBe(PAGE_FAULT)
      expect(cpu.memory.readBytes(BigInt(S.STATE_BASE), S.STATE_SIZE)).toEqual(before)
    }
  })

  it('derives the full tag word from what registers hold', () => {
    const cpu = createFakeCpu()
    run(cpu, 'Fld1')
    run(cpu, 'Fldz')
    cpu.memory.write32(OPERAND, 0x7f800000)
    run(cpu, 'Fld_m32fp', memory)
    // R7 valid, R6 zero, R5 special, the others empty.
    expect(fullTagWord(cpu.state)).toBe(0b00_01_10_11_11_11_11_11)
  })
})
