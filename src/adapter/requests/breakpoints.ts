/** Breakpoints by function name and by address; those by source line are answered with what is missing. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import type { Breakpoint } from '../../debugger/breakpoints.ts'
import type { Address } from '../../inspect/address.ts'
import { advance, hex, parseAddress } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import { OFFSETS, type RequestFamily } from '../request.ts'

export const breakpointRequests: RequestFamily = {
  setFunctionBreakpoints(session, args) {
    const names = new Fields('setFunctionBreakpoints', args).list('breakpoints').map(item => item.string('name').trim())
    return { breakpoints: session.debugger.setFunctionBreakpoints(names).map(breakpointBody) }
  },

  /** Clients send these whether they are supported or not. */
  setBreakpoints(_session, args) {
    const message = 'a line of source needs line tables, which are not read yet; break at a function or an address'
    const breakpoints = new Fields('setBreakpoints', args).list('breakpoints').map(() => ({ verified: false, message }))
    return { breakpoints }
  },

  setInstructionBreakpoints(session, args) {
    const wanted = new Fields('setInstructionBreakpoints', args).list('breakpoints').map(instructionAddress)
    return { breakpoints: session.debugger.setAddressBreakpoints(wanted).map(breakpointBody) }
  },
}

function instructionAddress(item: Fields): Address {
  const reference = parseAddress(item.string('instructionReference'))
  return advance(reference, item.optionalInteger('offset', OFFSETS) ?? 0)
}

export function breakpointBody(breakpoint: Breakpoint): DebugProtocol.Breakpoint {
  const [first] = breakpoint.addresses
  return {
    id: breakpoint.id,
    verified: first !== undefined,
    ...(first === undefined ? {} : { instructionReference: hex(first) }),
    ...(breakpoint.message === undefined ? {} : { message: breakpoint.message }),
  }
}
