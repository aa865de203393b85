/** Memory of every address space: looking changes nothing, and a write is made whole or not at all. */

import { writeMemory } from '../../debugger/write-memory.ts'
import type { Address } from '../../inspect/address.ts'
import { advance, hex, parseAddress } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import { LARGEST_READ, OFFSETS, RequestError, type RequestFamily } from '../request.ts'

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

export const memoryRequests: RequestFamily = {
  readMemory(session, args) {
    const fields = new Fields('readMemory', args)
    const address = placeOf(fields)
    const count = fields.integer('count', { least: 0, most: LARGEST_READ })
    const bytes = session.debugger.readMemory(session.debugger.focus, address, count)
    return {
      // DAP: a number, whatever space it is in; clients take it as one.
      address: hex(address.address),
      ...(bytes.length < count ? { unreadableBytes: count - bytes.length } : {}),
      ...(bytes.length > 0 ? { data: Buffer.from(bytes).toString('base64') } : {}),
    }
  },

  writeMemory(session, args, afterResponse) {
    const fields = new Fields('writeMemory', args)
    const address = placeOf(fields)
    const bytes = decode(fields.string('data'))
    const { target } = session.debugger
    const vcpu = session.debugger.vcpu(session.debugger.focus)
    let written = bytes
    try {
      writeMemory(target, vcpu, address, bytes)
    } catch (error) {
      if (!fields.boolean('allowPartial', false)) throw error
      written = bytes.subarray(0, session.debugger.readMemory(vcpu.index, address, bytes.length).length)
      writeMemory(target, vcpu, address, written)
    }
    afterResponse(() => session.memoryChanged(address, written.length))
    return { offset: 0, bytesWritten: written.length }
  },
}

function placeOf(fields: Fields): Address {
  return advance(parseAddress(fields.string('memoryReference')), fields.optionalInteger('offset', OFFSETS) ?? 0)
}

function decode(text: string): Uint8Array {
  if (text.length > LARGEST_READ * 2) throw new RequestError(`at most ${LARGEST_READ} bytes are written at once`)
  if (!BASE64.test(text) || text.length % 4 === 1) throw new RequestError('writeMemory: "data" must be base64')
  return Buffer.from(text, 'base64')
}
