/** The names that an expression can use, besides registers: those of a frame, and those of the whole guest. */

import type { ValueLocation } from '../../symbols/dwarf/debug-info.ts'
import type { Type } from '../../symbols/dwarf/type-model.ts'
import type { Subject } from './subject.ts'

export interface Scope {
  /** Bytes of a pointer in the code of the frame. */
  readonly pointerSize: 4 | 8
  /** A local, parameter or static in scope, or a variable outside functions. */
  variable(name: string): ScopeVariable | undefined
  /** A symbol without debugging information. */
  symbol(name: string): ScopeSymbol | undefined
  /** A type by its name or its tag with the keyword (`struct page`). Built-in types need not be known. */
  type(name: string): Type | undefined
  enumerator(name: string): { readonly value: bigint; readonly type: Type } | undefined
}

export interface ScopeSymbol {
  readonly address: bigint
  readonly kind: 'function' | 'object' | 'label'
}

/** A variable of the debugging information. */
export interface ScopeVariable {
  readonly type: Type | undefined
  /** Where it always is; undefined when that depends on the frame. */
  readonly fixedAddress: bigint | undefined
  /** Where it is for a subject: depends on the frame's registers. May throw the errors of the symbol file. */
  locate(subject: Subject): ValueLocation
  /** By DWARF's number; undefined for one that has no name here. */
  registerName(number: number): string | undefined
  /** The bytes of a location that is neither memory nor one whole register; undefined when they can't be read. */
  bytes(location: ValueLocation, size: number, subject: Subject): Uint8Array | undefined
}

/** Nothing but numbers, registers and built-in types. */
export const NO_NAMES: Scope = {
  pointerSize: 8,
  variable: () => undefined,
  symbol: () => undefined,
  type: () => undefined,
  enumerator: () => undefined,
}
