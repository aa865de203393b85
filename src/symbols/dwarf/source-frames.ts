/** Functions as source knows them: the frames at an address, functions by name, variables in scope. */

import { AddressMemo } from './address-memo.ts'
import * as C from './constants.ts'
import type { FunctionPlace, SourceFrame, SourceLocation, Variable } from './debug-info.ts'
import type { Definitions } from './definitions.ts'
import type { Die } from './die.ts'
import type { DwarfProgram } from './dwarf-program.ts'
import { linkageName, qualifiedName } from './functions.ts'
import { entryOf, type LineLookup } from './line-lookup.ts'
import { rangesOf } from './range-lists.ts'
import type { TypeFactory } from './types.ts'
import type { Unit } from './unit.ts'
import { isStatic, variablesInScope } from './variables.ts'

/** Copies of an inlined function that are named; a breakpoint in more would slow the guest more than it tells. */
const MOST_COPIES = 256
/** Entries of the name that are followed: a header's function is declared in every unit. */
const MOST_ENTRIES = 512

export class SourceFrames {
  readonly #program: DwarfProgram
  readonly #lines: LineLookup
  readonly #definitions: Definitions
  readonly #types: TypeFactory
  /** By the guest's address, with the slide that they were found with. */
  readonly #known = new AddressMemo<readonly SourceFrame[]>()
  #knownSlide = 0n

  constructor(program: DwarfProgram, lines: LineLookup, definitions: Definitions, types: TypeFactory) {
    this.#program = program
    this.#lines = lines
    this.#definitions = definitions
    this.#types = types
  }

  /** `address` is the guest's; so are the addresses of the frames. */
  framesAt(address: bigint): readonly SourceFrame[] {
    const { value } = this.#program.slide
    if (value !== this.#knownSlide) this.#known.forget()
    this.#knownSlide = value
    return this.#known.of(address, () => this.#framesAt(address))
  }

  #framesAt(address: bigint): readonly SourceFrame[] {
    const { slide } = this.#program
    const chain = this.#program.chainAt(slide.toFile(address))
    if (chain === undefined) return []
    const scopes = [chain.subprogram, ...chain.inlined]
    const line = this.#lines.lineAt(slide.toFile(address))
    let location: SourceLocation | undefined = line && { file: line.file, line: line.line, column: line.column }
    const frames: SourceFrame[] = []
    for (const die of scopes.reverse()) {
      frames.push(this.#frame(die, address, location))
      location = this.#callOf(die)
    }
    return frames
  }

  #frame(die: Die, address: bigint, location: SourceLocation | undefined): SourceFrame {
    const { slide } = this.#program
    return {
      name: qualifiedName(die),
      inlined: die.tag === C.DW_TAG_inlined_subroutine,
      location,
      declared: this.#program.declaredAt(die),
      ranges: rangesOf(die).map(({ low, high }) => ({ low: slide.toGuest(low), high: slide.toGuest(high) })),
      address,
      language: die.unit.language,
      returnType: this.#types.of(die),
      die: die.offset,
    }
  }

  #callOf(die: Die): SourceLocation | undefined {
    const number = die.number(C.DW_AT_call_file)
    const file = number === undefined ? undefined : this.#program.lines.path(die.unit, number)
    if (file === undefined) return undefined
    return { file, line: die.number(C.DW_AT_call_line) ?? 0, column: die.number(C.DW_AT_call_column) ?? 0 }
  }

  functionsNamed(name: string): readonly FunctionPlace[] {
    const places = new Map<bigint, FunctionPlace>()
    const symbols = this.#program.symbols.allNamed(name).filter(symbol => symbol.kind !== 'object')
    for (const { address, kind } of symbols) {
      if (kind === 'label' && symbols.some(symbol => symbol.kind === 'function')) continue
      this.#add(places, name, address, false, this.#program.chainAt(address)?.subprogram)
    }
    // A symbol without debugging information may be another language's, as `main` of a Rust program is.
    if ([...places.values()].some(place => place.declared !== undefined)) {
      for (const { address } of symbols) this.#addCopiesBeside(places, name, address)
    } else {
      this.#addFromEntries(places, name)
    }
    return [...places.values()]
  }

  /** What was inlined in the unit that has the function itself too. */
  #addCopiesBeside(places: Map<bigint, FunctionPlace>, name: string, address: bigint): void {
    const subprogram = this.#program.chainAt(address)?.subprogram
    const abstract = subprogram?.reference(C.DW_AT_abstract_origin)
    if (abstract !== undefined) this.#addCopies(places, name, abstract)
  }

  /** A function without a symbol: inlined everywhere, or Rust's, whose symbols are mangled. */
  #addFromEntries(places: Map<bigint, FunctionPlace>, name: string): void {
    let count = 0
    for (const die of this.#definitions.functions(name)) {
      const ranges = rangesOf(die)
      const entry = entryOf(die.address(C.DW_AT_low_pc), ranges)
      if (entry !== undefined && ranges.length > 0) this.#add(places, qualifiedName(die), entry, false, die)
      else this.#addCopies(places, qualifiedName(die), die)
      if (++count >= MOST_ENTRIES || places.size >= MOST_COPIES) return
    }
  }

  #addCopies(places: Map<bigint, FunctionPlace>, name: string, abstract: Die): void {
    for (const die of codeOf(abstract.unit, abstract)) {
      if (places.size >= MOST_COPIES) return
      const ranges = rangesOf(die)
      const entry = die.address(C.DW_AT_entry_pc) ?? entryOf(die.address(C.DW_AT_low_pc), ranges)
      if (entry === undefined || ranges.length === 0) continue
      this.#add(places, name, entry, die.tag === C.DW_TAG_inlined_subroutine, die)
    }
  }

  #add(places: Map<bigint, FunctionPlace>, name: string, entry: bigint, inlined: boolean, die: Die | undefined): void {
    const { slide } = this.#program
    const address = slide.toGuest(entry)
    if (places.has(address)) return
    const body = inlined ? entry : this.#lines.bodyAddress(entry)
    const declared = die && this.#program.declaredAt(die)
    places.set(address, { name, address, bodyAddress: slide.toGuest(body), inlined, declared })
  }

  variablesOf(frame: SourceFrame): readonly Variable[] {
    const { slide, units } = this.#program
    const scope = units.dieAt(frame.die)
    const address = slide.toFile(frame.address)
    const subprogram = scope.tag === C.DW_TAG_subprogram ? scope : this.#program.chainAt(address)?.subprogram
    return variablesInScope(scope, address).map(({ die, depth }) => this.variable(die, depth, subprogram?.offset))
  }

  variable(die: Die, depth: number, functionDie: number | undefined): Variable {
    const kind =
      die.tag === C.DW_TAG_formal_parameter
        ? 'parameter'
        : functionDie === undefined || isStatic(die)
          ? 'static'
          : 'local'
    const type = this.#types.of(die)
    return {
      name: functionDie === undefined ? qualifiedName(die) : (die.name ?? ''),
      kind,
      type,
      declared: this.#program.declaredAt(die),
      depth,
      die: die.offset,
      functionDie,
    }
  }

  /** The name that people write of a linker's: Rust's mangled ones, by the entry that has it. */
  sourceName(address: bigint, symbol: string): string | undefined {
    const subprogram = this.#program.chainAt(this.#program.slide.toFile(address))?.subprogram
    return subprogram !== undefined && linkageName(subprogram) === symbol ? qualifiedName(subprogram) : undefined
  }
}

/** Entries with code that are copies of an abstract function, or complete its declaration. */
function* codeOf(unit: Unit, abstract: Die): Generator<Die> {
  for (const die of unit.descendants()) {
    const isFunction = die.tag === C.DW_TAG_subprogram || die.tag === C.DW_TAG_inlined_subroutine
    if (!isFunction || die.offset === abstract.offset) continue
    for (const origin of die.withOrigins()) {
      if (origin.offset !== abstract.offset) continue
      yield die
      break
    }
  }
}
