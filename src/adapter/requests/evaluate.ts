/** Expressions over registers, symbols and memory. */

import { hex } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import { type RequestFamily, THREAD_IDS, vcpuOf } from '../request.ts'

export const evaluateRequests: RequestFamily = {
  evaluate(session, args) {
    const fields = new Fields('evaluate', args)
    const frameId = fields.optionalInteger('frameId', THREAD_IDS)
    const vcpu = frameId === undefined ? session.debugger.focus : vcpuOf(frameId)
    const value = session.debugger.evaluate(vcpu, fields.string('expression'))
    const symbol = session.debugger.symbols.describe(value)
    return {
      result: symbol === undefined ? hex(value) : `${hex(value)} <${symbol}>`,
      type: 'u64',
      variablesReference: 0,
      memoryReference: hex(value),
    }
  },
}
