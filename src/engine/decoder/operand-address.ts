/** Where each register of iced-x86 lives in the processor's state. */

import { Register } from 'iced-x86'
import * as S from '../state.ts'

const GENERAL_8 = ['AL', 'CL', 'DL', 'BL', 'SPL', 'BPL', 'SIL', 'DIL']
const GENERAL_16 = ['AX', 'CX', 'DX', 'BX', 'SP', 'BP', 'SI', 'DI']
const HIGH_8 = ['AH', 'CH', 'DH', 'BH']
const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS']

const REGISTERS: Readonly<Record<string, Register | string>> = Register

/** Address in the state's page by register number of iced-x86; 0 where generated code never asks for one. */
export const REGISTER_ADDRESS: Uint16Array = new Uint16Array(256)
/** Number in encoding order of the register's class: what an assist is told. */
export const REGISTER_NUMBER: Uint8Array = new Uint8Array(256)
/** Width of a register used in an address, in bits; 0 for none. */
export const ADDRESS_WIDTH: Uint8Array = new Uint8Array(256)

function place(name: string, number: number, address: number, width = 0): void {
  const register = REGISTERS[name]
  if (typeof register !== 'number') throw new Error(`iced-x86 knows no register ${name}`)
  REGISTER_ADDRESS[register] = address
  REGISTER_NUMBER[register] = number
  ADDRESS_WIDTH[register] = width
}

for (let i = 0; i < 16; i++) {
  const at = S.GPR + i * 8
  place(i < 8 ? GENERAL_8[i] : `R${i}L`, i, at)
  place(i < 8 ? GENERAL_16[i] : `R${i}W`, i, at, 16)
  place(i < 8 ? `E${GENERAL_16[i]}` : `R${i}D`, i, at, 32)
  place(i < 8 ? `R${GENERAL_16[i]}` : `R${i}`, i, at, 64)
  if (i < 4) place(HIGH_8[i], i + 4, at + 1)
  if (i < 6) place(SEGMENTS[i], i, S.SEGMENTS + i * S.SEGMENT_STRIDE)
  place(`XMM${i}`, i, S.VECTORS + i * S.VECTOR_STRIDE)
  place(`YMM${i}`, i, S.VECTORS + i * S.VECTOR_STRIDE)
  place(`CR${i}`, i, 0)
  place(`DR${i}`, i, 0)
  if (i < 8) {
    place(`MM${i}`, i, S.X87_REGISTERS + i * 16)
    place(`ST${i}`, i, 0)
    place(`TR${i}`, i, 0)
  }
}
place('None', 0, S.ZERO)
place('RIP', 0, S.BLOCK_RIP, 64)
place('EIP', 0, S.BLOCK_RIP, 32)
