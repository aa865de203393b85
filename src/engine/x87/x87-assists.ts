/** All x87 instructions, EMMS and FXSAVE, by the name of their iced-x86 `Code`. */

import type { Assist } from '../assist.ts'
import { arithmeticAssists } from './arithmetic.ts'
import { compareAssists } from './compare.ts'
import { controlAssists } from './control.ts'
import { fxsaveAssists } from './fxsave.ts'
import { loadStoreAssists } from './load-store.ts'
import { transcendentalAssists } from './transcendental.ts'

export const x87Assists: Readonly<Record<string, Assist>> = {
  ...loadStoreAssists,
  ...arithmeticAssists,
  ...compareAssists,
  ...transcendentalAssists,
  ...controlAssists,
  ...fxsaveAssists,
}

/** Bytes of a memory operand, by the last part of a `Code` name. */
const OPERAND_BYTES: Readonly<Record<string, number>> = {
  m2byte: 2,
  m14byte: 14,
  m28byte: 28,
  m94byte: 94,
  m108byte: 108,
  m512byte: 512,
  m16int: 2,
  m32int: 4,
  m64int: 8,
  m32fp: 4,
  m64fp: 8,
  m80fp: 10,
  m80bcd: 10,
}

/** Bytes that the memory operand of each `Code` spans, for the segment check; absent where there is none. */
export const x87MemorySizes: Readonly<Record<string, number>> = Object.fromEntries(
  Object.keys(x87Assists).flatMap(name => {
    const bytes = OPERAND_BYTES[name.slice(name.lastIndexOf('_') + 1)]
    return bytes === undefined ? [] : [[name, bytes]]
  }),
)
