/** Whether words of a stack can be what an unwinder looks for: return addresses, selectors, flags. */

import type { VcpuView } from '../../inspect/machine-view.ts'
import type { StillMemory } from './still-memory.ts'

/** RFLAGS: bit 1 is always set; bits 3, 5, 15 and those from 22 up never are (SDM vol. 1, 3.4.3). */
const FLAGS_ALWAYS = 0x2n
const FLAGS_NEVER = ~0x3f_7fd7n

/** Of a code-segment descriptor's high word: type 11:8, S 12, P 15, L 21, D 22 (SDM vol. 3, 3.4.5). */
const DESCRIPTOR_CODE = 0x800
const DESCRIPTOR_S = 0x1000
const DESCRIPTOR_P = 0x8000
const DESCRIPTOR_L = 1 << 21
const DESCRIPTOR_D = 1 << 22

/** The longest CALL that is looked for, in bytes. */
const LONGEST_CALL = 7

export const plausibleFlags = (flags: bigint): boolean =>
  (flags & FLAGS_ALWAYS) !== 0n && (flags & BigInt.asUintN(64, FLAGS_NEVER)) === 0n

/** Size of the code that a selector of the GDT means; undefined when it means no present code segment. */
export function codeBitsOf(memory: StillMemory, vcpu: VcpuView, selector: bigint): 16 | 32 | 64 | undefined {
  const high = descriptorHigh(memory, vcpu, selector)
  if (high === undefined || (high & DESCRIPTOR_CODE) === 0) return undefined
  return (high & DESCRIPTOR_L) !== 0 ? 64 : (high & DESCRIPTOR_D) !== 0 ? 32 : 16
}

export function isDataSelector(memory: StillMemory, vcpu: VcpuView, selector: bigint): boolean {
  const high = descriptorHigh(memory, vcpu, selector)
  return high !== undefined && (high & DESCRIPTOR_CODE) === 0
}

/** Of a code or data segment that is present. */
function descriptorHigh(memory: StillMemory, vcpu: VcpuView, selector: bigint): number | undefined {
  // Bit 2 selects the LDT, where nobody has the segments of a kernel.
  if (selector < 8n || selector > 0xffffn || (selector & 4n) !== 0n) return undefined
  const { base, limit } = vcpu.table('gdtr')
  const offset = selector & ~7n
  if (offset + 7n > BigInt(limit)) return undefined
  const high = Number(memory.word(BigInt.asUintN(64, base + offset + 4n), 4) ?? 0n)
  return (high & DESCRIPTOR_S) !== 0 && (high & DESCRIPTOR_P) !== 0 ? high : undefined
}

/** Whether a CALL ends at an address (SDM vol. 2, CALL): E8 with a displacement, or FF /2 in one of its lengths. */
export function followsCall(memory: StillMemory, address: bigint): boolean {
  const bytes = memory.read(BigInt.asUintN(64, address - BigInt(LONGEST_CALL)), LONGEST_CALL)
  if (bytes === undefined) return false
  if (bytes[LONGEST_CALL - 5] === 0xe8) return true
  return [2, 3, 4, 6, 7].some(length => {
    const modrm = bytes[LONGEST_CALL - length + 1]
    return bytes[LONGEST_CALL - length] === 0xff && ((modrm >> 3) & 7) === 2 && callLength(modrm) === length
  })
}

/** Where the CALL leads that ends at an address, if it is one with a displacement. */
export function calledDirectly(memory: StillMemory, address: bigint, bits: 32 | 64): bigint | undefined {
  const bytes = memory.read(BigInt.asUintN(64, address - 5n), 5)
  if (bytes?.[0] !== 0xe8) return undefined
  const displacement = new DataView(bytes.buffer, bytes.byteOffset + 1).getInt32(0, true)
  return BigInt.asUintN(bits, address + BigInt(displacement))
}

/** Bytes of FF /2 by its ModRM byte, in 32- and 64-bit code. */
function callLength(modrm: number): number {
  const mode = modrm >> 6
  const rm = modrm & 7
  if (mode === 3) return 2
  const sib = rm === 4 ? 1 : 0
  if (mode === 1) return 3 + sib
  if (mode === 2) return 6 + sib
  return rm === 5 ? 6 : 2 + sib
}
