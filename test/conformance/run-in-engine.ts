/**
 * Executes cases in the software processor: user mode, behind page tables that map the pages of a case where the host
 * has them, and supervisor's pages with GDT and LDT. Guest-physical memory is host-physical memory here: there is no
 * hypervisor, and every exception is an exit.
 */

import { FRAMES_BASE } from '../../src/engine/layout.ts'
import type { ApicBus, SegmentName, Vcpu } from '../../src/engine/processor.ts'
import type { SoftwareProcessor } from '../../src/engine/software-processor.ts'
import * as S from '../../src/engine/state.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { type CaseRecord, CODE_PAGE, SEGMENT_ORDER, WINDOW_OFFSET, WINDOW_PAGE, WINDOW_SIZE } from './record.ts'
import { descriptorOf, GDT, LDT, segmentOf } from './segments.ts'

const PAGE_TABLE = FRAMES_BASE
const [PDPT, PAGE_DIRECTORY, LAST_TABLE, WINDOW_FRAME, CODE_FRAME, SYSTEM_FRAME] = [1, 2, 3, 4, 5, 6].map(
  index => PAGE_TABLE + index * 0x1000,
)
/** Bytes of host memory that a runner needs. */
export const HOST_MEMORY_NEEDED = PAGE_TABLE + 0x10000

/** Linear page of GDT, LDT and task-state segment, which no case reaches. */
const SYSTEM_PAGE = 0x20180000
const LDT_OFFSET = 0x400
const TSS_OFFSET = 0x800
const IDT_OFFSET = 0xa00
const KERNEL_CODE = 0x10
/** Handlers of INT3, INTO and INT1, which exceptions as exits don't stop: a HLT for each vector, and their stack. */
const HANDLERS_OFFSET = 0xe00
const HANDLERS = 32
const STACK_OFFSET = 0x1000

const PRESENT_WRITABLE = 3n
const PRESENT_WRITABLE_USER = 7n
const NO_EXECUTE = 1n << 63n

// As Linux sets them up for a program: protection, alignment checks, paging, native x87 errors; PAE, SSE and its
// exceptions, FSGSBASE, XSAVE; long mode with NX.
const CR0 = 0x80050033n
const CR4 = 0x50620n
const EFER = 0xd01n
const XCR0 = 7n

const HLT = 0xf4
const CLEAN_CODE = new Uint8Array(4096).fill(HLT)
/** A case is one instruction; a repeated one counts each of its iterations. */
const BUDGET = 4096
/** IF and the bit that is always 1 are in every state; RF is nobody's business. */
const RF = 1 << 16

const RSP = 4

const NO_BUS: ApicBus = { send() {}, endOfInterrupt() {} }

export class EngineRunner {
  readonly #processor: SoftwareProcessor
  readonly #vcpu: Vcpu
  readonly #state: SoftwareProcessor['state']

  /** @param processor with at least {@link HOST_MEMORY_NEEDED} bytes. */
  constructor(processor: SoftwareProcessor) {
    this.#processor = processor
    this.#state = processor.state
    this.#buildPageTables()
    this.#vcpu = processor.createVcpu({
      index: 0,
      clock: new VirtualClock(),
      bus: NO_BUS,
      controls: {
        eptPointer: undefined,
        vpid: 1,
        exceptionBitmap: 0xffffffff,
        crExits: { cr0: false, cr3: false, cr4: false },
        tscOffset: 0n,
      },
    })
    this.#prepare()
  }

  /** What the instruction leaves, executed for the `entries`th time: a hot block is compiled before. */
  execute(before: CaseRecord, entries = 1): CaseRecord {
    const { u8 } = this.#processor.memory
    const code = CODE_FRAME + before.codeOffset
    u8.set(before.code, code)
    this.#processor.frameWritten(code, before.code.length)
    const after = before.clone()
    for (let entry = 0; entry < entries; entry++) {
      u8.fill(0, WINDOW_FRAME, WINDOW_FRAME + 4096)
      u8.set(before.window, WINDOW_FRAME + WINDOW_OFFSET)
      this.#load(before)
      const delivered = this.#run(after)
      this.#store(after)
      if (delivered) this.#takeFrame(after)
    }
    u8.fill(HLT, code, code + before.code.length)
    this.#processor.frameWritten(code, before.code.length)
    this.#cleanCode()
    return after
  }

  /** Now and then a store reaches the code page. */
  #cleanCode(): void {
    const { u8 } = this.#processor.memory
    if (Buffer.compare(u8.subarray(CODE_FRAME, CODE_FRAME + 4096), CLEAN_CODE) === 0) return
    u8.set(CLEAN_CODE, CODE_FRAME)
    this.#processor.frameWritten(CODE_FRAME, 4096)
  }

  /** Was the case ended by an event that went through a gate? */
  #run(after: CaseRecord): boolean {
    const exit = this.#vcpu.run(BUDGET)
    if (exit.reason === 'hlt') {
      after.vector = Number(this.#state.rip) - 1 - (SYSTEM_PAGE + HANDLERS_OFFSET)
      after.errorCode = 0
      after.cr2 = 0n
      return true
    }
    if (exit.reason !== 'exception') throw new Error(`the case ended by ${exit.reason}`)
    after.vector = exit.vector
    after.errorCode = exit.errorCode ?? 0
    after.cr2 = exit.address ?? 0n
    return false
  }

  /** What the event pushed: RIP, CS, RFLAGS, RSP, SS (SDM vol. 3, 6.14.2). */
  #takeFrame(after: CaseRecord): void {
    const { view } = this.#processor.memory
    const [rip, cs, rflags, rsp, ss] = [5, 4, 3, 2, 1].map(word =>
      view.getBigUint64(SYSTEM_FRAME + STACK_OFFSET - word * 8, true),
    )
    after.rip = rip
    after.rflags = Number(rflags) & ~RF
    after.setGpr(RSP, rsp)
    after.setSelector(SEGMENT_ORDER.indexOf('cs'), Number(cs))
    after.setSelector(SEGMENT_ORDER.indexOf('ss'), Number(ss))
  }

  #load(record: CaseRecord): void {
    const { memory } = this.#processor
    const state = this.#state
    memory.u8.set(record.generalRegisters, S.GPR)
    state.rflags = record.rflags
    state.rip = record.rip
    state.set32(S.X87_CONTROL, record.fcw)
    const top = (record.fsw >> 11) & 7
    state.set32(S.X87_STATUS, record.fsw & ~0x3800)
    state.set32(S.X87_TOP, top)
    state.set32(S.X87_TAGS, record.ftw)
    for (let index = 0; index < 8; index++) memory.u8.set(record.st(index), S.X87_REGISTERS + ((top + index) & 7) * 16)
    state.set32(S.X87_OPCODE, 0)
    state.set64(S.X87_IP, 0n)
    state.set64(S.X87_DP, 0n)
    state.set32(S.X87_CS, 0)
    state.set32(S.X87_DS, 0)
    state.set32(S.MXCSR, record.mxcsr)
    for (let index = 0; index < 16; index++) {
      memory.u8.set(record.xmm(index), S.VECTORS + index * S.VECTOR_STRIDE)
      memory.u8.set(record.ymmHigh(index), S.VECTORS + index * S.VECTOR_STRIDE + 16)
    }
    state.set32(S.INTERRUPTIBILITY, 0)
    state.set32(S.PENDING_DEBUG, 0)
    state.set32(S.ACTIVITY, 0)
    const { registers } = this.#vcpu
    SEGMENT_ORDER.forEach((name, index) => {
      registers.setSegment(name, this.#segment(record, name, index))
    })
  }

  #segment(record: CaseRecord, name: SegmentName, index: number) {
    const selector = record.selector(index)
    if (selector !== 0 || (name !== 'fs' && name !== 'gs')) return segmentOf(selector)
    return { ...segmentOf(0), base: name === 'fs' ? record.fsBase : record.gsBase }
  }

  #store(record: CaseRecord): void {
    const { u8 } = this.#processor.memory
    const state = this.#state
    record.generalRegisters.set(u8.subarray(S.GPR, S.GPR + 128))
    record.rflags = state.rflags & ~RF
    record.rip = state.rip
    record.fcw = state.get32(S.X87_CONTROL)
    const top = state.get32(S.X87_TOP)
    record.fsw = (state.get32(S.X87_STATUS) & ~0x3800) | (top << 11)
    record.ftw = state.get32(S.X87_TAGS)
    for (let index = 0; index < 8; index++) {
      const at = S.X87_REGISTERS + ((top + index) & 7) * 16
      record.st(index).set(u8.subarray(at, at + 10))
    }
    record.mxcsr = state.get32(S.MXCSR)
    for (let index = 0; index < 16; index++) {
      const at = S.VECTORS + index * S.VECTOR_STRIDE
      record.xmm(index).set(u8.subarray(at, at + 16))
      record.ymmHigh(index).set(u8.subarray(at + 16, at + 32))
    }
    const { registers } = this.#vcpu
    SEGMENT_ORDER.forEach((name, index) => {
      record.setSelector(index, registers.segment(name).selector)
    })
    record.fsBase = registers.get('fs_base')
    record.gsBase = registers.get('gs_base')
    record.window.set(u8.subarray(WINDOW_FRAME + WINDOW_OFFSET, WINDOW_FRAME + WINDOW_OFFSET + WINDOW_SIZE))
  }

  #prepare(): void {
    this.#vcpu.reset()
    const { registers } = this.#vcpu
    const { memory } = this.#processor
    registers.set('efer', EFER)
    registers.set('cr4', CR4)
    registers.set('cr3', BigInt(PAGE_TABLE))
    registers.set('cr0', CR0)
    this.#state.set64(S.XCR0, XCR0)
    memory.u8.fill(HLT, CODE_FRAME, CODE_FRAME + 4096)
    const entry = (offset: number, value: bigint) => memory.view.setBigUint64(SYSTEM_FRAME + offset, value, true)
    GDT.forEach((descriptor, index) => {
      entry(index * 8, descriptor)
    })
    LDT.forEach((segment, index) => {
      entry(LDT_OFFSET + index * 8, descriptorOf(segment))
    })
    registers.setTable('gdtr', { base: BigInt(SYSTEM_PAGE), limit: 0x7f })
    memory.u8.fill(HLT, SYSTEM_FRAME + HANDLERS_OFFSET, SYSTEM_FRAME + HANDLERS_OFFSET + HANDLERS)
    for (let vector = 0; vector < HANDLERS; vector++) {
      const offset = SYSTEM_PAGE + HANDLERS_OFFSET + vector
      // A present interrupt gate of DPL 3.
      entry(
        IDT_OFFSET + vector * 16,
        (BigInt(offset >>> 16) << 48n) | BigInt((KERNEL_CODE << 16) | (offset & 0xffff)) | 0xee00_0000_0000n,
      )
    }
    registers.setTable('idtr', { base: BigInt(SYSTEM_PAGE + IDT_OFFSET), limit: HANDLERS * 16 - 1 })
    entry(TSS_OFFSET + 4, BigInt(SYSTEM_PAGE + STACK_OFFSET))
    const ldt = { base: BigInt(SYSTEM_PAGE + LDT_OFFSET), limit: LDT.length * 8 - 1 }
    registers.setSegment('ldtr', { ...ldt, selector: 0x50, rights: 0x82 })
    // Its I/O permission bitmap lies beyond the limit: no port may be used.
    memory.view.setUint16(SYSTEM_FRAME + TSS_OFFSET + 102, 0x68, true)
    registers.setSegment('tr', { base: BigInt(SYSTEM_PAGE + TSS_OFFSET), limit: 0x67, selector: 0x40, rights: 0x8b })
  }

  #buildPageTables(): void {
    const { view } = this.#processor.memory
    const entry = (table: number, index: number, address: number, rights: bigint) =>
      view.setBigUint64(table + index * 8, BigInt(address) | rights, true)
    entry(PAGE_TABLE, 0, PDPT, PRESENT_WRITABLE_USER)
    entry(PDPT, 0, PAGE_DIRECTORY, PRESENT_WRITABLE_USER)
    entry(PAGE_DIRECTORY, WINDOW_PAGE >>> 21, LAST_TABLE, PRESENT_WRITABLE_USER)
    const page = (linear: number, frame: number, rights: bigint) =>
      entry(LAST_TABLE, (linear >>> 12) & 511, frame, rights)
    page(WINDOW_PAGE, WINDOW_FRAME, PRESENT_WRITABLE_USER | NO_EXECUTE)
    page(CODE_PAGE, CODE_FRAME, PRESENT_WRITABLE_USER)
    page(SYSTEM_PAGE, SYSTEM_FRAME, PRESENT_WRITABLE)
  }
}
