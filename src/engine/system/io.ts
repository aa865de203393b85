/** IN, OUT, INS, OUTS. A REP prefix makes one iteration an execution: RIP stays until the count is zero. */

import { isNullSelector } from '../../x86/descriptor.ts'
import { RFLAGS_DF } from '../../x86/rflags.ts'
import type { Assist, AssistCpu, AssistInstruction } from '../assist.ts'
import { Segment } from '../cpu-state.ts'
import { portBreakpointsMet } from '../data-breakpoints.ts'
import { generalProtection } from '../fault.ts'
import * as S from '../state.ts'
import { ioPrivilege, protectedMode, virtual8086 } from './cpu-mode.ts'
import { tableAddress } from './descriptors.ts'
import { RAX, RCX, RDI, RDX, RSI } from './operand.ts'

type PortSize = 1 | 2 | 4

const TSS_IO_MAP_BASE = 102

/** #GP(0) unless IOPL or the TSS's permission bitmap allows the port (SDM vol. 1, 19.5). */
function requirePort(cpu: AssistCpu, port: number, size: PortSize): void {
  const { state } = cpu
  if (!protectedMode(state)) return
  if (!virtual8086(state) && state.cpl <= ioPrivilege(state)) return
  const { base, limit, rights, selector } = state.segment(Segment.TR)
  // Only a 32-bit or 64-bit TSS has a bitmap.
  if (isNullSelector(selector) || !(rights & 8) || limit < TSS_IO_MAP_BASE + 1) throw generalProtection()
  const map = cpu.memory.read16(tableAddress(cpu, base, TSS_IO_MAP_BASE), true)
  const at = map + (port >> 3)
  if (at + 1 > limit) throw generalProtection()
  const bits = cpu.memory.read16(tableAddress(cpu, base, at), true) >> (port & 7)
  if (bits & ((1 << size) - 1)) throw generalProtection()
}

/** The trap of a breakpoint on the port follows the instruction. */
function meetBreakpoints(cpu: AssistCpu, port: number, size: PortSize): void {
  const met = portBreakpointsMet(cpu.state, port, size)
  if (met !== 0) cpu.state.set32(S.PENDING_DEBUG, cpu.state.get32(S.PENDING_DEBUG) | met)
}

/** The value that the port gave: from the hypervisor, which is asked when there is none yet. */
function readPort(cpu: AssistCpu, port: number, size: PortSize): number {
  const completion = cpu.takeCompletion()
  if (completion?.kind === 'in') return completion.value
  return cpu.exit({ reason: 'io', port, size, write: false, value: 0 })
}

const dx = (cpu: AssistCpu): number => cpu.state.gpr32(RDX) & 0xffff
const immediatePort = (_cpu: AssistCpu, { immediate }: AssistInstruction): number => Number(immediate & 0xffn)

type PortOperand = (cpu: AssistCpu, instruction: AssistInstruction) => number

const input =
  (size: PortSize, portOf: PortOperand): Assist =>
  (cpu, instruction) => {
    const { state } = cpu
    const port = portOf(cpu, instruction)
    requirePort(cpu, port, size)
    const value = readPort(cpu, port, size)
    meetBreakpoints(cpu, port, size)
    if (size === 4) state.setGpr32(RAX, value)
    else if (size === 2) state.setGpr16(RAX, value)
    else state.setGpr16(RAX, (state.gpr32(RAX) & 0xff00) | (value & 0xff))
  }

const output =
  (size: PortSize, portOf: PortOperand): Assist =>
  (cpu, instruction) => {
    const port = portOf(cpu, instruction)
    requirePort(cpu, port, size)
    const value = (cpu.state.gpr32(RAX) & valueMask(size)) >>> 0
    meetBreakpoints(cpu, port, size)
    cpu.exitRetired({ reason: 'io', port, size, write: true, value })
  }

const valueMask = (size: PortSize): number => (size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff)

/** Reads or writes as much of a register as addresses have in this instruction. */
function addressRegister(cpu: AssistCpu, { addressSize }: AssistInstruction, register: number): bigint {
  return BigInt.asUintN(addressSize, cpu.state.gpr(register))
}

function setAddressRegister(cpu: AssistCpu, { addressSize }: AssistInstruction, register: number, value: bigint): void {
  const wrapped = BigInt.asUintN(addressSize, value)
  if (addressSize === 16) cpu.state.setGpr16(register, Number(wrapped))
  else if (addressSize === 32) cpu.state.setGpr32(register, Number(wrapped))
  else cpu.state.setGpr(register, wrapped)
}

/** The port of a string instruction; undefined when its count is used up, so that nothing is to be done. */
function portOfString(cpu: AssistCpu, instruction: AssistInstruction, size: PortSize): number | undefined {
  const port = dx(cpu)
  // Before the count is looked at, as processors do.
  requirePort(cpu, port, size)
  return instruction.repeat !== 0 && addressRegister(cpu, instruction, RCX) === 0n ? undefined : port
}

/** Moves the index register on and counts; RIP stays at the instruction while iterations are left. */
function advance(cpu: AssistCpu, instruction: AssistInstruction, index: number, size: PortSize): void {
  const step = BigInt(cpu.state.get32(S.FLAG_SYSTEM) & RFLAGS_DF ? -size : size)
  setAddressRegister(cpu, instruction, index, addressRegister(cpu, instruction, index) + step)
  if (instruction.repeat === 0) return
  const count = addressRegister(cpu, instruction, RCX) - 1n
  setAddressRegister(cpu, instruction, RCX, count)
  if (count === 0n) return
  cpu.state.rip = instruction.rip
  cpu.state.set32(S.ENDED, S.ENDED_REPEATING)
}

/** The destination is translated before the port is read: a device must not lose data to a page fault. */
const inputString =
  (size: PortSize): Assist =>
  (cpu, instruction) => {
    const { memory } = cpu
    const { address } = instruction
    const port = portOfString(cpu, instruction, size)
    if (port === undefined) return
    memory.probeWrite(address, size)
    const value = readPort(cpu, port, size)
    if (size === 4) memory.write32(address, value)
    else if (size === 2) memory.write16(address, value & 0xffff)
    else memory.write8(address, value & 0xff)
    meetBreakpoints(cpu, port, size)
    advance(cpu, instruction, RDI, size)
  }

const outputString =
  (size: PortSize): Assist =>
  (cpu, instruction) => {
    const { memory } = cpu
    const { address } = instruction
    const port = portOfString(cpu, instruction, size)
    if (port === undefined) return
    instruction.checkSegment(cpu.state, size, false)
    const value = size === 4 ? memory.read32(address) : size === 2 ? memory.read16(address) : memory.read8(address)
    meetBreakpoints(cpu, port, size)
    advance(cpu, instruction, RSI, size)
    cpu.exitRetired({ reason: 'io', port, size, write: true, value })
  }

export const ioAssists: Readonly<Record<string, Assist>> = {
  In_AL_imm8: input(1, immediatePort),
  In_AX_imm8: input(2, immediatePort),
  In_EAX_imm8: input(4, immediatePort),
  In_AL_DX: input(1, dx),
  In_AX_DX: input(2, dx),
  In_EAX_DX: input(4, dx),
  Out_imm8_AL: output(1, immediatePort),
  Out_imm8_AX: output(2, immediatePort),
  Out_imm8_EAX: output(4, immediatePort),
  Out_DX_AL: output(1, dx),
  Out_DX_AX: output(2, dx),
  Out_DX_EAX: output(4, dx),
  Insb_m8_DX: inputString(1),
  Insw_m16_DX: inputString(2),
  Insd_m32_DX: inputString(4),
  Outsb_DX_m8: outputString(1),
  Outsw_DX_m16: outputString(2),
  Outsd_DX_m32: outputString(4),
}
