/** Memory of every address space; looking changes nothing. */

import { advance, formatAddress, parseAddress } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import { LARGEST_READ, OFFSETS, type RequestFamily } from '../request.ts'

export const memoryRequests: RequestFamily = {
  readMemory(session, args) {
    const fields = new Fields('readMemory', args)
    const reference = parseAddress(fields.string('memoryReference'))
    const address = advance(reference, fields.optionalInteger('offset', OFFSETS) ?? 0)
    const count = fields.integer('count', { least: 0, most: LARGEST_READ })
    const bytes = session.debugger.readMemory(session.debugger.focus, address, count)
    return {
      address: formatAddress(address),
      ...(bytes.length < count ? { unreadableBytes: count - bytes.length } : {}),
      ...(bytes.length > 0 ? { data: Buffer.from(bytes).toString('base64') } : {}),
    }
  },
}
