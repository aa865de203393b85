/** Decimal adjustments (SDM vol. 2: AAA, AAS, AAM, AAD, DAA, DAS); not in 64-bit mode. */

import { RFLAGS_AF, RFLAGS_CF, RFLAGS_OF, RFLAGS_PF, RFLAGS_SF, RFLAGS_ZF } from '../../x86/rflags.ts'
import type { Assist, AssistCpu } from '../assist.ts'
import { divideError } from '../fault.ts'

const AX = 0

const ax = (cpu: AssistCpu): number => cpu.state.gpr32(AX) & 0xffff

/** Sets AX and the flags: SF, ZF and PF from AL, AF and CF as given, OF clear (undefined in the manual). */
function finish(cpu: AssistCpu, value: number, auxiliary: boolean, carry: boolean): void {
  const al = value & 0xff
  let parity = al ^ (al >> 4)
  parity ^= parity >> 2
  parity ^= parity >> 1
  cpu.state.setGpr16(AX, value & 0xffff)
  const cleared = cpu.state.rflags & ~(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
  cpu.state.rflags =
    cleared |
    (carry ? RFLAGS_CF : 0) |
    ((parity & 1) === 0 ? RFLAGS_PF : 0) |
    (auxiliary ? RFLAGS_AF : 0) |
    (al === 0 ? RFLAGS_ZF : 0) |
    (al & 0x80 ? RFLAGS_SF : 0)
}

const flag = (cpu: AssistCpu, bit: number): boolean => (cpu.state.rflags & bit) !== 0

/** AAA and AAS: unpacked digits; the carry goes to AH. */
const asciiAdjust =
  (sign: 1 | -1): Assist =>
  cpu => {
    const value = ax(cpu)
    const adjust = (value & 0xf) > 9 || flag(cpu, RFLAGS_AF)
    const result = adjust ? value + sign * 0x106 : value
    finish(cpu, result & 0xff0f, adjust, adjust)
  }

/** DAA and DAS: packed digits in AL. */
const decimalAdjust =
  (sign: 1 | -1): Assist =>
  cpu => {
    const old = ax(cpu)
    const al = old & 0xff
    let result = al
    let carry = flag(cpu, RFLAGS_CF)
    const auxiliary = (al & 0xf) > 9 || flag(cpu, RFLAGS_AF)
    const oldCarry = carry
    carry = false
    if (auxiliary) {
      result += sign * 6
      carry = oldCarry || result < 0 || result > 0xff
    }
    if (al > 0x99 || oldCarry) {
      result += sign * 0x60
      carry = true
    } else if (sign === 1) carry = false
    finish(cpu, (old & 0xff00) | (result & 0xff), auxiliary, carry)
  }

const aam: Assist = (cpu, { immediate }) => {
  const base = Number(immediate & 0xffn)
  if (base === 0) throw divideError()
  const al = ax(cpu) & 0xff
  finish(cpu, (Math.floor(al / base) << 8) | (al % base), false, false)
}

const aad: Assist = (cpu, { immediate }) => {
  const value = ax(cpu)
  finish(cpu, ((value & 0xff) + (value >> 8) * Number(immediate & 0xffn)) & 0xff, false, false)
}

export const decimalAssists: Readonly<Record<string, Assist>> = {
  Aaa: asciiAdjust(1),
  Aas: asciiAdjust(-1),
  Daa: decimalAdjust(1),
  Das: decimalAdjust(-1),
  Aam_imm8: aam,
  Aad_imm8: aad,
}
