/** Bit tests, scans and counts (SDM vol. 2: BT, BTC, BTR, BTS, BSF, BSR, LZCNT, POPCNT, TZCNT). */

import { i32, i64, select, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { apply, type Bits, signExtend, type Word, word } from './word.ts'

type Change = (value: Word, mask: Word) => Word

const TESTS: readonly (readonly [string, Change | undefined])[] = [
  ['Bt', undefined],
  ['Bts', (value, mask) => apply('or', value, mask)],
  ['Btr', (value, mask) => apply('and', value, apply('xor', mask, mask.type === 'i64' ? i64(-1) : i32(-1)))],
  ['Btc', (value, mask) => apply('xor', value, mask)],
]

function testBit(scope: InstructionScope, bits: 16 | 32 | 64, change: Change | undefined): void {
  const offset = scope.name(scope.read(1))
  const index = scope.name(apply('and', offset, word(bits, bits - 1)))
  if (scope.isMemory && scope.shape[1] === 'r') {
    // With a register offset the operand is a bit string: the offset, signed, also selects the word.
    const words = signExtend(offset, bits).shrS(Math.log2(bits))
    const address = scope.address(bits, change !== undefined, words.shl(Math.log2(bits / 8)))
    if (change) {
      const target = scope.placeAt(bits, address)
      finish(scope, target.value, index, value => target.set(value), change)
    } else finish(scope, scope.load(bits, address), index)
  } else if (change) {
    const target = scope.place(0)
    finish(scope, target.value, index, value => target.set(value), change)
  } else finish(scope, scope.read(0), index)
}

function finish(scope: InstructionScope, value: Word, index: Word, set?: (value: Word) => void, change?: Change): void {
  const carry = scope.f.let(apply('shrU', value, index).wrap().and(1))
  if (set && change) set(change(value, apply('shl', value.type === 'i64' ? i64(1) : i32(1), index)))
  scope.flagsCarry(carry)
}

/** BSF and BSR leave the destination alone when the source is zero, as processors do (SDM vol. 2: undefined). */
function scan(scope: InstructionScope, bits: Bits, forward: boolean): void {
  const { f } = scope
  const source = scope.read(1)
  const top = bits === 64 ? 63 : 31
  f.if(source.eqz().eqz(), () => {
    const position =
      source.type === 'i64'
        ? forward
          ? source.ctz()
          : i64(top).sub(source.clz())
        : forward
          ? source.ctz()
          : i32(top).sub(source.clz())
    scope.write(0, position)
  })
  scope.flagsLogic(bits, source)
  scope.recent = undefined
}

function countBits(scope: InstructionScope): void {
  const source = scope.read(1)
  const count: Word = source.type === 'i64' ? source.popcnt() : source.popcnt()
  scope.write(0, count)
  // ZF tells a zero source; all other flags are cleared, PF by the inversion where the result would set it.
  const empty = scope.f.let(source.eqz())
  const result: Value<'i64'> = select(empty, i64(0), i64(1))
  scope.setFlags(result, result, empty.shl(2))
}

/** Zeros below the lowest one or above the highest, up to the operand's size; OF, SF, PF and AF are undefined. */
function countZeros(scope: InstructionScope, bits: 16 | 32 | 64, trailing: boolean): void {
  const source = scope.read(1)
  let count: Word
  if (source.type === 'i64') count = trailing ? source.ctz() : source.clz()
  else if (bits === 16) count = trailing ? source.or(0x1_0000).ctz() : source.clz().sub(16)
  else count = trailing ? source.ctz() : source.clz()
  const result = scope.name(count)
  scope.write(0, result)
  scope.flagsResult(bits, result, source.eqz(), i32(0))
}

export function defineBit(table: DefinitionTable): void {
  for (const bits of [16, 32, 64] as const) {
    for (const [name, change] of TESTS)
      table.define([`${name}_rm${bits}_r${bits}`, `${name}_rm${bits}_imm8`], {
        name: `${name}${bits}`,
        bits: [bits, bits],
        emit: scope => testBit(scope, bits, change),
      })
    table.define(`Bsf_r${bits}_rm${bits}`, {
      name: `Bsf${bits}`,
      bits: [bits, bits],
      emit: scope => scan(scope, bits, true),
    })
    table.define(`Bsr_r${bits}_rm${bits}`, {
      name: `Bsr${bits}`,
      bits: [bits, bits],
      emit: scope => scan(scope, bits, false),
    })
    for (const [name, trailing] of [
      ['Tzcnt', true],
      ['Lzcnt', false],
    ] as const)
      table.define(`${name}_r${bits}_rm${bits}`, {
        name: `${name}${bits}`,
        bits: [bits, bits],
        emit: scope => countZeros(scope, bits, trailing),
      })
    table.define(`Popcnt_r${bits}_rm${bits}`, {
      name: `Popcnt${bits}`,
      bits: [bits, bits],
      emit: countBits,
    })
  }
}
