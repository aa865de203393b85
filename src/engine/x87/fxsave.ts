/** FXSAVE and FXRSTOR. The layout is also the legacy region of XSAVE areas. SDM vol. 1, 10.5.1, table 10-2. */

import { EFER_LMA } from '../../x86/control-registers.ts'
import { RIGHTS_L } from '../../x86/segment-rights.ts'
import type { Assist } from '../assist.ts'
import { type CpuState, Segment } from '../cpu-state.ts'
import { generalProtection } from '../fault.ts'
import { MXCSR_MASK } from '../float/sse-scalar.ts'
import * as S from '../state.ts'
import { Fpu, readPhysical, requireDevice, STATUS_TOP_SHIFT, writePhysical } from './fpu.ts'

export const FXSAVE_SIZE = 512
export const FXSAVE_MXCSR = 24
export const FXSAVE_REGISTERS = 32
export const FXSAVE_XMM = 160
/** End of what is written: behind XMM7, or XMM15 in 64-bit mode. The rest belongs to software. */
const FXSAVE_END = 288
const FXSAVE_END_64 = 416

/** Are 16 XMM registers to be seen? */
function is64Bit(state: CpuState): boolean {
  const rights = state.get32(S.SEGMENTS + Segment.CS * S.SEGMENT_STRIDE + S.SEGMENT_RIGHTS)
  return (state.get32(S.EFER) & EFER_LMA) !== 0 && (rights & RIGHTS_L) !== 0
}

/** Puts the x87 state (bytes 0 to 23 and 32 to 159) into an area. @param wide 64-bit pointers, without selectors */
export function encodeX87Area(state: CpuState, area: DataView, wide: boolean): void {
  const top = state.get32(S.X87_TOP)
  area.setUint16(0, state.get32(S.X87_CONTROL), true)
  area.setUint16(2, state.get32(S.X87_STATUS) | (top << STATUS_TOP_SHIFT), true)
  area.setUint16(4, state.get32(S.X87_TAGS), true)
  area.setUint16(6, state.get32(S.X87_OPCODE), true)
  if (wide) {
    area.setBigUint64(8, state.get64(S.X87_IP), true)
    area.setBigUint64(16, state.get64(S.X87_DP), true)
  } else {
    area.setUint32(8, state.get32(S.X87_IP), true)
    area.setUint32(12, state.get32(S.X87_CS), true)
    area.setUint32(16, state.get32(S.X87_DP), true)
    area.setUint32(20, state.get32(S.X87_DS), true)
  }
  for (let i = 0; i < 8; i++) {
    const { low, high } = readPhysical(state, (top + i) & 7)
    area.setBigUint64(FXSAVE_REGISTERS + i * 16, low, true)
    area.setBigUint64(FXSAVE_REGISTERS + i * 16 + 8, BigInt(high), true)
  }
}

/** The opposite of {@link encodeX87Area}. */
export function decodeX87Area(fpu: Fpu, area: DataView, wide: boolean): void {
  const { state } = fpu
  fpu.statusWord = area.getUint16(2, true)
  fpu.tags = area.getUint8(4)
  fpu.control = area.getUint16(0, true)
  state.set32(S.X87_OPCODE, area.getUint16(6, true) & 0x7ff)
  if (wide) {
    state.set64(S.X87_IP, area.getBigUint64(8, true))
    state.set64(S.X87_DP, area.getBigUint64(16, true))
    state.set32(S.X87_CS, 0)
    state.set32(S.X87_DS, 0)
  } else {
    state.set64(S.X87_IP, BigInt(area.getUint32(8, true)))
    state.set32(S.X87_CS, area.getUint16(12, true))
    state.set64(S.X87_DP, BigInt(area.getUint32(16, true)))
    state.set32(S.X87_DS, area.getUint16(20, true))
  }
  for (let i = 0; i < 8; i++)
    writePhysical(state, (fpu.top + i) & 7, {
      low: area.getBigUint64(FXSAVE_REGISTERS + i * 16, true),
      high: area.getUint16(FXSAVE_REGISTERS + i * 16 + 8, true),
    })
}

export function encodeXmm(state: CpuState, area: DataView, count: number): void {
  for (let i = 0; i < count; i++) {
    const at = S.VECTORS + i * S.VECTOR_STRIDE
    area.setBigUint64(FXSAVE_XMM + i * 16, state.get64(at), true)
    area.setBigUint64(FXSAVE_XMM + i * 16 + 8, state.get64(at + 8), true)
  }
}

export function decodeXmm(state: CpuState, area: DataView, count: number): void {
  for (let i = 0; i < count; i++) {
    const at = S.VECTORS + i * S.VECTOR_STRIDE
    state.set64(at, area.getBigUint64(FXSAVE_XMM + i * 16, true))
    state.set64(at + 8, area.getBigUint64(FXSAVE_XMM + i * 16 + 8, true))
  }
}

/** The initial configuration of XMM registers. */
export function clearXmm(state: CpuState, count: number): void {
  for (let i = 0; i < count; i++) {
    const at = S.VECTORS + i * S.VECTOR_STRIDE
    state.set64(at, 0n)
    state.set64(at + 8, 0n)
  }
}

function checkArea(address: bigint): void {
  if (address & 15n) throw generalProtection()
}

/**
 * XMM registers and MXCSR are saved and restored whatever CR4.OSFXSR says, which the SDM leaves to the
 * implementation (vol. 2, FXSAVE).
 */
const save =
  (wide: boolean): Assist =>
  (cpu, instruction) => {
    const { state, memory } = cpu
    const { address } = instruction
    requireDevice(cpu)
    checkArea(address)
    instruction.checkSegment(state, FXSAVE_SIZE, true)
    memory.probeWrite(address, FXSAVE_SIZE)
    const long = is64Bit(state)
    const bytes = new Uint8Array(long ? FXSAVE_END_64 : FXSAVE_END)
    const area = new DataView(bytes.buffer)
    encodeX87Area(state, area, wide)
    area.setUint32(FXSAVE_MXCSR, state.get32(S.MXCSR), true)
    area.setUint32(FXSAVE_MXCSR + 4, MXCSR_MASK, true)
    encodeXmm(state, area, long ? 16 : 8)
    memory.writeBytes(address, bytes)
  }

const restore =
  (wide: boolean): Assist =>
  (cpu, instruction) => {
    const { state, memory } = cpu
    requireDevice(cpu)
    checkArea(instruction.address)
    instruction.checkSegment(state, FXSAVE_SIZE, false)
    const bytes = memory.readBytes(instruction.address, FXSAVE_SIZE)
    const area = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const mxcsr = area.getUint32(FXSAVE_MXCSR, true)
    if (mxcsr & ~MXCSR_MASK) throw generalProtection()
    decodeX87Area(new Fpu(cpu, instruction), area, wide)
    state.set32(S.MXCSR, mxcsr)
    decodeXmm(state, area, is64Bit(state) ? 16 : 8)
  }

export const fxsaveAssists: Readonly<Record<string, Assist>> = {
  Fxsave_m512byte: save(false),
  Fxsave64_m512byte: save(true),
  Fxrstor_m512byte: restore(false),
  Fxrstor64_m512byte: restore(true),
}
