/**
 * The coverage table: each form, with a register or a memory operand, with each prefix, in each mode, is a cell.
 * Prefixes that make another form of the instruction are no cell: the other form has its own.
 */

import { OpCodeOperandKind } from 'iced-x86'
import type { Form, Mode } from './forms.ts'

export const PREFIXES = ['none', 'lock', 'rep', 'repne', 'segment', 'operand-size', 'address-size'] as const
export type Prefix = (typeof PREFIXES)[number]

export type OperandChoice = 'register' | 'memory'

export interface Cell {
  readonly form: Form
  /** What the operand is that may be either; `register` where there is neither. */
  readonly operand: OperandChoice
  readonly prefix: Prefix
  readonly mode: Mode
}

export const nameOf = ({ form, operand, prefix, mode }: Cell): string => `${form.name} ${operand} ${prefix} ${mode}`

const K = OpCodeOperandKind

export const REGISTER_OR_MEMORY: ReadonlySet<OpCodeOperandKind> = new Set([
  ...[K.r8_or_mem, K.r16_or_mem, K.r32_or_mem, K.r64_or_mem, K.mm_or_mem, K.xmm_or_mem, K.ymm_or_mem],
])

/** Operands that are always memory, the implicit ones of string instructions included. */
export const MEMORY: ReadonlySet<OpCodeOperandKind> = new Set([
  ...[K.mem, K.mem_offs, K.seg_rSI, K.es_rDI, K.seg_rDI, K.seg_rBX_al],
  ...[K.mem_vsib32x, K.mem_vsib32y, K.mem_vsib64x, K.mem_vsib64y],
])

interface VendorDifference {
  readonly codes: RegExp
  readonly prefix?: Prefix
  readonly operand?: OperandChoice
  readonly mode?: Mode
  readonly because: string
}

/** Cells on which makers differ, or the manuals say that anything may happen: no part of the table. */
export const VENDOR_DIFFERENCES: readonly VendorDifference[] = [
  {
    codes: /^(J|Call|Ret|Loop)/,
    prefix: 'operand-size',
    mode: 64,
    because: 'AMD branches to 16 bits, Intel ignores the prefix (SDM vol. 2, JMP; APM vol. 3, JMP near)',
  },
  {
    codes: /^Loopne_/,
    prefix: 'rep',
    because: 'reserved (SDM vol. 2, 2.1.1): AMD takes the condition from the prefix',
  },
  {
    codes: /^Loope_/,
    prefix: 'repne',
    because: 'reserved (SDM vol. 2, 2.1.1): AMD takes the condition from the prefix',
  },
  { codes: /^Movsxd_r16_rm16$/, operand: 'memory', because: 'AMD reads 32 bits (APM vol. 3, MOVSXD), Intel 16' },
  { codes: /^Verw_/, prefix: 'lock', because: 'AMD ignores LOCK, Intel raises #UD (SDM vol. 2, LOCK)' },
  {
    codes: /^Mov_(cr_r(32|64)|r(32|64)_cr)$/,
    prefix: 'lock',
    because: 'AMD: LOCK MOV CR0 is MOV CR8 (APM vol. 3, MOV CRn)',
  },
]

function isVendorDifference({ form, operand, prefix, mode }: Cell): boolean {
  return VENDOR_DIFFERENCES.some(
    each =>
      each.codes.test(form.name) &&
      (each.prefix ?? prefix) === prefix &&
      (each.operand ?? operand) === operand &&
      (each.mode ?? mode) === mode,
  )
}

/** All cells that there may be; those that can't be encoded are found out by trying. */
export function possibleCells(forms: readonly Form[]): Cell[] {
  const cells: Cell[] = []
  for (const form of forms) {
    const either = form.operandKinds.some(kind => REGISTER_OR_MEMORY.has(kind))
    const memory = form.operandKinds.some(kind => MEMORY.has(kind))
    const operands: OperandChoice[] = either ? ['register', 'memory'] : memory ? ['memory'] : ['register']
    for (const mode of form.modes)
      for (const operand of operands)
        for (const prefix of PREFIXES) {
          const cell = { form, operand, prefix, mode }
          if (!isVendorDifference(cell)) cells.push(cell)
        }
  }
  return cells
}
