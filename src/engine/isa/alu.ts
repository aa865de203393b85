/** Integer arithmetic and logic (SDM vol. 2: ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NEG, NOT). */

import { type DefinitionTable, SIZES } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { apply, type Bits, equal, truncate, type Word, word } from './word.ts'

/** Accumulator of each operand size, as the Code names call it. */
const ACCUMULATOR = { 8: 'AL', 16: 'AX', 32: 'EAX', 64: 'RAX' } as const

/** The 20 encodings of an operation of the first group, by operand size. */
function binaryCodes(name: string, bits: 8 | 16 | 32 | 64): string[] {
  const wide = Math.min(bits, 32)
  const codes = [`rm${bits}_r${bits}`, `r${bits}_rm${bits}`, `${ACCUMULATOR[bits]}_imm${wide}`, `rm${bits}_imm${wide}`]
  codes.push(bits === 8 ? 'rm8_imm8_82' : `rm${bits}_imm8`)
  return codes.map(code => `${name}_${code}`)
}

type Arithmetic = (scope: InstructionScope, bits: Bits, a: Word, b: Word) => Word

function logic(operation: 'and' | 'or' | 'xor'): Arithmetic {
  return (scope, _bits, a, b) => scope.name(apply(operation, a, b))
}

export function defineAlu(table: DefinitionTable): void {
  for (const bits of SIZES) {
    const two = [bits, bits] as const

    const define = (
      name: string,
      compute: Arithmetic,
      flags: (s: InstructionScope, a: Word, b: Word, r: Word) => void,
    ) =>
      table.define(binaryCodes(name, bits), {
        name: `${name}${bits}`,
        bits: two,
        hot: true,
        emit: scope => {
          const target = scope.place(0)
          const b = scope.read(1)
          const result = compute(scope, bits, target.value, b)
          target.set(result)
          flags(scope, target.value, b, result)
        },
      })

    define(
      'Add',
      (scope, size, a, b) => scope.name(truncate(apply('add', a, b), size)),
      (scope, a, b, r) => scope.flagsAdd(bits, a, b, r),
    )
    define(
      'Sub',
      (scope, size, a, b) => scope.name(truncate(apply('sub', a, b), size)),
      (scope, a, b, r) => scope.flagsSub(bits, a, b, r),
    )
    for (const [name, operation] of [
      ['And', 'and'],
      ['Or', 'or'],
      ['Xor', 'xor'],
    ] as const)
      define(name, logic(operation), (scope, _a, _b, r) => scope.flagsLogic(bits, r))

    for (const [name, operation] of [
      ['Adc', 'add'],
      ['Sbb', 'sub'],
    ] as const)
      table.define(binaryCodes(name, bits), {
        name: `${name}${bits}`,
        bits: two,
        emit: scope => {
          const target = scope.place(0)
          const b = scope.read(1)
          const carry = scope.f.let(scope.carry())
          const widened = bits === 64 ? carry.extendU() : carry
          const result = scope.name(truncate(apply(operation, apply(operation, target.value, b), widened), bits))
          target.set(result)
          if (operation === 'add') scope.flagsAdc(bits, target.value, b, carry, result)
          else scope.flagsSbb(bits, target.value, b, carry, result)
        },
      })

    table.define(binaryCodes('Cmp', bits), {
      name: `Cmp${bits}`,
      bits: two,
      hot: true,
      emit: scope => {
        const a = scope.read(0)
        const b = scope.read(1)
        scope.flagsSub(bits, a, b, scope.name(truncate(apply('sub', a, b), bits)))
      },
    })

    const wide = Math.min(bits, 32)
    table.define(
      [
        `Test_rm${bits}_r${bits}`,
        `Test_${ACCUMULATOR[bits]}_imm${wide}`,
        `Test_rm${bits}_imm${wide}`,
        bits === 8 ? 'Test_rm8_imm8_F6r1' : `Test_rm${bits}_imm${wide}_F7r1`,
      ],
      {
        name: `Test${bits}`,
        bits: two,
        hot: true,
        emit: scope => scope.flagsLogic(bits, scope.name(apply('and', scope.read(0), scope.read(1)))),
      },
    )

    const short = bits === 16 || bits === 32 ? [`r${bits}`] : []
    for (const [name, operation] of [
      ['Inc', 'add'],
      ['Dec', 'sub'],
    ] as const)
      table.define(
        [`rm${bits}`, ...short].map(code => `${name}_${code}`),
        {
          name: `${name}${bits}`,
          bits: [bits],
          hot: true,
          emit: scope => {
            const target = scope.place(0)
            const result = scope.name(truncate(apply(operation, target.value, word(bits, 1)), bits))
            target.set(result)
            scope.flagsCount(bits, target.value, result, equal(name === 'Inc' ? result : target.value, word(bits, 0)))
          },
        },
      )

    table.define(`Neg_rm${bits}`, {
      name: `Neg${bits}`,
      bits: [bits],
      hot: true,
      emit: scope => {
        const target = scope.place(0)
        const zero = word(bits, 0)
        const result = scope.name(truncate(apply('sub', zero, target.value), bits))
        target.set(result)
        scope.flagsSub(bits, zero, target.value, result)
      },
    })

    table.define(`Not_rm${bits}`, {
      name: `Not${bits}`,
      bits: [bits],
      hot: true,
      emit: scope => {
        const target = scope.place(0)
        target.set(apply('xor', target.value, word(bits, -1)))
      },
    })
  }
}
