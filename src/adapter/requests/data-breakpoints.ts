/** Breakpoints on data: of a variable, an expression, or a range of addresses in any address space. */

import type { BreakpointPlace } from '../../debugger/breakpoints.ts'
import type { Address } from '../../inspect/address.ts'
import { formatAddress, parseAddress } from '../../protocol/address.ts'
import { ArgumentError, Fields } from '../../protocol/fields.ts'
import { breakpointWish, CHANGE_MODE } from '../breakpoint-wish.ts'
import { FRAME_IDS, frameOf } from '../frame-ids.ts'
import { frameView } from '../frame-view.ts'
import { COUNTS, REFERENCES, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'
import { expressionNode } from '../typed-variables.ts'
import { breakpointBody } from './breakpoints.ts'

const ACCESS = { read: 'read', write: 'write', readWrite: 'access' } as const
const MOST_BYTES = { least: 1, most: 2 ** 20 }
const DATA_ID = /^(.+)#([0-9]{1,7})$/

interface Range {
  readonly address: Address
  readonly length: number
}

export const dataBreakpointRequests: RequestFamily = {
  dataBreakpointInfo(session, args) {
    const fields = new Fields('dataBreakpointInfo', args)
    const range = rangeOf(session, fields)
    if (typeof range === 'string') return { dataId: null, description: range }
    const place = `${formatAddress(range.address)}, ${range.length} bytes`
    return {
      dataId: `${formatAddress(range.address)}#${range.length}`,
      description: fields.boolean('asAddress', false) ? place : `${fields.string('name')} (${place})`,
      accessTypes: Object.keys(ACCESS),
      // A linear address means something else in another run; a physical one of a machine does not.
      canPersist: range.address.space === 'physical',
    }
  },

  setDataBreakpoints(session, args) {
    const wishes = new Fields('setDataBreakpoints', args)
      .list('breakpoints')
      .map(item => breakpointWish(item, dataPlace(item)))
    return { breakpoints: session.debugger.setBreakpoints('data', wishes).map(breakpointBody) }
  },
}

/** A text says why there is nothing to watch. */
function rangeOf(session: Session, fields: Fields): Range | string {
  const name = fields.string('name')
  const bytes = fields.optionalInteger('bytes', MOST_BYTES)
  const frameId = fields.optionalInteger('frameId', FRAME_IDS)
  const reference = fields.optionalInteger('variablesReference', COUNTS) ?? 0
  if (fields.boolean('asAddress', false) || /^(phys|hpa|cr3=[^:]+):/i.test(name)) {
    if (/^0x|^[0-9]|:/i.test(name)) return { address: parseAddress(name), length: bytes ?? 1 }
    return {
      address: { space: 'linear', address: session.debugger.evaluate(session.debugger.focus, name) },
      length: bytes ?? 1,
    }
  }
  const node =
    reference >= REFERENCES.least
      ? session.variables
          .get(reference)
          ?.nodes(0, COUNTS.most)
          .find(candidate => candidate.name === name)
      : expressionNode(
          frameView(session, frameId === undefined ? { vcpu: session.debugger.focus, depth: 0 } : frameOf(frameId)),
          name,
        )
  if (node?.place === undefined) return `"${name}" is not in memory`
  const { address } = node.place
  if (address.space === 'linear' && !session.debugger.isPlaced(address.address))
    return `"${name}" is not in its place yet: where the kernel goes shows when it has been decompressed`
  return { address, length: bytes ?? node.place.size }
}

function dataPlace(item: Fields): BreakpointPlace {
  const match = DATA_ID.exec(item.string('dataId'))
  if (match === null) throw new ArgumentError(`data breakpoint "${item.string('dataId')}": no id of dataBreakpointInfo`)
  const access = item.oneOf('accessType', ['read', 'write', 'readWrite'], 'write')
  const onlyChanges = access === 'write' && item.optionalString('mode') === CHANGE_MODE
  return {
    kind: 'data',
    address: parseAddress(match[1]),
    length: Number(match[2]),
    access: onlyChanges ? 'change' : ACCESS[access],
  }
}
