/** The view of exits from the guest to the hypervisor: totals by reason and by place, and the last ones. */

import type { ExitBody, ExitsBody } from '../../protocol/custom-requests.ts'
import { grouped, type ViewNode } from './view-node.ts'

/** @param stops reasons at which the guest will stop */
export function exitNodes(body: ExitsBody, stops: ReadonlySet<string>): readonly ViewNode[] {
  const { total, instructions, byReason, byAddress, recent } = body
  return [
    {
      id: 'total',
      label: `${grouped(total)} exits`,
      description: `in ${grouped(instructions)} instructions`,
      icon: 'sign-out',
    },
    {
      id: 'reasons',
      label: 'By reason',
      expanded: true,
      children: byReason.map(({ reason, count }) => ({
        id: `reason/${reason}`,
        label: reason,
        description: `${grouped(count)}  ${share(count, total)}`,
        tooltip: stops.has(reason) ? 'The guest stops at each of them' : 'Click to stop at the next one',
        icon: stops.has(reason) ? 'debug-breakpoint' : 'circle-outline',
        subject: { exitReason: reason },
      })),
    },
    {
      id: 'places',
      label: 'Most frequent places',
      expanded: true,
      children: byAddress.map(({ address, symbol, count }) => ({
        id: `place/${address}`,
        label: symbol ?? address,
        description: `${grouped(count)}  ${share(count, total)}`,
        tooltip: address,
        icon: 'symbol-function',
        subject: { code: address, linear: address },
      })),
    },
    { id: 'recent', label: 'Last exits', children: recent.toReversed().map(exitNode) },
  ]
}

function exitNode({ instructions, vcpu, reason, detail, rip, symbol, gpa }: ExitBody, index: number): ViewNode {
  return {
    id: `exit/${instructions}/${vcpu}/${index}`,
    label: reason,
    description: [detail, symbol ?? rip, `at ${grouped(instructions)}`].filter(text => text !== '').join('  '),
    tooltip: `vCPU ${vcpu}, RIP ${rip}${gpa === undefined ? '' : `, guest-physical ${gpa}`}`,
    subject: { code: rip, linear: rip, ...(gpa === undefined ? {} : { memory: `phys:${gpa}` }) },
  }
}

const share = (part: number, whole: number): string => (whole === 0 ? '' : `${((part / whole) * 100).toFixed(1)} %`)
