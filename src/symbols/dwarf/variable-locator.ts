/** Where a variable's value is in a frame, and its bytes. */

import * as C from './constants.ts'
import type { EvaluationContext, ValueLocation, Variable } from './debug-info.ts'
import type { Die } from './die.ts'
import type { DwarfProgram } from './dwarf-program.ts'
import { type ExpressionScope, evaluateLocation, evaluateNumber, toBytes, toInteger } from './expression.ts'
import { locationExpression } from './location-lists.ts'
import { constantBytes } from './types.ts'
import type { Unwinder } from './unwinder.ts'

const NOWHERE: ValueLocation = { kind: 'optimized-out', reason: 'the compiler kept it nowhere here' }

/** A constant without a type is as large as C's largest integer. */
const CONSTANT_SIZE = 8

export class VariableLocator {
  readonly #program: DwarfProgram
  readonly #unwinder: Unwinder

  constructor(program: DwarfProgram, unwinder: Unwinder) {
    this.#program = program
    this.#unwinder = unwinder
  }

  locate(variable: Variable, context: EvaluationContext): ValueLocation {
    const die = this.#program.units.dieAt(variable.die)
    const placed = die.originWith(C.DW_AT_location)
    const pc = this.#program.slide.toFile(context.pc)
    const expression = placed === undefined ? 'absent' : locationExpression(placed, C.DW_AT_location, pc)
    if (expression === undefined) return NOWHERE
    if (expression !== 'absent') return evaluateLocation(expression, this.#scope(die, variable.functionDie, context))
    const constant = constantBytes(die, variable.type?.size ?? CONSTANT_SIZE)
    if (constant !== undefined) return { kind: 'value', bytes: constant }
    return this.#bySymbol(die) ?? NOWHERE
  }

  /** What an expression of an entry in a function computes; undefined when that is known nowhere. */
  number(expression: Buffer, die: Die, functionDie: number, context: EvaluationContext): bigint | undefined {
    return evaluateNumber(expression, this.#scope(die, functionDie, context))
  }

  /** A global that is only declared here has its address in the table of symbols. */
  #bySymbol(die: Die): ValueLocation | undefined {
    if (die.originWith(C.DW_AT_external) === undefined || die.name === undefined) return undefined
    const symbol = this.#program.symbols.named(die.name)
    return symbol && { kind: 'memory', address: this.#program.slide.toGuest(symbol.address) }
  }

  #scope(die: Die, functionDie: number | undefined, context: EvaluationContext): ExpressionScope {
    const cfa = () =>
      context.cfa ?? this.#unwinder.frameAddress(context.pc, number => context.register(number), context.read)
    const scope: ExpressionScope = {
      addressSize: die.unit.addressSize,
      context,
      cfa,
      frameBase: () => this.#frameBase(functionDie, context, scope),
      relocate: address => this.#program.slide.toGuest(address),
      unit: die.unit,
    }
    return scope
  }

  /** DWARF 5, 3.3.5: the function's DW_AT_frame_base, which itself can't use the frame base. */
  #frameBase(functionDie: number | undefined, context: EvaluationContext, scope: ExpressionScope): bigint | undefined {
    if (functionDie === undefined) return undefined
    const subprogram = this.#program.units.dieAt(functionDie)
    const pc = this.#program.slide.toFile(context.pc)
    const expression = locationExpression(subprogram, C.DW_AT_frame_base, pc)
    if (expression === undefined || expression === 'absent') return undefined
    return evaluateNumber(expression, { ...scope, unit: subprogram.unit, frameBase: () => undefined })
  }

  readLocation(location: ValueLocation, size: number, context: EvaluationContext): Uint8Array | undefined {
    switch (location.kind) {
      case 'memory':
        return context.read(location.address, size)
      case 'register': {
        const value = context.register(location.register)
        return value === undefined ? undefined : toBytes(value, size)
      }
      case 'value': {
        const bytes = new Uint8Array(size)
        bytes.set(location.bytes.subarray(0, size))
        return bytes
      }
      case 'pieces':
        return this.#readPieces(location.pieces, size, context)
      case 'optimized-out':
        return undefined
    }
  }

  #readPieces(
    pieces: Extract<ValueLocation, { kind: 'pieces' }>['pieces'],
    size: number,
    context: EvaluationContext,
  ): Uint8Array | undefined {
    let value = 0n
    let at = 0
    for (const { bitSize, bitOffset, location } of pieces) {
      const wanted = Math.min(bitSize, size * 8 - at)
      if (wanted <= 0) break
      const bytes = this.readLocation(location, Math.ceil((bitOffset + wanted) / 8), context)
      if (bytes === undefined) return undefined
      value |= BigInt.asUintN(wanted, toInteger(bytes) >> BigInt(bitOffset)) << BigInt(at)
      at += wanted
    }
    return at < size * 8 ? undefined : toBytes(value, size)
  }
}
