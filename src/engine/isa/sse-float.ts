/** ADD, SUB, MUL, DIV, SQRT, MIN and MAX of packed and scalar floating-point numbers (SDM vol. 2). */

import { i32, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { and, anyLane, FLOAT_LANES, type FloatLanes, not, or, roundsNatively, software } from './sse-lanes.ts'
import { checkSse, sourceAddress } from './sse-operands.ts'
import { SseKind } from './sse-operation.ts'
import type { Vector } from './sse-packed.ts'

/** Computes natively, and tells which lanes must be computed in software. All operands are named values. */
interface Method {
  readonly kind: SseKind
  readonly compute: (format: FloatLanes, a: Vector, b: Vector) => Vector
  readonly unsafe: (format: FloatLanes, a: Vector, b: Vector, result: Vector) => Vector
  /** Can the result be rounded? */
  readonly rounds: boolean
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

const METHODS: Readonly<Record<string, Method>> = {
  Add: { kind: SseKind.add, compute: (format, a, b) => format.compute('add', a, b), unsafe: unsafeSum, rounds: true },
  Sub: { kind: SseKind.sub, compute: (format, a, b) => format.compute('sub', a, b), unsafe: unsafeSum, rounds: true },
  Mul: {
    kind: SseKind.mul,
    compute: (format, a, b) => format.compute('mul', a, b),
    unsafe: unsafeProduct,
    rounds: true,
  },
  Div: {
    kind: SseKind.div,
    compute: (format, a, b) => format.compute('div', a, b),
    unsafe: unsafeQuotient,
    rounds: true,
  },
  Sqrt: {
    kind: SseKind.sqrt,
    compute: (format, _a, b) => format.compute('sqrt', b),
    unsafe: (format, _a, b, result) => or(not(format.isFinite(result)), format.isDenormal(b)),
    rounds: true,
  },
  // MINPS gives the second operand unless the first is less; `pmin(x, y)` is y < x ? y : x.
  Min: {
    kind: SseKind.min,
    compute: (format, a, b) => format.compute('pmin', b, a),
    unsafe: unsafeOrder,
    rounds: false,
  },
  Max: {
    kind: SseKind.max,
    compute: (format, a, b) => format.compute('pmax', b, a),
    unsafe: unsafeOrder,
    rounds: false,
  },
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
  const { f } = scope
  const b = format.load(scope, sourceAddress(scope, 1))
  const target = f.let(scope.registerAddress(0))
  const a = format.load(scope, target)
  const result = f.variable(method.compute(format, a, b))
  f.if(needsSoftware(scope, anyLane(method.unsafe(format, a, b, result)), method.rounds), () =>
    f.set(result, software(scope, i32(format.operation(method.kind)), b, a)),
  )
  format.store(scope, target, result)
}

function needsSoftware(scope: InstructionScope, unsafe: Value<'i32'>, rounds: boolean): Value<'i32'> {
  return rounds ? unsafe.or(roundsNatively(scope).eqz()) : unsafe
}
