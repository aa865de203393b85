/** XGETBV and XSETBV: XCR0, which components of the extended state are enabled (SDM vol. 1, 13.3; vol. 2). */

import type { Assist } from '../../assist.ts'
import { XCR0_AVX, XCR0_SSE, XCR0_X87 } from '../../cpu-model.ts'
import { generalProtection } from '../../fault.ts'
import * as S from '../../state.ts'
import { requireSupervisor } from '../cpu-mode.ts'
import { RCX, readEdxEax, writeEdxEax } from '../operand.ts'
import { requireOsXsave, vectorCount } from './area.ts'
import { componentsInUse } from './components.ts'

const xgetbv: Assist = cpu => {
  const { state } = cpu
  requireOsXsave(state)
  const enabled = state.get32(S.XCR0)
  const register = state.gpr32(RCX)
  if (register === 0) writeEdxEax(state, BigInt(enabled))
  else if (register === 1 && cpu.model.has('xgetbv1'))
    writeEdxEax(state, BigInt(enabled & componentsInUse(state, vectorCount(state))))
  else throw generalProtection()
}

const xsetbv: Assist = cpu => {
  const { state } = cpu
  requireOsXsave(state)
  requireSupervisor(state)
  const value = readEdxEax(state)
  if (state.gpr32(RCX) !== 0 || value & ~BigInt(cpu.model.xcr0Allowed)) throw generalProtection()
  const enabled = Number(value)
  if (!(enabled & XCR0_X87) || (enabled & XCR0_AVX && !(enabled & XCR0_SSE))) throw generalProtection()
  state.set64(S.XCR0, value)
  // Whether AVX is usable follows from XCR0.
  cpu.contextChanged()
}

export const extendedControlAssists: Readonly<Record<string, Assist>> = {
  Xgetbv: xgetbv,
  Xsetbv: xsetbv,
}
