/** PUSHF, POPF, CLI, STI, CLAC, STAC: what depends on CPL and IOPL (SDM vol. 2). */

import {
  RFLAGS_AC,
  RFLAGS_ARITHMETIC,
  RFLAGS_DF,
  RFLAGS_ID,
  RFLAGS_IF,
  RFLAGS_IOPL,
  RFLAGS_NT,
  RFLAGS_RF,
  RFLAGS_TF,
  RFLAGS_VM,
} from '../../x86/rflags.ts'
import type { Assist, AssistCpu } from '../assist.ts'
import { generalProtection, invalidOpcode } from '../fault.ts'
import * as S from '../state.ts'
import { ioPrivilege, protectedMode, virtual8086 } from './cpu-mode.ts'
import { type ElementSize, Stack } from './stack.ts'
import { checkVirtualFlags, loadVirtualFlags, usesVirtualFlag } from './virtual-interrupts.ts'

const INTERRUPTIBILITY_STI = 1
const POPF_FLAGS = RFLAGS_ARITHMETIC | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT

/** Virtual-8086 mode needs IOPL 3 for the flags. */
function requireV86Privilege(cpu: AssistCpu): void {
  if (virtual8086(cpu.state) && ioPrivilege(cpu.state) < 3) throw generalProtection()
}

/** CLI and STI: CPL must not exceed IOPL; real mode has CPL 0, virtual-8086 mode 3. */
function requireInterruptPrivilege(cpu: AssistCpu): void {
  if (protectedMode(cpu.state) && cpu.state.cpl > ioPrivilege(cpu.state)) throw generalProtection()
}

const sizeOf = (operandSize: 16 | 32 | 64): ElementSize => (operandSize === 64 ? 8 : operandSize === 32 ? 4 : 2)

export const pushf: Assist = (cpu, { operandSize }) => {
  requireV86Privilege(cpu)
  const stack = Stack.current(cpu)
  stack.push(BigInt(cpu.state.rflags & ~(RFLAGS_RF | RFLAGS_VM)), sizeOf(operandSize))
  stack.flush()
  stack.commit()
}

export const popf: Assist = (cpu, { operandSize }) => {
  const { state } = cpu
  const virtual = usesVirtualFlag(state, operandSize)
  const stack = Stack.current(cpu)
  const image = Number(stack.pop(sizeOf(operandSize)) & 0xffffffffn)
  if (virtual) {
    checkVirtualFlags(state, image)
    stack.commit()
    loadVirtualFlags(state, image)
    cpu.contextChanged()
    return
  }
  let mask = POPF_FLAGS
  if (state.cpl <= ioPrivilege(state)) mask |= RFLAGS_IF
  if (state.cpl === 0) mask |= RFLAGS_IOPL
  if (operandSize !== 16) mask |= RFLAGS_AC | RFLAGS_ID
  stack.commit()
  state.rflags = (state.rflags & ~(mask | RFLAGS_RF)) | (image & mask)
  cpu.contextChanged()
}

export const cli: Assist = cpu => {
  requireInterruptPrivilege(cpu)
  cpu.state.set32(S.FLAG_SYSTEM, cpu.state.get32(S.FLAG_SYSTEM) & ~RFLAGS_IF)
}

/** Interrupts stay off for one more instruction when IF was clear (SDM vol. 3, 6.8.3). */
export const sti: Assist = cpu => {
  const { state } = cpu
  requireInterruptPrivilege(cpu)
  const flags = state.get32(S.FLAG_SYSTEM)
  if (flags & RFLAGS_IF) return
  state.set32(S.FLAG_SYSTEM, flags | RFLAGS_IF)
  state.set32(S.INTERRUPTIBILITY, state.get32(S.INTERRUPTIBILITY) | INTERRUPTIBILITY_STI)
}

const setAc =
  (set: boolean): Assist =>
  cpu => {
    const { state } = cpu
    if (state.cpl !== 0) throw invalidOpcode()
    const flags = state.get32(S.FLAG_SYSTEM)
    state.set32(S.FLAG_SYSTEM, set ? flags | RFLAGS_AC : flags & ~RFLAGS_AC)
    cpu.contextChanged()
  }

export const flagAssists: Readonly<Record<string, Assist>> = {
  Pushfw: pushf,
  Pushfd: pushf,
  Pushfq: pushf,
  Popfw: popf,
  Popfd: popf,
  Popfq: popf,
  Cli: cli,
  Sti: sti,
  Clac: setAc(false),
  Stac: setAc(true),
}
