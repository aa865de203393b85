/** Beginning and end of a debug session. */

import { VM_CAPABILITIES } from '../../debugger/vm-target.ts'
import { Fields } from '../../protocol/fields.ts'
import { parseLaunchArguments } from '../../protocol/launch-arguments.ts'
import { capabilities } from '../capabilities.ts'
import { clientFeatures } from '../client-features.ts'
import { COUNTS, RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

export const lifecycleRequests: RequestFamily = {
  /** Asked before anything runs: the embedded machine is what `launch` will start. */
  initialize(session, args) {
    session.client = clientFeatures(args)
    return capabilities(VM_CAPABILITIES)
  },

  async launch(session, args, afterResponse) {
    if (session.launched) throw new RequestError('a guest has been launched already; one session debugs one guest')
    const { stopOnEntry, console, sourceMap, engine: _onlyOne, ...options } = parseLaunchArguments(args)
    await withProgress(session, `Loading ${options.program}`, async () =>
      session.attachDebugger(await session.launch(options), { stopOnEntry, console, sourceMap }),
    )
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

  /** The same guest with the same breakpoints; a changed configuration needs a new session. */
  restart(session, _args, afterResponse) {
    session.debugger.restart()
    session.resumed()
    afterResponse(() => session.begin())
    return undefined
  },

  cancel(session, args) {
    const requestId = new Fields('cancel', args ?? {}).optionalInteger('requestId', COUNTS)
    if (requestId !== undefined) session.cancel(requestId)
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

async function withProgress(session: Session, title: string, work: () => Promise<void>): Promise<void> {
  const body = { progressId: title }
  if (session.client.progress) session.event('progressStart', { ...body, title })
  try {
    await work()
  } finally {
    if (session.client.progress) session.event('progressEnd', body)
  }
}
