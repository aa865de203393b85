/**
 * Executes cases in the software processor: user mode, 64-bit, behind page tables that map the three pages of a case
 * where the host has them. Guest-physical memory is host-physical memory here: there is no hypervisor.
 */

import { FRAMES_BASE } from '../../src/engine/layout.ts'
import type { ApicBus, Processor, SegmentRegister, Vcpu } from '../../src/engine/processor.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { type CaseRecord, CODE_PAGE, NO_EXCEPTION, RECORD_PAGE, WINDOW, WINDOW_PAGE } from './record.ts'

const PAGE_TABLE = FRAMES_BASE
const [PDPT, PAGE_DIRECTORY, LAST_TABLE] = [1, 2, 3].map(index => PAGE_TABLE + index * 0x1000)
/** Host frames behind the pages of a case. */
const FRAMES: ReadonlyMap<number, number> = new Map([
  [WINDOW_PAGE, PAGE_TABLE + 0x4000],
  [RECORD_PAGE, PAGE_TABLE + 0x5000],
  [CODE_PAGE, PAGE_TABLE + 0x6000],
])
const frameOf = (page: number): number => FRAMES.get(page) ?? 0
/** Bytes of host memory that a runner needs. */
export const HOST_MEMORY_NEEDED = PAGE_TABLE + 0x10000

const PRESENT_WRITABLE_USER = 7n

// As Linux sets them up for a program: protection, paging, native x87 errors; PAE, SSE and its exceptions; long mode.
const CR0 = 0x80010033n
const CR4 = 0x620n
const EFER = 0xd01n

const USER_CODE: SegmentRegister = { selector: 0x33, base: 0n, limit: 0xffffffff, rights: 0xa0fb }
const USER_DATA: SegmentRegister = { selector: 0x2b, base: 0n, limit: 0xffffffff, rights: 0xc0f3 }

const GENERAL = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ')

/** UD2 behind the instruction tells that it completed. */
const UD2 = [0x0f, 0x0b]
const INVALID_OPCODE = 6
/** Offsets in the code page of `fxrstor64 [rax]` and `fxsave64 [rax]`. */
const LOAD = 0x100
const STORE = 0x200
/** A case is one instruction, or WAIT and another; a repeated one counts each of its few iterations. */
const BUDGET = 64

const NO_BUS: ApicBus = { send() {}, endOfInterrupt() {} }

export class EngineRunner {
  readonly #processor: Processor
  readonly #vcpu: Vcpu

  /** @param processor with at least {@link HOST_MEMORY_NEEDED} bytes. */
  constructor(processor: Processor) {
    this.#processor = processor
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
    this.#enterUserMode()
    this.#writeFrame(frameOf(CODE_PAGE) + LOAD, [0x48, 0x0f, 0xae, 0x08])
    this.#writeFrame(frameOf(CODE_PAGE) + STORE, [0x48, 0x0f, 0xae, 0x00])
  }

  /** What the instruction leaves. */
  execute(before: CaseRecord): CaseRecord {
    const { u8 } = this.#processor.memory
    const registers = this.#vcpu.registers
    const after = before.clone()
    const windowFrame = frameOf(WINDOW_PAGE)
    u8.fill(0, windowFrame, windowFrame + 4096)
    this.#writeFrame(windowFrame + WINDOW - WINDOW_PAGE, before.window)
    this.#writeFrame(frameOf(CODE_PAGE), [...before.code, ...UD2])
    this.#writeFrame(frameOf(RECORD_PAGE), before.fx)

    this.#runOne(LOAD)
    for (const [index, name] of GENERAL.entries()) registers.set(name, before.gpr(index))
    registers.set('rflags', before.rflags)
    registers.set('rip', BigInt(CODE_PAGE))
    after.vector = this.#runCase(before.code.length)
    for (const [index, name] of GENERAL.entries()) after.setGpr(index, registers.get(name))
    after.rflags = registers.get('rflags')
    this.#runOne(STORE)

    const recordFrame = frameOf(RECORD_PAGE)
    after.fx.set(u8.subarray(recordFrame, recordFrame + 512))
    const window = windowFrame + WINDOW - WINDOW_PAGE
    after.window.set(u8.subarray(window, window + after.window.length))
    return after
  }

  #runCase(length: number): bigint {
    const exit = this.#vcpu.run(BUDGET)
    if (exit.reason !== 'exception') throw new Error(`the case ended by ${exit.reason}`)
    const completed = exit.vector === INVALID_OPCODE && this.#vcpu.registers.get('rip') === BigInt(CODE_PAGE + length)
    return completed ? NO_EXCEPTION : BigInt(exit.vector)
  }

  /** Executes the FXRSTOR or FXSAVE at `offset` of the code page on the record page. */
  #runOne(offset: number): void {
    this.#vcpu.registers.set('rax', BigInt(RECORD_PAGE))
    this.#vcpu.registers.set('rip', BigInt(CODE_PAGE + offset))
    const exit = this.#vcpu.run(1)
    if (exit.reason !== 'budget') throw new Error(`${offset === LOAD ? 'FXRSTOR' : 'FXSAVE'} ended by ${exit.reason}`)
  }

  #enterUserMode(): void {
    this.#vcpu.reset()
    const registers = this.#vcpu.registers
    registers.set('efer', EFER)
    registers.set('cr4', CR4)
    registers.set('cr3', BigInt(PAGE_TABLE))
    registers.set('cr0', CR0)
    registers.setSegment('cs', USER_CODE)
    for (const name of ['ss', 'ds', 'es', 'fs', 'gs'] as const) registers.setSegment(name, USER_DATA)
  }

  #buildPageTables(): void {
    const { view } = this.#processor.memory
    const entry = (table: number, index: number, address: number) =>
      view.setBigUint64(table + index * 8, BigInt(address) | PRESENT_WRITABLE_USER, true)
    entry(PAGE_TABLE, 0, PDPT)
    entry(PDPT, 0, PAGE_DIRECTORY)
    entry(PAGE_DIRECTORY, WINDOW_PAGE >>> 21, LAST_TABLE)
    for (const [page, frame] of FRAMES) entry(LAST_TABLE, (page >>> 12) & 511, frame)
  }

  #writeFrame(address: number, bytes: ArrayLike<number>): void {
    this.#processor.memory.u8.set(bytes, address)
    this.#processor.frameWritten(address, bytes.length)
  }
}
