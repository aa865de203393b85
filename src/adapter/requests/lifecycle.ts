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

  async launch(session, args) {
    if (session.launched) throw new RequestError('a guest has been launched already; one session debugs one guest')
    const { stopOnEntry, ...options } = parseLaunchArguments(args)
    session.attachDebugger(await session.launch(options), stopOnEntry)
    // Breakpoints are welcome once there is a machine to set them in.
    session.afterResponse(() => session.event('initialized'))
    return undefined
  },

  configurationDone(session) {
    session.afterResponse(() => session.begin())
    return undefined
  },

  terminate(session) {
    session.debugger.dispose()
    session.afterResponse(() => session.event('terminated'))
    return undefined
  },

  disconnect(session) {
    session.afterResponse(() => session.shutDown())
    return undefined
  },
}
