/** Data movement and sign or zero extension (SDM vol. 2: MOV, MOVZX, MOVSX, LEA, CMOVcc, SETcc, CBW, CWD, XLAT, NOP). */

import { type DefinitionTable, SIZES } from './definition.ts'
import { CONDITIONS } from './instruction-scope.ts'
import { type Bits, selectWord, signExtend, type Word } from './word.ts'

const ACCUMULATOR = { 8: 'AL', 16: 'AX', 32: 'EAX', 64: 'RAX' } as const

/** The low part of a word as another size, zero-extended. */
function resize(value: Word, bits: Bits): Word {
  return bits === 64 ? value.extendU() : value.wrap()
}

export function defineMove(table: DefinitionTable): void {
  for (const bits of SIZES) {
    const codes = [`rm${bits}_r${bits}`, `r${bits}_rm${bits}`, `rm${bits}_imm${Math.min(bits, 32)}`]
    if (bits !== 64) codes.push(`r${bits}_imm${bits}`)
    table.define(
      codes.map(code => `Mov_${code}`),
      { name: `Mov${bits}`, bits: [bits, bits], hot: true, emit: scope => scope.write(0, scope.read(1)) },
    )
    table.define(`Mov_${ACCUMULATOR[bits]}_moffs${bits}`, {
      name: `MovFromAbsolute${bits}`,
      bits: [bits, bits],
      emit: scope => scope.write(0, scope.load(bits, scope.absoluteAddress(bits, false))),
    })
    table.define(`Mov_moffs${bits}_${ACCUMULATOR[bits]}`, {
      name: `MovToAbsolute${bits}`,
      bits: [bits, bits],
      emit: scope => scope.store(bits, scope.absoluteAddress(bits, true), scope.read(1)),
    })
  }
  table.define('Mov_r64_imm64', {
    name: 'MovWide',
    bits: [64, 64],
    hot: true,
    emit: scope => scope.storeRegister(scope.registerAddress(0), 64, scope.wideImmediate()),
  })

  for (const to of [16, 32, 64] as const)
    for (const from of [8, 16, 32] as const) {
      if (from !== 32) {
        table.define(`Movzx_r${to}_rm${from}`, {
          name: `Movzx${to}.${from}`,
          bits: [to, from],
          hot: true,
          emit: scope => scope.write(0, resize(scope.read(1), to)),
        })
        table.define(`Movsx_r${to}_rm${from}`, {
          name: `Movsx${to}.${from}`,
          bits: [to, from],
          hot: true,
          emit: scope => scope.write(0, resize(signExtend(scope.read(1), from), to)),
        })
      }
    }
  for (const [code, to, from] of [
    ['r16_rm16', 16, 16],
    ['r32_rm32', 32, 32],
    ['r64_rm32', 64, 32],
  ] as const)
    table.define(`Movsxd_${code}`, {
      name: `Movsxd${to}`,
      bits: [to, from],
      hot: true,
      emit: scope => scope.write(0, resize(signExtend(scope.read(1), from), to)),
    })

  for (const bits of [16, 32, 64] as const) {
    table.define(`Lea_r${bits}_m`, {
      name: `Lea${bits}`,
      bits: [bits, bits],
      hot: true,
      emit: scope => scope.write(0, resize(scope.address(8, false), bits)),
    })
    for (const condition of CONDITIONS)
      table.define(`Cmov${condition}_r${bits}_rm${bits}`, {
        name: `Cmov${condition}${bits}`,
        bits: [bits, bits],
        hot: true,
        emit: scope => {
          // The source is read whether the condition holds or not; a 32-bit form clears the upper half either way.
          const source = scope.read(1)
          const target = scope.place(0)
          target.set(selectWord(scope.condition(condition), source, target.value))
        },
      })
  }

  for (const condition of CONDITIONS)
    table.define(`Set${condition}_rm8`, {
      name: `Set${condition}`,
      bits: [8],
      hot: true,
      emit: scope => scope.write(0, scope.condition(condition)),
    })

  const accumulate = (code: string, from: Bits, to: Bits) =>
    table.define(code, {
      name: code,
      bits: [],
      hot: true,
      emit: scope => scope.setGpr(0, to, resize(signExtend(scope.gpr(0, from), from), to)),
    })
  accumulate('Cbw', 8, 16)
  accumulate('Cwde', 16, 32)
  accumulate('Cdqe', 32, 64)
  const spread = (code: string, bits: Bits) =>
    table.define(code, {
      name: code,
      bits: [],
      hot: true,
      emit: scope => scope.setGpr(2, bits, resize(signExtend(scope.gpr(0, bits), bits).shrS(63), bits)),
    })
  spread('Cwd', 16)
  spread('Cdq', 32)
  spread('Cqo', 64)

  table.define('Xlat_m8', {
    name: 'Xlat',
    bits: [8],
    emit: scope => {
      const address = scope.address(8, false, scope.gpr(0, 8).extendU())
      scope.setGpr(0, 8, scope.load(8, address))
    },
  })

  const nothing = ['Nopw', 'Nopd', 'Nopq', 'Pause', 'Endbr32', 'Endbr64']
  for (const bits of [16, 32, 64])
    nothing.push(
      `Nop_rm${bits}`,
      ...['0D', '18', '19', '1A', '1B', '1C', '1D', '1E', '1F'].map(op => `Reservednop_rm${bits}_r${bits}_0F${op}`),
    )
  // PREFETCHW and its group are hints, also where they are not reported (SDM vol. 2, PREFETCHW).
  nothing.push('Prefetch_m8', 'Prefetchw_m8', 'Prefetchwt1_m8', ...[3, 4, 5, 6, 7].map(n => `Prefetchreserved${n}_m8`))
  // 0F 18 to 0F 1F are hints and NOPs before they become anything else. Unwinders run RDSSP unasked.
  nothing.push('Prefetchit0_m8', 'Prefetchit1_m8', 'Cldemote_m8', 'Rdsspd_r32', 'Rdsspq_r64')
  // Everything happens in order here (SDM vol. 2, SERIALIZE).
  nothing.push('Serialize')
  table.define(nothing, { name: 'Nop', bits: [], hot: true, emit: () => {} })
}
