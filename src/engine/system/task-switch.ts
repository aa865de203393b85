/** Hardware task switches (SDM vol. 3, 8.3): 32-bit and 16-bit TSS, outside long mode. */

import { CR0_PG, CR0_TS } from '../../x86/control-registers.ts'
import {
  DESCRIPTOR_LDT,
  DESCRIPTOR_TSS_AVAILABLE,
  DESCRIPTOR_TSS_BUSY,
  DESCRIPTOR_TSS_BUSY_BIT,
  DESCRIPTOR_TSS16_AVAILABLE,
  DESCRIPTOR_TSS16_BUSY,
  isCode,
  isConformingCode,
  isNullSelector,
  isPresent,
  isReadable,
  isWritableData,
  SELECTOR_TI,
} from '../../x86/descriptor.ts'
import { RFLAGS_KNOWN, RFLAGS_NT, RFLAGS_VM } from '../../x86/rflags.ts'
import type { AssistCpu } from '../assist.ts'
import { Segment, type SegmentCache, type SegmentIndex } from '../cpu-state.ts'
import { GuestFault } from '../fault.ts'
import * as S from '../state.ts'
import { checkOffset, selectorFault } from './code-segment.ts'
import {
  cacheOf,
  hasSystemType,
  loadDescriptor,
  nullCache,
  probeDescriptor,
  readDescriptor,
  type TableDescriptor,
  tableAddress,
} from './descriptors.ts'
import { fetchPdptes, setPdptes, usesPdptes } from './pdptes.ts'
import { v86Cache } from './segment-load.ts'
import { Stack } from './stack.ts'
import { setTssBusy } from './table-registers.ts'

const VECTOR_INVALID_TSS = 10
const VECTOR_NOT_PRESENT = 11
const VECTOR_STACK = 12
const VECTOR_GENERAL_PROTECTION = 13

/** DR6.BT: the debug exception of a TSS whose T flag is set. */
const DEBUG_TASK_SWITCH = 1 << 15
/** DR7: L0 to L3 and LE, which a task switch clears. */
const DR7_LOCAL = 0x155

export interface TaskSwitch {
  readonly kind: 'jump' | 'call' | 'interrupt' | 'return'
  /** Instruction pointer and flags to save for the old task. */
  readonly rip: bigint
  readonly flags: number
  /** Pushed on the new task's stack. */
  readonly errorCode?: number | undefined
  /** EXT bit of error codes: 1 while an event outside the program is delivered. */
  readonly ext?: number
}

/** Where a TSS keeps what: sizes and offsets in bytes (SDM vol. 3, figures 8-2 and 8-10). */
interface TssLayout {
  readonly wide: boolean
  readonly minimumLimit: number
  readonly ip: number
  readonly flags: number
  readonly registers: number
  /** ES, CS, SS, DS, then FS and GS in the 32-bit format. */
  readonly segments: number
  readonly segmentCount: number
  readonly ldt: number
  /** Distance of registers and of segments. */
  readonly stride: number
}

const TSS32: TssLayout = {
  wide: true,
  minimumLimit: 0x67,
  ip: 32,
  flags: 36,
  registers: 40,
  segments: 72,
  segmentCount: 6,
  ldt: 96,
  stride: 4,
}
const TSS16: TssLayout = {
  wide: false,
  minimumLimit: 0x2b,
  ip: 14,
  flags: 16,
  registers: 18,
  segments: 34,
  segmentCount: 4,
  ldt: 42,
  stride: 2,
}
const TSS_CR3 = 28
const TSS_TRAP = 100

/** The order of selectors in a TSS. */
const SEGMENT_ORDER = [Segment.ES, Segment.CS, Segment.SS, Segment.DS, Segment.FS, Segment.GS] as const

/** A task that a JMP, a CALL or a gate may enter: in the GDT, available, present. */
export function requireAvailableTask(cpu: AssistCpu, selector: number, ext = 0): TableDescriptor {
  const fault = () => selectorFault(VECTOR_GENERAL_PROTECTION, selector, ext)
  if (selector & SELECTOR_TI || isNullSelector(selector)) throw fault()
  const descriptor = readDescriptor(cpu, selector, fault)
  if (!hasSystemType(descriptor, DESCRIPTOR_TSS_AVAILABLE, DESCRIPTOR_TSS16_AVAILABLE)) throw fault()
  if (!isPresent(descriptor.rights)) throw selectorFault(VECTOR_NOT_PRESENT, selector, ext)
  return descriptor
}

/** IRET with NT set: back to the task that the TSS links to. */
export function switchToPreviousTask(cpu: AssistCpu): GuestFault | undefined {
  const { state } = cpu
  const selector = cpu.memory.read16(tableAddress(cpu, state.segment(Segment.TR).base, 0), true)
  const fault = () => selectorFault(VECTOR_INVALID_TSS, selector)
  if (selector & SELECTOR_TI || isNullSelector(selector)) throw fault()
  const descriptor = readDescriptor(cpu, selector, fault)
  if (!hasSystemType(descriptor, DESCRIPTOR_TSS_BUSY, DESCRIPTOR_TSS16_BUSY)) throw fault()
  if (!isPresent(descriptor.rights)) throw selectorFault(VECTOR_NOT_PRESENT, selector)
  return switchTask(cpu, descriptor, { kind: 'return', rip: state.rip, flags: state.rflags })
}

/** The new task's state as its TSS holds it. */
interface TaskImage {
  readonly cr3: number
  readonly rip: number
  readonly flags: number
  readonly registers: readonly number[]
  readonly segments: readonly number[]
  readonly ldt: number
  readonly trap: boolean
}

/**
 * Switches to the task of an already checked TSS descriptor. Faults before the switch are thrown; a fault that belongs
 * to the new task (SDM vol. 3, 8.3, step 12 on) is returned, to be raised there.
 */
export function switchTask(cpu: AssistCpu, task: TableDescriptor, how: TaskSwitch): GuestFault | undefined {
  const { state } = cpu
  const ext = how.ext ?? 0
  const layout = task.rights & 8 ? TSS32 : TSS16
  const next = cacheOf(task)
  if (next.limit < layout.minimumLimit) throw selectorFault(VECTOR_INVALID_TSS, task.selector, ext)
  const image = readTask(cpu, next.base, layout)
  const nested = how.kind === 'call' || how.kind === 'interrupt'
  const old = state.segment(Segment.TR)
  if (nested) cpu.memory.probeWrite(next.base, 2, true)
  const pdptes = taskPdptes(cpu, layout, image.cr3)
  saveTask(cpu, old, how)
  if (how.kind === 'jump' || how.kind === 'return') {
    const descriptor = probeDescriptor(cpu, old.selector)
    if (descriptor) setTssBusy(cpu, descriptor, false)
  }
  if (nested) cpu.memory.write16(next.base, old.selector, true)
  if (how.kind !== 'return') setTssBusy(cpu, task, true)

  next.rights |= DESCRIPTOR_TSS_BUSY_BIT
  state.setSegment(Segment.TR, next)
  state.set64(S.CR0, state.get64(S.CR0) | BigInt(CR0_TS))
  state.set64(S.DR + 7 * 8, state.get64(S.DR + 7 * 8) & ~BigInt(DR7_LOCAL))
  if (layout.wide && state.get32(S.CR0) & CR0_PG) {
    state.set64(S.CR3, BigInt(image.cr3))
    if (pdptes !== undefined && !(pdptes instanceof GuestFault)) setPdptes(state, pdptes)
    cpu.flushTlb(true)
  }
  state.rip = BigInt(image.rip)
  state.rflags = nested ? image.flags | RFLAGS_NT : image.flags
  for (const [i, value] of image.registers.entries()) state.setGpr32(i, value)
  const cpl = image.flags & RFLAGS_VM ? 3 : (image.segments[1] ?? 0) & 3
  state.cpl = cpl
  for (const [i, index] of SEGMENT_ORDER.entries()) state.setSegment(index, nullCache(image.segments[i] ?? 0, cpl))
  state.setSegment(Segment.LDTR, nullCache(image.ldt))
  cpu.contextChanged()
  if (image.trap) state.set32(S.PENDING_DEBUG, state.get32(S.PENDING_DEBUG) | DEBUG_TASK_SWITCH)
  try {
    enterNewTask(cpu, image, how, layout, ext)
    if (pdptes instanceof GuestFault) return pdptes
  } catch (fault) {
    if (fault instanceof GuestFault) return fault
    throw fault
  } finally {
    cpu.contextChanged()
  }
  return undefined
}

/**
 * The PDPTE registers that the new task's CR3 brings (SDM vol. 3, 4.4.1), read while nothing has changed yet; the fault,
 * if they can't be loaded, is the new task's. undefined without PAE paging.
 */
function taskPdptes(cpu: AssistCpu, { wide }: TssLayout, cr3: number): readonly bigint[] | GuestFault | undefined {
  const { state } = cpu
  if (!wide || !usesPdptes(state.get32(S.CR0), state.get32(S.CR4), state.get32(S.EFER))) return undefined
  try {
    return fetchPdptes(cpu, BigInt(cr3))
  } catch (fault) {
    if (fault instanceof GuestFault) return fault
    throw fault
  }
}

function readTask(cpu: AssistCpu, base: bigint, layout: TssLayout): TaskImage {
  const { memory } = cpu
  const at = (offset: number): bigint => tableAddress(cpu, base, offset)
  const word = (offset: number): number => memory.read16(at(offset), true)
  const value = (offset: number): number => (layout.wide ? memory.read32(at(offset), true) : word(offset))
  return {
    cr3: layout.wide ? value(TSS_CR3) : 0,
    rip: value(layout.ip),
    flags: value(layout.flags) & RFLAGS_KNOWN,
    registers: Array.from({ length: 8 }, (_, i) => value(layout.registers + i * layout.stride)),
    segments: Array.from({ length: layout.segmentCount }, (_, i) => word(layout.segments + i * layout.stride)),
    ldt: word(layout.ldt),
    trap: layout.wide && (word(TSS_TRAP) & 1) !== 0,
  }
}

/** Saves the old task's dynamic fields; all of them are translated first. */
function saveTask(cpu: AssistCpu, tss: SegmentCache, how: TaskSwitch): void {
  const { memory, state } = cpu
  const layout = tss.rights & 8 ? TSS32 : TSS16
  const at = (offset: number): bigint => tableAddress(cpu, tss.base, offset)
  memory.probeWrite(at(layout.ip), layout.ldt - layout.ip, true)
  const write = (offset: number, value: number): void => {
    if (layout.wide) memory.write32(at(offset), value >>> 0, true)
    else memory.write16(at(offset), value & 0xffff, true)
  }
  write(layout.ip, Number(how.rip & 0xffffffffn))
  write(layout.flags, how.kind === 'return' ? how.flags & ~RFLAGS_NT : how.flags)
  for (let i = 0; i < 8; i++) write(layout.registers + i * layout.stride, state.gpr32(i))
  for (let i = 0; i < layout.segmentCount; i++) {
    const selector = state.get32(S.SEGMENTS + i * S.SEGMENT_STRIDE + S.SEGMENT_SELECTOR)
    memory.write16(at(layout.segments + i * layout.stride), selector, true)
  }
}

/** Loads LDTR and the segment registers with the checks of the new context, then pushes the error code. */
function enterNewTask(cpu: AssistCpu, image: TaskImage, how: TaskSwitch, layout: TssLayout, ext: number): void {
  const { state } = cpu
  const { cpl } = state
  state.setSegment(Segment.LDTR, taskLdt(cpu, image.ldt, ext))
  const v86 = (image.flags & RFLAGS_VM) !== 0
  // Code and stack first: a bad data segment can then be reported on the new task's own stack.
  for (const index of [Segment.CS, Segment.SS, Segment.ES, Segment.DS, Segment.FS, Segment.GS] as const) {
    const selector = image.segments[SEGMENT_ORDER.indexOf(index)] ?? 0
    state.setSegment(index, v86 ? v86Cache(selector) : taskSegment(cpu, index, selector, cpl, ext))
  }
  checkOffset(cpu, state.segment(Segment.CS), state.rip, ext)
  if (how.errorCode === undefined) return
  const stack = Stack.current(cpu, ext)
  stack.push(BigInt(how.errorCode), layout.wide ? 4 : 2)
  stack.flush()
  stack.commit()
}

function taskLdt(cpu: AssistCpu, selector: number, ext: number): SegmentCache {
  if (isNullSelector(selector)) return nullCache(selector)
  const fault = () => selectorFault(VECTOR_INVALID_TSS, selector, ext)
  if (selector & SELECTOR_TI) throw fault()
  const descriptor = readDescriptor(cpu, selector, fault)
  if (!hasSystemType(descriptor, DESCRIPTOR_LDT) || !isPresent(descriptor.rights)) throw fault()
  return cacheOf(descriptor)
}

function taskSegment(cpu: AssistCpu, index: SegmentIndex, selector: number, cpl: number, ext: number): SegmentCache {
  const fault = () => selectorFault(VECTOR_INVALID_TSS, selector, ext)
  const needed = index === Segment.CS || index === Segment.SS
  if (isNullSelector(selector)) {
    if (needed) throw fault()
    return nullCache(selector)
  }
  const descriptor = readDescriptor(cpu, selector, fault)
  const { rights, dpl } = descriptor
  const rpl = selector & 3
  const conforming = isConformingCode(rights)
  let allowed: boolean
  if (index === Segment.CS) allowed = isCode(rights) && (conforming ? dpl <= rpl : dpl === rpl)
  else if (index === Segment.SS) allowed = isWritableData(rights) && dpl === cpl && rpl === cpl
  else allowed = isReadable(rights) && (conforming || (dpl >= cpl && dpl >= rpl))
  if (!allowed) throw fault()
  if (!isPresent(rights)) throw selectorFault(index === Segment.SS ? VECTOR_STACK : VECTOR_NOT_PRESENT, selector, ext)
  return loadDescriptor(cpu, descriptor, selector)
}
