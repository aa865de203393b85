/** Instructions that push or pop several words (SDM vol. 2: ENTER, PUSHA, POPA). */

import type { Assist, AssistCpu } from '../assist.ts'
import { Segment } from '../cpu-state.ts'
import { type ElementSize, elementSize, RSP, Stack } from './stack.ts'

const RBP = 5

function setGeneral(cpu: AssistCpu, index: number, size: ElementSize, value: bigint): void {
  if (size === 8) cpu.state.setGpr(index, value)
  else if (size === 4) cpu.state.setGpr32(index, Number(value))
  else cpu.state.setGpr16(index, Number(value))
}

/** ENTER: saves the frame pointer, copies the frame pointers of the outer levels, and makes room for the locals. */
const enter: Assist = (cpu, instruction) => {
  const size = elementSize(instruction.operandSize)
  const immediate = Number(BigInt.asUintN(32, instruction.immediate))
  const locals = immediate & 0xffff
  const level = (immediate >>> 16) & 31
  const stack = Stack.current(cpu)
  const frame = new Stack(cpu, cpu.state.segment(Segment.SS), stack.width, cpu.state.gpr(RBP))
  stack.push(cpu.state.gpr(RBP), size)
  // The whole of ESP or RSP, also where the stack moves only SP.
  const newFrame = stack.pointer | ((cpu.state.gpr(RSP) >> BigInt(stack.width)) << BigInt(stack.width))
  for (let i = 1; i < level; i++) stack.push(frame.peek(-i * size, size), size)
  if (level > 0) stack.push(newFrame, size)
  stack.skip(-locals)
  // The new top of the stack must be writable (SDM vol. 2, ENTER).
  stack.probeTop(size)
  stack.flush()
  stack.commit()
  setGeneral(cpu, RBP, size, newFrame)
}

/** PUSHA: the eight general registers, with the stack pointer as it was. */
const pusha: Assist = (cpu, instruction) => {
  const size = elementSize(instruction.operandSize)
  const stack = Stack.current(cpu)
  for (let index = 0; index < 8; index++) stack.push(cpu.state.gpr(index), size)
  stack.flush()
  stack.commit()
}

/** POPA: the stack pointer's image is skipped. */
const popa: Assist = (cpu, instruction) => {
  const size = elementSize(instruction.operandSize)
  const stack = Stack.current(cpu)
  const values: bigint[] = []
  for (let index = 7; index >= 0; index--) values[index] = stack.pop(size)
  stack.commit()
  for (let index = 0; index < 8; index++) if (index !== RSP) setGeneral(cpu, index, size, values[index])
}

export const frameAssists: Readonly<Record<string, Assist>> = {
  Enterw_imm16_imm8: enter,
  Enterd_imm16_imm8: enter,
  Enterq_imm16_imm8: enter,
  Pushaw: pusha,
  Pushad: pusha,
  Popaw: popa,
  Popad: popa,
}
