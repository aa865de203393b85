/**
 * The encodings that a vector instruction comes in, apart from what it computes. SSE's combines its destination with a
 * source and keeps the bits of the YMM register above XMM; those with a VEX prefix have a destination of their own and
 * clear what is above it, and need no aligned memory (SDM vol. 1, 14.1.1 and 14.9).
 */

import * as S from '../state.ts'
import { simd, type Value } from '../wasm/value.ts'
import type { Definition, DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { checkSse, sourceAddress, zeroVector } from './sse-operands.ts'
import type { Bits } from './word.ts'

type Vector = Value<'v128'>
/** 128 bits, or the low and the high half of one of 256. */
export type Halves = readonly Vector[]

/** #UD or #NM when the system software has not enabled AVX. */
export function checkAvx(scope: InstructionScope): void {
  const vector = scope.f.let(scope.state32(S.AVX_CHECK))
  scope.f.if(vector, () => scope.f.call(scope.runtime.raise, vector, scope.record()))
}

export interface VectorInstruction {
  /** Mnemonics of SSE; several that do the same share their handlers. */
  readonly mnemonics: string | readonly string[]
  /** Of two sources SSE's first is the destination. */
  readonly sources: 1 | 2
  /** Bits of the last source, which is an XMM register when they are fewer than 256; absent: as the destination's. */
  readonly sourceBits?: Bits
  /** How the `Code` names call the last source when it is no vector or only memory. */
  readonly source?: string
  readonly immediate?: boolean
  readonly hot?: boolean
}

export class VectorForm {
  readonly vex: boolean
  readonly bits: 128 | 256
  /** Index of the first of two sources among the operands, and of the other. */
  readonly first: 0 | 1
  readonly second: 1 | 2

  constructor(vex: boolean, bits: 128 | 256) {
    this.vex = vex
    this.bits = bits
    this.first = vex ? 1 : 0
    this.second = vex ? 2 : 1
  }

  get halves(): 1 | 2 {
    return this.bits === 256 ? 2 : 1
  }

  /** The register as `Code` names call it. */
  get register(): 'xmm' | 'ymm' {
    return this.bits === 256 ? 'ymm' : 'xmm'
  }

  /** Register or memory of the form's size, as `Code` names call it. */
  get registerOrMemory(): 'xmmm128' | 'ymmm256' {
    return this.bits === 256 ? 'ymmm256' : 'xmmm128'
  }

  /** A mnemonic with its prefix for `Code` names. */
  mnemonic(name: string): string {
    return this.vex ? `VEX_V${name.toLowerCase()}` : name
  }

  /** A name for handlers: of the same definition in this form. */
  name(name: string): string {
    return this.vex ? `V${name}.${this.bits}` : name
  }

  /** Begins a definition's code: is the instruction usable? */
  check(scope: InstructionScope): void {
    if (this.vex) checkAvx(scope)
    else checkSse(scope)
  }

  /** A definition that checks first. */
  definition(name: string, bits: readonly Bits[], emit: (scope: InstructionScope) => void, hot = false): Definition {
    return {
      name: this.name(name),
      bits,
      hot: hot && !this.vex,
      emit: scope => {
        this.check(scope)
        emit(scope)
      },
    }
  }

  /** Names of the `Code`s of an instruction. */
  codes({ mnemonics, sources, sourceBits = this.bits, source, immediate }: VectorInstruction): string[] {
    const first = this.vex && sources === 2 ? `_${this.register}` : ''
    const last = source ?? (sourceBits === 256 ? 'ymmm256' : `xmmm${sourceBits}`)
    const names = typeof mnemonics === 'string' ? [mnemonics] : mnemonics
    return names.map(
      name => `${this.mnemonic(name)}_${this.register}${first}_${last}${immediate === true ? '_imm8' : ''}`,
    )
  }

  /** Defines an instruction whose operands are destination, sources and perhaps an immediate. */
  define(table: DefinitionTable, instruction: VectorInstruction, emit: (scope: InstructionScope) => void): void {
    const { mnemonics, sources, sourceBits = this.bits, immediate = false, hot = false } = instruction
    const bits: Bits[] = [...new Array<Bits>(this.vex ? sources : 1).fill(this.bits), sourceBits]
    const name = typeof mnemonics === 'string' ? mnemonics : mnemonics[0]
    table.define(this.codes(instruction), this.definition(name, immediate ? [...bits, 8] : bits, emit, hot))
  }

  /** Where the bytes of a source can be loaded from. */
  address(scope: InstructionScope, operand: number, unaligned = this.vex): Value<'i32'> {
    return sourceAddress(scope, operand, unaligned)
  }

  /** A source as named values. */
  load(scope: InstructionScope, operand: number, unaligned = this.vex): Halves {
    return this.#halvesAt(scope, this.address(scope, operand, unaligned))
  }

  /** The register in `operand`. */
  loadRegister(scope: InstructionScope, operand: number): Halves {
    return this.#halvesAt(scope, scope.f.let(scope.registerAddress(operand)))
  }

  #halvesAt(scope: InstructionScope, address: Value<'i32'>): Halves {
    const at = (half: number) => scope.f.let(scope.f.load('v128', address, half * 16))
    return this.halves === 2 ? [at(0), at(1)] : [at(0)]
  }

  /** Writes the register in operand 0: one half or two, and zeros above them where the form says so. */
  store(scope: InstructionScope, values: Halves): void {
    const { f } = scope
    const named = values.map(value => f.let(value))
    const target = f.let(scope.registerAddress(0))
    named.forEach((value, half) => {
      f.store(target, value, half * 16)
    })
    if (this.vex && named.length === 1) f.store(target, zeroVector(), 16)
  }

  /**
   * Writes the first `bits` of the register in operand 0. SSE leaves the rest of the register, VEX takes bits up to
   * 128 from the first of its two sources.
   */
  storeScalar(scope: InstructionScope, bits: 32 | 64, value: Vector): void {
    const { f } = scope
    if (this.vex) {
      const bytes = Array.from({ length: 16 }, (_, i) => (i < bits / 8 ? i : 16 + i))
      this.store(scope, [
        simd('v128', 'i8x16.shuffle', [value, f.load('v128', scope.registerAddress(this.first))], bytes),
      ])
    } else if (bits === 32) f.store(scope.registerAddress(0), simd('i32', 'i32x4.extract_lane', [value], [0]))
    else f.store(scope.registerAddress(0), simd('i64', 'i64x2.extract_lane', [value], [0]))
  }
}

export const LEGACY = new VectorForm(false, 128)
export const VEX_128 = new VectorForm(true, 128)
export const VEX_256 = new VectorForm(true, 256)

/** The forms of an instruction that has all, and of one that has no YMM registers. */
export const FORMS: readonly VectorForm[] = [LEGACY, VEX_128, VEX_256]
export const XMM_FORMS: readonly VectorForm[] = [LEGACY, VEX_128]
export const VEX_FORMS: readonly VectorForm[] = [VEX_128, VEX_256]
