/**
 * Where a variable is at one instruction, without asking the debugging information again at each of millions of
 * evaluations. At one address a location is nearly always a register, or memory at a register plus a constant; which, is
 * found by asking twice with made-up registers. Whatever answers differently is asked each time.
 */

import type { EvaluationContext, ValueLocation } from '../symbols/dwarf/debug-info.ts'
import { registerName } from './dwarf-registers.ts'
import { ExpressionError } from './expression/expression-error.ts'
import type { Subject } from './expression/subject.ts'

/** Far apart, so that no offset of a frame makes one look like another. */
const FIRST_BASE = 0x1000_0000n
const SECOND_BASE = 0x3100_0010n
const APART = 0x100_0000n

interface Probe {
  readonly location: ValueLocation
  readonly used: ReadonlySet<number>
}

/** undefined when the location depends on more than one register, or on memory. */
export function steadyLocation(
  locate: (context: EvaluationContext) => ValueLocation,
  pc: bigint,
  bits: 32 | 64,
): ((subject: Subject) => ValueLocation) | undefined {
  const first = probe(locate, pc, FIRST_BASE)
  const second = probe(locate, pc, SECOND_BASE)
  if (first === undefined || second === undefined) return undefined
  const [a, b] = [first.location, second.location]
  if (a.kind === 'register' && b.kind === 'register' && a.register === b.register) return () => a
  if (a.kind === 'optimized-out' && b.kind === 'optimized-out') return () => a
  if (a.kind !== 'memory' || b.kind !== 'memory') return undefined
  if (first.used.size === 0) return a.address === b.address ? () => a : undefined
  const [register, ...others] = first.used
  if (others.length > 0 || b.address - a.address !== SECOND_BASE - FIRST_BASE) return undefined
  return relativeTo(register, a.address - madeUp(FIRST_BASE, register), bits)
}

function relativeTo(
  register: number,
  offset: bigint,
  bits: 32 | 64,
): ((subject: Subject) => ValueLocation) | undefined {
  const name = registerName(register, bits)
  if (name === undefined) return undefined
  return subject => {
    const base = subject.register(name)
    if (base === undefined) throw new ExpressionError(`$${name} is not known in this frame`)
    return { kind: 'memory', address: BigInt.asUintN(bits, base + offset) }
  }
}

const madeUp = (base: bigint, register: number): bigint => base + BigInt(register) * APART

function probe(locate: (context: EvaluationContext) => ValueLocation, pc: bigint, base: bigint): Probe | undefined {
  const used = new Set<number>()
  let readsMemory = false
  const location = locate({
    pc,
    register: number => {
      used.add(number)
      return madeUp(base, number)
    },
    read: () => {
      readsMemory = true
      return undefined
    },
  })
  return readsMemory ? undefined : { location, used }
}
