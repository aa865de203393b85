/** Every system instruction, by the name of its iced-x86 `Code`. */

import type { Assist } from '../assist.ts'
import { controlRegisterAssists } from './control-registers.ts'
import { debugRegisterAssists } from './debug-registers.ts'
import { decimalAssists } from './decimal.ts'
import { descriptorQueryAssists } from './descriptor-queries.ts'
import { farReturnAssists } from './far-return.ts'
import { farTransferAssists } from './far-transfer.ts'
import { flagAssists } from './flags.ts'
import { frameAssists } from './frame.ts'
import { interruptReturnAssists } from './interrupt-return.ts'
import { ioAssists } from './io.ts'
import { monitorAssists } from './monitor.ts'
import { msrAssists } from './msr.ts'
import { processorControlAssists } from './processor-control.ts'
import { protectionKeyAssists } from './protection-keys.ts'
import { segmentBaseAssists } from './segment-base.ts'
import { segmentLoadAssists } from './segment-load.ts'
import { softwareInterruptAssists } from './software-interrupt.ts'
import { syscallAssists } from './syscall.ts'
import { tableRegisterAssists } from './table-registers.ts'
import { tlbInvalidationAssists } from './tlb-invalidation.ts'
import { extendedControlAssists } from './xsave/extended-control.ts'
import { xrstorAssists } from './xsave/restore.ts'
import { xsaveAssists } from './xsave/save.ts'

export const systemAssists: Readonly<Record<string, Assist>> = {
  ...controlRegisterAssists,
  ...debugRegisterAssists,
  ...decimalAssists,
  ...descriptorQueryAssists,
  ...farReturnAssists,
  ...farTransferAssists,
  ...flagAssists,
  ...frameAssists,
  ...interruptReturnAssists,
  ...ioAssists,
  ...monitorAssists,
  ...msrAssists,
  ...processorControlAssists,
  ...protectionKeyAssists,
  ...segmentBaseAssists,
  ...segmentLoadAssists,
  ...softwareInterruptAssists,
  ...syscallAssists,
  ...tableRegisterAssists,
  ...tlbInvalidationAssists,
  ...extendedControlAssists,
  ...xrstorAssists,
  ...xsaveAssists,
}

/** Bytes of a memory operand by the end of a `Code` name; the caller checks the segment limit for them. */
const SIZE_BY_SUFFIX: readonly (readonly [RegExp, number])[] = [
  // These ask for privilege before they look at their operand, and check it themselves; so do flushes, by a rule of theirs.
  [/^(L[gi]dt|Lldt|Ltr|Lmsw|Outs[bwd]|Clflush(opt)?)_/, 0],
  [/_m1616$/, 4],
  [/_m3232$/, 8],
  [/^Sgdt_m1632|^Sidt_m1632/, 6],
  [/_m1632$/, 6],
  [/_m1664$/, 10],
  [/_m128$/, 16],
  [/^Arpl_/, 2],
  [/_(rm16|r32m16|r64m16)$/, 2],
  [/^Insb_/, 1],
  [/^Insw_/, 2],
  [/^Insd_/, 4],
]

/** Size in bytes of the memory operand of each system `Code` that can have one. INVLPG's is an address, never accessed. */
export const systemMemorySizes: Readonly<Record<string, number>> = Object.fromEntries(
  Object.keys(systemAssists).flatMap(code => {
    const size = SIZE_BY_SUFFIX.find(([pattern]) => pattern.test(code))?.[1]
    return size === undefined ? [] : [[code, size]]
  }),
)
