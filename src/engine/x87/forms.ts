/** The forms of x87 instructions: what happens around a body, by kind of operand. All are waiting instructions. */

import type { Assist, AssistInstruction } from '../assist.ts'
import { finite, type Unpacked, unpack32, unpack64 } from '../float/format.ts'
import type { LinearMemory } from '../linear-memory.ts'
import { Fpu, wait } from './fpu.ts'

/** No memory operand. */
export function registerForm(body: (fpu: Fpu, instruction: AssistInstruction) => void): Assist {
  return (cpu, instruction) => {
    wait(cpu)
    const fpu = new Fpu(cpu, instruction)
    fpu.recordPointers()
    body(fpu, instruction)
  }
}

/** A memory operand that is read: `read` may fault, and does so before anything changes. */
export function loadForm<T>(
  read: (memory: LinearMemory, address: bigint) => T,
  body: (fpu: Fpu, operand: T) => void,
): Assist {
  return (cpu, instruction) => {
    wait(cpu)
    const operand = read(cpu.memory, instruction.address)
    const fpu = new Fpu(cpu, instruction)
    fpu.recordPointers()
    body(fpu, operand)
  }
}

/** A memory operand of `size` bytes that is written, and so must be writable before anything changes. */
export function storeForm(size: number, body: (fpu: Fpu, memory: LinearMemory, address: bigint) => void): Assist {
  return (cpu, instruction) => {
    wait(cpu)
    cpu.memory.probeWrite(instruction.address, size)
    const fpu = new Fpu(cpu, instruction)
    fpu.recordPointers()
    body(fpu, cpu.memory, instruction.address)
  }
}

export const readFloat32 = (memory: LinearMemory, address: bigint): Unpacked => unpack32(memory.read32(address))
export const readFloat64 = (memory: LinearMemory, address: bigint): Unpacked => unpack64(memory.read64(address))

export function integerOperand(value: bigint): Unpacked {
  return value < 0n ? finite(true, -value, 0) : finite(false, value, 0)
}

export const readInteger16 = (memory: LinearMemory, address: bigint): Unpacked =>
  integerOperand(BigInt((memory.read16(address) << 16) >> 16))
export const readInteger32 = (memory: LinearMemory, address: bigint): Unpacked =>
  integerOperand(BigInt(memory.read32(address) | 0))
export const readInteger64 = (memory: LinearMemory, address: bigint): Unpacked =>
  integerOperand(BigInt.asIntN(64, memory.read64(address)))
