/** The status bar: at a stop mode, ring, process or address space of the vCPU in front; while the guest runs its speed. */

import * as vscode from 'vscode'
import { PROCESSORS, type ProcessorsBody } from '../protocol/processor-requests.ts'
import { STATUS, type StatusBody } from '../protocol/status-request.ts'
import type { GuestSession } from './adapter-line/adapter-lines.ts'
import { type MachineState, type SessionWatch, SHOWN_RUNNING_AFTER } from './session-watch.ts'
import { SpeedMeter } from './speed-meter.ts'
import { runningText, type StatusText, statusOf } from './status-text.ts'

/** Milliseconds between two looks at a guest that runs. */
const INTERVAL = 1000

export function showStatus(watch: SessionWatch): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('ringside.status', vscode.StatusBarAlignment.Left, 10)
  item.name = 'Ringside'
  item.command = 'ringside.processor.focus'
  const meter = new SpeedMeter()
  /** Counts states: an answer that comes late is dropped. */
  let current = 0
  let next: NodeJS.Timeout | undefined

  const say = (icon: string, { text, tooltip }: StatusText): void => {
    item.text = `$(${icon}) ${text}`
    item.tooltip = tooltip
    item.show()
  }
  const look = async (session: GuestSession, number: number): Promise<void> => {
    try {
      const body: StatusBody = await session.request(STATUS)
      if (number !== current) return
      say('vm-running', runningText(body, meter.sample(body.instructions, performance.now())))
      next = setTimeout(() => void look(session, number), INTERVAL)
    } catch {
      // It has not been launched yet, or has ended: what comes next is told.
      if (number === current) next = setTimeout(() => void look(session, number), INTERVAL)
    }
  }
  const showStopped = async (state: Extract<MachineState, { kind: 'stopped' }>, number: number): Promise<void> => {
    const { session, threadId } = state
    try {
      const body: ProcessorsBody = await session.request(PROCESSORS)
      if (number !== current) return
      say('vm', statusOf(body, threadId))
      // A kernel's types may have to be searched for: the rest is shown already.
      const { process }: StatusBody = await session.request(STATUS, { threadId })
      if (number === current && process !== undefined) say('vm', statusOf(body, threadId, process))
    } catch {
      // The views say why; a status of an earlier stop would be wrong.
      if (number === current) item.hide()
    }
  }
  const show = (state: MachineState): void => {
    const number = ++current
    clearTimeout(next)
    meter.reset()
    if (state.kind === 'none') item.hide()
    else if (state.kind === 'stopped') void showStopped(state, number)
    else
      next = setTimeout(() => {
        say('vm-running', { text: 'running', tooltip: 'The guest is running' })
        void look(state.session, number)
      }, SHOWN_RUNNING_AFTER)
  }
  return vscode.Disposable.from(item, watch.onDidChange(show), new vscode.Disposable(() => clearTimeout(next)))
}
