/**
 * What the architecture leaves undefined after an instruction, so that processors differ and nothing may be concluded.
 * iced-x86 knows the flags that are undefined always; here stands what depends on operands.
 */

import { Code, type Instruction, MemorySizeExt, Mnemonic, OpKind, Register, RegisterExt, RflagsBits } from 'iced-x86'
import type { CaseRecord } from './record.ts'

const CF = 1 << 0
const PF = 1 << 2
const AF = 1 << 4
const ZF = 1 << 6
const SF = 1 << 7
const OF = 1 << 11

const RFLAGS_BITS: readonly (readonly [number, number])[] = [
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
const SIMD_EXCEPTION = 19
const FAULTS_OF_STORES: ReadonlySet<number> = new Set([12, 13, 14, 17])

/** Bits of RFLAGS that may have any value after `instruction` started in the state `before`. */
export function undefinedFlags(instruction: Instruction, before: CaseRecord): number {
  switch (instruction.mnemonic) {
    // SDM vol. 2, SAL/SAR/SHL/SHR: AF undefined for a count other than 0, OF for one other than 1, CF when SHL or SHR
    // shift everything out.
    case Mnemonic.Shl:
    case Mnemonic.Sal:
    case Mnemonic.Shr:
    case Mnemonic.Sar: {
      const count = shiftCount(instruction, 1, before)
      if (count === 0) return 0
      const all = instruction.mnemonic !== Mnemonic.Sar && count >= operandBits(instruction)
      return AF | (count === 1 ? 0 : OF) | (all ? CF : 0)
    }
    // SDM vol. 2, RCL/RCR/ROL/ROR: OF is defined for 1-bit rotates only.
    case Mnemonic.Rol:
    case Mnemonic.Ror:
    case Mnemonic.Rcl:
    case Mnemonic.Rcr:
      return shiftCount(instruction, 1, before) <= 1 ? 0 : OF
    // SDM vol. 2, SHLD and SHRD: everything when the count exceeds the operand.
    case Mnemonic.Shld:
    case Mnemonic.Shrd: {
      const count = shiftCount(instruction, 2, before)
      if (count === 0) return 0
      if (count > operandBits(instruction)) return CF | PF | AF | ZF | SF | OF
      return AF | (count === 1 ? 0 : OF)
    }
    default:
      return RFLAGS_BITS.reduce((mask, [bit, flag]) => (instruction.rflagsUndefined & bit ? mask | flag : mask), 0)
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
    // C1 tells which way an inexact result was rounded, and these are approximations (SDM vol. 1, 8.3.10).
    case Mnemonic.Fsin:
    case Mnemonic.Fcos:
    case Mnemonic.Fsincos:
    case Mnemonic.Fptan:
    case Mnemonic.Fpatan:
    case Mnemonic.F2xm1:
    case Mnemonic.Fyl2x:
    case Mnemonic.Fyl2xp1:
      return 1 << 9
    default:
      return STATUS_WORD_BITS.reduce((mask, [bit, flag]) => (instruction.rflagsUndefined & bit ? mask | flag : mask), 0)
  }
}

/**
 * Is it open whether the x87 registers were turned into MMX registers? A conversion from or to an MMX register that
 * raises an SSE exception is said to do both, and not in which order (SDM vol. 2, CVTPS2PI, CVTPI2PS).
 */
export function undefinedMmxState(instruction: Instruction, before: CaseRecord, after: CaseRecord): boolean {
  // Nor is it said whether MASKMOVQ has done so when its store faults.
  if (instruction.mnemonic === Mnemonic.Maskmovq) return FAULTS_OF_STORES.has(after.vector) && after.rip === before.rip
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
      return (after.rflags & ZF) !== 0
    // SDM vol. 2, SHLD and SHRD: for a count beyond the operand.
    case Mnemonic.Shld:
    case Mnemonic.Shrd:
      return shiftCount(instruction, 2, before) > operandBits(instruction)
    default:
      return false
  }
}

/** Bits of the register that is the first operand which may have any value. */
export function undefinedDestinationBits(instruction: Instruction, before: CaseRecord, after: CaseRecord): bigint {
  if (undefinedDestination(instruction, before, after)) return (1n << 64n) - 1n
  // SDM vol. 2, LAR: bits 19:16 are undefined; AMD's processors give the limit that stands there.
  return instruction.mnemonic === Mnemonic.Lar ? 0xf0000n : 0n
}

/** Arguments that these are not defined for: SDM vol. 2, F2XM1 and FYL2XP1. */
export function undefinedTranscendental(instruction: Instruction, before: CaseRecord): boolean {
  const value = before.st(0)
  const view = new DataView(value.buffer, value.byteOffset, 10)
  const exponent = view.getUint16(8, true) & 0x7fff
  const significand = view.getBigUint64(0, true)
  if (exponent === 0x7fff) return false
  switch (instruction.mnemonic) {
    // Beyond -1 and 1.
    case Mnemonic.F2xm1:
      return exponent > 0x3fff || (exponent === 0x3fff && significand > 1n << 63n)
    // Beyond 1 - sqrt(2) / 2, which is 0.29.
    case Mnemonic.Fyl2xp1:
      return exponent >= 0x3ffd
    default:
      return false
  }
}

/**
 * Operands so large that they are more than one access: which of those meets the page fault first, and so what CR2 has
 * below the page, is the processor's own.
 */
export function reportsAnyByte(instruction: Instruction): boolean {
  return undefinedMemory(instruction).length > 0 || LARGE.has(instruction.mnemonic)
}

const LARGE: ReadonlySet<Mnemonic> = new Set([
  ...[Mnemonic.Frstor, Mnemonic.Fldenv, Mnemonic.Fxrstor, Mnemonic.Fxrstor64, Mnemonic.Xrstor, Mnemonic.Xrstor64],
])

/** Is an operand both not aligned (#GP) and beyond its segment's limit (#SS)? Which comes first is left open (SDM vol. 3, 6.9). */
export function isAlignedBeyondLimit(
  instruction: Instruction,
  mode: number,
  host: CaseRecord,
  engine: CaseRecord,
): boolean {
  // In 64-bit mode the limit is that an address is canonical; only areas of the state are that open there.
  if ((mode === 64 && !reportsAnyByte(instruction)) || host.rip !== engine.rip) return false
  if (MemorySizeExt.size(instruction.memorySize) < 16) return false
  return Math.min(host.vector, engine.vector) === 12 && Math.max(host.vector, engine.vector) === 13
}

/**
 * Vector registers that may hold anything, by number: what a gather that faults has done of its destination and its
 * mask, beyond the elements before the fault (SDM vol. 2, VGATHERDPS: "may or may not be completed").
 */
export function undefinedVectors(instruction: Instruction, before: CaseRecord, after: CaseRecord): readonly number[] {
  const faulted = after.rip === before.rip
  if (!faulted || !instruction.isVsib) return []
  return [0, 2].map(operand => (instruction.opRegister(operand) - Register.XMM0) % 32)
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

/**
 * Bytes of the memory operand that may hold anything, from and to: the x87 opcode and pointers, which AMD's processors
 * store only while an unmasked exception waits (APM vol. 2, 11.4.4), and what images of the state leave reserved.
 */
export function undefinedMemory(instruction: Instruction): readonly (readonly [number, number])[] {
  switch (instruction.code) {
    case Code.Fnstenv_m14byte:
    case Code.Fnsave_m94byte:
      return [[6, 14]]
    case Code.Fnstenv_m28byte:
    case Code.Fnsave_m108byte:
      // The upper halves of control, status and tag word are reserved too (SDM vol. 1, figure 8-9).
      return [
        [2, 4],
        [6, 8],
        [10, 28],
      ]
    case Code.Fxsave_m512byte:
    case Code.Fxsave64_m512byte:
    case Code.Xsave_mem:
    case Code.Xsave64_mem:
    case Code.Xsaveopt_mem:
    case Code.Xsaveopt64_mem:
    case Code.Xsavec_mem:
    case Code.Xsavec64_mem:
      // FOP, FIP and FDP; MXCSR_MASK, in which AMD has a bit more (APM vol. 2, 11.4.4.2).
      return [
        [6, 24],
        [28, 32],
      ]
    default:
      return []
  }
}
