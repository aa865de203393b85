/** Near control transfers (SDM vol. 2: JMP, Jcc, CALL, RET, LOOP, JCXZ). */

import { i64, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import { CONDITIONS, type InstructionScope } from './instruction-scope.ts'
import type { Bits } from './word.ts'

const RCX = 1

/** Offset suffixes of direct branches with the operand size that the new RIP is cut to. */
const NEAR = [
  ['16', 16],
  ['32_32', 32],
  ['32_64', 64],
] as const
const SHORT = [
  ['16', 16],
  ['32', 32],
  ['64', 64],
] as const

function countRegister(name: 'CX' | 'ECX' | 'RCX'): Bits {
  return { CX: 16, ECX: 32, RCX: 64 }[name] as Bits
}

/** Decrements the count register without flags, and jumps if it is not zero and `also` holds. */
function loop(scope: InstructionScope, bits: Bits, also?: Value<'i32'>): void {
  const old = scope.gpr(RCX, bits)
  const left = scope.name(old.type === 'i64' ? old.sub(1) : bits === 16 ? old.sub(1).and(0xffff) : old.sub(1))
  const more = left.eqz().eqz()
  const taken = scope.f.let(also === undefined ? more : more.and(also))
  scope.requireBranchTarget(taken)
  scope.setGpr(RCX, bits, left)
  scope.jumpIf(taken)
}

export function defineControl(table: DefinitionTable): void {
  const jumps = [...SHORT.map(([suffix]) => `Jmp_rel8_${suffix}`), ...NEAR.map(([suffix]) => `Jmp_rel${suffix}`)]
  table.define(jumps, { name: 'JmpDirect', bits: [], hot: true, ends: 'jump', emit: scope => scope.jumpDirect() })

  for (const condition of CONDITIONS) {
    const codes = [...SHORT.map(([s]) => `J${condition}_rel8_${s}`), ...NEAR.map(([s]) => `J${condition}_rel${s}`)]
    table.define(codes, {
      name: `J${condition}`,
      bits: [],
      hot: true,
      ends: 'jump',
      emit: scope => scope.jumpIf(scope.condition(condition)),
    })
  }

  for (const [suffix, bits] of NEAR)
    table.define(`Call_rel${suffix}`, {
      name: `CallDirect${bits}`,
      bits: [],
      hot: true,
      implicit: true,
      ends: 'jump',
      emit: scope => {
        scope.requireBranchTarget()
        scope.push(bits, bits === 64 ? scope.nextRip() : scope.nextRip().wrap())
        scope.jumpDirect()
      },
    })

  for (const bits of [16, 32, 64] as const) {
    table.define(`Jmp_rm${bits}`, {
      name: `JmpIndirect${bits}`,
      bits: [bits],
      hot: true,
      ends: 'jump',
      emit: scope => {
        const target = scope.f.let(scope.read64(0))
        scope.requireTarget(target)
        scope.jumpTo(target)
      },
    })
    table.define(`Call_rm${bits}`, {
      name: `CallIndirect${bits}`,
      bits: [bits],
      hot: true,
      implicit: true,
      ends: 'jump',
      emit: scope => {
        const target = scope.f.let(scope.read64(0))
        scope.requireTarget(target)
        scope.push(bits, bits === 64 ? scope.nextRip() : scope.nextRip().wrap())
        scope.jumpTo(target)
      },
    })
  }

  for (const [letter, bits] of [
    ['w', 16],
    ['d', 32],
    ['q', 64],
  ] as const) {
    const ret = (scope: InstructionScope, release: Value<'i64'>) => {
      const target = scope.f.let(scope.stackTop(bits).extendU())
      scope.requireTarget(target)
      scope.stackAdjust(release.add(i64(bits / 8)))
      scope.jumpTo(target)
    }
    table.define(`Retn${letter}`, {
      name: `Ret${bits}`,
      bits: [],
      hot: true,
      implicit: true,
      ends: 'jump',
      emit: scope => ret(scope, i64(0)),
    })
    table.define(`Retn${letter}_imm16`, {
      name: `RetRelease${bits}`,
      bits: [],
      implicit: true,
      ends: 'jump',
      emit: scope => ret(scope, scope.immediate().and(0xffff).extendU()),
    })
  }

  for (const counter of ['CX', 'ECX', 'RCX'] as const) {
    const bits = countRegister(counter)
    const modes = counter === 'CX' ? ['16', '32'] : counter === 'ECX' ? ['16', '32', '64'] : ['16', '64']
    for (const mode of modes) {
      table.define(`J${counter.toLowerCase()}z_rel8_${mode}`, {
        name: `J${counter}`,
        bits: [],
        hot: true,
        ends: 'jump',
        emit: scope => scope.jumpIf(scope.gpr(RCX, bits).eqz()),
      })
      for (const [name, wants] of [
        ['Loop', undefined],
        ['Loope', 'e'],
        ['Loopne', 'ne'],
      ] as const)
        table.define(`${name}_rel8_${mode}_${counter}`, {
          name: `${name}${counter}`,
          bits: [],
          hot: true,
          ends: 'jump',
          emit: scope => loop(scope, bits, wants === undefined ? undefined : scope.condition(wants)),
        })
    }
  }
}
