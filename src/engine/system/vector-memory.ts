/**
 * Vector instructions that access memory element by element: VMASKMOV, VPMASKMOV and the gathers of AVX2 (SDM vol. 2).
 * An element that its mask leaves out is not accessed and faults in no way.
 */

import type { Assist, AssistCpu, AssistInstruction } from '../assist.ts'
import type { CpuState } from '../cpu-state.ts'
import { deviceNotAvailable, GuestFault, invalidOpcode } from '../fault.ts'
import * as S from '../state.ts'

type ElementBytes = 4 | 8

const INVALID_OPCODE = 6

function requireAvx(state: CpuState): void {
  const vector = state.get32(S.AVX_CHECK)
  if (vector !== 0) throw vector === INVALID_OPCODE ? invalidOpcode() : deviceNotAvailable()
}

const slot = (register: number): number => S.VECTORS + register * S.VECTOR_STRIDE

/** Is the sign of element `index` of a mask register set? */
function isSelected(state: CpuState, mask: number, index: number, bytes: ElementBytes): boolean {
  return state.get32(slot(mask) + (index + 1) * bytes - 4) >>> 31 === 1
}

function readElement(cpu: AssistCpu, address: bigint, bytes: ElementBytes): bigint {
  return bytes === 4 ? BigInt(cpu.memory.read32(address)) : cpu.memory.read64(address)
}

function setElement(state: CpuState, at: number, bytes: ElementBytes, value: bigint): void {
  if (bytes === 4) state.set32(at, Number(BigInt.asIntN(32, value)))
  else state.set64(at, BigInt.asUintN(64, value))
}

/** Clears a register from byte `from` on. */
function clearFrom(state: CpuState, register: number, from: number): void {
  for (let at = from; at < S.VECTOR_STRIDE; at += 4) state.set32(slot(register) + at, 0)
}

/** Operands: destination, mask, memory. Elements that are left out become zero. */
const maskedLoad =
  (length: 16 | 32, bytes: ElementBytes): Assist =>
  (cpu, instruction) => {
    const { state } = cpu
    requireAvx(state)
    const [target, mask] = [instruction.register(0), instruction.register(1)]
    const values: bigint[] = []
    for (let i = 0; i < length / bytes; i++)
      values.push(
        isSelected(state, mask, i, bytes)
          ? readElement(cpu, instruction.addressAt(state, BigInt(i * bytes), bytes, false), bytes)
          : 0n,
      )
    values.forEach((value, i) => {
      setElement(state, slot(target) + i * bytes, bytes, value)
    })
    clearFrom(state, target, length)
  }

/** Operands: memory, mask, source. Everything is translated before the first element is stored. */
const maskedStore =
  (length: 16 | 32, bytes: ElementBytes): Assist =>
  (cpu, instruction) => {
    const { state, memory } = cpu
    requireAvx(state)
    const [mask, source] = [instruction.register(1), instruction.register(2)]
    const selected = Array.from({ length: length / bytes }, (_, i) => i).filter(i => isSelected(state, mask, i, bytes))
    const addresses = selected.map(i => instruction.addressAt(state, BigInt(i * bytes), bytes, true))
    for (const address of addresses) memory.probeWrite(address, bytes)
    selected.forEach((element, i) => {
      const at = slot(source) + element * bytes
      if (bytes === 4) memory.write32(addresses[i], state.get32(at) >>> 0)
      else memory.write64(addresses[i], state.get64(at))
    })
  }

interface Gather {
  readonly elementBytes: ElementBytes
  readonly indexBytes: ElementBytes
  readonly elements: number
}

/** Index `i` of a vector of them, times the scale. */
function scaledIndex(state: CpuState, instruction: AssistInstruction, i: number, bytes: ElementBytes): bigint {
  const at = slot(instruction.register(1)) + i * bytes
  const index = bytes === 4 ? BigInt(state.get32(at) | 0) : BigInt.asIntN(64, state.get64(at))
  return index * BigInt(instruction.scale)
}

/**
 * Operands: destination, memory whose index is a vector, mask. Elements are loaded from the lowest up, each clears its
 * mask. A fault leaves those before it loaded; where a device must be asked first, nothing has happened yet.
 */
const gather =
  ({ elementBytes, indexBytes, elements }: Gather): Assist =>
  (cpu, instruction) => {
    const { state } = cpu
    requireAvx(state)
    const [target, mask] = [instruction.register(0), instruction.register(2)]
    const values: (bigint | undefined)[] = []
    const finish = (done: number) => {
      for (let i = 0; i < elements; i++) {
        const value = values[i]
        const selected = isSelected(state, mask, i, elementBytes)
        if (value !== undefined) setElement(state, slot(target) + i * elementBytes, elementBytes, value)
        setElement(state, slot(mask) + i * elementBytes, elementBytes, selected && i >= done ? -1n : 0n)
      }
      clearFrom(state, target, elements * elementBytes)
      clearFrom(state, mask, elements * elementBytes)
    }
    for (let i = 0; i < elements; i++) {
      values.push(undefined)
      if (!isSelected(state, mask, i, elementBytes)) continue
      try {
        const offset = scaledIndex(state, instruction, i, indexBytes)
        values[i] = readElement(cpu, instruction.addressAt(state, offset, elementBytes, false), elementBytes)
      } catch (fault) {
        if (fault instanceof GuestFault) finish(i)
        throw fault
      }
    }
    finish(elements)
  }

function createAssists(): Record<string, Assist> {
  const assists: Record<string, Assist> = {}
  for (const { name, bytes } of [
    { name: 'Vmaskmovps', bytes: 4 },
    { name: 'Vmaskmovpd', bytes: 8 },
    { name: 'Vpmaskmovd', bytes: 4 },
    { name: 'Vpmaskmovq', bytes: 8 },
  ] as const)
    for (const { register, length } of [
      { register: 'xmm', length: 16 },
      { register: 'ymm', length: 32 },
    ] as const) {
      assists[`VEX_${name}_${register}_${register}_m${length * 8}`] = maskedLoad(length, bytes)
      assists[`VEX_${name}_m${length * 8}_${register}_${register}`] = maskedStore(length, bytes)
    }
  const lengths = { x: 16, y: 32 } as const
  const suffixes = { d: { integer: 'd', float: 'ps', bytes: 4 }, q: { integer: 'q', float: 'pd', bytes: 8 } } as const
  for (const index of ['d', 'q'] as const)
    for (const element of ['d', 'q'] as const)
      for (const length of ['x', 'y'] as const) {
        const [indexBytes, elementBytes] = [suffixes[index].bytes, suffixes[element].bytes]
        const elements = lengths[length] / Math.max(indexBytes, elementBytes)
        // The vector of indices and the data are as long as so many elements of theirs; an XMM register at least.
        const register = elements * elementBytes > 16 ? 'ymm' : 'xmm'
        const memory = `vm${indexBytes * 8}${elements * indexBytes > 16 ? 'y' : 'x'}`
        for (const name of [`pgather${index}${suffixes[element].integer}`, `gather${index}${suffixes[element].float}`])
          assists[`VEX_V${name}_${register}_${memory}_${register}`] = gather({ elementBytes, indexBytes, elements })
      }
  return assists
}

/** By `Code` name. None has its memory operand checked before. */
export const vectorMemoryAssists: Readonly<Record<string, Assist>> = createAssists()
