/**
 * The memory management unit of the running vCPU: fills the TLB that generated code looks into, and serves the accesses
 * that can't be served there: page crossings, devices, the local APIC's page, code pages.
 */

import type { CodeCache } from '../code-cache.ts'
import { breakpointsMet, type DataBreakpoint } from '../data-breakpoints.ts'
import * as R from '../decoder/record.ts'
import { alignmentCheck, generalProtection, pageFault, stackFault } from '../fault.ts'
import type { HostMemory } from '../host-memory.ts'
import { READ_FIRST } from '../isa/runtime.ts'
import { TLB_FETCH, TLB_READ, TLB_WRITE } from '../layout.ts'
import type { LinearMemory } from '../linear-memory.ts'
import type { Watchpoint } from '../processor.ts'
import * as S from '../state.ts'
import { Watchpoints } from '../stops/watchpoints.ts'
import { RUN_ALONE } from '../vm-exit.ts'
import { type GuestPhysical, NEEDS_EXECUTE, NEEDS_READ, NEEDS_WRITE } from './guest-physical.ts'
import {
  ACCESS_FETCH,
  ACCESS_READ,
  ACCESS_SMAP_OFF,
  ACCESS_WRITE,
  type EntryMemory,
  type PagingControl,
  WalkResult,
  walkPages,
} from './page-walk.ts'
import { Tlb } from './tlb.ts'

/** Registers that the processor itself has at guest-physical addresses: the local APIC. */
export interface ProcessorMmio {
  /** Guest-physical address of the page, or undefined. */
  readonly base: number | undefined
  read(offset: number, size: number): number
  write(offset: number, size: number, value: number): void
}

/** What translations depend on now; set by the vCPU whenever it changes. */
export interface TranslationContext {
  control: PagingControl
  /** ASID and access flags of explicit accesses at the current privilege. */
  asid: number
  access: number
  /** The same for implicit supervisor accesses (descriptor tables, inner stacks). */
  systemAsid: number
  systemAccess: number
  /** 64-bit linear addresses must be canonical. */
  longMode: boolean
  /** Explicit accesses must be aligned (#AC); then none of them is served by the TLB in generated code. */
  checksAlignment: boolean
  /** Bits of the high word below those that must all be the same: 15, or 24 with CR4.LA57. */
  canonicalShift: number
  /** Address bit that A20M# keeps low: 2^20, or 0 while A20 is on. */
  a20Mask: number
}

/** A store that `commit` has to carry on: linear address and length. */
interface PendingStore {
  low: number
  high: number
  bytes: number
  system: boolean
}

export class Mmu implements LinearMemory, EntryMemory {
  readonly #memory: HostMemory
  readonly #physical: GuestPhysical
  readonly #code: CodeCache
  readonly #walk = new WalkResult()
  readonly #pending: PendingStore = { low: 0, high: 0, bytes: 0, system: false }
  context: TranslationContext
  mmio: ProcessorMmio
  /** Does the instruction run as a block of its own? */
  alone = false
  /** DR6 bits of the data breakpoints that the running instruction has met. */
  met = 0
  #watched: readonly DataBreakpoint[] = []
  readonly watchpoints: Watchpoints
  readonly tlb: Tlb
  /** Results of device accesses of the running instruction that the hypervisor has completed, in order. */
  completed: bigint[] = []
  #nextCompleted = 0
  /** Called before the local APIC is reached, so that time is exact there. */
  onDevice: () => void = () => {}

  // EntryMemory
  low = 0
  high = 0
  /** Linear address whose walk is under way, for the exit of an EPT violation. */
  #linear = 0n

  constructor(
    memory: HostMemory,
    physical: GuestPhysical,
    code: CodeCache,
    context: TranslationContext,
    mmio: ProcessorMmio,
  ) {
    this.#memory = memory
    this.#physical = physical
    this.watchpoints = new Watchpoints(memory)
    this.#code = code
    this.tlb = new Tlb(memory, code, this.watchpoints)
    this.context = context
    this.mmio = mmio
  }

  /** Data breakpoints of the vCPU that runs: accesses to their pages are never served by the TLB. */
  watch(breakpoints: readonly DataBreakpoint[]): void {
    this.#watched = breakpoints
    for (const { low, high } of breakpoints) this.tlb.dropPage(low | 0, high)
  }

  #isWatched(low: number, high: number): boolean {
    return this.#watched.some(each => each.low >>> 12 === low >>> 12 && each.high === high)
  }

  /** A data breakpoint is a trap: the instruction that meets it runs alone, so that the trap follows it. */
  #meetBreakpoints(low: number, high: number, bytes: number, write: boolean): void {
    const met = breakpointsMet(this.#watched, low >>> 0, high | 0, bytes, write)
    if (met === 0) return
    if (!this.alone) throw RUN_ALONE
    this.met |= met
  }

  /** Replaces the debugger's data breakpoints. */
  setWatchpoints(watchpoints: readonly Watchpoint[]): void {
    this.watchpoints.set(watchpoints)
    this.tlb.markWatched()
  }

  /** A debugger learns of an access after its instruction, which therefore runs alone. @param hpa -1 for a device */
  #meetWatchpoints(low: number, high: number, hpa: number, bytes: number, write: boolean): void {
    if (!this.watchpoints.isMet(low, high, hpa, bytes, write)) return
    if (!this.alone) throw RUN_ALONE
    this.watchpoints.note(low, high, hpa, bytes, write)
  }

  /** The guest-physical address that leaves the processor: bit 20 is low while A20M# is asserted (SDM vol. 3, 21.1.1). */
  #masked(gpa: number): number {
    return gpa - (gpa & this.context.a20Mask)
  }

  load(entry: number, bytes: 4 | 8): boolean {
    const gpa = this.#masked(entry)
    const needed = this.#physical.structureNeeds
    const hpa = this.#physical.find(gpa, needed)
    if (hpa < 0) throw this.#physical.violation(gpa, needed, this.#linear, false)
    this.low = this.#memory.i32[hpa >>> 2]
    this.high = bytes === 8 ? this.#memory.i32[(hpa >>> 2) + 1] : 0
    return true
  }

  update(entry: number, low: number): void {
    const gpa = this.#masked(entry)
    const hpa = this.#physical.find(gpa, NEEDS_WRITE)
    if (hpa < 0) throw this.#physical.violation(gpa, NEEDS_WRITE, this.#linear, false)
    this.#memory.i32[hpa >>> 2] = low
    if (this.#code.isCode(hpa >>> 12) && this.#code.touchesCode(hpa, 4)) this.#code.dropFrame(hpa >>> 12)
  }

  /** Guest-physical address of a linear address; throws the page fault. The result's other fields are in the walk. */
  #translate(low: number, high: number, access: number): number {
    this.#linear = toLinear(low, high)
    walkPages(this.context.control, low, high, access, this, this.#walk)
    if (this.#walk.fault >= 0) {
      // A page fault drops what the TLB holds of its page (SDM vol. 3, 4.10.4.1).
      this.tlb.dropPage(low, high)
      throw pageFault(this.#walk.fault, this.#linear)
    }
    return this.#masked(this.#walk.gpa)
  }

  #fill(table: number, low: number, high: number, asid: number, hpa: number): void {
    if (this.#watched.length > 0 && table !== TLB_FETCH && this.#isWatched(low, high)) return
    this.tlb.fill(table, low, high, asid, hpa, this.context.control, this.#walk)
  }

  /** Host address of a linear address that is fetched from; -1 never. Throws #PF, or an EPT violation. */
  fetch(low: number, high: number): number {
    const { asid, access } = this.context
    const known = this.tlb.hit(TLB_FETCH, low, high | 0, asid)
    if (known >= 0) return known
    const gpa = this.#translate(low, high, (access & ~ACCESS_SMAP_OFF) | ACCESS_FETCH)
    const hpa = this.#physical.find(gpa, NEEDS_EXECUTE)
    if (hpa < 0) throw this.#physical.violation(gpa, NEEDS_EXECUTE, this.#linear, true)
    this.#fill(TLB_FETCH, low, high | 0, asid, hpa)
    return hpa
  }

  // --- slow paths of generated code

  /** Host address to load `bytes` from. @param record of the instruction, to tell stack accesses */
  slowRead(low: number, high: number, bytes: number, record: number): number {
    this.#stackAccess = this.#reachesStack(low, bytes, record)
    this.#requireCanonicalRange(low, high, bytes)
    this.#requireAligned(low, bytes)
    if (this.#watched.length > 0) this.#meetBreakpoints(low, high, bytes, false)
    const { asid, access } = this.context
    if ((low & 0xfff) + bytes <= 4096) {
      const hpa = this.#readable(low, high | 0, asid, access)
      if (hpa >= 0) {
        if (!this.watchpoints.isEmpty) this.#meetWatchpoints(low, high, hpa, bytes, false)
        return hpa
      }
    }
    this.#collect(low, high, bytes, asid, access, S.ACCESS_VALUE)
    return S.ACCESS_VALUE
  }

  /** @param bytes with READ_FIRST where the instruction reads its operand before it writes it */
  slowWrite(low: number, high: number, bytes: number, record: number): number {
    this.#stackAccess = this.#reachesStack(low, bytes & ~READ_FIRST, record)
    this.#requireCanonicalRange(low, high, bytes & ~READ_FIRST)
    this.#requireAligned(low, bytes & ~READ_FIRST)
    return this.#prepareStore(low, high, bytes & ~READ_FIRST, false, (bytes & READ_FIRST) !== 0)
  }

  /** Is the access to the stack, by its segment or implicitly? */
  #reachesStack(low: number, bytes: number, record: number): boolean {
    const { u16, u8, i32 } = this.#memory
    if (u16[(record + R.SEGMENT) >>> 1] === S.SEGMENTS + 2 * S.SEGMENT_STRIDE) return true
    const attributes = u8[record + R.ATTRIBUTES]
    if ((attributes & R.USES_STACK) === 0) return false
    if ((attributes & R.HAS_MEMORY) === 0) return true
    // PUSH, POP and CALL of a memory operand: the other access is where the stack pointer is, or will be.
    const pointer = i32[(S.GPR + 4 * 8) >>> 2]
    return low === pointer || low === ((pointer - bytes) | 0)
  }
  #stackAccess = false
  /** Is the memory operand of the assist that runs in the stack segment? */
  stackOperand = false

  /** Are the upper bits of a linear address all the same (SDM vol. 1, 3.3.7.1)? @param high bits 63:32 of it */
  isCanonical(high: number): boolean {
    const top = (high | 0) >> this.context.canonicalShift
    return top === 0 || top === -1
  }

  /** SDM vol. 3, 6.15: a linear address that is not canonical is #SS for a stack access, and #GP for any other. */
  #requireCanonical(high: number): void {
    if (!this.context.longMode || this.isCanonical(high)) return
    throw this.#stackAccess ? stackFault(0) : generalProtection(0)
  }

  /** The last byte is checked before the first is translated. What isn't canonical begins at a multiple of 4 GB. */
  #requireCanonicalRange(low: number, high: number, bytes: number): void {
    this.#requireCanonical(high)
    if ((low >>> 0) + bytes > 2 ** 32) this.#requireCanonical((high + 1) | 0)
  }

  /**
   * SDM vol. 3, 6.15, interrupt 17: every access has its natural alignment; one of 32 bytes is two of 16. As on the
   * processors that this one follows, it comes before a page fault.
   */
  #requireAligned(low: number, bytes: number): void {
    if (this.context.checksAlignment && (low & (Math.min(bytes, 16) - 1)) !== 0) throw alignmentCheck()
  }

  /** HPA of a byte that can be read directly, or -1 for a device. Fills the TLB. */
  #readable(low: number, high: number, asid: number, access: number): number {
    const known = this.tlb.hit(TLB_READ, low, high, asid)
    if (known >= 0) return known
    const gpa = this.#translate(low, high, access | ACCESS_READ)
    const hpa = this.#physical.find(gpa, NEEDS_READ)
    if (hpa < 0) {
      this.#devicePage = gpa
      return -1
    }
    this.#fill(TLB_READ, low, high, asid, hpa)
    return hpa
  }
  /** Guest-physical address that {@link #readable} or {@link #writable} found no frame for. */
  #devicePage = 0

  /** HPA of a byte that can be written directly, or -1. Fills the TLB but for frames with code. */
  #writable(low: number, high: number, asid: number, access: number): number {
    const known = this.tlb.hit(TLB_WRITE, low, high, asid)
    if (known >= 0) return known
    const gpa = this.#translate(low, high, access | ACCESS_WRITE)
    const hpa = this.#physical.find(gpa, NEEDS_WRITE)
    if (hpa < 0) {
      this.#devicePage = gpa
      return -1
    }
    if (!this.#code.isCode(hpa >>> 12)) this.#fill(TLB_WRITE, low, high, asid, hpa)
    return hpa
  }

  /** Collects an access that crosses pages or reaches a device, at `to`. */
  #collect(low: number, high: number, bytes: number, asid: number, access: number, to: number): void {
    const { u8 } = this.#memory
    const first = Math.min(bytes, 4096 - (low & 0xfff))
    // Both pages are translated before a device sees anything.
    const here = this.#readable(low, high | 0, asid, access)
    const hereDevice = this.#devicePage
    let there = 0
    let thereDevice = 0
    if (first < bytes) {
      const [nextLow, nextHigh] = this.#nextPage(low, high)
      there = this.#readable(nextLow, nextHigh, asid, access)
      thereDevice = this.#devicePage
      if (!this.watchpoints.isEmpty) this.#meetWatchpoints(nextLow, nextHigh, there, bytes - first, false)
    }
    if (!this.watchpoints.isEmpty) this.#meetWatchpoints(low, high, here, first, false)
    if (here >= 0) u8.copyWithin(to, here, here + first)
    else this.#readDevice(hereDevice, first, to, toLinear(low, high))
    if (first === bytes) return
    if (there >= 0) u8.copyWithin(to + first, there, there + bytes - first)
    else this.#readDevice(thereDevice, bytes - first, to + first, toLinear(low, high))
  }

  #nextPage(low: number, high: number): [number, number] {
    const nextLow = ((low | 0xfff) + 1) >>> 0
    const nextHigh = nextLow === 0 && this.context.longMode ? (high + 1) | 0 : high | 0
    this.#requireCanonical(nextHigh)
    return [nextLow, nextHigh]
  }

  #readDevice(gpa: number, bytes: number, to: number, linear: bigint): void {
    const { u8 } = this.#memory
    for (let done = 0; done < bytes; ) {
      const size = pieceSize(gpa + done, bytes - done)
      let value: bigint
      const base = this.mmio.base
      if (base !== undefined && gpa >= base && gpa < base + 4096) {
        // Reading where no register is may raise the error interrupt, which must not wait for the block's end.
        if (!this.alone) throw RUN_ALONE
        this.onDevice()
        value = BigInt(this.mmio.read(gpa + done - base, size))
      } else value = this.#takeCompleted(gpa + done, false, size, 0n, linear)
      for (let i = 0; i < size; i++) u8[to + done + i] = Number((value >> BigInt(8 * i)) & 0xffn)
      done += size
    }
  }

  #writeDevice(gpa: number, bytes: number, from: number, linear: bigint): void {
    const { u8 } = this.#memory
    for (let done = 0; done < bytes; ) {
      const size = pieceSize(gpa + done, bytes - done)
      let value = 0n
      for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(u8[from + done + i])
      const base = this.mmio.base
      if (base !== undefined && gpa >= base && gpa < base + 4096) {
        if (!this.alone) throw RUN_ALONE
        this.onDevice()
        this.mmio.write(gpa + done - base, size, Number(value & 0xffff_ffffn))
      } else this.#takeCompleted(gpa + done, true, size, value, linear)
      done += size
    }
  }

  /** The result of a device access that the hypervisor has done, or the exit that asks it to. */
  #takeCompleted(gpa: number, write: boolean, size: number, value: bigint, linear: bigint): bigint {
    if (this.#nextCompleted < this.completed.length) return this.completed[this.#nextCompleted++]
    this.#physical.find(gpa, write ? NEEDS_WRITE : NEEDS_READ)
    throw this.#physical.violation(gpa, write ? NEEDS_WRITE : NEEDS_READ, linear, true, { write, size, value })
  }

  /** The instruction starts (again): completed accesses are handed out from the first. */
  beginInstruction(): void {
    this.#nextCompleted = 0
    this.met = 0
    this.watchpoints.begin()
  }

  /** The instruction has retired or faulted: its device accesses are history. */
  endInstruction(): void {
    this.completed.length = 0
    this.#nextCompleted = 0
  }

  /** Translates a store: its host address, or ACCESS_BUFFER when {@link commit} must carry it on. */
  #prepareStore(low: number, high: number, bytes: number, system: boolean, readFirst = false): number {
    if (this.#watched.length > 0) this.#meetBreakpoints(low, high, bytes, true)
    const asid = system ? this.context.systemAsid : this.context.asid
    const access = system ? this.context.systemAccess : this.context.access
    const first = Math.min(bytes, 4096 - (low & 0xfff))
    const here = this.#writable(low, high | 0, asid, access)
    if (!this.watchpoints.isEmpty) {
      this.#meetWatchpoints(low, high, here, first, true)
      if (readFirst && here >= 0) this.#meetWatchpoints(low, high, here, first, false)
    }
    if (first === bytes && here >= 0) {
      this.#beforeCodeWrite(here, bytes)
      return here
    }
    if (first < bytes) {
      const [nextLow, nextHigh] = this.#nextPage(low, high)
      const there = this.#writable(nextLow, nextHigh, asid, access)
      if (!this.watchpoints.isEmpty) this.#meetWatchpoints(nextLow, nextHigh, there, bytes - first, true)
      if (there >= 0) this.#beforeCodeWrite(there, bytes - first)
      if (here >= 0) this.#beforeCodeWrite(here, first)
    }
    if (readFirst) this.#collect(low, high, bytes, asid, access, S.ACCESS_BUFFER)
    const pending = this.#pending
    pending.low = low
    pending.high = high
    pending.bytes = bytes
    pending.system = system
    return S.ACCESS_BUFFER
  }

  /** A store to decoded code drops it; the instruction runs alone, so that what follows it is decoded anew. */
  #beforeCodeWrite(hpa: number, bytes: number): void {
    if (!this.#code.isCode(hpa >>> 12) || !this.#code.touchesCode(hpa, bytes)) return
    if (!this.alone) throw RUN_ALONE
    this.#code.dropFrame(hpa >>> 12)
  }

  /** Carries a store on from ACCESS_BUFFER to its pages or device. */
  commit(): void {
    const { low, high, bytes, system } = this.#pending
    const { u8 } = this.#memory
    const asid = system ? this.context.systemAsid : this.context.asid
    const access = system ? this.context.systemAccess : this.context.access
    const first = Math.min(bytes, 4096 - (low & 0xfff))
    const here = this.#writable(low, high | 0, asid, access)
    const hereDevice = this.#devicePage
    if (here < 0) this.#writeDevice(hereDevice, first, S.ACCESS_BUFFER, toLinear(low, high))
    if (first < bytes) {
      const [nextLow, nextHigh] = this.#nextPage(low, high)
      const there = this.#writable(nextLow, nextHigh, asid, access)
      if (there >= 0) u8.copyWithin(there, S.ACCESS_BUFFER + first, S.ACCESS_BUFFER + bytes)
      else this.#writeDevice(this.#devicePage, bytes - first, S.ACCESS_BUFFER + first, toLinear(low, high))
    }
    if (here >= 0) u8.copyWithin(here, S.ACCESS_BUFFER, S.ACCESS_BUFFER + first)
  }

  // --- LinearMemory

  /** As {@link #requireAligned}, but an address that is not canonical faults for that. */
  #requireAlignedAt(address: bigint, bytes: number): void {
    if (!this.context.checksAlignment) return
    this.#stackAccess = this.stackOperand
    this.#requireCanonical(Number(BigInt.asIntN(32, address >> 32n)))
    this.#requireAligned(Number(address & 0xffn), bytes)
  }

  /** Host address of up to 16 readable bytes. */
  #reading(address: bigint, bytes: number, system: boolean): number {
    const low = Number(address & 0xffff_ffffn)
    const high = Number(BigInt.asIntN(32, address >> 32n))
    this.#stackAccess = this.stackOperand && !system
    this.#requireCanonical(high)
    if (this.#watched.length > 0) this.#meetBreakpoints(low, high, bytes, false)
    const asid = system ? this.context.systemAsid : this.context.asid
    const access = system ? this.context.systemAccess : this.context.access
    if ((low & 0xfff) + bytes <= 4096) {
      const hpa = this.#readable(low, high, asid, access)
      if (hpa >= 0) {
        if (!this.watchpoints.isEmpty) this.#meetWatchpoints(low, high, hpa, bytes, false)
        return hpa
      }
    }
    this.#collect(low, high, bytes, asid, access, S.ACCESS_VALUE)
    return S.ACCESS_VALUE
  }

  read8(address: bigint, system = false): number {
    return this.#memory.u8[this.#reading(address, 1, system)]
  }
  read16(address: bigint, system = false): number {
    if (!system) this.#requireAlignedAt(address, 2)
    return this.#memory.view.getUint16(this.#reading(address, 2, system), true)
  }
  read32(address: bigint, system = false): number {
    if (!system) this.#requireAlignedAt(address, 4)
    return this.#memory.view.getUint32(this.#reading(address, 4, system), true)
  }
  read64(address: bigint, system = false): bigint {
    if (!system) this.#requireAlignedAt(address, 8)
    return this.#memory.view.getBigUint64(this.#reading(address, 8, system), true)
  }

  #writing(address: bigint, bytes: number, system: boolean, put: (at: number) => void): void {
    const low = Number(address & 0xffff_ffffn)
    const high = Number(BigInt.asIntN(32, address >> 32n))
    this.#stackAccess = this.stackOperand && !system
    this.#requireCanonical(high)
    const at = this.#prepareStore(low, high, bytes, system)
    put(at)
    if (at === S.ACCESS_BUFFER) this.commit()
  }

  write8(address: bigint, value: number, system = false): void {
    this.#writing(address, 1, system, at => this.#memory.view.setUint8(at, value))
  }
  write16(address: bigint, value: number, system = false): void {
    if (!system) this.#requireAlignedAt(address, 2)
    this.#writing(address, 2, system, at => this.#memory.view.setUint16(at, value, true))
  }
  write32(address: bigint, value: number, system = false): void {
    if (!system) this.#requireAlignedAt(address, 4)
    this.#writing(address, 4, system, at => this.#memory.view.setUint32(at, value, true))
  }
  write64(address: bigint, value: bigint, system = false): void {
    if (!system) this.#requireAlignedAt(address, 8)
    this.#writing(address, 8, system, at => this.#memory.view.setBigUint64(at, BigInt.asUintN(64, value), true))
  }

  readBytes(address: bigint, length: number, system = false, alignment = 1): Uint8Array {
    if (!system) this.#requireAlignedAt(address, alignment)
    const result = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const at = address + BigInt(done)
      const piece = Math.min(8, length - done, 4096 - Number(at & 0xfffn))
      const host = this.#reading(at, piece, system)
      result.set(this.#memory.u8.subarray(host, host + piece), done)
      done += piece
    }
    return result
  }

  writeBytes(address: bigint, bytes: Uint8Array, system = false, alignment = 1): void {
    if (!system) this.#requireAlignedAt(address, alignment)
    this.probeWrite(address, bytes.length, system)
    for (let done = 0; done < bytes.length; ) {
      const at = address + BigInt(done)
      const piece = Math.min(8, bytes.length - done, 4096 - Number(at & 0xfffn))
      this.#writing(at, piece, system, host => this.#memory.u8.set(bytes.subarray(done, done + piece), host))
      done += piece
    }
  }

  probeWrite(address: bigint, length: number, system = false): void {
    if (!system && (length === 2 || length === 4 || length === 8)) this.#requireAlignedAt(address, length)
    const asid = system ? this.context.systemAsid : this.context.asid
    const access = system ? this.context.systemAccess : this.context.access
    const last = address + BigInt(Math.max(length, 1) - 1)
    for (let page = address; page <= last; page = (page | 0xfffn) + 1n) {
      const low = Number(page & 0xffff_ffffn)
      const high = Number(BigInt.asIntN(32, page >> 32n))
      this.#stackAccess = this.stackOperand && !system
      this.#requireCanonical(high)
      const hpa = this.#writable(low, high, asid, access)
      if (hpa < 0) continue
      const end = Math.min(Number(last - page), 4095 - (low & 0xfff)) + 1
      this.#beforeCodeWrite(hpa, end)
    }
  }

  /** 64 bits at a guest-physical address: an image of a PDPTE register (SDM vol. 3, 4.4.1). */
  readPhysical64(address: number): bigint {
    const gpa = this.#masked(address)
    const hpa = this.#physical.find(gpa, NEEDS_READ)
    if (hpa < 0) throw this.#physical.violation(gpa, NEEDS_READ, undefined, false)
    return this.#memory.view.getBigUint64(hpa, true)
  }

  /** The same for who is not the guest: memory that has no frame yet reads as zero. */
  peekPhysical64(address: number): bigint {
    const hpa = this.#physical.find(this.#masked(address), NEEDS_READ)
    return hpa < 0 ? 0n : this.#memory.view.getBigUint64(hpa, true)
  }
}

function toLinear(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}

/** Bytes of the next access to a device: naturally aligned, at most 8. */
function pieceSize(address: number, left: number): number {
  for (const size of [8, 4, 2]) if (left >= size && address % size === 0) return size
  return 1
}
