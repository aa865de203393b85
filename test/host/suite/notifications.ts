/** What VS Code's notifications say. */

import * as vscode from 'vscode'
import { eventually } from './eventually.ts'
import { texts } from './page.ts'

export const NOTIFICATION = '.notification-list-item'
/** Milliseconds until one that was not shown at once is looked for in the list of all. */
const SHOWN_BY_ITSELF = 1000

export const clearNotifications = (): Thenable<unknown> => vscode.commands.executeCommand('notifications.clearAll')

/** Waits for one that says something. VS Code shows no more than three within 800 ms; its list has every one. */
export function notified(wanted: RegExp): Promise<string> {
  const since = Date.now()
  let isListed = false
  return eventually(
    `a notification of "${wanted.source}"`,
    async () => {
      if (!isListed && Date.now() - since > SHOWN_BY_ITSELF) {
        await vscode.commands.executeCommand('notifications.showList')
        isListed = true
      }
      return (await texts(NOTIFICATION)).find(text => wanted.test(text))
    },
    async () => `there is ${JSON.stringify(await texts(NOTIFICATION))}`,
  )
}
