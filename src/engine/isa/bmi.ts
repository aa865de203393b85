/**
 * BMI1 and BMI2 without TZCNT (SDM vol. 2: ANDN, BEXTR, BLSI, BLSMSK, BLSR, BZHI, MULX, PDEP, PEXT, RORX, SARX, SHLX,
 * SHRX). They have VEX prefixes but no vector operands: CR4.OSXSAVE and XCR0 do not matter. Of the flags that the SDM
 * leaves undefined SF and PF follow the result, and AF is clear.
 */

import * as S from '../state.ts'
import { i32, i64, select, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { multiplyHigh } from './multiply.ts'
import { apply, selectWord, type Word, word } from './word.ts'

type Size = 32 | 64

const INVALID_OPCODE = 6
const RDX = 2

/** VEX is not recognized in real and virtual-8086 mode (SDM vol. 2, table 2-29, class 13). */
function checkVex(scope: InstructionScope): void {
  scope.raiseIf(scope.state32(S.VEX_CHECK), INVALID_OPCODE)
}

const nonZero = (value: Word): Value<'i32'> => value.eqz().eqz()
const not = (bits: Size, value: Word): Word => apply('xor', value, word(bits, -1))
const negative = (bits: Size, value: Word): Word => apply('sub', word(bits, 0), value)
/** The value without its lowest bit set. */
const withoutLowest = (bits: Size, value: Word): Word => apply('and', value, apply('sub', value, word(bits, 1)))

/** Ones in the low `count` places; `count` below the operand's size. */
const ones = (bits: Size, count: Word): Word => apply('sub', apply('shl', word(bits, 1), count), word(bits, 1))

/** A count in the low byte of a word, from bit `from`. */
const countAt = (value: Word, from: number): Value<'i32'> => value.wrap().shrU(from).and(0xff)

const sized = (bits: Size, count: Value<'i32'>): Word => (bits === 64 ? count.extendU() : count)

function bitField(scope: InstructionScope, bits: Size): void {
  const { f } = scope
  const [source, control] = [scope.read(1), scope.read(2)]
  const start = f.let(countAt(control, 0))
  const length = f.let(countAt(control, 8))
  const shifted = scope.name(selectWord(start.ltU(bits), apply('shrU', source, sized(bits, start)), word(bits, 0)))
  const cut = apply('and', shifted, ones(bits, sized(bits, length)))
  const result = scope.name(selectWord(length.ltU(bits), cut, shifted))
  scope.write(0, result)
  scope.flagsResult(bits, result, i32(0), i32(0))
}

function zeroHigh(scope: InstructionScope, bits: Size): void {
  const { f } = scope
  const [source, control] = [scope.read(1), scope.read(2)]
  const index = f.let(countAt(control, 0))
  const inside = f.let(index.ltU(bits))
  const cut = apply('and', source, ones(bits, sized(bits, index)))
  const result = scope.name(selectWord(inside, cut, source))
  scope.write(0, result)
  scope.flagsResult(bits, result, inside.eqz(), i32(0))
}

/** The low half is written first: with one register for both the high half stays (SDM vol. 2, MULX). */
function multiplyWithoutFlags(scope: InstructionScope, bits: Size): void {
  const { f } = scope
  const [a, b] = [scope.gpr(RDX, bits), scope.read(2)]
  if (bits === 64) {
    const [x, y] = [f.let(a.extendU()), f.let(b.extendU())]
    const high = multiplyHigh(scope, x, y)
    scope.write(1, f.let(x.mul(y)))
    scope.write(0, high)
    return
  }
  const product = f.let(a.extendU().mul(b.extendU()))
  scope.write(1, product.wrap())
  scope.write(0, product.shrU(32).wrap())
}

/**
 * PDEP scatters the source's low bits to where the mask has ones, PEXT gathers those; one turn for each one. As i64,
 * whatever the size: it is the loop that costs.
 */
function alongMask(scope: InstructionScope, bits: Size, deposit: boolean): void {
  const { f } = scope
  const source = f.let(scope.read64(1))
  const mask = f.variable(scope.read64(2))
  const result = f.variable(i64(0))
  const place = f.variable(i64(1))
  f.block(end =>
    f.loop(head => {
      f.brIf(end, mask.eqz())
      const lowest = mask.and(i64(0).sub(mask))
      const [from, to] = deposit ? [place, lowest] : [lowest, place]
      f.set(result, result.or(select(source.and(from).eqz(), i64(0), to)))
      f.set(place, place.shl(1))
      f.set(mask, mask.and(mask.sub(1)))
      f.br(head)
    }),
  )
  scope.write(0, bits === 64 ? result : result.wrap())
}

export function defineBmi(table: DefinitionTable): void {
  for (const bits of [32, 64] as const) {
    const [r, rm] = [`r${bits}`, `rm${bits}`]
    const define = (name: string, operands: string, emit: (scope: InstructionScope) => void) =>
      table.define(`VEX_${name}_${operands}`, {
        name: `${name}${bits}`,
        bits: [bits, bits, bits],
        emit: scope => {
          checkVex(scope)
          emit(scope)
        },
      })

    define('Andn', `${r}_${r}_${rm}`, scope => {
      const result = scope.name(apply('and', not(bits, scope.read(1)), scope.read(2)))
      scope.write(0, result)
      scope.flagsResult(bits, result, i32(0), i32(0))
    })
    const lowest = (name: string, change: (value: Word) => Word, carry: (source: Word) => Value<'i32'>) =>
      define(name, `${r}_${rm}`, scope => {
        const source = scope.read(1)
        const result = scope.name(change(source))
        scope.write(0, result)
        scope.flagsResult(bits, result, carry(source), i32(0))
      })
    lowest('Blsi', value => apply('and', value, negative(bits, value)), nonZero)
    lowest(
      'Blsmsk',
      value => apply('xor', value, apply('sub', value, word(bits, 1))),
      value => value.eqz(),
    )
    lowest(
      'Blsr',
      value => withoutLowest(bits, value),
      value => value.eqz(),
    )
    define('Bextr', `${r}_${rm}_${r}`, scope => bitField(scope, bits))
    define('Bzhi', `${r}_${rm}_${r}`, scope => zeroHigh(scope, bits))

    define('Mulx', `${r}_${r}_${rm}`, scope => multiplyWithoutFlags(scope, bits))
    define('Pdep', `${r}_${r}_${rm}`, scope => alongMask(scope, bits, true))
    define('Pext', `${r}_${r}_${rm}`, scope => alongMask(scope, bits, false))
    // WebAssembly takes counts modulo the operand's size, as these do.
    for (const [name, operation] of [
      ['Sarx', 'shrS'],
      ['Shlx', 'shl'],
      ['Shrx', 'shrU'],
    ] as const)
      define(name, `${r}_${rm}_${r}`, scope => scope.write(0, apply(operation, scope.read(1), scope.read(2))))
    define('Rorx', `${r}_${rm}_imm8`, scope => scope.write(0, apply('rotr', scope.read(1), scope.read(2))))
  }
}
