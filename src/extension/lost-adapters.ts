/** Tells of an adapter that has ended and that nobody has ended: of one that was killed VS Code says nothing. */

import * as vscode from 'vscode'
import { DEBUG_TYPE } from './debug-type.ts'
import { members } from './session-messages.ts'

export function tellOfLostAdapters(): vscode.Disposable {
  return vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
    createDebugAdapterTracker({ name }) {
      let expected = false
      return {
        onWillReceiveMessage: (message: unknown) => {
          if (['disconnect', 'terminate'].includes(String(members(message).command))) expected = true
        },
        onDidSendMessage: (message: unknown) => {
          if (members(message).event === 'terminated') expected = true
        },
        onWillStopSession: () => {
          expected = true
        },
        onExit: () => {
          if (expected) return
          expected = true
          void vscode.window.showErrorMessage(
            `Ringside: the debug adapter of "${name}" has ended unexpectedly, and its guest with it; start it again.`,
          )
        },
      }
    },
  })
}
