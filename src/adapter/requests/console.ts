/** Typing at the guest's serial console; what it prints comes as `output` events. */

import { CONSOLE_INPUT, parseConsoleInputArguments } from '../../protocol/custom-requests.ts'
import { RequestError, type RequestFamily } from '../request.ts'

export const consoleRequests: RequestFamily = {
  [CONSOLE_INPUT](session, args) {
    const { target } = session.debugger
    if (!target.capabilities.consoleInput) throw new RequestError('this target takes no console input')
    target.writeConsole(new TextEncoder().encode(parseConsoleInputArguments(args).text))
    return undefined
  },
}
