/** Every instruction that this processor executes, by iced-x86 `Code` name. */

import { CpuidFeature, Instruction } from 'iced-x86'
import type { CpuModel } from '../cpu-model.ts'
import { systemAssists, systemMemorySizes } from '../system/assists.ts'
import { vectorMemoryAssists } from '../system/vector-memory.ts'
import { x87Assists, x87MemorySizes } from '../x87/x87-assists.ts'
import { defineAdx } from './adx.ts'
import { defineAlu } from './alu.ts'
import { defineAvx } from './avx.ts'
import { defineBit } from './bit.ts'
import { defineBmi } from './bmi.ts'
import { defineByteOrder } from './byte-order.ts'
import { defineControl } from './control.ts'
import { defineCrc32 } from './crc32.ts'
import { type Definitions, DefinitionTable } from './definition.ts'
import { defineExchange } from './exchange.ts'
import { defineFlag } from './flag.ts'
import { defineMmx } from './mmx.ts'
import { defineMove } from './move.ts'
import { defineMultiply } from './multiply.ts'
import { defineProtectionKeys } from './protection-keys.ts'
import { defineRandomNumber } from './random-number.ts'
import { defineSegmentRegister } from './segment-register.ts'
import { codeNumber } from './shapes.ts'
import { defineShift } from './shift.ts'
import { defineSse } from './sse.ts'
import { defineStack } from './stack.ts'
import { defineString } from './string.ts'
import { defineTimeStamp } from './time-stamp.ts'

/** System instructions that change neither RIP nor mode nor interruptibility: the block goes on after them. */
const CONTINUES =
  /^(Rdmsr|Cpuid|Lar|Lsl|Verr|Verw|Smsw|Sgdt|Sidt|Sldt|Str|Mov_r(32|64)_[cd]r|Clflush|Wbinvd|Invd|Rdpmc|Arpl|Aaa|Aas|Daa|Das|Aam|Aad|Xsave(opt|c)?(64)?|Xgetbv|(Rd|Wr)[fg]sbase|Monitor[wdq]|Mwait|Pushaw|Pushad|Popaw|Popad|Enter[wdq])(_|$)/
/** Instructions whose memory operand is a destination, for the segment check. */
const WRITES_MEMORY = /^(Sgdt|Sidt|Sldt|Str|Smsw|Ins)/
const X87_STORES = /^(Fi?st{1,2}p?_|Fbstp|Fn?st|Fn?save|Fxsave)/

/** @param model leaves out what it does not execute; absent: everything is there */
export function createDefinitions(model?: CpuModel): Definitions {
  const table = new DefinitionTable()
  defineAlu(table)
  defineMove(table)
  defineShift(table)
  defineMultiply(table)
  defineBit(table)
  defineBmi(table)
  defineAdx(table)
  defineByteOrder(table)
  defineCrc32(table)
  defineExchange(table)
  defineStack(table)
  defineControl(table)
  defineString(table)
  defineFlag(table)
  defineSegmentRegister(table)
  defineTimeStamp(table)
  defineProtectionKeys(table)
  defineRandomNumber(table)
  defineSse(table)
  defineMmx(table)
  defineAvx(table)
  for (const name of Object.keys(systemAssists))
    table.define(name, {
      assist: systemAssists[name],
      memoryBytes: systemMemorySizes[name] ?? 0,
      writes: WRITES_MEMORY.test(name),
      ends: !CONTINUES.test(name),
    })
  for (const name of Object.keys(x87Assists))
    table.define(name, {
      assist: x87Assists[name],
      memoryBytes: x87MemorySizes[name] ?? 0,
      writes: X87_STORES.test(name),
      ends: false,
    })
  for (const [name, assist] of Object.entries(vectorMemoryAssists))
    table.define(name, { assist, memoryBytes: 0, writes: false, ends: false })
  if (model === undefined) return table.entries
  const instruction = new Instruction()
  const executed = [...table.entries].filter(([name]) => {
    instruction.code = codeNumber(name)
    return model.executes([...instruction.cpuidFeatures()].map(feature => CpuidFeature[feature]))
  })
  instruction.free()
  return new Map(executed)
}
