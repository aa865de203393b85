/**
 * From one activation to the one that called it or was interrupted by it: by the tables of the symbol files where they
 * tell, by what the processor pushed, by frame pointers, and at last by looking for return addresses.
 */

import { isCanonical } from '../../inspect/linear-memory.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { unwoundRegisters } from '../dwarf-registers.ts'
import type { SymbolBook } from '../symbol-book.ts'
import type { Activation, FoundBy, FrameRegisters } from './frame.ts'
import { calledDirectly, codeBitsOf, followsCall, isDataSelector, plausibleFlags } from './guest-code.ts'
import { interruptedActivation, interruptedCode } from './interrupted-code.ts'
import { NarrowUnwind } from './narrow-unwind.ts'
import { beginsFrame, functionStart } from './prologue.ts'
import { currentSegments, SegmentReader } from './segment-reader.ts'
import { StillMemory } from './still-memory.ts'

/** Words above the top of the stack in which an interrupt's frame is looked for: registers that a stub has saved. */
const INTERRUPT_SEARCH = 48
/** And return addresses. */
const SCAN_WORDS = 512
/** Linear addresses that a program's stack can be in, for the plausibility of a saved stack pointer. */
const ADDRESS_BITS = 57
/** An interrupt aligns the stack of 64-bit code to 16 bytes before it pushes five words (SDM vol. 3, 6.14.2). */
const INTERRUPT_WORDS = 5n
const STACK_ALIGNMENT = 16n

/** Registers that a function gives back as they were, in either psABI. */
const PRESERVED = ['rbx', 'rbp', 'r12', 'r13', 'r14', 'r15']

export class UnwindStep {
  readonly #book: SymbolBook
  readonly #vcpu: VcpuView
  readonly #memory: StillMemory
  readonly #segments: SegmentReader
  readonly #narrow: NarrowUnwind

  constructor(book: SymbolBook, vcpu: VcpuView, machine: MachineView) {
    this.#book = book
    this.#vcpu = vcpu
    this.#memory = new StillMemory(machine, vcpu)
    this.#segments = new SegmentReader(this.#memory, machine, vcpu)
    this.#narrow = new NarrowUnwind(book, this.#memory, this.#segments)
  }

  /** undefined where the stack ends, or nothing more can be told. */
  callerOf(frame: Activation): Activation | undefined {
    const bits = frame.bits
    if (bits === 16) return this.#byTable16(frame) ?? this.#narrow.callerOf(frame)
    const byTable = this.#byTable(frame, bits)
    if (byTable !== undefined) return byTable === 'end' ? undefined : byTable
    return this.#bySyscall(frame) ?? this.#byStack(frame, bits)
  }

  #byTable(frame: Activation, bits: 32 | 64): Activation | 'end' | undefined {
    const names = unwoundRegisters(bits)
    const unwound = this.#book.unwind(
      names.map(name => frame.registers.get(name)),
      bits,
      (address, size) => this.#memory.read(address, size),
      frame.isCaller,
    )
    if (unwound === undefined) return undefined
    // The outermost function has no caller: whatever lies there is no address, or none of code.
    if (unwound.pc === 0n || !(unwound.interrupted ? this.#isMapped(unwound.pc) : this.#isCaller(unwound.pc)))
      return 'end'
    const registers = new Map<string, bigint | undefined>(
      names.map((name, number) => [name, unwound.registers[number]]),
    )
    const sp = registers.get('rsp')
    // A callee's frame lies below its caller's; an interrupt may have come from any stack.
    if (sp === undefined || (!unwound.interrupted && sp <= frame.sp)) return 'end'
    return { registers, pc: unwound.pc, sp, bits, isCaller: !unwound.interrupted, by: unwound.by }
  }

  /**
   * Compilers for 32 bits make 16-bit code too (`gcc -m16`), with tables by which offsets in the segments of stack and
   * data are linear addresses. They are believed where that is so.
   */
  #byTable16(frame: Activation): Activation | undefined {
    const { segments } = frame
    if (segments === undefined || segments.ss.base !== 0n) return undefined
    const names = unwoundRegisters(32)
    const linear = new Map(frame.registers).set('rip', frame.pc).set('rsp', frame.sp)
    const unwound = this.#book.unwind(
      names.map(name => linear.get(name)),
      32,
      (address, size) => this.#memory.read(address, size),
      frame.isCaller,
    )
    if (unwound === undefined || unwound.interrupted || unwound.pc > 0xffffn) return undefined
    const pc = segments.cs.base + unwound.pc
    const registers = new Map<string, bigint | undefined>(
      names.map((name, number) => [name, unwound.registers[number]]),
    )
    const sp = registers.get('rsp')
    if (sp === undefined || sp <= frame.sp || !this.#isCaller(pc)) return undefined
    registers.set('rip', unwound.pc).set('rsp', BigInt.asUintN(segments.stackBits, sp))
    return { registers, pc, sp, bits: 16, isCaller: true, by: unwound.by, segments }
  }

  /** Nothing has been pushed yet where SYSCALL begins: RCX has the return address (SDM vol. 2, SYSCALL). */
  #bySyscall(frame: Activation): Activation | undefined {
    if (frame.by !== 'start' || frame.bits !== 64 || this.#vcpu.cpl !== 0) return undefined
    if (frame.pc !== this.#vcpu.register('msr_lstar')) return undefined
    const pc = frame.registers.get('rcx')
    if (pc === undefined || pc === 0n) return undefined
    const registers = new Map(frame.registers).set('rip', pc).set('rcx', undefined).set('r11', undefined)
    return { registers, pc, sp: frame.sp, bits: 64, isCaller: false, by: 'syscall' }
  }

  /** Without tables. Where both a frame pointer and an interrupt's frame are found, the nearer one counts. */
  #byStack(frame: Activation, bits: 32 | 64): Activation | undefined {
    const atEntry = this.#atEntry(frame, bits)
    if (atEntry !== undefined) return atEntry
    const leaf = this.#withoutFrame(frame, bits)
    const pointed = leaf ?? this.#byFramePointer(frame, bits)
    const end = pointed === undefined ? undefined : (leaf?.sp ?? frame.registers.get('rbp'))
    return this.#interruptFrame(frame, bits, end) ?? pointed ?? this.#byScan(frame, bits)
  }

  /** On a function's first instruction, and behind the PUSH that begins its frame. */
  #atEntry(frame: Activation, bits: 32 | 64): Activation | undefined {
    if (frame.by !== 'start' && frame.by !== 'interrupt-frame') return undefined
    const symbol = this.#book.containing(frame.pc)
    if (symbol === undefined || symbol.kind === 'object') return undefined
    const size = BigInt(bits / 8)
    const offset = Number(frame.pc - symbol.address)
    const pushed = offset === 1 && this.#memory.read(symbol.address, 1)?.[0] === 0x55
    if (offset !== 0 && !pushed) return undefined
    const at = pushed ? frame.sp + size : frame.sp
    const pc = this.#word(at, bits)
    if (pc === undefined || !this.#isReturnAddress(pc)) return undefined
    const rbp = pushed ? this.#word(frame.sp, bits) : frame.registers.get('rbp')
    const registers = withPreserved(frame.registers).set('rbp', rbp)
    return returned(registers, pc, at + size, bits, 'entry')
  }

  /**
   * Of a function that has made no frame, as leaves do among functions that have frame pointers: RBP is still its
   * caller's, and below that lies what the CALL of this very function has pushed.
   */
  #withoutFrame(frame: Activation, bits: 32 | 64): Activation | undefined {
    const rbp = frame.registers.get('rbp')
    const start = functionStart(this.#book, frame.pc)
    if (frame.isCaller || rbp === undefined || start === undefined) return undefined
    if (beginsFrame(this.#memory, start, frame.pc)) return undefined
    const size = BigInt(bits / 8)
    const limit = frame.sp + BigInt(SCAN_WORDS) * size
    for (let at = frame.sp; at < rbp && at < limit; at += size) {
      const pc = this.#word(at, bits)
      if (pc === undefined) return undefined
      if (pc === 0n || !this.#isReturnAddress(pc) || calledDirectly(this.#memory, pc, bits) !== start) continue
      const registers = new Map<string, bigint | undefined>([...frame.registers.keys()].map(name => [name, undefined]))
      return returned(registers.set('rbp', rbp), pc, at + size, bits, 'scan')
    }
    return undefined
  }

  #byFramePointer(frame: Activation, bits: 32 | 64): Activation | undefined {
    const rbp = frame.registers.get('rbp')
    const size = BigInt(bits / 8)
    if (rbp === undefined || rbp < frame.sp || rbp % size !== 0n) return undefined
    const saved = this.#word(rbp, bits)
    const pc = this.#word(rbp + size, bits)
    if (saved === undefined || pc === undefined || !this.#isReturnAddress(pc)) return undefined
    if (saved !== 0n && saved <= rbp) return undefined
    // What else the function saved is not known.
    const registers = new Map<string, bigint | undefined>([...frame.registers.keys()].map(name => [name, undefined]))
    return returned(registers.set('rbp', saved), pc, rbp + 2n * size, bits, 'frame-pointer')
  }

  /** @param end address below which it is looked for */
  #interruptFrame(frame: Activation, bits: 32 | 64, end: bigint | undefined): Activation | undefined {
    const size = BigInt(bits / 8)
    for (let word = 0n; word < BigInt(INTERRUPT_SEARCH); word++) {
      const at = frame.sp + word * size
      if (end !== undefined && at >= end) return undefined
      const activation = bits === 64 ? this.#wideInterrupt(frame, at) : this.#narrowInterrupt(frame, at)
      if (activation !== undefined) return activation
    }
    return undefined
  }

  /** RIP, CS, RFLAGS, RSP, SS, as 64-bit mode always pushes them. */
  #wideInterrupt(frame: Activation, at: bigint): Activation | undefined {
    const cs = this.#word(at + 8n, 64)
    const flags = this.#word(at + 16n, 64)
    if (cs === undefined || flags === undefined || !plausibleFlags(flags)) return undefined
    const bits = codeBitsOf(this.#memory, this.#vcpu, cs)
    if (bits === undefined) return undefined
    const pc = this.#word(at, 64)
    const sp = this.#word(at + 24n, 64)
    const ss = this.#word(at + 32n, 64)
    if (pc === undefined || sp === undefined || ss === undefined) return undefined
    if (ss !== 0n && !isDataSelector(this.#memory, this.#vcpu, ss)) return undefined
    if ((ss & 3n) !== (cs & 3n) && ss !== 0n) return undefined
    if (!isCanonical(sp, ADDRESS_BITS) || this.#word(pc, 64) === undefined) return undefined
    // Interrupted in the kernel itself, on the same stack: it goes on right above.
    const end = at + INTERRUPT_WORDS * 8n
    const sameStack = sp >= end && sp < end + STACK_ALIGNMENT
    if ((cs & 3n) === 0n && !sameStack && this.#book.containing(pc) === undefined) return undefined
    return this.#interrupted(frame, pc, sp, flags, bits)
  }

  /** EIP, CS, EFLAGS, and ESP, SS where the ring changed or virtual-8086 mode was left. */
  #narrowInterrupt(frame: Activation, at: bigint): Activation | undefined {
    const narrow = this.#interrupted16(frame, at)
    if (narrow !== undefined) return narrow
    const pc = this.#word(at, 32)
    const cs = this.#word(at + 4n, 32)
    const flags = this.#word(at + 8n, 32)
    if (pc === undefined || cs === undefined || flags === undefined || !plausibleFlags(flags)) return undefined
    const bits = codeBitsOf(this.#memory, this.#vcpu, cs)
    if (bits !== 32 || this.#word(pc, 32) === undefined) return undefined
    if ((cs & 3n) === 0n) {
      if (this.#book.containing(pc) === undefined) return undefined
      return this.#interrupted(frame, pc, at + 12n, flags, bits)
    }
    const sp = this.#word(at + 12n, 32)
    const ss = this.#word(at + 16n, 32)
    if (sp === undefined || ss === undefined || (ss & 3n) !== (cs & 3n)) return undefined
    if (!isDataSelector(this.#memory, this.#vcpu, ss)) return undefined
    return this.#interrupted(frame, pc, sp, flags, bits)
  }

  /** 16-bit code that a 32-bit handler has interrupted, in a segment of its own. */
  #interrupted16(frame: Activation, at: bigint): Activation | undefined {
    const code = interruptedCode(this.#memory, this.#segments, at, 4, currentSegments(this.#vcpu))
    if (code?.bits !== 16) return undefined
    const sameStack = code.sp === at + 12n
    if (sameStack && this.#book.containing(code.pc) === undefined) return undefined
    return interruptedActivation(frame, code, frame.registers.get('rbp'))
  }

  #interrupted(frame: Activation, pc: bigint, sp: bigint, flags: bigint, bits: 16 | 32 | 64): Activation {
    const registers = withPreserved(frame.registers).set('rip', pc).set('rsp', sp).set('rflags', flags)
    return { registers, pc, sp, bits, isCaller: false, by: 'interrupt-frame' }
  }

  #byScan(frame: Activation, bits: 32 | 64): Activation | undefined {
    const size = BigInt(bits / 8)
    for (let word = 0n; word < BigInt(SCAN_WORDS); word++) {
      const at = frame.sp + word * size
      const pc = this.#word(at, bits)
      if (pc === undefined) return undefined
      // Most of a stack that nothing uses is 0.
      if (pc === 0n || !this.#isReturnAddress(pc)) continue
      const registers = new Map<string, bigint | undefined>([...frame.registers.keys()].map(name => [name, undefined]))
      return returned(registers, pc, at + size, bits, 'scan')
    }
    return undefined
  }

  #isMapped(address: bigint): boolean {
    return this.#memory.read(address, 1) !== undefined
  }

  /** Tables are right about where a return address is; only the outermost function has none. */
  #isCaller(address: bigint): boolean {
    return this.#book.containing(address - 1n) !== undefined || followsCall(this.#memory, address)
  }

  /** In a function that has a name, right behind a CALL. */
  #isReturnAddress(address: bigint): boolean {
    const symbol = this.#book.containing(address - 1n)
    if (symbol === undefined || symbol.kind === 'object') return false
    return followsCall(this.#memory, address)
  }

  #word(address: bigint, bits: 32 | 64): bigint | undefined {
    return this.#memory.word(BigInt.asUintN(64, address), bits === 64 ? 8 : 4)
  }
}

/** What a function in between has changed is not known, but for what it must give back. */
function withPreserved(registers: FrameRegisters): Map<string, bigint | undefined> {
  return new Map(
    [...registers].map(([name, value]): [string, bigint | undefined] => [
      name,
      PRESERVED.includes(name) ? value : undefined,
    ]),
  )
}

function returned(
  registers: Map<string, bigint | undefined>,
  pc: bigint,
  sp: bigint,
  bits: 32 | 64,
  by: FoundBy,
): Activation {
  registers.set('rip', pc).set('rsp', sp)
  return { registers, pc, sp, bits, isCaller: true, by }
}

/** Where a vCPU stands: all its registers are known. */
export function innermost(vcpu: VcpuView, pc: bigint, sp: bigint, bits: 16 | 32 | 64): Activation {
  const names = unwoundRegisters(bits === 64 ? 64 : 32)
  const registers = new Map<string, bigint | undefined>(
    names.map(name => [name, bits === 64 ? vcpu.register(name) : BigInt.asUintN(32, vcpu.register(name))]),
  )
  const activation = { registers, pc, sp, bits, isCaller: false, by: 'start' } as const
  if (bits === 16) return { ...activation, segments: currentSegments(vcpu) }
  registers.set('rip', pc).set('rsp', sp)
  return activation
}
