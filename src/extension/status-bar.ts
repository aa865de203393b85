/** The status bar at a stop: mode, ring and address space of the vCPU in front, and instructions retired. */

import * as vscode from 'vscode'
import { PROCESSORS, type ProcessorsBody } from '../protocol/processor-requests.ts'
import type { SessionWatch } from './session-watch.ts'
import { statusOf } from './status-text.ts'

export function showStatus(watch: SessionWatch): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('ringside.status', vscode.StatusBarAlignment.Left, 10)
  item.name = 'Ringside'
  item.command = 'ringside.processor.focus'
  /** Counts states: an answer that comes late is dropped. */
  let current = 0
  const show = async (): Promise<void> => {
    const number = ++current
    const { state } = watch
    if (state.kind === 'none') {
      item.hide()
      return
    }
    if (state.kind === 'running') {
      item.text = '$(vm-running) running'
      item.tooltip = 'The guest is running'
      item.show()
      return
    }
    try {
      const body: ProcessorsBody = await state.session.customRequest(PROCESSORS)
      if (number !== current) return
      const { text, tooltip } = statusOf(body, state.threadId)
      item.text = `$(vm) ${text}`
      item.tooltip = tooltip
      item.show()
    } catch {
      // The views say why; a status of an earlier stop would be wrong.
      if (number === current) item.hide()
    }
  }
  return vscode.Disposable.from(
    item,
    watch.onDidChange(() => void show()),
  )
}
