/**
 * SSE floating point in software: what generated code calls when WebAssembly's own arithmetic might differ from the
 * processor's, because of rounding, exceptions, NaNs or denormals.
 */

import { CR4_OSXMMEXCPT } from '../x86/control-registers.ts'
import type { CpuState } from './cpu-state.ts'
import { invalidOpcode, simdFloatingPoint } from './fault.ts'
import type { FloatEnvironment } from './float/environment.ts'
import {
  type FusedSigns,
  type SseArithmetic,
  sse32To64,
  sse64To32,
  sseArithmetic32,
  sseArithmetic64,
  sseCompare32,
  sseCompare64,
  sseCompareFlags32,
  sseCompareFlags64,
  sseEnvironment,
  sseFromHalf,
  sseFromInteger32,
  sseFromInteger64,
  sseMultiplyAdd32,
  sseMultiplyAdd64,
  sseOutcome,
  sseRound32,
  sseRound64,
  sseToHalf,
  sseToInteger32,
  sseToInteger64,
} from './float/sse-scalar.ts'
import type { HostMemory } from './host-memory.ts'
import {
  decodeOperation,
  FUSED_ALTERNATING,
  FUSED_NEGATE_ADDEND,
  FUSED_NEGATE_PRODUCT,
  SseKind,
  type SseOperation,
} from './isa/sse-operation.ts'
import * as S from './state.ts'

const ARITHMETIC: ReadonlyMap<number, SseArithmetic> = new Map([
  [SseKind.add, 'add'],
  [SseKind.sub, 'sub'],
  [SseKind.mul, 'mul'],
  [SseKind.div, 'div'],
  [SseKind.sqrt, 'sqrt'],
  [SseKind.min, 'min'],
  [SseKind.max, 'max'],
])

/**
 * The function behind `Runtime.sseSlow`. It sets SSE_RESULT (bytes beyond the result are zero) and MXCSR, or throws
 * #XM when an exception is unmasked, #UD instead without CR4.OSXMMEXCPT (SDM vol. 1, 11.5.1); nothing but MXCSR's
 * flags has changed then. The caller knows the record and thereby RIP.
 */
export function createSseSlowPath(state: CpuState): (operation: number, record: number) => void {
  return operation => {
    const mxcsr = state.get32(S.MXCSR)
    const environment = sseEnvironment(mxcsr)
    const decoded = decodeOperation(operation)
    if (decoded.kind === SseKind.settle) {
      environment.flags = state.get32(S.SSE_PENDING)
      state.set32(S.SSE_PENDING, 0)
    }
    state.set64(S.SSE_RESULT, 0n)
    state.set64(S.SSE_RESULT + 8, 0n)
    for (let lane = 0; lane < decoded.lanes; lane++) executeLane(state.memory, decoded, lane, environment)
    if (decoded.collects) {
      state.set32(S.SSE_PENDING, state.get32(S.SSE_PENDING) | environment.flags)
      return
    }
    const outcome = sseOutcome(mxcsr, environment)
    state.set32(S.MXCSR, outcome.mxcsr)
    if (outcome.fault)
      throw (state.get64(S.CR4) & BigInt(CR4_OSXMMEXCPT)) !== 0n ? simdFloatingPoint() : invalidOpcode()
  }
}

function executeLane(memory: HostMemory, operation: SseOperation, lane: number, env: FloatEnvironment): void {
  if (operation.kind === SseKind.fromInt32 || operation.kind === SseKind.fromInt64)
    fromInteger(memory, operation, lane, env)
  else if (operation.lane === 32) executeLane32(memory, operation, lane, env)
  else executeLane64(memory, operation, lane, env)
}

function executeLane32(
  memory: HostMemory,
  { kind, immediate }: SseOperation,
  lane: number,
  env: FloatEnvironment,
): void {
  const { u32, i32, u64 } = memory
  const a = u32[(S.SSE_A >> 2) + lane]
  const b = u32[(S.SSE_B >> 2) + lane]
  const result = (S.SSE_RESULT >> 2) + lane
  const wideResult = (S.SSE_RESULT >> 3) + lane
  const arithmetic = ARITHMETIC.get(kind)
  if (arithmetic !== undefined) u32[result] = sseArithmetic32(arithmetic, a, b, env)
  else
    switch (kind) {
      case SseKind.addSubtract:
        u32[result] = sseArithmetic32(lane % 2 === 0 ? 'sub' : 'add', a, b, env)
        break
      case SseKind.roundToIntegral:
        u32[result] = sseRound32(b, immediate, env)
        break
      case SseKind.compare:
        i32[result] = sseCompare32(immediate, a, b, env) ? -1 : 0
        break
      case SseKind.unorderedCompare:
      case SseKind.orderedCompare:
        u32[result] = sseCompareFlags32(a, b, kind === SseKind.orderedCompare, env)
        break
      case SseKind.convert:
        u64[wideResult] = sse32To64(b, env)
        break
      case SseKind.toInt32:
      case SseKind.toInt32Truncated:
        i32[result] = Number(sseToInteger32(b, 32, kind === SseKind.toInt32Truncated, env))
        break
      case SseKind.toInt64:
      case SseKind.toInt64Truncated:
        u64[wideResult] = sseToInteger32(b, 64, kind === SseKind.toInt64Truncated, env)
        break
      case SseKind.fusedMultiplyAdd:
        u32[result] = sseMultiplyAdd32(a, b, u32[(S.SSE_C >> 2) + lane], fusedSigns(immediate, lane), env)
        break
      case SseKind.toHalf:
        u32[result] = sseToHalf(b, immediate, env)
        break
      case SseKind.fromHalf:
        u32[result] = sseFromHalf(b, env)
        break
      default:
        throw new RangeError(`SSE slow path: unknown operation ${kind}`)
    }
}

/** Lanes with even numbers subtract where others add, if the operation alternates. */
function fusedSigns(immediate: number, lane: number): FusedSigns {
  const inverted = (immediate & FUSED_ALTERNATING) !== 0 && lane % 2 === 0
  return {
    product: (immediate & FUSED_NEGATE_PRODUCT) !== 0,
    addend: ((immediate & FUSED_NEGATE_ADDEND) !== 0) !== inverted,
  }
}

function executeLane64(
  memory: HostMemory,
  { kind, immediate }: SseOperation,
  lane: number,
  env: FloatEnvironment,
): void {
  const { u32, i32, u64 } = memory
  const a = u64[(S.SSE_A >> 3) + lane]
  const b = u64[(S.SSE_B >> 3) + lane]
  const result = (S.SSE_RESULT >> 3) + lane
  const narrowResult = (S.SSE_RESULT >> 2) + lane
  const arithmetic = ARITHMETIC.get(kind)
  if (arithmetic !== undefined) u64[result] = sseArithmetic64(arithmetic, a, b, env)
  else
    switch (kind) {
      case SseKind.addSubtract:
        u64[result] = sseArithmetic64(lane % 2 === 0 ? 'sub' : 'add', a, b, env)
        break
      case SseKind.roundToIntegral:
        u64[result] = sseRound64(b, immediate, env)
        break
      case SseKind.compare:
        u64[result] = sseCompare64(immediate, a, b, env) ? 0xffff_ffff_ffff_ffffn : 0n
        break
      case SseKind.unorderedCompare:
      case SseKind.orderedCompare:
        u32[narrowResult] = sseCompareFlags64(a, b, kind === SseKind.orderedCompare, env)
        break
      case SseKind.convert:
        u32[narrowResult] = sse64To32(b, env)
        break
      case SseKind.toInt32:
      case SseKind.toInt32Truncated:
        i32[narrowResult] = Number(sseToInteger64(b, 32, kind === SseKind.toInt32Truncated, env))
        break
      case SseKind.toInt64:
      case SseKind.toInt64Truncated:
        u64[result] = sseToInteger64(b, 64, kind === SseKind.toInt64Truncated, env)
        break
      case SseKind.fusedMultiplyAdd:
        u64[result] = sseMultiplyAdd64(a, b, u64[(S.SSE_C >> 3) + lane], fusedSigns(immediate, lane), env)
        break
      default:
        throw new RangeError(`SSE slow path: unknown operation ${kind}`)
    }
}

function fromInteger(
  memory: HostMemory,
  { kind, lane: bits }: SseOperation,
  lane: number,
  env: FloatEnvironment,
): void {
  const value =
    kind === SseKind.fromInt32
      ? BigInt(memory.i32[(S.SSE_B >> 2) + lane])
      : BigInt.asIntN(64, memory.u64[(S.SSE_B >> 3) + lane])
  if (bits === 32) memory.u32[(S.SSE_RESULT >> 2) + lane] = sseFromInteger32(value, env)
  else memory.u64[(S.SSE_RESULT >> 3) + lane] = sseFromInteger64(value, env)
}
