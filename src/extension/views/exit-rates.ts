/** How often the guest exits: since the last stop, and over time. */

import type { ExitsBody } from '../../protocol/custom-requests.ts'
import { grouped, type ViewNode } from './view-node.ts'

/** What happened between two stops. */
export interface ExitRate {
  readonly exits: number
  readonly instructions: number
}

type Counts = Pick<ExitsBody, 'instructions' | 'total'>

/** The counts of each session at this stop and at the one before, where the view was asked. */
export class ExitRates {
  #session: string | undefined
  #before: Counts | undefined
  #now: Counts | undefined

  /** undefined at the first stop, and when the guest has begun anew. */
  since(session: string, { instructions, total }: Counts): ExitRate | undefined {
    const begins = session !== this.#session || instructions < (this.#now?.instructions ?? 0)
    if (begins) this.#before = undefined
    else if (instructions !== this.#now?.instructions) this.#before = this.#now
    this.#session = session
    this.#now = { instructions, total }
    const before = this.#before
    return before && { exits: total - before.total, instructions: instructions - before.instructions }
  }
}

export function rateNodes(since: ExitRate | undefined, overTime: ExitsBody['overTime']): readonly ViewNode[] {
  return [
    ...(since === undefined
      ? []
      : [
          {
            id: 'rate',
            label: 'since the last stop',
            description: `${grouped(since.exits)} in ${grouped(since.instructions)} instructions, ${perMillion(since)}`,
            icon: 'dashboard',
          },
        ]),
    ...(overTime === undefined ? [] : [overTimeNode(overTime)]),
  ]
}

function overTimeNode({ first, last, counts }: NonNullable<ExitsBody['overTime']>): ViewNode {
  const exits = counts.reduce((sum, count) => sum + count, 0)
  const instructions = last - first
  return {
    id: 'overTime',
    label: 'over time',
    description: `${sparkline(counts)}  ${perMillion({ exits, instructions })}`,
    tooltip: `The last ${grouped(exits)} exits, from instruction ${grouped(first)} to ${grouped(last)}, in ${counts.length} spans: ${counts.map(grouped).join(', ')}`,
    icon: 'graph-line',
  }
}

const perMillion = ({ exits, instructions }: ExitRate): string =>
  instructions === 0 ? 'no instruction between' : `${((exits / instructions) * 1e6).toFixed(1)} a million`

const BARS = '▁▂▃▄▅▆▇█'

/** A bar for each count; the highest is the largest. */
export function sparkline(counts: readonly number[]): string {
  const most = Math.max(1, ...counts)
  return counts.map(count => BARS[count === 0 ? 0 : Math.ceil((count / most) * (BARS.length - 1))]).join('')
}
