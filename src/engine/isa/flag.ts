/** Instructions on RFLAGS itself (SDM vol. 2: LAHF, SAHF, CLC, STC, CMC, CLD, STD, SALC, PUSHF, CLI, STI). */

import { RFLAGS_DF, RFLAGS_IF, RFLAGS_RF, RFLAGS_VM } from '../../x86/rflags.ts'
import * as S from '../state.ts'
import { i32, select, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'

/** CF, PF, AF, ZF and SF at their places, bit 1 set. */
function lowFlags(scope: InstructionScope): Value<'i32'> {
  return scope
    .carry()
    .or(2)
    .or(scope.parity().shl(2))
    .or(scope.auxiliary().shl(4))
    .or(scope.zero().shl(6))
    .or(scope.sign().shl(7))
}

/** Interrupt vector of #GP. */
const GENERAL_PROTECTION = 13

/** CLI and STI need CPL <= IOPL (SDM vol. 2, CLI; VME and PVI are not reported). */
function requireIoPrivilege(scope: InstructionScope): void {
  const iopl = scope.state32(S.FLAG_SYSTEM).shrU(12).and(3)
  scope.raiseIf(scope.state32(S.CPL).gtU(iopl), GENERAL_PROTECTION)
}

export function defineFlag(table: DefinitionTable): void {
  const simple = (code: string, emit: (scope: InstructionScope) => void) =>
    table.define(code, { name: code, bits: [], emit })

  simple('Clc', scope => scope.flagsCarry(i32(0)))
  simple('Stc', scope => scope.flagsCarry(i32(1)))
  simple('Cmc', scope => scope.flagsCarry(scope.f.let(scope.carry().xor(1))))
  simple('Cld', scope => scope.setState(S.FLAG_SYSTEM, scope.state32(S.FLAG_SYSTEM).and(~RFLAGS_DF)))
  simple('Std', scope => scope.setState(S.FLAG_SYSTEM, scope.state32(S.FLAG_SYSTEM).or(RFLAGS_DF)))
  simple('Salc', scope => scope.setGpr(0, 8, select(scope.carry(), i32(0xff), i32(0))))
  simple('Lahf', scope => scope.storeRegister(i32(S.GPR + 1), 8, lowFlags(scope)))
  simple('Sahf', scope => {
    const image = scope.f.let(scope.f.load('i32', i32(S.GPR + 1), 0, 1))
    const overflow = scope.f.let(scope.overflow())
    const zero = scope.f.let(image.shrU(6).and(1))
    const sign = image.shrU(7).and(1)
    const parity = image.shrU(2).and(1)
    // The same construction as CpuState.rflags: a result with ZF, else with SF and PF; inversions give the rest.
    const low = scope.f.let(select(zero, i32(0), select(parity, i32(3), i32(1))))
    const high = select(zero, i32(0), sign.shl(31))
    const result = scope.f.let(low.extendU().or(high.extendU().shl(32)))
    const carry = scope.f.let(image.and(1))
    const auxiliary = image.shrU(4).and(1).shl(4).extendU()
    const flips = select(zero, parity.xor(1).shl(2).or(sign.shl(7)), i32(0))
    scope.setFlags(result, result.xor(auxiliary).xor(overflow.xor(carry).extendU().shl(63)), carry.or(flips))
  })

  for (const [suffix, bits] of [
    ['w', 16],
    ['d', 32],
    ['q', 64],
  ] as const)
    table.define(`Pushf${suffix}`, {
      name: `Pushf${bits}`,
      bits: [],
      implicit: true,
      emit: scope => {
        const system = scope.f.let(scope.state32(S.FLAG_SYSTEM))
        // SDM vol. 2, PUSHF: in virtual-8086 mode only with IOPL 3.
        scope.raiseIf(system.and(RFLAGS_VM).ne(0).and(system.shrU(12).and(3).ne(3)), GENERAL_PROTECTION)
        const image = scope.f.let(
          lowFlags(scope)
            .or(scope.overflow().shl(11))
            .or(system.and(~(RFLAGS_RF | RFLAGS_VM))),
        )
        scope.push(bits, bits === 64 ? image.extendU() : bits === 16 ? image.and(0xffff) : image)
      },
    })

  table.define('Cli', {
    name: 'Cli',
    bits: [],
    hot: true,
    emit: scope => {
      requireIoPrivilege(scope)
      scope.setState(S.FLAG_SYSTEM, scope.state32(S.FLAG_SYSTEM).and(~RFLAGS_IF))
    },
  })
  table.define('Sti', {
    name: 'Sti',
    bits: [],
    hot: true,
    ends: 'maybe',
    emit: scope => {
      requireIoPrivilege(scope)
      const system = scope.f.let(scope.state32(S.FLAG_SYSTEM))
      scope.setState(S.FLAG_SYSTEM, system.or(RFLAGS_IF))
      // Interrupts stay off for one more instruction (SDM vol. 3, 6.8.3): that matters only if an event is about to
      // be looked for, which is when one waits or the budget is used up.
      const looked = scope.state32(S.EVENT_PENDING).or(scope.state32(S.BUDGET).eqz())
      const shadow = scope.f.let(system.and(RFLAGS_IF).eqz().and(looked.ne(0)))
      scope.f.if(shadow, () => scope.setState(S.INTERRUPTIBILITY, scope.state32(S.INTERRUPTIBILITY).or(1)))
      scope.leaveIf(shadow)
    },
  })
}
