/**
 * The debug adapter in a worker of a browser: the same one that `ringside dap` is, with the worker's messages for its
 * transport, and files that the editor hands over in place of the host's.
 */

import { serveOver } from '../adapter/server.ts'
import type { Transport } from '../adapter/transport.ts'
import type { ToWebAdapter } from '../protocol/web-adapter.ts'
import { browserLaunch } from './browser-launch.ts'
import { keepFiles } from './files.ts'

export interface WorkerScope {
  onmessage: ((event: { readonly data: ToWebAdapter }) => void) | null
  postMessage(message: unknown): void
  close(): void
}

/** @param scope the worker's global object; at its other end is the extension, which made the worker. */
export function serveWorker(scope: WorkerScope): void {
  const transport: Transport = {
    listen: listener => {
      scope.onmessage = ({ data }) => {
        if (data.type === 'files') keepFiles(data.files)
        else listener.messages([JSON.stringify(data.message)])
      }
    },
    send: text => scope.postMessage(JSON.parse(text)),
    // A worker's messages can't be held back; the editor at the other end waits for its answers.
    pause: () => {},
    resume: () => {},
  }
  void serveOver(transport, browserLaunch).then(() => scope.close())
}
