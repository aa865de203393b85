/**
 * From an activation of 16-bit code to the one that called it or was interrupted by it, in real mode, in virtual-8086
 * mode and in 16-bit segments of protected mode. Where no tables describe it each step is one of these:
 *
 * - `entry`: the return address is on top, before the frame has begun and where RET stands;
 * - `frame-pointer`: PUSH BP, MOV BP, SP, with a return address above the saved BP;
 * - `interrupt-frame`: what the processor pushed, behind an INT or below a function that the vectors lead to;
 * - `scan`: the first word, or pair of words, that looks like a return address.
 *
 * A return address is near or far, of words or of doublewords, as the CALL that ends at it is.
 */

import type { SymbolBook } from '../symbol-book.ts'
import { CALL_ROOM, type CallInstruction, callsAtEndOf } from './call-instruction.ts'
import { type Activation, type FoundBy, type FrameSegment, type FrameSegments, lookupAddress } from './frame.ts'
import { interruptedActivation, interruptedCode } from './interrupted-code.ts'
import { beginsFrame, functionStart } from './prologue.ts'
import type { SegmentReader } from './segment-reader.ts'
import type { StillMemory } from './still-memory.ts'

/** Words above the top of the stack in which an interrupt's frame is looked for: registers that a handler has saved. */
const INTERRUPT_SEARCH = 48
/** And return addresses. */
const SCAN_WORDS = 512
const PUSH_BP = 0x55
const OPERAND_SIZE = 0x66
/** RET near and far, each with an immediate and without. */
const RETURNS: ReadonlySet<number> = new Set([0xc2, 0xc3, 0xca, 0xcb])
const IRET = 0xcf
const INT = 0xcd
/** INT3, INTO and INT1, of one byte. */
const SHORT_INTS: ReadonlySet<number> = new Set([0xcc, 0xce, 0xf1])

/** Where an activation's stack stands. */
interface Standing {
  readonly frame: Activation
  readonly segments: FrameSegments
  /** Offset in the stack segment, not wrapped: 10000H above the last word. */
  readonly sp: number
  /** Offset in the stack segment. */
  readonly bp: number | undefined
}

interface ReturnAddress {
  readonly ip: bigint
  readonly cs: FrameSegment
  readonly bits: 16 | 32 | 64
  /** Linear. */
  readonly pc: bigint
  /** Offset in the stack segment behind what the CALL pushed. */
  readonly end: number
}

export class NarrowUnwind {
  readonly #book: SymbolBook
  readonly #memory: StillMemory
  readonly #reader: SegmentReader
  #sections: readonly { readonly start: bigint; readonly end: bigint }[] | undefined

  constructor(book: SymbolBook, memory: StillMemory, reader: SegmentReader) {
    this.#book = book
    this.#memory = memory
    this.#reader = reader
  }

  /** undefined where the stack ends, or nothing more can be told. */
  callerOf(frame: Activation): Activation | undefined {
    const { segments } = frame
    if (segments === undefined) return undefined
    const rbp = frame.registers.get('rbp')
    const sp = Number(BigInt.asUintN(32, frame.sp - segments.ss.base))
    const standing: Standing = {
      frame,
      segments,
      // Of an empty stack: the first PUSH goes to FFFEH.
      sp: sp === 0 && segments.stackBits === 16 ? 0x1_0000 : sp,
      bp: rbp === undefined ? undefined : Number(BigInt.asUintN(segments.stackBits, rbp)),
    }
    return this.#atEdge(standing) ?? this.#inBody(standing)
  }

  /** Where nothing but the return address is on the stack: a function's first instruction, behind PUSH BP, at its RET. */
  #atEdge(standing: Standing): Activation | undefined {
    const { frame, sp } = standing
    if (frame.by !== 'start' && frame.by !== 'interrupt-frame') return undefined
    const next = this.#memory.read(frame.pc, 2)
    const opcode = next?.[0] === OPERAND_SIZE ? next[1] : next?.[0]
    if (opcode === IRET) return this.#interruptAt(standing, sp, { certain: true })
    if (opcode !== undefined && RETURNS.has(opcode)) return this.#returnOnTop(standing, sp, frame.registers.get('rbp'))
    const start = functionStart(this.#book, frame.pc)
    if (frame.pc === start || this.#isHandlerEntry(frame)) {
      const handled = this.#isHandlerEntry(frame)
      const interrupted = this.#interruptAt(standing, sp, { certain: handled })
      const called = handled && interrupted !== undefined ? undefined : this.#returnOnTop(standing, sp, rbpOf(frame))
      return called ?? interrupted
    }
    const pushed = start === undefined ? undefined : this.#pushedBp(start, frame.pc)
    if (pushed === undefined) return undefined
    return this.#returnOnTop(standing, sp + pushed, this.#savedBp(standing, sp, pushed))
  }

  /** Bytes that PUSH BP has pushed, when it is all that the function has done. */
  #pushedBp(start: bigint, pc: bigint): 2 | 4 | undefined {
    const first = this.#memory.read(start, 2)
    if (first === undefined) return undefined
    if (pc === start + 1n && first[0] === PUSH_BP) return 2
    return pc === start + 2n && first[0] === OPERAND_SIZE && first[1] === PUSH_BP ? 4 : undefined
  }

  #returnOnTop(standing: Standing, offset: number, rbp: bigint | undefined): Activation | undefined {
    const found = this.#returnAt(standing, offset)
    return found && returned(standing, found, rbp, 'entry')
  }

  /** Of a frame pointer, an interrupt's frame and a return address without either the nearest counts. */
  #inBody(standing: Standing): Activation | undefined {
    const { frame, sp, bp } = standing
    const hasFrame = this.#hasFrame(frame)
    const handler = this.#isHandler(frame)
    const pointed = hasFrame === false ? undefined : this.#byFramePointer(standing)
    const end = pointed === undefined || bp === undefined ? sp + 2 * INTERRUPT_SEARCH : bp
    const interrupt = this.#interruptBefore(standing, end, handler)
    if (pointed !== undefined || (handler && interrupt !== undefined)) return interrupt?.activation ?? pointed
    // A saved BP of 0 is how the outermost function says that it is that.
    if (interrupt === undefined && frame.by === 'frame-pointer' && bp === 0) return undefined
    const keptBp = hasFrame === false ? rbpOf(frame) : undefined
    return this.#byScan(standing, interrupt?.at ?? sp + 2 * SCAN_WORDS, keptBp) ?? interrupt?.activation
  }

  #byFramePointer(standing: Standing): Activation | undefined {
    const { sp, bp } = standing
    if (bp === undefined || bp < sp) return undefined
    // Which of both it was, the size of the return address tells as well.
    for (const size of [2, 4] as const) {
      const found = this.#returnAt(standing, bp + size)
      if (found !== undefined) return returned(standing, found, this.#savedBp(standing, bp, size), 'frame-pointer')
    }
    return undefined
  }

  /** What a register of 32 bits is again, of which 16-bit code has saved and changed the lower half. */
  #savedBp({ frame, segments }: Standing, offset: number, size: 2 | 4): bigint | undefined {
    const saved = this.#word(segments, offset, size)
    const now = rbpOf(frame)
    if (saved === undefined || size === 4 || now === undefined) return saved
    return (now & ~0xffffn) | saved
  }

  /** @param end offset below which it is looked for */
  #interruptBefore(
    standing: Standing,
    end: number,
    handler: boolean,
  ): { readonly at: number; readonly activation: Activation } | undefined {
    for (let at = standing.sp; at < end; at += 2) {
      const activation = this.#interruptAt(standing, at, { handler })
      if (activation !== undefined) return { at, activation }
    }
    return undefined
  }

  /**
   * Words that may be IP, CS and FLAGS are so behind an INT, and in a handler when they lead to code with a name.
   * @param known `certain`: nothing else can be there
   */
  #interruptAt(
    standing: Standing,
    offset: number,
    known: { readonly handler?: boolean; readonly certain?: boolean },
  ): Activation | undefined {
    const { frame, segments, bp } = standing
    for (const size of segments.paragraphs ? ([2] as const) : ([2, 4] as const)) {
      if (this.#word(segments, offset + 2 * size, size) === undefined) continue
      const at = segments.ss.base + BigInt(offset)
      const code = interruptedCode(this.#memory, this.#reader, at, size, segments)
      if (code === undefined) continue
      const believed = known.certain || this.#followsInt(code.pc) || (known.handler && this.#isNamed(code.pc))
      if (!believed) continue
      const rbp = bp !== undefined && offset === bp + size ? this.#savedBp(standing, bp, size) : rbpOf(frame)
      return interruptedActivation(frame, code, rbp)
    }
    return undefined
  }

  /** @param end offset below which it is looked for */
  #byScan(standing: Standing, end: number, rbp: bigint | undefined): Activation | undefined {
    for (let at = standing.sp; at < end; at += 2) {
      if (this.#word(standing.segments, at, 2) === undefined) return undefined
      const found = this.#returnAt(standing, at, pc => this.#isNamed(pc - 1n))
      if (found !== undefined) return returned(standing, found, rbp, 'scan')
    }
    return undefined
  }

  /** @param accepts whether a linear address is worth looking at. */
  #returnAt({ segments }: Standing, offset: number, accepts = (_pc: bigint) => true): ReturnAddress | undefined {
    for (const size of [2, 4] as const) {
      const ip = this.#word(segments, offset, size)
      if (ip === undefined) return undefined
      const selector = this.#word(segments, offset + size, size)
      const cs = selector === undefined ? undefined : Number(selector & 0xffffn)
      const near = this.#callBefore({ ...segments.cs, bits: 16 }, ip, { far: false, size }, accepts)
      if (near !== undefined) {
        const end = offset + (near.afterPushCs && cs === segments.cs.selector ? 2 * size : size)
        return { ip, cs: segments.cs, bits: 16, pc: linear(segments.cs.base, ip), end }
      }
      const code = cs === undefined ? undefined : this.#reader.code(cs, segments.paragraphs)
      if (code === undefined || this.#callBefore(code, ip, { far: true, size }, accepts) === undefined) continue
      return { ip, cs: code, bits: code.bits, pc: linear(code.base, ip), end: offset + 2 * size }
    }
    return undefined
  }

  #callBefore(
    code: { readonly base: bigint; readonly bits: 16 | 32 | 64 },
    ip: bigint,
    wanted: { readonly far: boolean; readonly size: number },
    accepts: (pc: bigint) => boolean,
  ): CallInstruction | undefined {
    if (code.bits === 16 && ip > 0xffffn) return undefined
    const pc = linear(code.base, ip)
    // Code does not wrap around its segment.
    const room = ip < BigInt(CALL_ROOM) ? Number(ip) : CALL_ROOM
    const bytes = room === 0 || !accepts(pc) ? undefined : this.#memory.read(linear(pc, -BigInt(room)), room)
    if (bytes === undefined) return undefined
    return callsAtEndOf(bytes, code.bits).find(({ far, size }) => far === wanted.far && size === wanted.size)
  }

  #followsInt(pc: bigint): boolean {
    const bytes = this.#memory.read(linear(pc, -2n), 2)
    return bytes !== undefined && (bytes[0] === INT || SHORT_INTS.has(bytes[1]))
  }

  /** Has the function made its BP a frame pointer? undefined where no symbol tells where it begins. */
  #hasFrame(frame: Activation): boolean | undefined {
    const address = lookupAddress(frame)
    const start = functionStart(this.#book, address)
    return start === undefined ? undefined : beginsFrame(this.#memory, start, address)
  }

  #isHandler(frame: Activation): boolean {
    const start = functionStart(this.#book, lookupAddress(frame))
    return start !== undefined && this.#reader.isHandler(start, frame.segments?.paragraphs === true)
  }

  #isHandlerEntry({ pc, segments }: Activation): boolean {
    return this.#reader.isHandler(pc, segments?.paragraphs === true)
  }

  /** In a function or behind a label; but behind a file's last one, whose size is not known, only where its code ends. */
  #isNamed(address: bigint): boolean {
    const symbol = this.#book.containing(address)
    if (symbol === undefined || symbol.kind === 'object') return false
    this.#sections ??= this.#book.sections()
    if (symbol.size !== 0n || this.#sections.length === 0) return true
    return this.#sections.some(({ start, end }) => address >= start && address < end)
  }

  /** undefined beyond the end of the stack's segment too. */
  #word({ ss, stackBits }: FrameSegments, offset: number, size: 2 | 4): bigint | undefined {
    if (offset + size > 2 ** stackBits) return undefined
    return this.#memory.word(linear(ss.base, BigInt(offset)), size)
  }
}

/** Linear addresses have 32 bits outside 64-bit mode. */
const linear = (base: bigint, offset: bigint): bigint => BigInt.asUintN(32, base + offset)

const rbpOf = ({ registers }: Activation): bigint | undefined => registers.get('rbp')

/** What the functions in between have changed is not known, but for BP. */
function returned({ frame, segments }: Standing, to: ReturnAddress, rbp: bigint | undefined, by: FoundBy): Activation {
  const sp = segments.ss.base + BigInt(to.end)
  const narrow = to.bits === 16
  const registers = new Map<string, bigint | undefined>([...frame.registers.keys()].map(name => [name, undefined]))
  registers.set('rbp', rbp).set('rip', narrow ? to.ip : to.pc)
  registers.set('rsp', narrow ? BigInt.asUintN(segments.stackBits, BigInt(to.end)) : sp)
  return { registers, pc: to.pc, sp, bits: to.bits, isCaller: true, by, segments: { ...segments, cs: to.cs } }
}
