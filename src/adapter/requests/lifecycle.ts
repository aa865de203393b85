/** Beginning and end of a debug session. */

import { VM_CAPABILITIES } from '../../debugger/vm-target.ts'
import { Fields } from '../../protocol/fields.ts'
import { parseLaunchArguments } from '../../protocol/launch-arguments.ts'
import { capabilities } from '../capabilities.ts'
import { clientFeatures } from '../client-features.ts'
import { requestOfProgress } from '../progress.ts'
import { COUNTS, RequestError, type RequestFamily } from '../request.ts'
import type { Configuration } from '../session.ts'

export const lifecycleRequests: RequestFamily = {
  /** Asked before anything runs: the embedded machine is what `launch` will start. */
  initialize(session, args) {
    session.client = clientFeatures(args)
    return capabilities(VM_CAPABILITIES)
  },

  async launch(session, args, afterResponse, progress) {
    if (session.launched) throw new RequestError('a guest has been launched already; one session debugs one guest')
    await session.start(configurationOf(args), progress)
    // Breakpoints are welcome once there is a machine to set them in.
    const actual = capabilities(session.debugger.target.capabilities)
    afterResponse(() => {
      if (JSON.stringify(actual) !== JSON.stringify(capabilities(VM_CAPABILITIES)))
        session.event('capabilities', { capabilities: actual })
      session.event('initialized')
    })
    return undefined
  },

  configurationDone(session, _args, afterResponse) {
    if (!session.launched) throw new RequestError('nothing has been launched yet')
    afterResponse(() => session.begin())
    return undefined
  },

  /** The same guest from power-on, or another if the configuration has changed; the breakpoints are the same. */
  async restart(session, args, afterResponse, progress) {
    const latest = new Fields('restart', args ?? {}).raw('arguments')
    const configuration = latest === undefined ? session.configuration : configurationOf(latest)
    if (session.isRunningFrom(configuration.options)) session.restart(configuration.view)
    else await session.start(configuration, progress)
    session.resumed()
    afterResponse(() => session.begin())
    return undefined
  },

  cancel(session, args) {
    const fields = new Fields('cancel', args ?? {})
    const requestId =
      fields.optionalInteger('requestId', COUNTS) ?? requestOfProgress(fields.optionalString('progressId') ?? '')
    if (requestId !== undefined) session.cancel(requestId)
    return undefined
  },

  terminate(session, _args, afterResponse) {
    session.terminate()
    afterResponse(() => session.event('terminated'))
    return undefined
  },

  disconnect(session, _args, afterResponse) {
    afterResponse(() => session.shutDown())
    return undefined
  },
}

/** What makes the guest, and what concerns the session alone. */
function configurationOf(args: unknown): Configuration {
  const { stopOnEntry, console, sourceMap, engine: _onlyOne, ...options } = parseLaunchArguments(args)
  return { options, view: { stopOnEntry, console, sourceMap } }
}
