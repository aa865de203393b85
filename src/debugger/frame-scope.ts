/**
 * The names that an expression can use in a frame: its locals, then variables and symbols of every file.
 *
 *     const scope = new FrameScope(book, { info, frame, pc, cfa })
 *     const everywhere = new FrameScope(book)      // no frame: names of files only
 */

import type { VcpuView } from '../inspect/machine-view.ts'
import type { DebugInfo, EvaluationContext, SourceFrame, ValueLocation, Variable } from '../symbols/dwarf/debug-info.ts'
import type { Type } from '../symbols/dwarf/type-model.ts'
import { ElfError } from '../symbols/elf/elf-error.ts'
import { EFER_LMA } from '../x86/control-registers.ts'
import { registerName } from './dwarf-registers.ts'
import { ExpressionError } from './expression/expression-error.ts'
import type { Scope, ScopeSymbol, ScopeVariable } from './expression/scope.ts'
import type { Subject } from './expression/subject.ts'
import { steadyLocation } from './steady-location.ts'
import type { SymbolBook } from './symbol-book.ts'

/** Where a frame is, as far as its variables are concerned. */
export interface FramePlace {
  readonly info: DebugInfo
  readonly frame: SourceFrame
  /** Inside the code of the frame: for a caller its return address minus one. */
  readonly pc: bigint
  /** undefined: computed from the unwind tables when it is needed. */
  readonly cfa?: bigint | undefined
  /** What a register was at the function's entry, by DWARF's number; as far as the caller tells. */
  readonly entryValue?: (register: number) => bigint | undefined
  /** The innermost frame, evaluated often and with other registers each time: conditions. */
  readonly often?: boolean
}

const LONG_MODE = BigInt(EFER_LMA)

export class FrameScope implements Scope {
  readonly #book: SymbolBook
  readonly #place: FramePlace | undefined
  readonly #pointerSize: 4 | 8
  #locals: readonly Variable[] | undefined

  /** @param pointerSize where there is no frame to tell it */
  constructor(book: SymbolBook, place?: FramePlace, pointerSize: 4 | 8 = 8) {
    this.#book = book
    this.#place = place
    this.#pointerSize = place === undefined ? pointerSize : place.info.bits === 32 ? 4 : 8
  }

  get pointerSize(): 4 | 8 {
    return this.#pointerSize
  }

  /** Parameters, locals and statics in scope, outer blocks first. */
  get locals(): readonly Variable[] {
    if (this.#place === undefined) return []
    const { info, frame } = this.#place
    this.#locals ??= readable(() => info.variablesOf(frame))
    return this.#locals
  }

  variable(name: string): ScopeVariable | undefined {
    const local = this.locals.findLast(each => each.name === name)
    if (local !== undefined && this.#place !== undefined) return this.scopeVariable(local, this.#place.info)
    const found = this.#book.variableNamed(name, this.#place?.info)
    return found === undefined ? undefined : this.scopeVariable(found.variable, found.file)
  }

  /** What an expression needs of a variable that was listed. */
  scopeVariable(variable: Variable, info: DebugInfo): ScopeVariable {
    const locate = this.#locator(variable, info)
    return {
      type: variable.type,
      fixedAddress: variable.kind === 'static' ? fixedAddress(variable, info) : undefined,
      locate,
      registerName: number => registerName(number, info.bits),
      bytes: (location, size, subject) =>
        readable(() => info.readLocation(location, size, this.#context(subject, info))),
    }
  }

  symbol(name: string): ScopeSymbol | undefined {
    return this.#book.byName(name)
  }

  type(name: string): Type | undefined {
    return this.#book.findType(name, this.#place?.info)
  }

  enumerator(name: string): { readonly value: bigint; readonly type: Type } | undefined {
    return this.#book.findEnumerator(name, this.#place?.info)
  }

  #locator(variable: Variable, info: DebugInfo): (subject: Subject) => ValueLocation {
    const locate = (context: EvaluationContext): ValueLocation => readable(() => info.locate(variable, context))
    if (this.#place?.often) {
      const steady = steadyLocation(locate, this.#place.pc, info.bits)
      if (steady !== undefined) return steady
    }
    return subject => locate(this.#context(subject, info))
  }

  #context(subject: Subject, info: DebugInfo): EvaluationContext {
    return {
      pc: this.#place?.pc ?? 0n,
      cfa: this.#place?.cfa,
      register: number => {
        const name = registerName(number, info.bits)
        const value = name === undefined ? undefined : subject.register(name)
        return value === undefined || info.bits === 64 ? value : BigInt.asUintN(32, value)
      },
      read: (address, size) => subject.read('linear', address, size),
      entryValue: number => this.#place?.entryValue?.(number),
    }
  }
}

/**
 * Bytes of a pointer where no frame tells: in long mode 8, and before as in the first symbol file, for a 64-bit kernel
 * begins in other modes. Asked at each evaluation of a condition.
 */
export function pointerSizeNow(book: SymbolBook, vcpu: VcpuView): 4 | 8 {
  if ((vcpu.register('efer') & LONG_MODE) !== 0n) return 8
  return book.files[0]?.bits === 64 ? 8 : 4
}

function fixedAddress(variable: Variable, info: DebugInfo): bigint | undefined {
  const location = readable(() => info.locate(variable, { pc: 0n, register: () => undefined, read: () => undefined }))
  return location.kind === 'memory' ? location.address : undefined
}

/** A broken symbol file is the reason that an expression has no value, not a failure of the debugger. */
function readable<T>(question: () => T): T {
  try {
    return question()
  } catch (error) {
    if (error instanceof ElfError) throw new ExpressionError(error.message, { cause: error })
    throw error
  }
}
