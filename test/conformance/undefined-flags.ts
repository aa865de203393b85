/**
 * What the architecture leaves undefined after an instruction, so that processors differ and nothing may be concluded.
 * iced-x86 knows the flags that are undefined always; here stands what depends on operands.
 */

import { type Instruction, Mnemonic, OpKind, Register, RegisterExt, RflagsBits } from 'iced-x86'
import type { CaseRecord } from './record.ts'

const CF = 1n << 0n
const PF = 1n << 2n
const AF = 1n << 4n
const ZF = 1n << 6n
const SF = 1n << 7n
const OF = 1n << 11n

const RFLAGS_BITS: readonly (readonly [number, bigint])[] = [
  [RflagsBits.CF, CF],
  [RflagsBits.PF, PF],
  [RflagsBits.AF, AF],
  [RflagsBits.ZF, ZF],
  [RflagsBits.SF, SF],
  [RflagsBits.OF, OF],
]

/** Condition codes of the x87 status word. */
const STATUS_WORD_BITS: readonly (readonly [number, number])[] = [
  [RflagsBits.C0, 1 << 8],
  [RflagsBits.C1, 1 << 9],
  [RflagsBits.C2, 1 << 10],
  [RflagsBits.C3, 1 << 14],
]

const CL = 1

/** #XM. */
const SIMD_EXCEPTION = 19n

/** Bits of RFLAGS that may have any value after `instruction` started in the state `before`. */
export function undefinedFlags(instruction: Instruction, before: CaseRecord): bigint {
  switch (instruction.mnemonic) {
    // SDM vol. 2, SAL/SAR/SHL/SHR: AF undefined for a count other than 0, OF for one other than 1, CF when SHL or SHR
    // shift everything out.
    case Mnemonic.Shl:
    case Mnemonic.Sal:
    case Mnemonic.Shr:
    case Mnemonic.Sar: {
      const count = shiftCount(instruction, 1, before)
      if (count === 0) return 0n
      const all = instruction.mnemonic !== Mnemonic.Sar && count >= operandBits(instruction)
      return AF | (count === 1 ? 0n : OF) | (all ? CF : 0n)
    }
    // SDM vol. 2, RCL/RCR/ROL/ROR: OF is defined for 1-bit rotates only.
    case Mnemonic.Rol:
    case Mnemonic.Ror:
    case Mnemonic.Rcl:
    case Mnemonic.Rcr:
      return shiftCount(instruction, 1, before) <= 1 ? 0n : OF
    // SDM vol. 2, SHLD and SHRD: everything when the count exceeds the operand.
    case Mnemonic.Shld:
    case Mnemonic.Shrd: {
      const count = shiftCount(instruction, 2, before)
      if (count === 0) return 0n
      if (count > operandBits(instruction)) return CF | PF | AF | ZF | SF | OF
      return AF | (count === 1 ? 0n : OF)
    }
    default:
      return RFLAGS_BITS.reduce((mask, [bit, flag]) => (instruction.rflagsUndefined & bit ? mask | flag : mask), 0n)
  }
}

/** Bits of the x87 status word that may have any value afterwards. */
export function undefinedStatusWord(instruction: Instruction): number {
  switch (instruction.mnemonic) {
    // Intel clears C1 (SDM vol. 2, FCOMI), AMD leaves it alone unless the stack underflows (APM vol. 5, FCOMI).
    case Mnemonic.Fcomi:
    case Mnemonic.Fcomip:
    case Mnemonic.Fucomi:
    case Mnemonic.Fucomip:
      return 1 << 9
    default:
      return STATUS_WORD_BITS.reduce((mask, [bit, flag]) => (instruction.rflagsUndefined & bit ? mask | flag : mask), 0)
  }
}

/**
 * Is it open whether the x87 registers were turned into MMX registers? A conversion from or to an MMX register that
 * raises an SSE exception is said to do both, and not in which order (SDM vol. 2, CVTPS2PI, CVTPI2PS).
 */
export function undefinedMmxState(instruction: Instruction, after: CaseRecord): boolean {
  return after.vector === SIMD_EXCEPTION && [0, 1].some(operand => isMmx(instruction.opRegister(operand)))
}

function isMmx(register: Register): boolean {
  return register >= Register.MM0 && register <= Register.MM7
}

/** Is the destination, the first operand, undefined? */
export function undefinedDestination(instruction: Instruction, before: CaseRecord, after: CaseRecord): boolean {
  switch (instruction.mnemonic) {
    // SDM vol. 2, BSF and BSR: of a source of 0. ZF tells, because it is defined.
    case Mnemonic.Bsf:
    case Mnemonic.Bsr:
      return (after.rflags & ZF) !== 0n
    // SDM vol. 2, SHLD and SHRD: for a count beyond the operand.
    case Mnemonic.Shld:
    case Mnemonic.Shrd:
      return shiftCount(instruction, 2, before) > operandBits(instruction)
    default:
      return false
  }
}

/** The count that a shift by operand `operand` uses: 5 bits of it, or 6 for 64-bit operands. */
function shiftCount(instruction: Instruction, operand: number, before: CaseRecord): number {
  const byRegister = instruction.opKind(operand) === OpKind.Register
  const count = byRegister ? Number(before.gpr(CL) & 0xffn) : instruction.immediate8
  return count & (operandBits(instruction) === 64 ? 63 : 31)
}

function operandBits(instruction: Instruction): number {
  if (instruction.opKind(0) === OpKind.Register) return RegisterExt.size(instruction.opRegister(0)) * 8
  const name = /\b(byte|word|dword|qword) ptr/.exec(instruction.toString())?.[1]
  if (name !== undefined) return { byte: 8, word: 16, dword: 32, qword: 64 }[name] ?? 64
  // SHLD and SHRD name the size by their second operand.
  return RegisterExt.size(instruction.opRegister(1)) * 8
}

/** Index of the general register that the first operand is, or undefined. */
export function destinationRegister(instruction: Instruction): number | undefined {
  if (instruction.opCount === 0 || instruction.opKind(0) !== OpKind.Register) return undefined
  const register = RegisterExt.fullRegister(instruction.opRegister(0))
  return register >= Register.RAX && register <= Register.R15 ? register - Register.RAX : undefined
}
