/** Functions and addresses that definitions refer to: the processor's slow paths, imported or of the same module. */

import { TLB_ENTRIES, TLB_READ, TLB_WRITE } from '../layout.ts'
import type { FunctionReference } from '../wasm/function-builder.ts'
import type { VectorFunctions } from './vector-functions.ts'

export interface Runtime {
  readonly tlbEntries: number
  readonly readTlb: number
  readonly writeTlb: number
  /** (linear bits 31:0, linear bits 63:32, bytes, record) to a host address from which the bytes can be loaded; faults by throwing. */
  readonly slowRead: FunctionReference<'i32'>
  /**
   * The same for a store; ACCESS_BUFFER when `commit` must carry the bytes to where they belong. With
   * {@link READ_FIRST} in the number of bytes the old value is there.
   */
  readonly slowWrite: FunctionReference<'i32'>
  /** (record): completes a store to ACCESS_BUFFER. */
  readonly commit: FunctionReference<'void'>
  /** (record, segment cache, offset, bytes, write) to the linear address of a memory operand, segment-checked. */
  readonly linear: FunctionReference<'i64'>
  /** Stack outside 64-bit mode: (bytes, record) to the value at SS:SP; (value, bytes, record); (bytes). */
  readonly stackTop: FunctionReference<'i64'>
  /** (bytes, record) to the value at SS:BP; () copies BP to SP: LEAVE. */
  readonly frameTop: FunctionReference<'i64'>
  readonly stackFromFrame: FunctionReference<'void'>
  readonly push: FunctionReference<'void'>
  readonly stackAdjust: FunctionReference<'void'>
  /** (signed, bits, record): divides RDX:RAX by ACCESS_VALUE where 64-bit division can't. */
  readonly divideWide: FunctionReference<'void'>
  /** (vector, record): throws an exception of the guest. */
  readonly raise: FunctionReference<'void'>
  /** (record): raises #UD for an instruction that can't be decoded or is not implemented. */
  readonly undefinedInstruction: FunctionReference<'void'>
  /** (record): runs the assist that the record names. */
  readonly assist: FunctionReference<'void'>
  /**
   * (operation, record): executes an SSE floating-point operation (`sse-operation.ts`) on SSE_A and SSE_B into
   * SSE_RESULT and MXCSR, all lanes; throws when an exception is unmasked.
   */
  readonly sseSlow: FunctionReference<'void'>
  /** (immediate, length of SSE_A, of SSE_B): compares strings as `packed-strings.ts` says, into SSE_RESULT. */
  readonly compareStrings: FunctionReference<'i32'>
  readonly vector: VectorFunctions
}

/** Added to the bytes of a store whose instruction reads its operand before: of a device, too. */
export const READ_FIRST = 0x100

export const TLB_ADDRESSES = { tlbEntries: TLB_ENTRIES, readTlb: TLB_READ, writeTlb: TLB_WRITE } as const
