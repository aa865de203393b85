/** A scope whose operands are the fields of a decoded record, and what a scope needs of the code around it. */

import { CR4_LA57 } from '../../x86/control-registers.ts'
import * as R from '../decoder/record.ts'
import { MODE_CODE_64, MODE_CODE_SIZE } from '../mode.ts'
import * as S from '../state.ts'
import type { FunctionBuilder } from '../wasm/function-builder.ts'
import { i32, i64, select, type Value } from '../wasm/value.ts'
import { InstructionScope } from './instruction-scope.ts'
import type { Runtime } from './runtime.ts'
import type { Bits } from './word.ts'

const CS_LIMIT = S.SEGMENTS + S.SEGMENT_STRIDE + S.SEGMENT_LIMIT
const GENERAL_PROTECTION = 13

/** How code goes on after an instruction that ends its block. RIP and BLOCK_RIP are the callee's to set. */
export interface Continuation {
  /** Enters a block that a direct branch knows. Absent where blocks can't be entered: then `lookUp` is used. */
  readonly enter?: (block: Value<'i32'>, rip: Value<'i64'>) => void
  /** Follows a direct branch by other means than the record's links, whose field is at `slot`. */
  readonly follow?: (slot: number, rip: Value<'i64'>) => void
  /** Finds the block at `rip`; `link` is where to remember it, or 0. */
  readonly lookUp: (rip: Value<'i64'>, link: Value<'i32'>) => void
  /** Returns to TypeScript with this RIP, or with the one that the state has. */
  readonly leave: (rip: Value<'i64'> | undefined) => void
}

export interface ScopeOptions {
  readonly f: FunctionBuilder
  readonly runtime: Runtime
  readonly bits: readonly Bits[]
  readonly shape: string
  readonly long: boolean
  readonly continuation: Continuation
}

export class RecordScope extends InstructionScope {
  readonly #record: Value<'i32'>
  readonly #at: number
  readonly #continuation: Continuation

  /** @param record address of a record; @param at bytes from there to this instruction's: fused instructions follow each other. */
  constructor(options: ScopeOptions, record: Value<'i32'>, at = 0) {
    super(options.f, options.runtime, options.bits, options.shape, options.long)
    this.#record = record
    this.#at = at
    this.#continuation = options.continuation
  }

  /** A field of the record, 1, 2 or 4 bytes wide. */
  field(offset: number, bytes: 1 | 2 | 4): Value<'i32'> {
    return this.f.load('i32', this.#record, this.#at + offset, bytes)
  }
  /** A signed 32-bit field, extended. */
  signedField(offset: number): Value<'i64'> {
    return this.f.load('i64', this.#record, this.#at + offset, 4, true)
  }
  wideField(offset: number): Value<'i64'> {
    return this.f.load('i64', this.#record, this.#at + offset)
  }
  /** A general register named by a field. */
  register64(offset: number): Value<'i64'> {
    return this.f.load('i64', this.field(offset, 2))
  }

  override registerAddress(operand: number): Value<'i32'> {
    return this.field(R.OPERAND[operand], 2)
  }
  override immediate(): Value<'i32'> {
    return this.field(R.IMMEDIATE, 4)
  }
  override wideImmediate(): Value<'i64'> {
    return this.wideField(R.WIDE)
  }
  override effectiveOffset(): Value<'i64'> {
    const index = this.register64(R.INDEX).shl(this.field(R.SCALE, 1).extendU())
    return this.register64(R.BASE).add(index).add(this.signedField(R.DISPLACEMENT))
  }
  override record(): Value<'i32'> {
    return this.#record.add(this.#at)
  }
  override unretired(): Value<'i32'> {
    const slot = this.f.let(this.field(R.SLOT, 1))
    const header = this.record().sub(slot.add(1).mul(R.RECORD_SIZE))
    return this.f.let(this.f.load('i32', header, R.BLOCK_COUNT).sub(slot))
  }
  override attributes(): Value<'i32'> {
    return this.field(R.ATTRIBUTES, 1)
  }
  override segmentAddress(): Value<'i32'> {
    return this.field(R.SEGMENT, 2)
  }

  override rip(): Value<'i64'> {
    const whole = this.state64(S.BLOCK_RIP).add(this.field(R.RIP_OFFSET, 2).extendU())
    if (this.long) return whole
    // String instructions with addresses that are not flat have one form for all modes: in 64-bit mode RIP stays whole.
    const mode = this.state32(S.MODE).and(MODE_CODE_SIZE)
    return whole.and(select(mode.eq(MODE_CODE_64), i64(-1), i64(0xffff_ffff)))
  }
  override nextRip(): Value<'i64'> {
    const offset = this.field(R.RIP_OFFSET, 2).add(this.field(R.LENGTH, 1))
    return this.f.let(this.#wrapRip(this.state64(S.BLOCK_RIP).add(offset.extendU())))
  }
  override branchTarget(): Value<'i64'> {
    return this.f.let(this.#wrapTarget(this.state64(S.BLOCK_RIP).add(this.signedField(R.IMMEDIATE))))
  }

  /** RIP outside 64-bit mode has 32 bits. */
  #wrapRip(rip: Value<'i64'>): Value<'i64'> {
    return this.long ? rip : rip.and(0xffff_ffff)
  }

  /** A branch with 16-bit operand size cuts its target to 16 bits (SDM vol. 2, JMP). */
  #wrapTarget(rip: Value<'i64'>): Value<'i64'> {
    if (this.long) return rip
    const narrow = this.attributes().and(3).eqz()
    return rip.and(select(narrow, i64(0xffff), i64(0xffff_ffff)))
  }

  override jumpDirect(): void {
    this.requireBranchTarget()
    this.#follow(R.LINK_TAKEN, this.branchTarget())
  }

  override jumpIf(condition: Value<'i32'>): void {
    this.f.if(condition, () => this.f.scope(() => this.jumpDirect()))
    this.#follow(R.LINK_NEXT, this.nextRip())
  }

  override requireTarget(rip: Value<'i64'>): void {
    if (!this.long) {
      this.raiseIf(rip.wrap().gtU(this.state32(CS_LIMIT)), GENERAL_PROTECTION)
      return
    }
    const target = this.f.let(rip)
    this.f.if(
      target.shl(16).shrS(16).ne(target),
      () => {
        // Linear addresses of 57 bits are canonical under 5-level paging.
        const narrow = this.state32(S.CR4).and(CR4_LA57).eqz()
        this.raiseIf(narrow.or(target.shl(7).shrS(7).ne(target)), GENERAL_PROTECTION)
      },
      undefined,
      false,
    )
  }

  override requireBranchTarget(condition?: Value<'i32'>): void {
    if (this.long) return
    // Code that a limit is known for has no links; the others need no check.
    const link = this.field(R.LINK_TAKEN, 4)
    if (link.constant !== undefined && Number(link.constant) !== 1) return
    const unlinked = link.eq(1)
    this.f.if(
      condition === undefined ? unlinked : unlinked.and(condition),
      () => this.f.scope(() => this.requireTarget(this.branchTarget())),
      undefined,
      false,
    )
  }

  /** Goes to a block that the record links to, or looks it up. A link of 1 says that there may never be one. */
  #follow(slot: number, target: Value<'i64'>): void {
    const { enter, follow, lookUp } = this.#continuation
    if (follow !== undefined) {
      follow(slot, target)
      return
    }
    if (enter === undefined) {
      lookUp(target, i32(0))
      return
    }
    const link = this.f.let(this.field(slot, 4))
    this.f.if(link.gtU(1), () => enter(link, target), undefined, true)
    lookUp(target, select(link, i32(0), this.record().add(slot)))
  }

  override jumpTo(rip: Value<'i64'>): void {
    this.#continuation.lookUp(this.f.let(this.long ? rip : rip.and(0xffff_ffff)), i32(0))
  }

  override leaveIf(condition: Value<'i32'>): void {
    this.f.if(condition, () => this.#continuation.leave(this.nextRip()))
  }

  override leaveAtRip(): void {
    this.#continuation.leave(undefined)
  }

  override leaveHere(): void {
    this.setState(S.ENDED, i32(S.ENDED_REPEATING))
    this.#continuation.leave(this.f.let(this.rip()))
  }
}
