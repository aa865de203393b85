/** Which instruction forms are compared with the host: everything a program may execute that does not jump. */

import { Code, CodeExt, CpuidFeature, FlowControl, Instruction, Mnemonic, OpCodeOperandKind } from 'iced-x86'

const FEATURES: ReadonlySet<number> = new Set([
  CpuidFeature.INTEL8086,
  CpuidFeature.INTEL186,
  CpuidFeature.INTEL286,
  CpuidFeature.INTEL386,
  CpuidFeature.INTEL486,
  CpuidFeature.X64,
  CpuidFeature.CMOV,
  CpuidFeature.CX8,
  CpuidFeature.CMPXCHG16B,
  CpuidFeature.POPCNT,
  CpuidFeature.MULTIBYTENOP,
  CpuidFeature.PAUSE,
  CpuidFeature.CLFSH,
  CpuidFeature.FPU,
  CpuidFeature.FPU287,
  CpuidFeature.FPU387,
  CpuidFeature.MMX,
  CpuidFeature.SSE,
  CpuidFeature.SSE2,
])

/** Forms whose result the architecture leaves to the machine or to the operating system. */
const EXCLUDED: ReadonlySet<number> = new Set([
  // What they read is the operating system's.
  Mnemonic.In,
  Mnemonic.Out,
  Mnemonic.Insb,
  Mnemonic.Insw,
  Mnemonic.Insd,
  Mnemonic.Outsb,
  Mnemonic.Outsw,
  Mnemonic.Outsd,
  Mnemonic.Cli,
  Mnemonic.Sti,
  Mnemonic.Cpuid,
  Mnemonic.Sgdt,
  Mnemonic.Sidt,
  Mnemonic.Sldt,
  Mnemonic.Str,
  Mnemonic.Smsw,
  Mnemonic.Lar,
  Mnemonic.Lsl,
  Mnemonic.Verr,
  Mnemonic.Verw,
  Mnemonic.Lss,
  Mnemonic.Lfs,
  Mnemonic.Lgs,
  // They store the addresses of the last x87 instruction and operand, which processors keep or drop as they like.
  Mnemonic.Fnstenv,
  Mnemonic.Fnsave,
  Mnemonic.Fstenv,
  Mnemonic.Fsave,
  // Approximations that differ between makers (SDM vol. 1, 11.5.2 and 8.3.10): exact results are nobody's promise.
  Mnemonic.Rcpps,
  Mnemonic.Rcpss,
  Mnemonic.Rsqrtps,
  Mnemonic.Rsqrtss,
  Mnemonic.Fsin,
  Mnemonic.Fcos,
  Mnemonic.Fsincos,
  Mnemonic.Fptan,
  Mnemonic.Fpatan,
  Mnemonic.F2xm1,
  Mnemonic.Fyl2x,
  Mnemonic.Fyl2xp1,
])

const SEGMENT_KINDS: ReadonlySet<number> = new Set([
  OpCodeOperandKind.seg_reg,
  OpCodeOperandKind.es,
  OpCodeOperandKind.cs,
  OpCodeOperandKind.ss,
  OpCodeOperandKind.ds,
  OpCodeOperandKind.fs,
  OpCodeOperandKind.gs,
])

/** iced's values of `Code`, in order. */
export function comparableForms(): Code[] {
  return Object.values(Code)
    .filter(code => typeof code === 'number')
    .filter(isComparable)
}

function isComparable(code: Code): boolean {
  const form = CodeExt.opCode(code)
  const instruction = new Instruction()
  instruction.code = code
  const comparable =
    form.isInstruction &&
    !form.isReservedNop &&
    form.isAvailableInMode(64) &&
    form.cpl3 &&
    !form.isPrivileged &&
    // SDM vol. 2, BSWAP: a 16-bit operand gives an undefined result.
    code !== Code.Bswap_r16 &&
    !EXCLUDED.has(form.mnemonic) &&
    instruction.flowControl === FlowControl.Next &&
    instruction.cpuidFeatures().every(feature => FEATURES.has(feature)) &&
    Array.from({ length: form.opCount }, (_, operand) => form.opKind(operand)).every(kind => !SEGMENT_KINDS.has(kind))
  instruction.free()
  form.free()
  return comparable
}
