/** What the status bar says of a machine. */

import type { ProcessorsBody } from '../protocol/processor-requests.ts'
import type { StatusBody } from '../protocol/status-request.ts'
import { grouped } from './views/view-node.ts'

export interface StatusText {
  readonly text: string
  readonly tooltip: string
}

/** Of one that stands still. @param process the one that the vCPU in front is in, where it is known */
export function statusOf(
  { processors, instructions }: ProcessorsBody,
  threadId: number,
  process?: StatusBody['process'],
): StatusText {
  const processor = processors.find(each => each.threadId === threadId) ?? processors[0]
  const count = `${grouped(instructions)} ${instructions === 1 ? 'instruction' : 'instructions'}`
  if (processor === undefined) return { text: count, tooltip: count }
  const { mode, cpl, cr3, summary } = processor
  const name = process && `${process.name}[${process.pid}]`
  return {
    text: `${mode}  CPL ${cpl}  ${name ?? `CR3 ${cr3}`}  ${count}`,
    tooltip: [
      `vCPU ${processor.threadId - 1}: ${summary}`,
      ...(name === undefined ? [] : [`process ${name}`]),
      `CR3 ${cr3}`,
      `${count} retired`,
    ].join('\n'),
  }
}

/** Of one that runs. @param speed in millions of instructions a second, when it is known */
export function runningText({ instructions }: Pick<StatusBody, 'instructions'>, speed: number | undefined): StatusText {
  const rate = speed === undefined ? '' : `  ${speed.toFixed(1)} MIPS`
  return {
    text: `running${rate}  ${grouped(instructions)} instructions`,
    tooltip: `The guest is running${speed === undefined ? '' : `, ${rate.trim()}: millions of its instructions a second`}`,
  }
}
