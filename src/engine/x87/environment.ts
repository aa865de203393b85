/** The x87 environment in memory, in its four formats. SDM vol. 1, 8.1.10, figures 8-9 to 8-12. */

import { CR0_PE } from '../../x86/control-registers.ts'
import { RFLAGS_VM } from '../../x86/rflags.ts'
import type { CpuState } from '../cpu-state.ts'
import { unpack80 } from '../float/format.ts'
import * as S from '../state.ts'
import { type Fpu, readPhysical } from './fpu.ts'

export interface EnvironmentFormat {
  /** Of a field, in bits. */
  readonly width: 16 | 32
  /** Protected mode stores selectors and offsets, real and virtual-8086 mode linear addresses. */
  readonly real: boolean
}

export function environmentFormat(state: CpuState, width: 16 | 32): EnvironmentFormat {
  const real = (state.get32(S.CR0) & CR0_PE) === 0 || (state.rflags & RFLAGS_VM) !== 0
  return { width, real }
}

/** The full tag word, two bits a register: valid 0, zero 1, special 2, empty 3. SDM vol. 1, figure 8-7. */
export function fullTagWord(state: CpuState): number {
  const tags = state.get32(S.X87_TAGS)
  let word = 0
  for (let i = 0; i < 8; i++) word |= fullTag(state, tags, i) << (i * 2)
  return word
}

function fullTag(state: CpuState, tags: number, index: number): number {
  if (!(tags & (1 << index))) return 3
  switch (unpack80(readPhysical(state, index)).kind) {
    case 'normal':
      return 0
    case 'zero':
      return 1
    default:
      return 2
  }
}

/** Only whether a register is empty is kept of a full tag word; the rest follows from its contents. */
function abridgedTags(word: number): number {
  let tags = 0
  for (let i = 0; i < 8; i++) if (((word >> (i * 2)) & 3) !== 3) tags |= 1 << i
  return tags
}

/** Linear address in real mode, 32 bits. */
const linear = (selector: number, offset: bigint): number => (selector * 16 + Number(offset & 0xffff_ffffn)) >>> 0

/** The seven fields, in order, each of 16 or 32 bits. */
function fieldsOf(fpu: Fpu, { width, real }: EnvironmentFormat): number[] {
  const { state } = fpu
  const opcode = state.get32(S.X87_OPCODE) & 0x7ff
  const cs = state.get32(S.X87_CS)
  const ds = state.get32(S.X87_DS)
  const ip = state.get64(S.X87_IP)
  const dp = state.get64(S.X87_DP)
  // The upper halves of 32-bit fields that hold 16 bits read as ones.
  const ones = 0xffff0000
  const words = [fpu.control | ones, fpu.statusWord | ones, fullTagWord(state) | ones]
  if (real) {
    const code = linear(cs, ip)
    const data = linear(ds, dp)
    if (width === 16) return [...words, code, ((code >>> 4) & 0xf000) | opcode, data, (data >>> 4) & 0xf000]
    return [...words, code | ones, ((code >>> 16) << 12) | opcode, data | ones, (data >>> 16) << 12]
  }
  const [offset, operand] = [Number(ip & 0xffff_ffffn), Number(dp & 0xffff_ffffn)]
  if (width === 16) return [...words, offset, cs, operand, ds]
  return [...words, offset, (opcode << 16) | cs, operand, ds | ones]
}

/** 14 or 28 bytes. */
export function encodeEnvironment(fpu: Fpu, format: EnvironmentFormat): Uint8Array {
  const bytes = new Uint8Array((format.width / 8) * 7)
  const view = new DataView(bytes.buffer)
  fieldsOf(fpu, format).forEach((value, i) => {
    if (format.width === 16) view.setUint16(i * 2, value & 0xffff, true)
    else view.setUint32(i * 4, value >>> 0, true)
  })
  return bytes
}

/** Loads everything that {@link encodeEnvironment} stores. The data registers must be loaded already. */
export function decodeEnvironment(fpu: Fpu, bytes: Uint8Array, { width, real }: EnvironmentFormat): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const fields = Array.from({ length: 7 }, (_, i) =>
    width === 16 ? view.getUint16(i * 2, true) : view.getUint32(i * 4, true),
  )
  const [control, status, tags, ip, second, dp, last] = fields
  const { state } = fpu
  fpu.statusWord = status & 0xffff
  fpu.tags = abridgedTags(tags & 0xffff)
  fpu.control = control & 0xffff
  if (real) {
    // The selector is gone: a linear address with selector 0 gives the same image again.
    const high = (field: number): number => (width === 16 ? (field & 0xf000) << 4 : (field >>> 12) << 16)
    setPointers(fpu, BigInt(((ip & 0xffff) | high(second)) >>> 0), 0, BigInt(((dp & 0xffff) | high(last)) >>> 0), 0)
    state.set32(S.X87_OPCODE, second & 0x7ff)
    return
  }
  setPointers(fpu, BigInt(ip), second & 0xffff, BigInt(dp), last & 0xffff)
  if (width === 32) state.set32(S.X87_OPCODE, (second >>> 16) & 0x7ff)
}

function setPointers({ state }: Fpu, ip: bigint, cs: number, dp: bigint, ds: number): void {
  state.set64(S.X87_IP, ip)
  state.set32(S.X87_CS, cs)
  state.set64(S.X87_DP, dp)
  state.set32(S.X87_DS, ds)
}
