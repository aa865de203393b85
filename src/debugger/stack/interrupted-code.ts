/**
 * What an interrupt or exception left on the stack outside 64-bit mode: IP, CS and FLAGS in words, as real mode and
 * 16-bit gates push them, or in doublewords; SP and SS where the privilege changed, or virtual-8086 mode was left
 * (SDM vol. 3, 6.12.1, 20.1.4 and 20.3.1).
 */

import { RFLAGS_VM } from '../../x86/rflags.ts'
import type { Activation, FrameSegments } from './frame.ts'
import { plausibleFlags } from './guest-code.ts'
import type { SegmentReader } from './segment-reader.ts'
import type { StillMemory } from './still-memory.ts'

export interface InterruptedCode {
  /** Linear address of the instruction that comes next. */
  readonly pc: bigint
  /** Linear address of the top of its stack. */
  readonly sp: bigint
  /** Offset in its segment. */
  readonly ip: bigint
  readonly flags: bigint
  readonly bits: 16 | 32
  readonly segments: FrameSegments
}

/**
 * undefined when that is no such frame: flags that can't be, or selectors that mean nothing.
 * @param at linear address of IP
 * @param size bytes of each word
 * @param handler segments of the code that handles it
 */
export function interruptedCode(
  memory: StillMemory,
  reader: SegmentReader,
  at: bigint,
  size: 2 | 4,
  handler: FrameSegments,
): InterruptedCode | undefined {
  const word = (index: number): bigint | undefined => memory.word(BigInt.asUintN(32, at + BigInt(index * size)), size)
  const selector = (index: number): number | undefined => {
    const value = word(index)
    return value === undefined ? undefined : Number(value & 0xffffn)
  }
  const [ip, cs, flags] = [word(0), selector(1), word(2)]
  if (ip === undefined || cs === undefined || flags === undefined || !plausibleFlags(flags)) return undefined
  const fromV86 = !handler.paragraphs && size === 4 && (flags & BigInt(RFLAGS_VM)) !== 0n
  const paragraphs = handler.paragraphs || fromV86
  const code = reader.code(cs, paragraphs)
  if (code === undefined || code.bits === 64 || (code.bits === 16 && ip > 0xffffn)) return undefined
  const pc = BigInt.asUintN(32, code.base + ip)
  if (memory.read(pc, 1) === undefined) return undefined
  const common = { pc, ip, flags, bits: code.bits }
  const switched = fromV86 || (!paragraphs && (cs & 3) > (handler.cs.selector & 3))
  if (!switched) {
    const sp = at + BigInt(3 * size)
    return { ...common, sp, segments: { ...handler, cs: code } }
  }
  const [offset, ss] = [word(3), selector(4)]
  const stack = ss === undefined ? undefined : reader.stack(ss, paragraphs)
  if (offset === undefined || stack === undefined || (!paragraphs && (stack.selector & 3) !== (cs & 3)))
    return undefined
  const sp = BigInt.asUintN(32, stack.base + BigInt.asUintN(stack.bits, offset))
  return { ...common, sp, segments: { cs: code, ss: stack, stackBits: stack.bits, paragraphs } }
}

/** What of its registers the handler has changed is not known, but for those that were pushed. */
export function interruptedActivation(
  handler: Activation,
  { pc, sp, ip, flags, bits, segments }: InterruptedCode,
  rbp: bigint | undefined,
): Activation {
  const registers = new Map<string, bigint | undefined>([...handler.registers.keys()].map(name => [name, undefined]))
  const narrow = bits === 16
  registers
    .set('rbp', rbp)
    .set('rflags', flags)
    .set('rip', narrow ? ip : pc)
  registers.set('rsp', narrow ? BigInt.asUintN(segments.stackBits, sp - segments.ss.base) : sp)
  return { registers, pc, sp, bits, isCaller: false, by: 'interrupt-frame', segments }
}
