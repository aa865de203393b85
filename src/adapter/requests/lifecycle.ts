/** Beginning and end of a debug session. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import { parseLaunchArguments } from '../../protocol/launch-arguments.ts'
import { RequestError, type RequestFamily } from '../request.ts'

/** What is there, and nothing else. */
export const CAPABILITIES: DebugProtocol.Capabilities = {
  supportsConfigurationDoneRequest: true,
  supportsFunctionBreakpoints: true,
  supportsInstructionBreakpoints: true,
  supportsSteppingGranularity: true,
  supportsReadMemoryRequest: true,
  supportsDisassembleRequest: true,
  supportsEvaluateForHovers: true,
  supportsTerminateRequest: true,
}

export const lifecycleRequests: RequestFamily = {
  initialize() {
    return CAPABILITIES
  },

  async launch(session, args, afterResponse) {
    if (session.launched) throw new RequestError('a guest has been launched already; one session debugs one guest')
    const { stopOnEntry, console, ...options } = parseLaunchArguments(args)
    session.attachDebugger(await session.launch(options), { stopOnEntry, console })
    // Breakpoints are welcome once there is a machine to set them in.
    afterResponse(() => session.event('initialized'))
    return undefined
  },

  configurationDone(session, _args, afterResponse) {
    if (!session.launched) throw new RequestError('nothing has been launched yet')
    afterResponse(() => session.begin())
    return undefined
  },

  terminate(session, _args, afterResponse) {
    session.debugger.dispose()
    afterResponse(() => session.event('terminated'))
    return undefined
  },

  disconnect(session, _args, afterResponse) {
    afterResponse(() => session.shutDown())
    return undefined
  },
}
