/** A vCPU for assists, over a flat linear memory that can refuse pages. */

import type { AssistCpu, AssistInstruction, Completion } from '../../../src/engine/assist.ts'
import { parseCpuModel } from '../../../src/engine/cpu-model.ts'
import { CpuState, Segment, type SegmentIndex } from '../../../src/engine/cpu-state.ts'
import { GuestFault, pageFault } from '../../../src/engine/fault.ts'
import { HostMemory } from '../../../src/engine/host-memory.ts'
import type { LinearMemory } from '../../../src/engine/linear-memory.ts'
import type { ControlBlock, Exit } from '../../../src/engine/processor.ts'
import * as S from '../../../src/engine/state.ts'
import { systemAssists } from '../../../src/engine/system/assists.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'

/** What {@link FakeCpu.exit} throws. */
export class FakeExit {
  readonly exit: Exit
  readonly retired: boolean
  constructor(exit: Exit, retired: boolean) {
    this.exit = exit
    this.retired = retired
  }
}

/** 1 MiB of memory that linear addresses wrap in; pages can be made absent or supervisor-only. */
class FlatMemory implements LinearMemory {
  readonly view = new DataView(new ArrayBuffer(0x100000))
  readonly absent = new Set<number>()
  readonly supervisorOnly = new Set<number>()
  readonly #user: () => boolean

  constructor(user: () => boolean) {
    this.#user = user
  }

  #at(address: bigint, length: number, write: boolean, system: boolean): number {
    const user = this.#user() && !system
    for (const byte of [address, address + BigInt(length - 1)]) {
      const page = Number((byte & 0xfffffn) >> 12n)
      const code = (write ? 2 : 0) | (user ? 4 : 0)
      if (this.absent.has(page)) throw pageFault(code, byte)
      if (user && this.supervisorOnly.has(page)) throw pageFault(code | 1, byte)
    }
    return Number(address & 0xfffffn)
  }

  read8(address: bigint, system = false): number {
    return this.view.getUint8(this.#at(address, 1, false, system))
  }
  read16(address: bigint, system = false): number {
    return this.view.getUint16(this.#at(address, 2, false, system), true)
  }
  read32(address: bigint, system = false): number {
    return this.view.getUint32(this.#at(address, 4, false, system), true)
  }
  read64(address: bigint, system = false): bigint {
    return this.view.getBigUint64(this.#at(address, 8, false, system), true)
  }
  write8(address: bigint, value: number, system = false): void {
    this.view.setUint8(this.#at(address, 1, true, system), value)
  }
  write16(address: bigint, value: number, system = false): void {
    this.view.setUint16(this.#at(address, 2, true, system), value, true)
  }
  write32(address: bigint, value: number, system = false): void {
    this.view.setUint32(this.#at(address, 4, true, system), value, true)
  }
  write64(address: bigint, value: bigint, system = false): void {
    this.view.setBigUint64(this.#at(address, 8, true, system), value, true)
  }
  readBytes(address: bigint, length: number, system = false): Uint8Array {
    const at = this.#at(address, length, false, system)
    return new Uint8Array(this.view.buffer.slice(at, at + length))
  }
  writeBytes(address: bigint, bytes: Uint8Array, system = false): void {
    new Uint8Array(this.view.buffer).set(bytes, this.#at(address, bytes.length, true, system))
  }
  probeWrite(address: bigint, length: number, system = false): void {
    this.#at(address, length, true, system)
  }
}

export const GDT = 0x1000n
export const IDT = 0x2000n
export const LDT = 0x3000n
export const TSS = 0x4000n

export class FakeCpu implements AssistCpu {
  readonly model = parseCpuModel('max,-la57')
  readonly state = new CpuState(new HostMemory(65536))
  readonly memory = new FlatMemory(() => this.state.cpl === 3)
  readonly clock = new VirtualClock()
  readonly controls: ControlBlock = {
    eptPointer: undefined,
    vpid: 1,
    exceptionBitmap: 0,
    crExits: { cr0: false, cr3: false, cr4: false },
    tscOffset: 0n,
  }
  readonly log: string[] = []
  readonly apicMsrs = new Map<number, bigint>()
  taskPriority = 0
  completion: Completion | undefined

  get now(): number {
    return this.clock.now
  }
  get tsc(): bigint {
    return BigInt.asUintN(64, 1000n + this.state.get64(S.MSR_TSC_ADJUST))
  }
  exit(exit: Exit): never {
    throw new FakeExit(exit, false)
  }
  exitRetired(exit: Exit): never {
    throw new FakeExit(exit, true)
  }
  takeCompletion(): Completion | undefined {
    const taken = this.completion
    this.completion = undefined
    return taken
  }
  readPhysical64(address: number): bigint {
    return this.memory.view.getBigUint64(address, true)
  }
  contextChanged(): void {
    this.log.push('context')
  }
  flushTlb(keepGlobal: boolean): void {
    this.log.push(keepGlobal ? 'flush' : 'flush all')
  }
  flushPcid(pcid: number): void {
    this.log.push(`flush pcid ${pcid}`)
  }
  flushAllPcids(): void {
    this.log.push('flush all pcids')
  }
  invalidatePcidPage(linear: bigint, pcid: number): void {
    this.log.push(`invpcid ${linear.toString(16)} ${pcid}`)
  }
  dropProtectionKeys(keys: number): void {
    this.log.push(`keys ${keys.toString(16)}`)
  }
  invalidatePage(linear: bigint): void {
    this.log.push(`invlpg ${linear.toString(16)}`)
  }
  readApicMsr(msr: number): bigint | undefined {
    return this.apicMsrs.get(msr)
  }
  writeApicMsr(msr: number, value: bigint): boolean {
    if (!this.apicMsrs.has(msr)) return false
    this.apicMsrs.set(msr, value)
    return true
  }

  /** Runs the assist of `code` as the run loop does: RIP moves on first, and comes back on a fault. */
  run(code: string, operands: Partial<AssistInstruction> = {}): void {
    const assist = systemAssists[code]
    if (!assist) throw new Error(`no assist for ${code}`)
    const rip = this.state.rip
    const length = operands.length ?? 2
    const nextRip = rip + BigInt(length)
    this.state.rip = nextRip
    try {
      assist(this, {
        operandSize: 32,
        addressSize: 32,
        length,
        immediate: 0n,
        hasMemory: false,
        address: 0n,
        register0: 0,
        register1: 0,
        checkSegment: () => {},
        addressAt: () => 0n,
        scale: 1,
        register: () => 0,
        repeat: 0,
        ...operands,
        rip,
        nextRip,
      })
    } catch (thrown) {
      if (!(thrown instanceof FakeExit && thrown.retired)) this.state.rip = rip
      throw thrown
    }
  }

  /** The fault that `code` causes. */
  faultOf(code: string, operands: Partial<AssistInstruction> = {}): GuestFault {
    return caught(() => this.run(code, operands), GuestFault)
  }

  /** The exit that `code` causes. */
  exitOf(code: string, operands: Partial<AssistInstruction> = {}): FakeExit {
    return caught(() => this.run(code, operands), FakeExit)
  }

  setSegment(index: SegmentIndex, selector: number, rights: number, limit = 0xffffffff, base = 0n): void {
    this.state.setSegment(index, { selector, base, limit, rights })
  }

  selector(index: SegmentIndex): number {
    return this.state.segment(index).selector
  }

  /** Writes the descriptor with this selector into the GDT. */
  describe(selector: number, descriptor: bigint, upper?: bigint): void {
    const at = GDT + BigInt(selector & 0xfff8)
    this.memory.write64(at, descriptor, true)
    if (upper !== undefined) this.memory.write64(at + 8n, upper, true)
  }
}

function caught<T>(action: () => void, type: abstract new (...args: never[]) => T): T {
  try {
    action()
  } catch (thrown) {
    if (thrown instanceof type) return thrown
    throw thrown
  }
  throw new Error(`nothing was thrown, expected ${type.name}`)
}

/** A segment or system descriptor from its access byte (P, DPL, S, type) and flags (G, D/B, L, AVL: 4 bits). */
export function descriptor(base: number, limit: number, access: number, flags: number): bigint {
  const lo = ((base & 0xffff) << 16) | (limit & 0xffff)
  const hi = (base & 0xff000000) | (flags << 20) | (limit & 0xf0000) | (access << 8) | ((base >> 16) & 0xff)
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)
}

/** A gate descriptor's first 8 bytes; `access` is P, DPL, 0 and type; `low` the IST or parameter count. */
export function gate(selector: number, offset: number, access: number, low = 0): bigint {
  const lo = (selector << 16) | (offset & 0xffff)
  const hi = (offset & 0xffff0000) | (access << 8) | low
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)
}

export const KERNEL_CS = 0x08
export const KERNEL_DS = 0x10
export const USER_CS = 0x18 | 3
export const USER_DS = 0x20 | 3
export const TSS_SELECTOR = 0x28
/** 64-bit user code in long mode. */
export const USER_CS64 = 0x38 | 3

/** Protected mode, flat segments, ring 0, a 32-bit TSS whose ring 0 stack ends at 0x9000. */
export function protectedCpu(): FakeCpu {
  const cpu = new FakeCpu()
  const { state } = cpu
  state.set32(S.CR0, 0x11)
  state.set64(S.GDTR_BASE, GDT)
  state.set32(S.GDTR_LIMIT, 0xff)
  state.set64(S.IDTR_BASE, IDT)
  state.set32(S.IDTR_LIMIT, 0x7ff)
  state.set32(S.DR + 7 * 8, 0x400)
  cpu.describe(KERNEL_CS, descriptor(0, 0xfffff, 0x9a, 0xc))
  cpu.describe(KERNEL_DS, descriptor(0, 0xfffff, 0x92, 0xc))
  cpu.describe(USER_CS, descriptor(0, 0xfffff, 0xfa, 0xc))
  cpu.describe(USER_DS, descriptor(0, 0xfffff, 0xf2, 0xc))
  cpu.describe(TSS_SELECTOR, descriptor(Number(TSS), 0x67, 0x8b, 0))
  cpu.setSegment(Segment.CS, KERNEL_CS, 0xc09b)
  for (const index of [Segment.SS, Segment.DS, Segment.ES] as const) cpu.setSegment(index, KERNEL_DS, 0xc093)
  cpu.setSegment(Segment.FS, 0, 0x10000, 0)
  cpu.setSegment(Segment.GS, 0, 0x10000, 0)
  cpu.setSegment(Segment.LDTR, 0, 0x10000, 0)
  cpu.setSegment(Segment.TR, TSS_SELECTOR, 0x8b, 0x67, TSS)
  cpu.memory.write32(TSS + 4n, 0x9000)
  cpu.memory.write32(TSS + 8n, KERNEL_DS)
  cpu.memory.write16(TSS + 102n, 0x68)
  state.rflags = 2
  state.setGpr(4, 0x8000n)
  state.rip = 0x5000n
  return cpu
}

/** Puts a {@link protectedCpu} into ring 3. */
export function toUser(cpu: FakeCpu): FakeCpu {
  cpu.setSegment(Segment.CS, USER_CS, 0xc0fb)
  for (const index of [Segment.SS, Segment.DS, Segment.ES] as const) cpu.setSegment(index, USER_DS, 0xc0f3)
  cpu.state.cpl = 3
  return cpu
}

/** Long mode, 64-bit code in ring 0, RSP0 0x9000, IST1 0xa000. */
export function longCpu(): FakeCpu {
  const cpu = protectedCpu()
  const { state } = cpu
  state.set32(S.CR0, 0x80000011)
  state.set32(S.CR4, 0x20)
  state.set32(S.EFER, 0xd01)
  cpu.describe(KERNEL_CS, descriptor(0, 0xfffff, 0x9a, 0xa))
  cpu.describe(USER_CS64, descriptor(0, 0xfffff, 0xfa, 0xa))
  cpu.describe(TSS_SELECTOR, descriptor(Number(TSS), 0x67, 0x8b, 0), 0n)
  cpu.setSegment(Segment.CS, KERNEL_CS, 0xa09b)
  cpu.memory.write64(TSS + 4n, 0x9000n)
  cpu.memory.write64(TSS + 36n, 0xa000n)
  state.set32(S.IDTR_LIMIT, 0xfff)
  state.rip = 0xffffffff80001000n
  state.setGpr(4, 0xffff888000008008n)
  return cpu
}

/** Puts a {@link longCpu} into 64-bit code of ring 3. */
export function toUser64(cpu: FakeCpu): FakeCpu {
  cpu.setSegment(Segment.CS, USER_CS64, 0xa0fb)
  cpu.setSegment(Segment.SS, USER_DS, 0xc0f3)
  cpu.state.cpl = 3
  cpu.state.rip = 0x401000n
  cpu.state.setGpr(4, 0x7ffd00008000n)
  return cpu
}
