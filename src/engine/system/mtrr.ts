/** Memory type range registers and the PAT: kept, checked, and without effect, for all memory is coherent (SDM vol. 3, 12.11). */

import type { CpuState } from '../cpu-state.ts'
import * as S from '../state.ts'
import { PHYSICAL_ADDRESS_BITS } from './cpuid.ts'

const MTRR_CAP = 0xfe
const MTRR_DEF_TYPE = 0x2ff
const VARIABLE_FIRST = 0x200
const VARIABLE_COUNT = 8
const PAT = 0x277

/** 8 variable ranges, fixed ranges, write-combining. */
const CAPABILITIES = BigInt(VARIABLE_COUNT | (1 << 8) | (1 << 10))

/** MSR numbers of the fixed ranges in the order of {@link S.MSR_MTRR_FIXED}. */
const FIXED_RANGES = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f]

const MTRR_TYPES = new Set([0, 1, 4, 5, 6])
const PAT_TYPES = new Set([0, 1, 4, 5, 6, 7])
/** Type, FE and E. */
const DEF_TYPE_KNOWN = 0xcffn

const PHYSICAL_MASK = (1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n
const BASE_KNOWN = (PHYSICAL_MASK & ~0xfffn) | 0xffn
const MASK_KNOWN = (PHYSICAL_MASK & ~0xfffn) | 0x800n

function allTypes(value: bigint, valid: Set<number>): boolean {
  for (let i = 0n; i < 64n; i += 8n) if (!valid.has(Number((value >> i) & 0xffn))) return false
  return true
}

/** Address of the state word of a memory-type MSR, or undefined when `msr` is none. */
function stateOf(msr: number): number | undefined {
  if (msr === PAT) return S.MSR_PAT
  if (msr === MTRR_DEF_TYPE) return S.MSR_MTRR_DEF_TYPE
  if (msr >= VARIABLE_FIRST && msr < VARIABLE_FIRST + VARIABLE_COUNT * 2)
    return S.MSR_MTRR_VARIABLE + (msr - VARIABLE_FIRST) * 8
  const fixed = FIXED_RANGES.indexOf(msr)
  return fixed < 0 ? undefined : S.MSR_MTRR_FIXED + fixed * 8
}

/** Value of a memory-type MSR, or undefined when `msr` is none. */
export function readMemoryTypeMsr(state: CpuState, msr: number): bigint | undefined {
  if (msr === MTRR_CAP) return CAPABILITIES
  const at = stateOf(msr)
  return at === undefined ? undefined : state.get64(at)
}

function isValid(msr: number, value: bigint): boolean {
  if (msr === PAT) return allTypes(value, PAT_TYPES)
  if (msr === MTRR_DEF_TYPE) return !(value & ~DEF_TYPE_KNOWN) && MTRR_TYPES.has(Number(value & 0xffn))
  if (FIXED_RANGES.includes(msr)) return allTypes(value, MTRR_TYPES)
  if (msr & 1) return !(value & ~MASK_KNOWN)
  return !(value & ~BASE_KNOWN) && MTRR_TYPES.has(Number(value & 0xffn))
}

/** `unknown` when `msr` is no memory-type MSR, `invalid` when the value must fault. */
export function writeMemoryTypeMsr(state: CpuState, msr: number, value: bigint): 'written' | 'invalid' | 'unknown' {
  if (msr === MTRR_CAP) return 'invalid'
  const at = stateOf(msr)
  if (at === undefined) return 'unknown'
  if (!isValid(msr, value)) return 'invalid'
  state.set64(at, value)
  return 'written'
}
