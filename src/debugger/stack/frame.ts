/** Frames of a vCPU's stack, as unwinding finds them and as people see them. */

import type { DebugInfo, SourceFrame, SourceLocation } from '../../symbols/dwarf/debug-info.ts'

/** How a frame was found; of the innermost: where the vCPU stands. */
export type FoundBy =
  | 'start'
  | 'debug_frame'
  | 'eh_frame'
  | 'orc'
  | 'frame-pointer'
  /** The return address is on top of the stack: the callee had not begun its frame, or had ended it. */
  | 'entry'
  /** What the processor pushed for an interrupt or exception. */
  | 'interrupt-frame'
  /** What SYSCALL left in RCX. */
  | 'syscall'
  /** A word on the stack that looks like a return address: it may be a left-over. */
  | 'scan'

/**
 * General registers by the machine's names, `rip` among them; a hole is a register that is not known. Those of 16-bit
 * code are offsets, as the processor has them.
 */
export type FrameRegisters = ReadonlyMap<string, bigint | undefined>

/** A segment as the selector meant it that the processor has, or had, in a register. */
export interface FrameSegment {
  readonly selector: number
  /** Linear address. */
  readonly base: bigint
}

/** What makes linear addresses of the offsets that 16-bit code goes by. */
export interface FrameSegments {
  readonly cs: FrameSegment
  readonly ss: FrameSegment
  /** Bits of the stack pointer that count. */
  readonly stackBits: 16 | 32
  /** A selector is a sixteenth of its segment's base: real mode and virtual-8086 mode (SDM vol. 3, 20.1.1). */
  readonly paragraphs: boolean
}

/** One activation: a function that was called, with whatever was inlined into it. */
export interface Activation {
  readonly registers: FrameRegisters
  /** Linear address of the next instruction: for a caller its return address. */
  readonly pc: bigint
  /** Linear address of the top of its stack, as it will be when the callee returns. */
  readonly sp: bigint
  readonly bits: 16 | 32 | 64
  /** It called what lies further in; otherwise it was interrupted, or is the innermost. */
  readonly isCaller: boolean
  readonly by: FoundBy
  /** Of 16-bit code, whose RIP and RSP are offsets, and of 32-bit code that called it. */
  readonly segments?: FrameSegments
}

/** The address that decides which line and which function an activation is in: the call, not what follows it. */
export const lookupAddress = ({ pc, isCaller }: Activation): bigint => (isCaller ? pc - 1n : pc)

export interface StackFrame {
  /** From 0, the innermost. */
  readonly level: number
  /**
   * `inlined`: its code is part of the next frame's; `interrupt`: an interrupt, an exception or SYSCALL left it;
   * `heuristic`: found by a scan of the stack, so it may not be one.
   */
  readonly kind: 'normal' | 'inlined' | 'interrupt' | 'heuristic'
  readonly by: FoundBy
  /** The function's name, `symbol+0x1c`, or an address. */
  readonly name: string
  readonly source: SourceLocation | undefined
  /** Linear address of its next instruction. */
  readonly pc: bigint
  readonly registers: FrameRegisters
  /** The name of its module in the symbol book. */
  readonly module: string | undefined
  readonly activation: Activation
  /** What its variables are asked of; undefined without debugging information. */
  readonly described: { readonly info: DebugInfo; readonly frame: SourceFrame } | undefined
}
