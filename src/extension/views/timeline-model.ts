/** The view of what the guest told of itself by hypercall, newest first. */

import type { TimelineBody } from '../../protocol/custom-requests.ts'
import { grouped, type ViewNode } from './view-node.ts'

export function timelineNodes({ events, total }: TimelineBody): readonly ViewNode[] {
  const first = total - events.length
  return events
    .map(
      ({ name, values, instructions, vcpu, cpl, rip, symbol }, index): ViewNode => ({
        id: `event/${first + index}`,
        label: name,
        description: [...values, `at ${grouped(instructions)}`].join('  '),
        tooltip: `vCPU ${vcpu}, CPL ${cpl}, ${symbol ?? rip}`,
        icon: cpl === 3 ? 'person' : 'shield',
        subject: { code: rip, linear: rip },
        click: 'code',
      }),
    )
    .toReversed()
}
