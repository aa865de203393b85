/** Loads of segment registers: MOV, POP, LDS and their like. */

import {
  isCode,
  isConformingCode,
  isNullSelector,
  isPresent,
  isReadable,
  isWritableData,
} from '../../x86/descriptor.ts'
import { RFLAGS_VM } from '../../x86/rflags.ts'
import { RIGHTS_DB, RIGHTS_G, RIGHTS_UNUSABLE } from '../../x86/segment-rights.ts'
import type { Assist, AssistCpu } from '../assist.ts'
import { Segment, type SegmentCache, type SegmentIndex } from '../cpu-state.ts'
import { generalProtection, invalidOpcode, segmentNotPresent, stackFault } from '../fault.ts'
import * as S from '../state.ts'
import { mode64, paragraphMode } from './cpu-mode.ts'
import { loadDescriptor, nullCache, readDescriptor, selectorGeneralProtection } from './descriptors.ts'
import { readRm16, writeRegister } from './operand.ts'
import { Stack } from './stack.ts'

/** Rights that virtual-8086 mode gives every segment: present, ring 3, writable, accessed (SDM vol. 3, 21.2). */
export const V86_RIGHTS = 0xf3
/** Rights of a segment loaded in real mode: present, ring 0, writable, accessed. */
const REAL_RIGHTS = 0x93

/**
 * What a real-mode or virtual-8086 load leaves in the cache. Real mode keeps limit and size, which is how "unreal
 * mode" comes about (SDM vol. 3, 10.9.1: a switch to real mode keeps the hidden parts).
 */
export function paragraphCache(cpu: AssistCpu, index: SegmentIndex, selector: number): SegmentCache {
  const base = BigInt(selector << 4)
  if (cpu.state.get32(S.FLAG_SYSTEM) & RFLAGS_VM) return v86Cache(selector)
  const { limit, rights } = cpu.state.segment(index)
  if (rights & RIGHTS_UNUSABLE) return { selector, base, limit: 0xffff, rights: REAL_RIGHTS }
  return { selector, base, limit, rights: (rights & (RIGHTS_DB | RIGHTS_G)) | REAL_RIGHTS }
}

export const v86Cache = (selector: number): SegmentCache => ({
  selector,
  base: BigInt(selector << 4),
  limit: 0xffff,
  rights: V86_RIGHTS,
})

/** Checks of a load of SS, and its cache (SDM vol. 2, MOV, "Protected Mode Exceptions"). */
function checkedStackSegment(cpu: AssistCpu, selector: number): SegmentCache {
  const { cpl } = cpu.state
  const rpl = selector & 3
  if (isNullSelector(selector)) {
    if (!mode64(cpu.state) || cpl === 3 || rpl !== cpl) throw generalProtection()
    return nullCache(selector, cpl)
  }
  const descriptor = readDescriptor(cpu, selector)
  if (rpl !== cpl || !isWritableData(descriptor.rights) || descriptor.dpl !== cpl)
    throw selectorGeneralProtection(selector)
  if (!isPresent(descriptor.rights)) throw stackFault(selector & 0xfffc)
  return loadDescriptor(cpu, descriptor, selector)
}

/** Checks of a load of DS, ES, FS or GS, and its cache. */
function checkedDataSegment(cpu: AssistCpu, selector: number): SegmentCache {
  if (isNullSelector(selector)) return nullCache(selector)
  const descriptor = readDescriptor(cpu, selector)
  const { rights, dpl } = descriptor
  if (!isReadable(rights)) throw selectorGeneralProtection(selector)
  const privileged = !isCode(rights) || !isConformingCode(rights)
  if (privileged && ((selector & 3) > dpl || cpu.state.cpl > dpl)) throw selectorGeneralProtection(selector)
  if (!isPresent(rights)) throw segmentNotPresent(selector)
  return loadDescriptor(cpu, descriptor, selector)
}

/** The cache that loading `selector` into data or stack segment `index` gives; throws when the mode forbids it. */
export function segmentFor(cpu: AssistCpu, index: SegmentIndex, selector: number): SegmentCache {
  if (paragraphMode(cpu.state)) return paragraphCache(cpu, index, selector)
  return index === Segment.SS ? checkedStackSegment(cpu, selector) : checkedDataSegment(cpu, selector)
}

/** Holds interrupts and debug traps off for one instruction (SDM vol. 3, 6.8.3); the run loop ends it. */
export function blockByMovSs(cpu: AssistCpu): void {
  cpu.state.set32(S.INTERRUPTIBILITY, cpu.state.get32(S.INTERRUPTIBILITY) | S.BLOCKED_BY_MOV_SS)
}

function install(cpu: AssistCpu, index: SegmentIndex, cache: SegmentCache): void {
  cpu.state.setSegment(index, cache)
  cpu.contextChanged()
}

const SEGMENT_BY_ENCODING: readonly SegmentIndex[] = [
  Segment.ES,
  Segment.CS,
  Segment.SS,
  Segment.DS,
  Segment.FS,
  Segment.GS,
]

const movToSegment: Assist = (cpu, instruction) => {
  const index = SEGMENT_BY_ENCODING[instruction.register0]
  if (index === undefined || index === Segment.CS) throw invalidOpcode()
  install(cpu, index, segmentFor(cpu, index, readRm16(cpu, instruction, instruction.register1)))
  if (index === Segment.SS) blockByMovSs(cpu)
}

const pop =
  (index: SegmentIndex): Assist =>
  (cpu, instruction) => {
    const stack = Stack.current(cpu)
    const selector = Number(stack.peek(0, 2))
    stack.skip(instruction.operandSize / 8)
    const cache = segmentFor(cpu, index, selector)
    stack.commit()
    install(cpu, index, cache)
    if (index === Segment.SS) blockByMovSs(cpu)
  }

/** LDS, LES, LFS, LGS, LSS: offset first in memory, then the selector. */
const loadFarPointer =
  (index: SegmentIndex): Assist =>
  (cpu, instruction) => {
    const { operandSize, address, register0 } = instruction
    if (!instruction.hasMemory) throw invalidOpcode()
    const bytes = BigInt(operandSize / 8)
    const offset =
      operandSize === 64
        ? cpu.memory.read64(address)
        : BigInt(operandSize === 32 ? cpu.memory.read32(address) : cpu.memory.read16(address))
    const cache = segmentFor(cpu, index, cpu.memory.read16(BigInt.asUintN(64, address + bytes)))
    writeRegister(cpu.state, register0, operandSize, offset)
    install(cpu, index, cache)
  }

export const segmentLoadAssists: Readonly<Record<string, Assist>> = {
  Mov_Sreg_rm16: movToSegment,
  Mov_Sreg_r32m16: movToSegment,
  Mov_Sreg_r64m16: movToSegment,
  Popw_ES: pop(Segment.ES),
  Popd_ES: pop(Segment.ES),
  Popw_SS: pop(Segment.SS),
  Popd_SS: pop(Segment.SS),
  Popw_DS: pop(Segment.DS),
  Popd_DS: pop(Segment.DS),
  Popw_FS: pop(Segment.FS),
  Popd_FS: pop(Segment.FS),
  Popq_FS: pop(Segment.FS),
  Popw_GS: pop(Segment.GS),
  Popd_GS: pop(Segment.GS),
  Popq_GS: pop(Segment.GS),
  Les_r16_m1616: loadFarPointer(Segment.ES),
  Les_r32_m1632: loadFarPointer(Segment.ES),
  Lds_r16_m1616: loadFarPointer(Segment.DS),
  Lds_r32_m1632: loadFarPointer(Segment.DS),
  Lss_r16_m1616: loadFarPointer(Segment.SS),
  Lss_r32_m1632: loadFarPointer(Segment.SS),
  Lss_r64_m1664: loadFarPointer(Segment.SS),
  Lfs_r16_m1616: loadFarPointer(Segment.FS),
  Lfs_r32_m1632: loadFarPointer(Segment.FS),
  Lfs_r64_m1664: loadFarPointer(Segment.FS),
  Lgs_r16_m1616: loadFarPointer(Segment.GS),
  Lgs_r32_m1632: loadFarPointer(Segment.GS),
  Lgs_r64_m1664: loadFarPointer(Segment.GS),
}
