/** Instructions of the guest that may stop it: its own INT3, and XCHG BX, BX, by which kernels call a debugger. */

import { MODE_CODE_16, MODE_CODE_SIZE } from '../mode.ts'
import type { CodeBreakpoint } from '../processor.ts'

/** Who is asked before such an instruction; absent: it is an instruction like any other. */
export interface InstructionStops {
  readonly int3?: Pick<CodeBreakpoint, 'reached'>
  readonly magic?: Pick<CodeBreakpoint, 'reached'>
}

const INT3 = 0xcc
const XCHG = 0x87
const BX_BX = 0xdb
const OPERAND_SIZE = 0x66

function isMagic(bytes: Uint8Array, at: number, mode: number): boolean {
  const plain = bytes[at] === XCHG && bytes[at + 1] === BX_BX
  if ((mode & MODE_CODE_SIZE) === MODE_CODE_16) return plain
  return bytes[at] === OPERAND_SIZE && bytes[at + 1] === XCHG && bytes[at + 2] === BX_BX
}

/** Who is asked before the instruction at an offset, if it is one of them. */
export function stopInstruction(
  stops: InstructionStops,
  bytes: Uint8Array,
  at: number,
  mode: number,
): Pick<CodeBreakpoint, 'reached'> | undefined {
  if (stops.int3 !== undefined && bytes[at] === INT3) return stops.int3
  return stops.magic !== undefined && isMagic(bytes, at, mode) ? stops.magic : undefined
}
