/** ADD, SUB, MUL, DIV, SQRT, MIN and MAX of packed and scalar floating-point numbers (SDM vol. 2). */

import { i32 } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import {
  and,
  anyLane,
  computeHalves,
  FLOAT_LANES,
  type FloatLanes,
  not,
  or,
  roundsNatively,
  roundsToNearest,
  software,
} from './sse-lanes.ts'
import { SseKind } from './sse-operation.ts'
import type { Vector } from './sse-packed.ts'
import { FORMS, type VectorForm } from './vector-form.ts'

/** Computes natively, and tells what of that holds. All operands are named values. */
export interface Method {
  readonly kind: SseKind
  readonly compute: (format: FloatLanes, a: Vector, b: Vector) => Vector
  /** Lanes that must be computed in software. */
  readonly unsafe: (format: FloatLanes, a: Vector, b: Vector, result: Vector) => Vector
  /**
   * Lanes of which it is certain that nothing was rounded, provided that they are not unsafe; absent where nothing
   * ever is. A program that counts in whole numbers raises no precision exception, and would never be native without.
   */
  readonly exact?: (format: FloatLanes, a: Vector, b: Vector, result: Vector) => Vector
}

const denormalOperand = (format: FloatLanes, a: Vector, b: Vector) => or(format.isDenormal(a), format.isDenormal(b))

/** A sum is exact when it is tiny, so that a zero or the smallest normal number is what it seems. */
export const unsafeSum: Method['unsafe'] = (format, a, b, result) =>
  or(or(not(format.isFinite(result)), format.isDenormal(result)), denormalOperand(format, a, b))

/** A zero is exact when an operand is zero, and otherwise an underflow. */
const unsafeProduct: Method['unsafe'] = (format, a, b, result) => {
  const exactZero = and(format.isZero(result), or(format.isZero(a), format.isZero(b)))
  return or(not(or(format.isSafelyNormal(result), exactZero)), denormalOperand(format, a, b))
}

const unsafeQuotient: Method['unsafe'] = (format, a, b, result) => {
  const exactZero = and(format.isZero(result), format.isZero(a))
  return or(not(or(format.isSafelyNormal(result), exactZero)), denormalOperand(format, a, b))
}

/** Choosing an operand can only stumble over NaNs and denormals. */
export const unsafeOrder = (format: FloatLanes, a: Vector, b: Vector): Vector =>
  or(or(format.isNan(a), format.isNan(b)), denormalOperand(format, a, b))

/**
 * Was nothing rounded in a + b or a - b? Knuth's TwoSum: what `result` took of each operand leaves two remainders,
 * which cancel exactly when the result is exact.
 */
export function exactSum(format: FloatLanes, a: Vector, b: Vector, result: Vector, subtracted: boolean): Vector {
  const takenFromB = format.compute('sub', result, a)
  const takenFromA = format.compute('sub', result, takenFromB)
  const excessOfB = format.compute(subtracted ? 'add' : 'sub', takenFromB, b)
  return format.compare('eq', format.compute('sub', a, takenFromA), excessOfB)
}

/** Has at most half of the significand's bits, so that a product of two such numbers is exact. */
function isShort(format: FloatLanes, a: Vector): Vector {
  return format.compare('eq', a, and(a, format.constant(0xfffff000, 0xffff_ffff_f800_0000n)))
}

export type FloatMnemonic = 'Add' | 'Sub' | 'Mul' | 'Div' | 'Sqrt' | 'Min' | 'Max'

const METHODS: Readonly<Record<FloatMnemonic, Method>> = {
  Add: {
    kind: SseKind.add,
    compute: (format, a, b) => format.compute('add', a, b),
    unsafe: unsafeSum,
    exact: (format, a, b, sum) => exactSum(format, a, b, sum, false),
  },
  Sub: {
    kind: SseKind.sub,
    compute: (format, a, b) => format.compute('sub', a, b),
    unsafe: unsafeSum,
    exact: (format, a, b, difference) => exactSum(format, a, b, difference, true),
  },
  Mul: {
    kind: SseKind.mul,
    compute: (format, a, b) => format.compute('mul', a, b),
    unsafe: unsafeProduct,
    exact: (format, a, b, result) => or(and(isShort(format, a), isShort(format, b)), format.isZero(result)),
  },
  Div: {
    kind: SseKind.div,
    compute: (format, a, b) => format.compute('div', a, b),
    unsafe: unsafeQuotient,
    exact: (format, a, b, quotient) =>
      and(
        and(isShort(format, quotient), isShort(format, b)),
        format.compare('eq', format.compute('mul', quotient, b), a),
      ),
  },
  Sqrt: {
    kind: SseKind.sqrt,
    compute: (format, _a, b) => format.compute('sqrt', b),
    unsafe: (format, _a, b, result) => or(not(format.isFinite(result)), format.isDenormal(b)),
    exact: (format, _a, b, root) =>
      and(isShort(format, root), format.compare('eq', format.compute('mul', root, root), b)),
  },
  // MINPS gives the second operand unless the first is less; `pmin(x, y)` is y < x ? y : x.
  Min: { kind: SseKind.min, compute: (format, a, b) => format.compute('pmin', b, a), unsafe: unsafeOrder },
  Max: { kind: SseKind.max, compute: (format, a, b) => format.compute('pmax', b, a), unsafe: unsafeOrder },
}

export function defineSseFloat(table: DefinitionTable): void {
  for (const form of FORMS)
    for (const format of FLOAT_LANES)
      for (const [mnemonic, method] of Object.entries(METHODS)) {
        if (!format.packed && form.bits === 256) continue
        const sources = mnemonic === 'Sqrt' && format.packed ? 1 : 2
        const instruction = {
          mnemonics: `${mnemonic}${format.suffix}`,
          sources,
          sourceBits: format.bitsIn(form),
        } as const
        form.define(
          table,
          instruction,
          format.packed
            ? scope => emitPacked(scope, form, format, sources, method)
            : scope => emitScalar(scope, form, format, method),
        )
      }
}

function emitPacked(
  scope: InstructionScope,
  form: VectorForm,
  format: FloatLanes,
  sources: 1 | 2,
  method: Method,
): void {
  const b = form.load(scope, sources === 2 ? form.second : 1)
  const a = sources === 2 ? form.loadRegister(scope, form.first) : b
  form.store(
    scope,
    computeHalves(scope, form.halves, i => computeLanes(scope, format, method, a[i], b[i])),
  )
}

function emitScalar(scope: InstructionScope, form: VectorForm, format: FloatLanes, method: Method): void {
  const b = format.load(scope, form.address(scope, form.second))
  const a = format.load(scope, scope.registerAddress(form.first))
  form.storeScalar(scope, format.lane, computeLanes(scope, format, method, a, b))
}

/** `a` op `b` in each lane, with the flags of MXCSR and #XM. The operands are named values. */
export function floatArithmetic(
  scope: InstructionScope,
  format: FloatLanes,
  mnemonic: FloatMnemonic,
  a: Vector,
  b: Vector,
): Vector {
  return computeLanes(scope, format, METHODS[mnemonic], a, b)
}

/** The same for any method. */
export function computeLanes(
  scope: InstructionScope,
  format: FloatLanes,
  method: Method,
  a: Vector,
  b: Vector,
): Vector {
  const { f } = scope
  const result = f.variable(method.compute(format, a, b))
  const compute = () => f.set(result, software(scope, i32(format.operation(method.kind)), b, a))
  const unsafe = anyLane(method.unsafe(format, a, b, result))
  const { exact } = method
  if (exact === undefined) f.if(unsafe, compute)
  else {
    const named = f.let(unsafe)
    f.if(named.or(roundsNatively(scope).eqz()), () => {
      const rounded = anyLane(not(exact(format, a, b, result)))
      f.if(named.or(rounded).or(roundsToNearest(scope).eqz()), compute)
    })
  }
  return result
}
