/** Multiplication and division (SDM vol. 2: MUL, IMUL, DIV, IDIV). */

import * as S from '../state.ts'
import { i32, i64, type Value } from '../wasm/value.ts'
import { type DefinitionTable, SIZES } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { type Bits, signExtend, truncate, type Word } from './word.ts'

const RAX = 0
const RDX = 2
const DIVIDE_ERROR = 0

/** Upper 64 bits of the unsigned product, from four 32-bit products. */
export function multiplyHigh(scope: InstructionScope, a: Value<'i64'>, b: Value<'i64'>): Value<'i64'> {
  const { f } = scope
  const low = (value: Value<'i64'>) => value.and(0xffff_ffff)
  const high = (value: Value<'i64'>) => value.shrU(32)
  const middle = f.let(
    high(a)
      .mul(low(b))
      .add(high(low(a).mul(low(b)))),
  )
  const cross = f.let(low(a).mul(high(b)).add(low(middle)))
  return f.let(high(a).mul(high(b)).add(high(middle)).add(high(cross)))
}

/** Upper half of the signed product: the unsigned one less each operand where the other is negative. */
function multiplyHighSigned(scope: InstructionScope, a: Value<'i64'>, b: Value<'i64'>): Value<'i64'> {
  const unsigned = multiplyHigh(scope, a, b)
  return scope.f.let(unsigned.sub(a.shrS(63).and(b)).sub(b.shrS(63).and(a)))
}

function extend(value: Word, bits: Bits, signed: boolean): Value<'i64'> {
  return signed ? signExtend(value, bits) : value.extendU()
}

/** RDX:RAX (or AX for bytes) = accumulator * operand; CF and OF tell whether the upper half means something. */
function multiply(scope: InstructionScope, bits: Bits, signed: boolean): void {
  const { f } = scope
  const b = scope.read(0)
  const a = scope.gpr(RAX, bits)
  if (bits === 64) {
    const [x, y] = [a.extendU(), b.extendU()]
    const low = f.let(x.mul(y))
    const high = signed ? multiplyHighSigned(scope, x, y) : multiplyHigh(scope, x, y)
    scope.setGpr(RAX, 64, low)
    scope.setGpr(RDX, 64, high)
    const lost = f.let(high.ne(signed ? low.shrS(63) : i64(0)))
    scope.flagsResult(64, low, lost, lost)
    return
  }
  const product = f.let(extend(a, bits, signed).mul(extend(b, bits, signed)))
  const low = f.let(truncate(product.wrap(), bits).wrap())
  if (bits === 8) scope.setGpr(RAX, 16, product.wrap())
  else {
    scope.setGpr(RAX, bits, low)
    scope.setGpr(RDX, bits, product.shrU(bits).wrap())
  }
  const lost = f.let(product.ne(extend(low, bits, signed)))
  scope.flagsResult(bits, low, lost, lost)
}

/** Two- and three-operand IMUL: the low half, with CF and OF when it is not the whole product. */
function multiplyInto(scope: InstructionScope, bits: Bits, a: Word, b: Word): void {
  const { f } = scope
  if (bits === 64) {
    const [x, y] = [f.let(a.extendU()), f.let(b.extendU())]
    const low = f.let(x.mul(y))
    const lost = f.let(multiplyHighSigned(scope, x, y).ne(low.shrS(63)))
    scope.write(0, low)
    scope.flagsResult(64, low, lost, lost)
    return
  }
  const product = f.let(signExtend(a, bits).mul(signExtend(b, bits)))
  const low = f.let(truncate(product.wrap(), bits).wrap())
  scope.write(0, low)
  const lost = f.let(product.ne(signExtend(low, bits)))
  scope.flagsResult(bits, low, lost, lost)
}

/** Quotient and remainder of RDX:RAX (or AX); #DE when the divisor is zero or the quotient does not fit. */
function divide(scope: InstructionScope, bits: Bits, signed: boolean): void {
  const { f } = scope
  const operand = scope.read(0)
  if (bits === 64) {
    divide64(scope, operand.extendU(), signed)
    return
  }
  const divisor = f.let(extend(operand, bits, signed))
  scope.raiseIf(divisor.eqz(), DIVIDE_ERROR)
  let dividend: Value<'i64'>
  if (bits === 8) dividend = extend(scope.gpr(RAX, 16), 16, signed)
  else {
    const whole = scope.gpr(RDX, bits).extendU().shl(bits).or(scope.gpr(RAX, bits).extendU())
    dividend = bits === 16 && signed ? whole.signExtend(32) : whole
  }
  const value = f.let(dividend)
  // The one quotient that 64-bit division itself can't hold.
  if (signed && bits === 32)
    scope.raiseIf(divisor.eq(i64(-1)).and(value.eq(i64(-0x8000_0000_0000_0000n))), DIVIDE_ERROR)
  const quotient = f.let(signed ? value.divS(divisor) : value.divU(divisor))
  const remainder = f.let(signed ? value.remS(divisor) : value.remU(divisor))
  const held = extend(truncate(quotient.wrap(), bits), bits, signed)
  scope.raiseIf(quotient.ne(held), DIVIDE_ERROR)
  if (bits === 8) {
    scope.setGpr(RAX, 16, quotient.wrap().and(0xff).or(remainder.wrap().and(0xff).shl(8)))
    return
  }
  scope.setGpr(RAX, bits, quotient.wrap())
  scope.setGpr(RDX, bits, remainder.wrap())
}

function divide64(scope: InstructionScope, operand: Value<'i64'>, signed: boolean): void {
  const { f } = scope
  const divisor = f.let(operand)
  scope.raiseIf(divisor.eqz(), DIVIDE_ERROR)
  const low = f.let(scope.gpr(RAX, 64).extendU())
  const high = scope.gpr(RDX, 64).extendU()
  // The usual case: the upper half only extends the lower.
  const narrow = signed ? high.eq(low.shrS(63)).and(divisor.ne(i64(-1))) : high.eqz()
  f.if(
    narrow,
    () => {
      const quotient = f.let(signed ? low.divS(divisor) : low.divU(divisor))
      const remainder = f.let(signed ? low.remS(divisor) : low.remU(divisor))
      scope.setGpr(RAX, 64, quotient)
      scope.setGpr(RDX, 64, remainder)
    },
    () => {
      scope.setState(S.ACCESS_VALUE, divisor)
      f.call(scope.runtime.divideWide, i32(signed ? 1 : 0), scope.record())
    },
  )
  scope.registersChanged()
}

export function defineMultiply(table: DefinitionTable): void {
  for (const bits of SIZES) {
    for (const [name, signed] of [
      ['Mul', false],
      ['Imul', true],
    ] as const)
      table.define(`${name}_rm${bits}`, {
        name: `${name}${bits}`,
        bits: [bits],
        emit: scope => multiply(scope, bits, signed),
      })
    for (const [name, signed] of [
      ['Div', false],
      ['Idiv', true],
    ] as const)
      table.define(`${name}_rm${bits}`, {
        name: `${name}${bits}`,
        bits: [bits],
        emit: scope => divide(scope, bits, signed),
      })
    if (bits === 8) continue
    table.define(`Imul_r${bits}_rm${bits}`, {
      name: `Imul2.${bits}`,
      bits: [bits, bits],
      hot: true,
      emit: scope => multiplyInto(scope, bits, scope.read(0), scope.read(1)),
    })
    table.define([`Imul_r${bits}_rm${bits}_imm8`, `Imul_r${bits}_rm${bits}_imm${Math.min(bits, 32)}`], {
      name: `Imul3.${bits}`,
      bits: [bits, bits, bits],
      hot: true,
      emit: scope => multiplyInto(scope, bits, scope.read(1), scope.read(2)),
    })
  }
}
