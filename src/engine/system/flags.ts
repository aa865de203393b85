/** POPF, CLAC, STAC: what depends on CPL and IOPL (SDM vol. 2). The rest of their family are definitions: `isa/flag.ts`. */

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
} from '../../x86/rflags.ts'
import type { Assist } from '../assist.ts'
import { invalidOpcode } from '../fault.ts'
import * as S from '../state.ts'
import { ioPrivilege } from './cpu-mode.ts'
import { elementSize, Stack } from './stack.ts'
import { checkVirtualFlags, loadVirtualFlags, usesVirtualFlag } from './virtual-interrupts.ts'

const POPF_FLAGS = RFLAGS_ARITHMETIC | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT

const popf: Assist = (cpu, { operandSize }) => {
  const { state } = cpu
  const virtual = usesVirtualFlag(state, operandSize)
  const stack = Stack.current(cpu)
  const image = Number(stack.pop(elementSize(operandSize)) & 0xffffffffn)
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
  Popfw: popf,
  Popfd: popf,
  Popfq: popf,
  Clac: setAc(false),
  Stac: setAc(true),
}
