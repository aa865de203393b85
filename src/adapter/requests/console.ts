/** Typing at the guest's consoles; what it prints comes as `output` events. */

import { CONSOLE_INPUT, parseConsoleInputArguments } from '../../protocol/custom-requests.ts'
import { RequestError, type RequestFamily } from '../request.ts'

export const consoleRequests: RequestFamily = {
  [CONSOLE_INPUT](session, args) {
    const { target } = session.debugger
    if (!target.capabilities.consoleInput) throw new RequestError('this target takes no console input')
    const { text, console } = parseConsoleInputArguments(args)
    const bytes = new TextEncoder().encode(text)
    if (console === 'serial') target.writeConsole(bytes)
    else if (target.writeVirtioConsole(bytes) < bytes.length)
      throw new RequestError('the virtio console does not take all of it: there is none, or its guest does not read')
    return undefined
  },
}
