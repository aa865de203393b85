/**
 * What a function's arguments were when it was called, where it has not kept them: the call in its caller says from
 * what each register was set (DWARF 5, 3.4.1 and 2.5.1.7; before, GNU's extension of the same kind).
 */

import * as C from './constants.ts'
import type { CallOfFunction, EvaluationContext } from './debug-info.ts'
import type { Die } from './die.ts'
import type { DwarfProgram } from './dwarf-program.ts'
import { linkageName } from './functions.ts'
import { rangesOf } from './range-lists.ts'
import { MAX_DEPTH } from './unit.ts'
import type { VariableLocator } from './variable-locator.ts'

const SCOPES: ReadonlySet<number> = new Set([C.DW_TAG_lexical_block, C.DW_TAG_inlined_subroutine])
const CALLS: ReadonlySet<number> = new Set([C.DW_TAG_call_site, C.DW_TAG_GNU_call_site])

export class CallSites {
  readonly #program: DwarfProgram
  readonly #locator: VariableLocator

  constructor(program: DwarfProgram, locator: VariableLocator) {
    this.#program = program
    this.#locator = locator
  }

  /**
   * The value that a register had when a function of this or another file was entered; undefined when it is not told.
   * @param register by DWARF's number
   * @param context the caller's
   */
  entryValue(
    { returnAddress, entry }: CallOfFunction,
    register: number,
    context: EvaluationContext,
  ): bigint | undefined {
    const { slide } = this.#program
    const subprogram = this.#program.chainAt(slide.toFile(context.pc))?.subprogram
    if (subprogram === undefined) return undefined
    const back = slide.toFile(returnAddress)
    for (const call of callsIn(subprogram)) {
      if ((call.address(C.DW_AT_call_return_pc) ?? call.address(C.DW_AT_low_pc)) !== back) continue
      if (!this.#leadsTo(call, slide.toFile(entry))) return undefined
      const expression = valueBefore(call, register)
      return expression && this.#locator.number(expression, call, subprogram.offset, context)
    }
    return undefined
  }

  /**
   * The entry of the function at an address; undefined when it may be left by a jump into another one. That could come
   * back to it with other arguments, so that the call which its return address belongs to tells nothing of them.
   */
  entryAt(address: bigint): bigint | undefined {
    const { slide } = this.#program
    const subprogram = this.#program.chainAt(slide.toFile(address))?.subprogram
    const entry = subprogram && (subprogram.address(C.DW_AT_low_pc) ?? rangesOf(subprogram)[0]?.low)
    if (subprogram === undefined || entry === undefined) return undefined
    for (const call of callsIn(subprogram))
      if (call.flag(C.DW_AT_call_tail_call) || call.flag(C.DW_AT_GNU_tail_call)) return undefined
    return slide.toGuest(entry)
  }

  /** What was called may have jumped elsewhere: that function has the same return address, and other arguments. */
  #leadsTo(call: Die, entry: bigint): boolean {
    const target = call.reference(C.DW_AT_call_origin) ?? call.reference(C.DW_AT_abstract_origin)
    if (target === undefined) return false
    for (const die of target.withOrigins()) {
      const low = die.address(C.DW_AT_low_pc)
      if (low !== undefined) return low === entry
    }
    const name = linkageName(target) ?? target.name
    return name !== undefined && this.#program.symbols.allNamed(name).some(({ address }) => address === entry)
  }
}

function* callsIn(scope: Die, depth = 0): Generator<Die> {
  for (const child of scope.unit.children(scope)) {
    if (CALLS.has(child.tag)) yield child
    else if (SCOPES.has(child.tag) && depth < MAX_DEPTH) yield* callsIn(child, depth + 1)
  }
}

function valueBefore(call: Die, register: number): Buffer | undefined {
  for (const parameter of call.unit.children(call)) {
    const place = parameter.block(C.DW_AT_location)
    if (place === undefined || place.length !== 1 || place[0] !== C.DW_OP_reg0 + register) continue
    return parameter.block(C.DW_AT_call_value) ?? parameter.block(C.DW_AT_GNU_call_site_value)
  }
  return undefined
}
