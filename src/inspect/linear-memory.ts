/** Guest memory by linear address, as a debugger reads it: permissions do not matter, and nothing is marked accessed. */

import { ACCESS_LOOK, type PagingMode } from '../engine/mmu/page-walk.ts'
import { GuestWalk } from './guest-walk.ts'
import type { MachineView, VcpuView } from './machine-view.ts'

const PAGE = 4096n

/**
 * As many of `length` bytes as can be read without a gap.
 * @param cr3 another address space than the vCPU's current one.
 */
export function readLinear(
  machine: MachineView,
  vcpu: VcpuView,
  address: bigint,
  length: number,
  cr3?: bigint,
): Uint8Array {
  const walk = new GuestWalk(machine, vcpu, cr3)
  let bytes: Uint8Array | undefined
  for (let done = 0; done < length; ) {
    const at = BigInt.asUintN(64, address + BigInt(done))
    const piece = readPiece(machine, walk, at, length - done)
    if (piece === undefined) return bytes?.subarray(0, done) ?? new Uint8Array(0)
    if (piece.length === length) return piece
    bytes ??= new Uint8Array(length)
    bytes.set(piece, done)
    done += piece.length
  }
  return bytes ?? new Uint8Array(0)
}

/** What lies behind a linear address without a gap, at most `length` bytes; undefined when nothing can be read there. */
function readPiece(machine: MachineView, walk: GuestWalk, address: bigint, length: number): Uint8Array | undefined {
  const bits = LINEAR_BITS[walk.control.mode]
  if (bits > 32 ? !isCanonical(address, bits) : address >> 32n !== 0n) return undefined
  const { fault, gpa } = walk.walk(address, ACCESS_LOOK)
  if (fault >= 0) return undefined
  const whole = machine.readPhysical(gpa, Math.min(length, walk.contiguous(address)))
  // A large page can reach beyond RAM.
  return whole ?? machine.readPhysical(gpa, Math.min(length, Number(PAGE - (address % PAGE))))
}

/** Bits of a linear address that are translated. */
export const LINEAR_BITS: Readonly<Record<PagingMode, number>> = {
  none: 32,
  '32-bit': 32,
  pae: 32,
  '4-level': 48,
  '5-level': 57,
}

/** Are all bits from the highest of `bits` up the same (SDM vol. 1, 3.3.7.1)? */
export const isCanonical = (address: bigint, bits: number): boolean =>
  BigInt.asUintN(64, BigInt.asIntN(bits, address)) === address
