/** The view of exits from the guest to the hypervisor: totals by reason and by place, and the last ones. */

import type { ExitBody, ExitsBody } from '../../protocol/custom-requests.ts'
import type { ViewStop } from '../../protocol/view-stops.ts'
import { type ExitRate, rateNodes } from './exit-rates.ts'
import { stopKey } from './stops-model.ts'
import { grouped, type ViewNode } from './view-node.ts'

/**
 * @param stops keys of those that are set
 * @param since what the guest did since the last stop; undefined at the first
 */
export function exitNodes(body: ExitsBody, stops: ReadonlySet<string>, since?: ExitRate): readonly ViewNode[] {
  const { total, instructions, byReason, byAddress, recent, overTime } = body
  return [
    {
      id: 'total',
      label: `${grouped(total)} exits`,
      description: `in ${grouped(instructions)} instructions`,
      icon: 'sign-out',
    },
    // Beside the total and not under it: what changes at each stop is redrawn without a question when nothing is under it.
    ...rateNodes(since, overTime),
    {
      id: 'reasons',
      label: 'By reason',
      expanded: true,
      children: byReason.map(({ reason, count }) => {
        const stop: ViewStop = { kind: 'event', filterId: 'exit', condition: reason }
        const set = stops.has(stopKey(stop))
        return {
          id: `reason/${reason}`,
          label: reason,
          description: `${grouped(count)}  ${share(count, total)}`,
          tooltip: set ? 'The guest stops at each of them' : 'Click to stop at the next one',
          icon: set ? 'debug-breakpoint' : 'circle-outline',
          subject: { stop },
          click: 'stop',
        }
      }),
    },
    {
      id: 'places',
      label: 'Most frequent places',
      expanded: true,
      children: byAddress.map(({ address, symbol, source, count }) => ({
        id: `place/${address}`,
        label: symbol ?? address,
        description: [grouped(count), share(count, total), ...(source === undefined ? [] : [source])].join('  '),
        tooltip: source === undefined ? address : `${address}, ${source}`,
        icon: 'symbol-function',
        subject: { code: address, linear: address },
        click: 'code',
      })),
    },
    { id: 'recent', label: 'Last exits', children: recent.toReversed().map(exitNode) },
  ]
}

function exitNode({ instructions, vcpu, reason, detail, rip, symbol, gpa }: ExitBody, index: number): ViewNode {
  return {
    id: `exit/${instructions}/${vcpu}/${index}`,
    label: `${reason} ${symbol ?? rip}`,
    description: [detail, `at ${grouped(instructions)}`].filter(text => text !== '').join('  '),
    tooltip: `vCPU ${vcpu}, RIP ${rip}${gpa === undefined ? '' : `, guest-physical ${gpa}`}`,
    subject: { code: rip, linear: rip, ...(gpa === undefined ? {} : { memory: `phys:${gpa}` }) },
    click: 'code',
  }
}

const share = (part: number, whole: number): string => (whole === 0 ? '' : `${((part / whole) * 100).toFixed(1)} %`)
