/** The table of definitions: what each `Code` of iced-x86 does. Families register themselves in files of their own. */

import type { Assist } from '../assist.ts'
import type { InstructionScope } from './instruction-scope.ts'
import type { Bits } from './word.ts'

export interface Definition {
  /** Definitions of the same name, sizes and operand shapes share a handler. */
  readonly name: string
  readonly bits: readonly Bits[]
  readonly emit: (scope: InstructionScope) => void
  /** Inline in the interpreter's loop. */
  readonly hot?: boolean
  /** `jump`: never goes on to the next record; `maybe`: RIP or interruptibility may change, the block ends after it. */
  readonly ends?: 'jump' | 'maybe'
  /** Has implicit memory operands (stack, strings), with a handler of its own for 64-bit mode. */
  readonly implicit?: boolean
}

/** An instruction that TypeScript executes. */
export interface AssistDefinition {
  readonly assist: Assist
  /** Bytes of the memory operand, for the segment check; 0 when it is not accessed. */
  readonly memoryBytes: number
  /** Is the memory operand written? */
  readonly writes: boolean
  /** RIP, mode or interruptibility may change: the block ends. */
  readonly ends: boolean
}

export type Definitions = ReadonlyMap<string, Definition | AssistDefinition>

/** Collects definitions by `Code` name; a name defined twice is an error. */
export class DefinitionTable {
  readonly entries = new Map<string, Definition | AssistDefinition>()

  define(codes: string | readonly string[], definition: Definition | AssistDefinition): void {
    for (const code of typeof codes === 'string' ? [codes] : codes) {
      if (this.entries.has(code)) throw new Error(`${code} is defined twice`)
      this.entries.set(code, definition)
    }
  }
}

export const SIZES = [8, 16, 32, 64] as const
