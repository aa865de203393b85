/** `ringside dap`: the debug adapter on standard input and output, for guests in the embedded machine. */

import { launch } from '../debugger/launch.ts'
import { serve } from './server.ts'

/** Resolves with the exit status when the client has gone. */
export async function serveStandardStreams(): Promise<number> {
  await serve(process.stdin, process.stdout, launch)
  return 0
}
