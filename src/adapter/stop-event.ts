/** Why the guest stands still, in the words of DAP. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import type { StopReport } from '../debugger/debugger.ts'
import { threadOf } from './frame-ids.ts'

const REASONS: Record<StopReport['reason'], { reason: string; description: string }> = {
  entry: { reason: 'entry', description: 'Stopped before the first instruction' },
  breakpoint: { reason: 'breakpoint', description: 'Stopped at a breakpoint' },
  data: { reason: 'data breakpoint', description: 'Stopped after an access to watched memory' },
  event: { reason: 'exception', description: 'Stopped at an event' },
  step: { reason: 'step', description: 'Stopped after a step' },
  pause: { reason: 'pause', description: 'Paused' },
  shutdown: { reason: 'exception', description: 'The guest can not go on' },
}

export function stopBody(report: StopReport): DebugProtocol.StoppedEvent['body'] {
  return {
    ...REASONS[report.reason],
    // Clients show the description more plainly than the text.
    ...(report.text !== undefined && report.named === true ? { description: report.text } : {}),
    ...(report.text === undefined ? {} : { text: report.text }),
    threadId: threadOf(report.vcpu),
    // vCPUs take turns: when one stops, all do.
    allThreadsStopped: true,
    ...(report.breakpoints.length > 0 ? { hitBreakpointIds: [...report.breakpoints] } : {}),
  }
}
