/** Instructions that reverse the order of bytes (SDM vol. 2: BSWAP, MOVBE). */

import { i32 } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { Word } from './word.ts'

type Size = 16 | 32 | 64

function swap16(value: Word): Word {
  const v = value.wrap()
  return v.shrU(8).or(v.shl(8)).and(0xffff)
}

function swap32(value: Word): Word {
  const v = value.wrap()
  return v
    .rotl(i32(8))
    .and(0x00ff_00ff)
    .or(v.rotr(i32(8)).and(0xff00_ff00 | 0))
}

function swap64(value: Word): Word {
  const v = value.extendU()
  const low = swap32(v.wrap()).extendU()
  const high = swap32(v.shrU(32).wrap()).extendU()
  return low.shl(32).or(high)
}

const swap = (bits: Size, value: Word): Word => ({ 16: swap16, 32: swap32, 64: swap64 })[bits](value)

export function defineByteOrder(table: DefinitionTable): void {
  for (const bits of [16, 32, 64] as const) {
    table.define([`Movbe_r${bits}_m${bits}`, `Movbe_m${bits}_r${bits}`], {
      name: `Movbe${bits}`,
      bits: [bits, bits],
      emit: scope => scope.write(0, scope.name(swap(bits, scope.read(1)))),
    })
    if (bits === 16) continue
    table.define(`Bswap_r${bits}`, {
      name: `Bswap${bits}`,
      bits: [bits],
      emit: scope => {
        const target = scope.place(0)
        target.set(swap(bits, target.value))
      },
    })
  }
  // SDM vol. 2, BSWAP: undefined for 16 bits; processors clear the register.
  table.define('Bswap_r16', { name: 'Bswap16', bits: [16], emit: scope => scope.write(0, i32(0)) })
}
