/** Comparison of strings in vectors: what PCMPESTRI and its like compute (SDM vol. 2, 4.1). */

import type { HostMemory } from './host-memory.ts'
import * as S from './state.ts'

/** Length of a string that ends before its first zero. */
export const IMPLICIT_LENGTH = -1

/** Bits of a comparison's outcome: the status flags, and the index from INDEX up. */
export const COMPARISON_FLAGS = { CARRY: 0, ZERO: 1, SIGN: 2, OVERFLOW: 3, INDEX: 4 } as const

/** Fields of the immediate (SDM vol. 2, figure 4-1). */
const WORDS = 0x01
const SIGNED = 0x02
const NEGATED = 0x10
const NEGATED_WITHIN_STRING = 0x20
/** The highest index instead of the lowest; a mask of elements instead of bits. */
const HIGHEST_OR_ELEMENTS = 0x40

/** Operands as elements: `count` in each, of which `lengthA` and `lengthB` are part of the strings. */
interface Operands {
  readonly a: ArrayLike<number>
  readonly b: ArrayLike<number>
  readonly count: 8 | 16
  readonly lengthA: number
  readonly lengthB: number
}

/** Does element j of the result hold? By bits 3:2 of the immediate. */
type Aggregation = (operands: Operands, j: number) => boolean

/** Is `b[j]` one of the elements of `a`? */
const equalAny: Aggregation = ({ a, b, lengthA, lengthB }, j) => {
  if (j >= lengthB) return false
  for (let i = 0; i < lengthA; i++) if (a[i] === b[j]) return true
  return false
}

/** Is `b[j]` within a range whose ends are a pair of elements of `a`? */
const ranges: Aggregation = ({ a, b, lengthA, lengthB }, j) => {
  if (j >= lengthB) return false
  for (let i = 0; i + 1 < lengthA; i += 2) if (a[i] <= b[j] && b[j] <= a[i + 1]) return true
  return false
}

/** Elements beyond both strings are equal (SDM vol. 2, table 4-7). */
const equalEach: Aggregation = ({ a, b, lengthA, lengthB }, j) =>
  j < lengthA && j < lengthB ? a[j] === b[j] : j >= lengthA && j >= lengthB

/** Does `a` stand at `j` of `b`, as far as the vector shows? */
const equalOrdered: Aggregation = ({ a, b, count, lengthA, lengthB }, j) => {
  for (let i = 0; i < lengthA && i + j < count; i++) if (i + j >= lengthB || a[i] !== b[i + j]) return false
  return true
}

const AGGREGATIONS: readonly Aggregation[] = [equalAny, ranges, equalEach, equalOrdered]

function elementsAt(memory: HostMemory, at: number, immediate: number): ArrayLike<number> {
  const { buffer } = memory.u8
  if (immediate & WORDS) return immediate & SIGNED ? new Int16Array(buffer, at, 8) : new Uint16Array(buffer, at, 8)
  return immediate & SIGNED ? new Int8Array(buffer, at, 16) : new Uint8Array(buffer, at, 16)
}

function lengthOf(elements: ArrayLike<number>, length: number, count: number): number {
  if (length !== IMPLICIT_LENGTH) return Math.min(length, count)
  for (let i = 0; i < count; i++) if (elements[i] === 0) return i
  return count
}

/** The result of a comparison, one bit an element, its polarity applied. */
function compare(operands: Operands, immediate: number): number {
  const holds = AGGREGATIONS[(immediate >> 2) & 3]
  let result = 0
  for (let j = 0; j < operands.count; j++) if (holds(operands, j)) result |= 1 << j
  const within = immediate & NEGATED_WITHIN_STRING ? operands.lengthB : operands.count
  return immediate & NEGATED ? result ^ ((1 << within) - 1) : result
}

/**
 * The function behind `Runtime.compareStrings`: compares SSE_A with SSE_B and puts the mask into SSE_RESULT. Lengths
 * are at most 16, or {@link IMPLICIT_LENGTH}. Returns {@link COMPARISON_FLAGS}.
 */
export function createStringComparison(
  memory: HostMemory,
): (immediate: number, lengthA: number, lengthB: number) => number {
  return (immediate, lengthA, lengthB) => {
    const count = immediate & WORDS ? 8 : 16
    const [a, b] = [elementsAt(memory, S.SSE_A, immediate), elementsAt(memory, S.SSE_B, immediate)]
    const operands = {
      a,
      b,
      count,
      lengthA: lengthOf(a, lengthA, count),
      lengthB: lengthOf(b, lengthB, count),
    } as const
    const result = compare(operands, immediate)
    storeMask(memory, result, immediate)
    const { CARRY, ZERO, SIGN, OVERFLOW, INDEX } = COMPARISON_FLAGS
    const flag = (condition: boolean, shift: number) => (condition ? 1 << shift : 0)
    return (
      flag(result !== 0, CARRY) |
      flag(operands.lengthB < count, ZERO) |
      flag(operands.lengthA < count, SIGN) |
      flag((result & 1) !== 0, OVERFLOW) |
      (indexOf(result, count, immediate) << INDEX)
    )
  }
}

function indexOf(result: number, count: number, immediate: number): number {
  if (result === 0) return count
  return 31 - Math.clz32(immediate & HIGHEST_OR_ELEMENTS ? result : result & -result)
}

function storeMask({ u8, u32 }: HostMemory, result: number, immediate: number): void {
  u32.fill(0, S.SSE_RESULT >> 2, (S.SSE_RESULT >> 2) + 4)
  if ((immediate & HIGHEST_OR_ELEMENTS) === 0) {
    u32[S.SSE_RESULT >> 2] = result
    return
  }
  const bytes = immediate & WORDS ? 2 : 1
  for (let i = 0; i < 16; i++) if (result & (1 << (i / bytes))) u8[S.SSE_RESULT + i] = 0xff
}
