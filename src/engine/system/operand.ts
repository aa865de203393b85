/** Register and memory operands of assists: r/m operands, accumulator pairs, writes by operand size. */

import type { AssistCpu, AssistInstruction } from '../assist.ts'
import type { CpuState } from '../cpu-state.ts'

export const RAX = 0
export const RCX = 1
export const RDX = 2
export const RBX = 3
export const RSI = 6
export const RDI = 7

/** A 16-bit r/m operand; `register` is its number when it isn't memory. */
export const readRm16 = (cpu: AssistCpu, instruction: AssistInstruction, register: number): number =>
  instruction.hasMemory ? cpu.memory.read16(instruction.address) : cpu.state.gpr32(register) & 0xffff

/** Writes a general register with the upper bits treated as the operand size says. */
export function writeRegister(state: CpuState, register: number, size: 16 | 32 | 64, value: bigint): void {
  if (size === 16) state.setGpr16(register, Number(value & 0xffffn))
  else if (size === 32) state.setGpr32(register, Number(value & 0xffffffffn))
  else state.setGpr(register, value)
}

/** Stores a 16-bit system value in r/m: memory takes 16 bits whatever the operand size. */
export function writeRm16(cpu: AssistCpu, instruction: AssistInstruction, register: number, value: number): void {
  if (instruction.hasMemory) cpu.memory.write16(instruction.address, value & 0xffff)
  else writeRegister(cpu.state, register, instruction.operandSize, BigInt(value))
}

/** EDX:EAX. */
export const readEdxEax = (state: CpuState): bigint => (BigInt(state.gpr32(RDX)) << 32n) | BigInt(state.gpr32(RAX))

export function writeEdxEax(state: CpuState, value: bigint): void {
  state.setGpr32(RAX, Number(value & 0xffffffffn))
  state.setGpr32(RDX, Number((value >> 32n) & 0xffffffffn))
}
