/** Exchanges (SDM vol. 2: XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B). LOCK needs nothing: vCPUs take turns between instructions. */

import * as S from '../state.ts'
import { i32, select } from '../wasm/value.ts'
import { type DefinitionTable, SIZES } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { apply, equal, selectWord, truncate } from './word.ts'

const GENERAL_PROTECTION = 13
const [RAX, RCX, RDX, RBX] = [0, 1, 2, 3]

/** Sets ZF alone, leaving the other status flags as they are. */
function setZero(scope: InstructionScope, zero: Parameters<InstructionScope['raiseIf']>[0]): void {
  const { f } = scope
  const sign = f.let(scope.sign())
  const parity = f.let(scope.parity())
  const auxiliary = f.let(scope.auxiliary())
  const overflow = f.let(scope.overflow())
  const carry = f.let(scope.carry())
  const low = f.let(select(zero, i32(0), select(parity, i32(3), i32(1))))
  const high = select(zero, i32(0), sign.shl(31))
  const result = f.let(low.extendU().or(high.extendU().shl(32)))
  const flips = select(zero, parity.xor(1).shl(2).or(sign.shl(7)), i32(0))
  const xor = result.xor(auxiliary.shl(4).extendU()).xor(overflow.xor(carry).extendU().shl(63))
  scope.setFlags(result, xor, carry.or(flips))
}

/** CMPXCHG8B and CMPXCHG16B: two halves compared with the accumulator pair. */
function compareExchangePair(scope: InstructionScope, half: 32 | 64): void {
  const { f } = scope
  const bytes = half / 8
  const address = scope.address(half * 2, true)
  if (half === 64) scope.raiseIf(address.wrap().and(15).ne(0), GENERAL_PROTECTION)
  const host = f.let(scope.hostForWrite(half === 64 ? 128 : 64, address))
  const low = scope.name(half === 64 ? f.load('i64', host) : f.load('i32', host))
  const high = scope.name(half === 64 ? f.load('i64', host, bytes) : f.load('i32', host, bytes))
  const same = f.let(equal(low, scope.gpr(RAX, half)).and(equal(high, scope.gpr(RDX, half))))
  // The destination is written in either case (SDM vol. 2, CMPXCHG8B), and before any register.
  f.store(host, selectWord(same, scope.gpr(RBX, half), low), 0, bytes)
  f.store(host, selectWord(same, scope.gpr(RCX, half), high), bytes, bytes)
  f.if(host.eq(S.ACCESS_BUFFER), () => f.call(scope.runtime.commit, scope.record()))
  f.if(same.eqz(), () => {
    scope.setGpr(RAX, half, low)
    scope.setGpr(RDX, half, high)
  })
  setZero(scope, same)
}

export function defineExchange(table: DefinitionTable): void {
  for (const bits of SIZES) {
    const short = bits === 8 ? [] : [`Xchg_r${bits}_${{ 16: 'AX', 32: 'EAX', 64: 'RAX' }[bits]}`]
    table.define([`Xchg_rm${bits}_r${bits}`, ...short], {
      name: `Xchg${bits}`,
      bits: [bits, bits],
      emit: scope => {
        const target = scope.place(0)
        const other = scope.read(1)
        target.set(other)
        scope.write(1, target.value)
      },
    })

    table.define(`Xadd_rm${bits}_r${bits}`, {
      name: `Xadd${bits}`,
      bits: [bits, bits],
      emit: scope => {
        const target = scope.place(0)
        const b = scope.read(1)
        const sum = scope.name(truncate(apply('add', target.value, b), bits))
        if (scope.isMemory) {
          target.set(sum)
          scope.write(1, target.value)
        } else {
          // With the same register twice the sum wins.
          scope.write(1, target.value)
          target.set(sum)
        }
        scope.flagsAdd(bits, target.value, b, sum)
      },
    })

    table.define(`Cmpxchg_rm${bits}_r${bits}`, {
      name: `Cmpxchg${bits}`,
      bits: [bits, bits],
      emit: scope => {
        const target = scope.place(0)
        const accumulator = scope.gpr(RAX, bits)
        const same = scope.f.let(equal(accumulator, target.value))
        const source = scope.read(1)
        if (scope.isMemory) target.set(selectWord(same, source, target.value))
        else scope.f.if(same, () => target.set(source))
        scope.f.if(same.eqz(), () => scope.setGpr(RAX, bits, target.value))
        scope.flagsSub(
          bits,
          accumulator,
          target.value,
          scope.name(truncate(apply('sub', accumulator, target.value), bits)),
        )
      },
    })
  }
  table.define('Cmpxchg8b_m64', { name: 'Cmpxchg8b', bits: [64], emit: scope => compareExchangePair(scope, 32) })
  table.define('Cmpxchg16b_m128', { name: 'Cmpxchg16b', bits: [128], emit: scope => compareExchangePair(scope, 64) })
}
