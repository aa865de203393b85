/** ADD, SUB, MUL, DIV, SQRT, MIN and MAX of packed and scalar floating-point numbers (SDM vol. 2). */

import { i32 } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import {
  and,
  anyLane,
  FLOAT_LANES,
  type FloatLanes,
  not,
  or,
  roundsNatively,
  roundsToNearest,
  software,
} from './sse-lanes.ts'
import { checkSse, sourceAddress } from './sse-operands.ts'
import { SseKind } from './sse-operation.ts'
import type { Vector } from './sse-packed.ts'

/** Computes natively, and tells what of that holds. All operands are named values. */
interface Method {
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
const unsafeSum: Method['unsafe'] = (format, a, b, result) =>
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
function exactSum(format: FloatLanes, a: Vector, b: Vector, result: Vector, subtracted: boolean): Vector {
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
  for (const format of FLOAT_LANES)
    for (const [mnemonic, method] of Object.entries(METHODS)) {
      const name = `${mnemonic}${format.suffix}`
      table.define(`${name}_xmm_${format.source}`, {
        name,
        bits: [128, format.bits],
        emit: scope => emitArithmetic(scope, format, method),
      })
    }
}

function emitArithmetic(scope: InstructionScope, format: FloatLanes, method: Method): void {
  checkSse(scope)
  const b = format.load(scope, sourceAddress(scope, 1))
  const target = scope.f.let(scope.registerAddress(0))
  const a = format.load(scope, target)
  format.store(scope, target, computeLanes(scope, format, method, a, b))
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

function computeLanes(scope: InstructionScope, format: FloatLanes, method: Method, a: Vector, b: Vector): Vector {
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
