/** What the status bar says of a machine that stands still. */

import type { ProcessorsBody } from '../protocol/processor-requests.ts'
import { grouped } from './views/view-node.ts'

export interface StatusText {
  readonly text: string
  readonly tooltip: string
}

export function statusOf({ processors, instructions }: ProcessorsBody, threadId: number): StatusText {
  const processor = processors.find(each => each.threadId === threadId) ?? processors[0]
  const count = `${grouped(instructions)} instructions`
  if (processor === undefined) return { text: count, tooltip: count }
  const { mode, cpl, cr3, summary } = processor
  return {
    text: `${mode}  CPL ${cpl}  CR3 ${cr3}  ${count}`,
    tooltip: `vCPU ${processor.threadId - 1}: ${summary}\nCR3 ${cr3}\n${count} retired`,
  }
}
