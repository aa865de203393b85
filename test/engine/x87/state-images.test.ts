import { describe, expect, it } from 'vitest'
import type { AssistCpu } from '../../../src/engine/assist.ts'
import { GuestFault } from '../../../src/engine/fault.ts'
import * as S from '../../../src/engine/state.ts'
import { enterMmx, readMmx, resetFpu, writeMmx } from '../../../src/engine/x87/control.ts'
import { x87Assists } from '../../../src/engine/x87/x87-assists.ts'
import { EFER_LMA } from '../../../src/x86/control-registers.ts'
import { RIGHTS_L } from '../../../src/x86/segment-rights.ts'
import { createFakeCpu, fakeInstruction, OPERAND } from './fake-cpu.ts'

function run(cpu: AssistCpu, name: string, address = OPERAND): void {
  x87Assists[name](cpu, fakeInstruction({ hasMemory: true, address }))
}

/** Three values on the stack, pointers, opcode, MXCSR and XMM registers that tell themselves apart. */
function createBusyCpu(): AssistCpu {
  const cpu = createFakeCpu()
  const { state } = cpu
  for (const name of ['Fld1', 'Fldz', 'Fldpi']) x87Assists[name](cpu, fakeInstruction())
  state.set32(S.X87_OPCODE, 0x5a5)
  state.set64(S.X87_IP, 0x1234_5678_9abcn)
  state.set32(S.X87_CS, 0x33)
  state.set64(S.X87_DP, 0x4321_8765_cba9n)
  state.set32(S.X87_DS, 0x2b)
  state.set32(S.MXCSR, 0x1fa0)
  for (let i = 0; i < 16; i++) {
    state.set64(S.VECTORS + i * S.VECTOR_STRIDE, BigInt(i + 1))
    state.set64(S.VECTORS + i * S.VECTOR_STRIDE + 8, BigInt(i + 1) << 32n)
  }
  return cpu
}

function enter64BitMode({ state }: AssistCpu): void {
  state.set64(S.EFER, BigInt(EFER_LMA))
  state.set32(S.SEGMENTS + S.SEGMENT_STRIDE + S.SEGMENT_RIGHTS, RIGHTS_L)
}

const processorState = (cpu: AssistCpu): Uint8Array => cpu.memory.readBytes(BigInt(S.STATE_BASE), S.STATE_SIZE)

describe('FXSAVE', () => {
  it('lays the state out as the SDM says, with selectors in the 32-bit form', () => {
    const cpu = createBusyCpu()
    run(cpu, 'Fxsave_m512byte')
    const { memory } = cpu
    expect(memory.read16(OPERAND)).toBe(0x37f)
    expect(memory.read16(OPERAND + 2n)).toBe(5 << 11)
    expect(memory.read8(OPERAND + 4n)).toBe(0b1110_0000)
    expect(memory.read16(OPERAND + 6n)).toBe(0x5a5)
    expect([memory.read32(OPERAND + 8n), memory.read16(OPERAND + 12n)]).toEqual([0x5678_9abc, 0x33])
    expect([memory.read32(OPERAND + 16n), memory.read16(OPERAND + 20n)]).toEqual([0x8765_cba9, 0x2b])
    expect([memory.read32(OPERAND + 24n), memory.read32(OPERAND + 28n)]).toEqual([0x1fa0, 0xffff])
    // ST(0) is pi, ST(2) is 1.
    expect(memory.read64(OPERAND + 32n)).toBe(0xc90f_daa2_2168_c235n)
    expect(memory.read16(OPERAND + 32n + 40n)).toBe(0x3fff)
    expect(memory.read64(OPERAND + 160n + 7n * 16n)).toBe(8n)
  })

  it('has 8 XMM registers outside 64-bit mode, 16 in it, and leaves the rest of the area alone', () => {
    for (const long of [false, true]) {
      const cpu = createBusyCpu()
      if (long) enter64BitMode(cpu)
      cpu.memory.writeBytes(OPERAND, new Uint8Array(512).fill(0xee))
      run(cpu, 'Fxsave_m512byte')
      expect(cpu.memory.read64(OPERAND + 160n + 8n * 16n)).toBe(long ? 9n : 0xeeee_eeee_eeee_eeeen)
      expect(cpu.memory.read8(OPERAND + 416n)).toBe(0xee)
    }
  })

  it('has 64-bit pointers in the 64-bit form', () => {
    const cpu = createBusyCpu()
    enter64BitMode(cpu)
    run(cpu, 'Fxsave64_m512byte')
    expect(cpu.memory.read64(OPERAND + 8n)).toBe(0x1234_5678_9abcn)
    expect(cpu.memory.read64(OPERAND + 16n)).toBe(0x4321_8765_cba9n)
  })

  it('wants its area aligned to 16 bytes', () => {
    for (const name of ['Fxsave_m512byte', 'Fxrstor_m512byte'])
      expect(() => run(createBusyCpu(), name, OPERAND + 8n)).toThrow(expect.objectContaining({ vector: 13 }))
  })
})

describe('FXRSTOR', () => {
  it('restores what FXSAVE saved', () => {
    const cpu = createBusyCpu()
    enter64BitMode(cpu)
    cpu.state.set32(S.X87_CS, 0)
    cpu.state.set32(S.X87_DS, 0)
    const before = processorState(cpu)
    run(cpu, 'Fxsave64_m512byte')
    x87Assists.Fninit(cpu, fakeInstruction())
    cpu.memory.writeBytes(BigInt(S.X87_REGISTERS), new Uint8Array(128))
    cpu.memory.writeBytes(BigInt(S.VECTORS), new Uint8Array(16 * S.VECTOR_STRIDE))
    cpu.state.set32(S.MXCSR, 0)
    run(cpu, 'Fxrstor64_m512byte')
    expect(processorState(cpu)).toEqual(before)
  })

  it('refuses reserved bits of MXCSR with #GP, and changes nothing', () => {
    const cpu = createBusyCpu()
    run(cpu, 'Fxsave_m512byte')
    cpu.memory.write32(OPERAND + 24n, 0x1_0000)
    cpu.memory.write16(OPERAND, 0)
    const before = processorState(cpu)
    expect(() => run(cpu, 'Fxrstor_m512byte')).toThrow(GuestFault)
    expect(processorState(cpu)).toEqual(before)
  })
})

describe('FNSAVE and FNSTENV', () => {
  for (const [mode, cr0] of [
    ['protected', 1n],
    ['real', 0n],
  ] as const)
    for (const [save, restore] of [
      ['Fnsave_m94byte', 'Frstor_m94byte'],
      ['Fnsave_m108byte', 'Frstor_m108byte'],
    ])
      it(`give ${restore} back in ${mode} mode what ${save} stored`, () => {
        const cpu = createBusyCpu()
        const { state } = cpu
        state.set64(S.CR0, cr0)
        state.set64(S.X87_IP, 0x4321n)
        state.set64(S.X87_DP, 0x8765n)
        if (mode === 'real') {
          state.set32(S.X87_CS, 0)
          state.set32(S.X87_DS, 0)
        } else if (save === 'Fnsave_m94byte') state.set32(S.X87_OPCODE, 0)
        const before = processorState(cpu)
        run(cpu, save)
        expect([state.get32(S.X87_TAGS), state.get64(S.X87_IP)]).toEqual([0, 0n])
        run(cpu, restore)
        expect(processorState(cpu)).toEqual(before)
      })

  it('store linear addresses in real mode', () => {
    const cpu = createBusyCpu()
    const { state, memory } = cpu
    state.set64(S.CR0, 0n)
    state.set32(S.X87_CS, 0xf123)
    state.set64(S.X87_IP, 0x4567n)
    run(cpu, 'Fnstenv_m14byte')
    // F123:4567 is F5797.
    expect([memory.read16(OPERAND + 6n), memory.read16(OPERAND + 8n)]).toEqual([0x5797, 0xf5a5])
    run(cpu, 'Fnstenv_m28byte')
    expect([memory.read32(OPERAND + 12n), memory.read32(OPERAND + 16n)]).toEqual([0xffff5797, 0xf5a5])
  })
})

describe('RESET', () => {
  it('leaves eight zeros that are not empty, and every exception unmasked', () => {
    const cpu = createBusyCpu()
    resetFpu(cpu.state)
    run(cpu, 'Fnstenv_m28byte')
    const words = [0n, 4n, 8n].map(at => cpu.memory.read16(OPERAND + at))
    expect(words).toEqual([0x40, 0, 0x5555])
  })
})

describe('MMX state', () => {
  it('aliases the data registers, makes all of them valid, and EMMS empties them', () => {
    const cpu = createBusyCpu()
    enterMmx(cpu.state)
    writeMmx(cpu.state, 3, 0x1122_3344_5566_7788n)
    expect(readMmx(cpu.state, 3)).toBe(0x1122_3344_5566_7788n)
    expect(cpu.state.get32(S.X87_TOP)).toBe(0)
    expect(cpu.state.get32(S.X87_TAGS)).toBe(0xff)
    expect(cpu.state.get32(S.X87_REGISTERS + 3 * 16 + 8)).toBe(0xffff)
    run(cpu, 'Emms')
    expect(cpu.state.get32(S.X87_TAGS)).toBe(0)
  })
})
