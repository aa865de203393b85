/** The walkthrough: watches the sessions of teaching kernels, and says when a step has become true. */

import * as vscode from 'vscode'
import type { AdapterLines } from '../adapter-line/adapter-lines.ts'
import { DEBUG_TYPE } from '../debug-type.ts'
import { members } from '../session-messages.ts'
import { registerWalkthroughCommands } from './commands.ts'
import type { Step } from './observation.ts'
import { Progress } from './progress.ts'
import { SessionObserver } from './session-observer.ts'
import { lessonOf } from './steps.ts'
import { Ticks } from './ticks.ts'

/** Milliseconds for which the status bar says that a step is done. */
const SHOWN = 8000

export function guideLearners(context: vscode.ExtensionContext, lines: AdapterLines): vscode.Disposable {
  const progress = new Progress(context.globalState)
  return vscode.Disposable.from(
    progress,
    new Ticks(context.extension.id, progress),
    registerWalkthroughCommands(context, progress),
    vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
      createDebugAdapterTracker: session => {
        const guest = lines.guestOf(session)
        const observer = new SessionObserver({
          request: (command, args) => guest.request(command, args),
          undone: () => progress.undone(),
          done: step => void complete(context, progress, step),
        })
        // What views ask counts like what the editor asks.
        const listening = lines.onDidPass(({ session: id, message }) => {
          if (id !== session.id) return
          if (members(message).type === 'request') observer.sent(message)
          else observer.received(message)
        })
        return {
          onWillReceiveMessage: message => observer.sent(message),
          onDidSendMessage: message => observer.received(message),
          onWillStopSession: () => listening.dispose(),
        }
      },
    }),
  )
}

async function complete({ extension }: vscode.ExtensionContext, progress: Progress, step: Step): Promise<void> {
  if (progress.isDone(step)) return
  const title = titleOf(extension.packageJSON, step)
  vscode.window.setStatusBarMessage(`$(pass) ${title}`, SHOWN)
  await progress.complete(step)
}

/** As package.json has it. */
function titleOf(manifest: unknown, step: Step): string {
  const { walkthroughs } = members(members(manifest).contributes)
  const named = (list: unknown, id: string | undefined) =>
    Array.isArray(list) ? members(list.find(each => members(each).id === id)) : {}
  const walkthrough = named(walkthroughs, lessonOf(step))
  const { title } = named(walkthrough.steps, step.id.split('.')[1])
  return `${String(walkthrough.title)}: ${String(title)}`
}
