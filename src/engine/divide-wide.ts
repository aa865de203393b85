/** DIV and IDIV of 128 bits by 64, where the quotient can't be had from a 64-bit division. */

import type { CpuState } from './cpu-state.ts'
import { divideError } from './fault.ts'
import * as S from './state.ts'

const [RAX, RDX] = [0, 2]

/** Divides RDX:RAX by the word in ACCESS_VALUE; #DE when the quotient does not fit (SDM vol. 2, DIV). */
export function divideWide(state: CpuState, signed: boolean): void {
  const dividend = (state.gpr(RDX) << 64n) | state.gpr(RAX)
  const divisor = state.get64(S.ACCESS_VALUE)
  const a = signed ? BigInt.asIntN(128, dividend) : dividend
  const b = signed ? BigInt.asIntN(64, divisor) : divisor
  const quotient = a / b
  const held = signed ? BigInt.asIntN(64, quotient) : BigInt.asUintN(64, quotient)
  if (held !== quotient) throw divideError()
  state.setGpr(RAX, BigInt.asUintN(64, quotient))
  state.setGpr(RDX, BigInt.asUintN(64, a % b))
}
