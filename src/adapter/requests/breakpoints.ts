/** Breakpoints in code: by source line, by function, by address. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import type { Breakpoint, BreakpointPlace } from '../../debugger/breakpoints.ts'
import { advance, hex, parseAddress } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import { breakpointWish } from '../breakpoint-wish.ts'
import { COUNTS, OFFSETS, RequestError, type RequestFamily } from '../request.ts'

export const breakpointRequests: RequestFamily = {
  setBreakpoints(session, args) {
    const fields = new Fields('setBreakpoints', args)
    const path = new Fields('setBreakpoints: "source"', fields.raw('source')).optionalString('path')
    if (path === undefined) throw new RequestError('setBreakpoints: a source with a path is wanted')
    const wishes = fields.list('breakpoints').map(item => {
      const place = { kind: 'line', path: session.sources.compiled(path), line: item.integer('line', COUNTS) } as const
      return breakpointWish(item, place)
    })
    const breakpoints = session.debugger.setBreakpoints(`source ${path}`, wishes)
    return { breakpoints: breakpoints.map(breakpointBody) }
  },

  setFunctionBreakpoints(session, args) {
    const wishes = new Fields('setFunctionBreakpoints', args)
      .list('breakpoints')
      .map(item => breakpointWish(item, { kind: 'function', name: item.string('name').trim() }))
    return { breakpoints: session.debugger.setBreakpoints('functions', wishes).map(breakpointBody) }
  },

  setInstructionBreakpoints(session, args) {
    const wishes = new Fields('setInstructionBreakpoints', args)
      .list('breakpoints')
      .map(item => breakpointWish(item, instructionPlace(item)))
    return { breakpoints: session.debugger.setBreakpoints('addresses', wishes).map(breakpointBody) }
  },
}

function instructionPlace(item: Fields): BreakpointPlace {
  const reference = parseAddress(item.string('instructionReference'))
  return { kind: 'address', address: advance(reference, item.optionalInteger('offset', OFFSETS) ?? 0) }
}

export function breakpointBody(breakpoint: Breakpoint): DebugProtocol.Breakpoint {
  const { id, resolved, addresses, line, message } = breakpoint
  const [first] = addresses
  return {
    id,
    verified: resolved,
    ...(first === undefined ? {} : { instructionReference: hex(first) }),
    ...(line === undefined ? {} : { line }),
    ...(message === undefined ? {} : { message }),
  }
}
