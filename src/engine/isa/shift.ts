/** Shifts and rotates (SDM vol. 2: SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD). */

import { i32, select, type Value } from '../wasm/value.ts'
import { type DefinitionTable, SIZES } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { apply, type Bits, signExtend, signOf, truncate, type Word, word } from './word.ts'

interface Outcome {
  readonly result: Word
  /** Leaves the flags of a count that is not zero. */
  readonly flags: () => void
}

type Shift = (scope: InstructionScope, bits: Bits, a: Word, count: Value<'i32'>) => Outcome

/** The count as a word of the operand's type. */
function as(bits: Bits, count: Value<'i32'>): Word {
  return bits === 64 ? count.extendU() : count
}

function bit(value: Word, index: Word): Value<'i32'> {
  return apply('shrU', value, index).wrap().and(1)
}

const shl: Shift = (scope, bits, a, count) => {
  const shifted = scope.name(apply('shl', a, as(bits, count)))
  const result = scope.name(truncate(shifted, bits))
  return {
    result,
    flags: () => {
      // The last bit out: above the operand where there is room for it, else found in the source.
      const carry = bits < 32 ? shifted.wrap().shrU(bits).and(1) : bit(a, as(bits, i32(bits).sub(count)))
      const cf = scope.f.let(carry)
      scope.flagsResult(bits, result, cf, signOf(result, bits).xor(cf))
    },
  }
}

const shr: Shift = (scope, bits, a, count) => {
  const result = scope.name(apply('shrU', a, as(bits, count)))
  return {
    result,
    flags: () => scope.flagsResult(bits, result, bit(a, as(bits, count.sub(1))), signOf(a, bits)),
  }
}

const sar: Shift = (scope, bits, a, count) => {
  const wide = bits === 64 ? a : scope.name(signExtend(a, bits).wrap())
  const result = scope.name(truncate(apply('shrS', wide, as(bits, count)), bits))
  return {
    result,
    flags: () =>
      scope.flagsResult(
        bits,
        result,
        apply('shrS', wide, as(bits, count.sub(1)))
          .wrap()
          .and(1),
        i32(0),
      ),
  }
}

/** Rotates within the operand; 8 and 16 bits as two shifts. */
function rotate(a: Word, count: Value<'i32'>, bits: Bits, left: boolean): Word {
  if (a.type === 'i64') return left ? a.rotl(count.extendU()) : a.rotr(count.extendU())
  if (bits === 32) return left ? a.rotl(count) : a.rotr(count)
  const there = count.and(bits - 1)
  const back = i32(bits).sub(there)
  return truncate(left ? a.shl(there).or(a.shrU(back)) : a.shrU(there).or(a.shl(back)), bits)
}

const rol: Shift = (scope, bits, a, count) => {
  const result = scope.name(rotate(a, count, bits, true))
  return {
    result,
    flags: () => {
      const carry = scope.f.let(result.wrap().and(1))
      scope.flagsCarryOverflow(carry, signOf(result, bits).xor(carry))
    },
  }
}

const ror: Shift = (scope, bits, a, count) => {
  const result = scope.name(rotate(a, count, bits, false))
  return {
    result,
    flags: () =>
      scope.flagsCarryOverflow(signOf(result, bits), signOf(result, bits).xor(bit(result, word(bits, bits - 2)))),
  }
}

/** Rotation through carry of `bits` + 1 bits, for operands that leave room for it in an i64. */
function rotateCarry(scope: InstructionScope, bits: 8 | 16 | 32, a: Word, count: Value<'i32'>, left: boolean): Outcome {
  const whole = scope.f.let(a.extendU().or(scope.carry().extendU().shl(bits)))
  const times = scope.f.let(bits === 32 ? count.extendU() : count.remU(i32(bits + 1)).extendU())
  const back = whole.type === 'i64' ? scope.f.let(times.xor(-1).add(bits + 2)) : times
  const turned = scope.f.let(left ? whole.shl(times).or(whole.shrU(back)) : whole.shrU(times).or(whole.shl(back)))
  const result = scope.name(truncate(turned.wrap(), bits))
  return {
    result,
    flags: () => {
      const carry = scope.f.let(turned.shrU(bits).wrap().and(1))
      const overflow = left
        ? signOf(result, bits).xor(carry)
        : signOf(result, bits).xor(bit(result, word(bits, bits - 2)))
      scope.flagsCarryOverflow(carry, overflow)
    },
  }
}

const rcl: Shift = (scope, bits, a, count) => {
  if (bits === 8 || bits === 16 || bits === 32) return rotateCarry(scope, bits, a, count, true)
  const value = a.extendU()
  const times = scope.f.let(count.extendU())
  const back = scope.f.let(times.xor(-1).add(65))
  const turned = value
    .shl(times)
    .or(scope.carry().extendU().shl(times.sub(1)))
    .or(value.shrU(1).shrU(back))
  // A count of zero must leave the operand alone.
  const result = scope.f.let(select(count.eqz(), value, turned))
  return {
    result,
    flags: () => {
      const carry = scope.f.let(value.shrU(back).wrap().and(1))
      scope.flagsCarryOverflow(carry, signOf(result, 64).xor(carry))
    },
  }
}

const rcr: Shift = (scope, bits, a, count) => {
  if (bits === 8 || bits === 16 || bits === 32) return rotateCarry(scope, bits, a, count, false)
  const value = a.extendU()
  const times = scope.f.let(count.extendU())
  const back = scope.f.let(times.xor(-1).add(65))
  const turned = value.shrU(times).or(scope.carry().extendU().shl(back)).or(value.shl(1).shl(back))
  const result = scope.f.let(select(count.eqz(), value, turned))
  return {
    result,
    flags: () => {
      const carry = value.shrU(times.sub(1)).wrap().and(1)
      scope.flagsCarryOverflow(carry, signOf(result, 64).xor(bit(result, word(64, 62))))
    },
  }
}

const GROUP: readonly (readonly [string, Shift])[] = [
  ['Shl', shl],
  ['Sal', shl],
  ['Shr', shr],
  ['Sar', sar],
  ['Rol', rol],
  ['Ror', ror],
  ['Rcl', rcl],
  ['Rcr', rcr],
]

export function defineShift(table: DefinitionTable): void {
  for (const bits of SIZES) {
    for (const [name, shift] of GROUP)
      table.define(
        ['1', 'CL', 'imm8'].map(count => `${name}_rm${bits}_${count}`),
        {
          name: `${name}${bits}`,
          bits: [bits, 8],
          hot: name === 'Shl' || name === 'Shr' || name === 'Sar',
          emit: scope => {
            const target = scope.place(0)
            const count = scope.f.let(scope.read32(1).and(bits === 64 ? 63 : 31))
            const { result, flags } = shift(scope, bits, target.value, count)
            target.set(result)
            scope.f.if(count.ne(0), () => scope.f.scope(flags))
            scope.recent = undefined
          },
        },
      )

    if (bits === 8) continue
    for (const [name, left] of [
      ['Shld', true],
      ['Shrd', false],
    ] as const)
      table.define(
        ['CL', 'imm8'].map(count => `${name}_rm${bits}_r${bits}_${count}`),
        {
          name: `${name}${bits}`,
          bits: [bits, bits, 8],
          emit: scope => {
            const target = scope.place(0)
            const b = scope.read(1)
            const count = scope.f.let(scope.read32(2).and(bits === 64 ? 63 : 31))
            const { result, carry } = shiftDouble(scope, bits, target.value, b, count, left)
            const kept = scope.name(
              bits === 64
                ? select(count.eqz(), target.value.extendU(), result.extendU())
                : select(count.eqz(), target.value.wrap(), result.wrap()),
            )
            target.set(kept)
            scope.f.if(count.ne(0), () =>
              scope.flagsResult(bits, kept, carry, signOf(kept, bits).xor(signOf(target.value, bits))),
            )
            scope.recent = undefined
          },
        },
      )
  }
}

function shiftDouble(
  scope: InstructionScope,
  bits: Bits,
  a: Word,
  b: Word,
  count: Value<'i32'>,
  left: boolean,
): { result: Word; carry: Value<'i32'> } {
  if (bits === 16) {
    // Counts beyond 16 are undefined; processors shift the destination in again behind the source.
    const times = scope.f.let(count.extendU())
    if (left) {
      const shifted = scope.f.let(a.extendU().shl(32).or(b.extendU().shl(16)).or(a.extendU()).shl(times))
      return { result: shifted.shrU(32).wrap().and(0xffff), carry: shifted.shrU(48).wrap().and(1) }
    }
    const whole = scope.f.let(a.extendU().or(b.extendU().shl(16)).or(a.extendU().shl(32)))
    return { result: whole.shrU(times).wrap().and(0xffff), carry: whole.shrU(times.sub(1)).wrap().and(1) }
  }
  const back = i32(bits).sub(count)
  return left
    ? {
        result: apply('or', apply('shl', a, as(bits, count)), apply('shrU', b, as(bits, back))),
        carry: bit(a, as(bits, back)),
      }
    : {
        result: apply('or', apply('shrU', a, as(bits, count)), apply('shl', b, as(bits, back))),
        carry: bit(a, as(bits, count.sub(1))),
      }
}
