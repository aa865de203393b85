/** Instructions on RFLAGS itself (SDM vol. 2: LAHF, SAHF, CLC, STC, CMC, CLD, STD, SALC, PUSHF, CLI, STI). */

import { CR4_PVI, CR4_VME } from '../../x86/control-registers.ts'
import { RFLAGS_DF, RFLAGS_IF, RFLAGS_IOPL, RFLAGS_RF, RFLAGS_VIF, RFLAGS_VIP, RFLAGS_VM } from '../../x86/rflags.ts'
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

/** Distance of VIF and IF in RFLAGS. */
const VIF_TO_IF = 10
/** Interrupt vector of #GP. */
const GENERAL_PROTECTION = 13

/** Where CPL > IOPL, CLI and STI are for VIF if the mode has virtual interrupts, and fault if not (SDM vol. 2, CLI). */
function withInterruptFlag(
  scope: InstructionScope,
  system: Value<'i32'>,
  onVirtual: () => void,
  onReal: () => void,
): void {
  scope.f.if(
    scope.state32(S.CPL).gtU(system.shrU(12).and(3)),
    () => {
      // CR4.VME in virtual-8086 mode; CR4.PVI at CPL 3 elsewhere (SDM vol. 3, 20.3 and 20.4).
      const bit = select(system.and(RFLAGS_VM), i32(CR4_VME), i32(CR4_PVI))
      const served = scope.state32(S.CPL).eq(3).and(scope.state32(S.CR4).and(bit).ne(0))
      scope.raiseIf(served.eqz(), GENERAL_PROTECTION)
      onVirtual()
    },
    onReal,
    false,
  )
}

/** STI where it is for IF itself. */
function raiseInterruptFlag(scope: InstructionScope, system: Value<'i32'>): void {
  scope.setState(S.FLAG_SYSTEM, system.or(RFLAGS_IF))
  // Interrupts stay off for one more instruction (SDM vol. 3, 6.8.3): that matters only if an event is about to
  // be looked for, which is when one waits or the budget is used up.
  const looked = scope.state32(S.EVENT_PENDING).or(scope.state32(S.BUDGET).eqz())
  const shadow = scope.f.let(system.and(RFLAGS_IF).eqz().and(looked.ne(0)))
  scope.f.if(shadow, () => scope.setState(S.INTERRUPTIBILITY, scope.state32(S.INTERRUPTIBILITY).or(S.BLOCKED_BY_STI)))
  scope.leaveIf(shadow)
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
        // SDM vol. 2, PUSHF: in virtual-8086 mode below IOPL 3 only 16 bits, and with CR4.VME; IF is then VIF's.
        const virtual = scope.f.let(system.and(RFLAGS_VM).ne(0).and(system.and(RFLAGS_IOPL).ne(RFLAGS_IOPL)))
        const served = bits === 16 ? scope.state32(S.CR4).and(CR4_VME) : i32(0)
        scope.raiseIf(virtual.and(served.eqz()), GENERAL_PROTECTION)
        const shown = select(
          virtual,
          system.and(~RFLAGS_IF).or(RFLAGS_IOPL).or(system.shrU(VIF_TO_IF).and(RFLAGS_IF)),
          system,
        )
        const image = scope.f.let(
          lowFlags(scope)
            .or(scope.overflow().shl(11))
            .or(shown.and(~(RFLAGS_RF | RFLAGS_VM))),
        )
        scope.push(bits, bits === 64 ? image.extendU() : bits === 16 ? image.and(0xffff) : image)
      },
    })

  table.define('Cli', {
    name: 'Cli',
    bits: [],
    hot: true,
    emit: scope => {
      const system = scope.f.let(scope.state32(S.FLAG_SYSTEM))
      withInterruptFlag(
        scope,
        system,
        () => scope.setState(S.FLAG_SYSTEM, system.and(~RFLAGS_VIF)),
        () => scope.setState(S.FLAG_SYSTEM, system.and(~RFLAGS_IF)),
      )
    },
  })
  table.define('Sti', {
    name: 'Sti',
    bits: [],
    hot: true,
    ends: 'maybe',
    emit: scope => {
      const system = scope.f.let(scope.state32(S.FLAG_SYSTEM))
      withInterruptFlag(
        scope,
        system,
        () => {
          // The monitor has an interrupt waiting, and is to be told (SDM vol. 3, 20.3.2).
          scope.raiseIf(system.and(RFLAGS_VIP).ne(0), GENERAL_PROTECTION)
          scope.setState(S.FLAG_SYSTEM, system.or(RFLAGS_VIF))
        },
        () => raiseInterruptFlag(scope, system),
      )
    },
  })
}
