/** Guest memory changed by the user, all of it or nothing: permissions do not matter, and nothing is marked accessed. */

import { ACCESS_LOOK } from '../engine/mmu/page-walk.ts'
import type { Address } from '../inspect/address.ts'
import { GuestWalk } from '../inspect/guest-walk.ts'
import { readLinear } from '../inspect/linear-memory.ts'
import type { VcpuView } from '../inspect/machine-view.ts'
import { type Target, TargetError } from './target.ts'

const PAGE = 4096

/** Throws {@link TargetError}, and then nothing is written. */
export function writeMemory(target: Target, vcpu: VcpuView, address: Address, bytes: Uint8Array): void {
  if (!target.capabilities.writes) throw new TargetError('this target can be looked at, not changed')
  if (target.state.kind !== 'stopped') throw new TargetError('memory is changed while the guest stands still: pause it')
  for (const { gpa, from, to } of piecesOf(target, vcpu, address, bytes.length))
    target.writePhysical(gpa, bytes.subarray(from, to))
}

interface Piece {
  readonly gpa: number
  readonly from: number
  readonly to: number
}

/** Where each page's share goes; every page is looked up before anything is written. */
function piecesOf(target: Target, vcpu: VcpuView, address: Address, length: number): Piece[] {
  if (address.space === 'host')
    throw new TargetError('host-physical memory is not written: name the guest-physical address (phys:0x…)')
  const pieces: Piece[] = []
  for (let from = 0; from < length; ) {
    const at = BigInt.asUintN(64, address.address + BigInt(from))
    const to = Math.min(length, from + PAGE - Number(at % BigInt(PAGE)))
    const gpa = address.space === 'physical' ? Number(at) : linearToPhysical(target, vcpu, at, address.cr3)
    if (gpa === undefined || target.machine.readPhysical(gpa, to - from) === undefined)
      throw new TargetError(`nothing can be written at 0x${at.toString(16)}: no RAM is mapped there`)
    pieces.push({ gpa, from, to })
    from = to
  }
  return pieces
}

function linearToPhysical(target: Target, vcpu: VcpuView, at: bigint, cr3: bigint | undefined): number | undefined {
  // What can't be read has no place either; this checks canonicality too.
  if (readLinear(target.machine, vcpu, at, 1, cr3).length === 0) return undefined
  const { fault, gpa } = new GuestWalk(target.machine, vcpu, cr3).walk(at, ACCESS_LOOK)
  return fault < 0 ? gpa : undefined
}
