/** A request in words. Read from the chain as it is now, which a driver may have made nonsense of. */

import { SECTOR_SIZE } from '../../../backends/disk/disk.ts'
import type { ChainContent, ChainDescription } from '../virtio-device.ts'
import * as p from './protocol.ts'
import { dataLength, type RequestHeader, readHeader } from './request.ts'

export function describeRequest(chain: ChainContent): ChainDescription {
  const header = readHeader(chain)
  if (header === undefined)
    return { summary: `${chain.readableLength} bytes, too short for a request of ${p.HEADER_SIZE}`, fields: [] }
  const name = p.REQUEST_TYPE_NAMES[header.type] ?? `unknown request ${header.type}`
  const length = dataLength(header, chain)
  const place = describePlace(header, chain, length)
  return {
    summary: [name, ...place.map(({ name, value }) => (name === 'data' ? value : `${name} ${value}`))].join(', '),
    fields: [
      { name: 'type', value: `${header.type} (${name})` },
      ...place,
      { name: 'status', value: describeStatus(chain) },
    ],
  }
}

function describePlace(header: RequestHeader, chain: ChainContent, length: number): ChainDescription['fields'] {
  switch (header.type) {
    case p.VIRTIO_BLK_T_IN:
    case p.VIRTIO_BLK_T_OUT:
      return [
        { name: 'sector', value: String(header.sector) },
        { name: 'data', value: `${length} bytes` },
      ]
    case p.VIRTIO_BLK_T_DISCARD:
    case p.VIRTIO_BLK_T_WRITE_ZEROES: {
      const bytes = chain.read(p.HEADER_SIZE, p.RANGE_SIZE)
      if (bytes.length < p.RANGE_SIZE) return [{ name: 'data', value: `${length} bytes` }]
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      const count = view.getUint32(8, true)
      return [
        { name: 'sector', value: String(view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32) },
        { name: 'data', value: `${count * SECTOR_SIZE} bytes` },
      ]
    }
    case p.VIRTIO_BLK_T_FLUSH:
      return []
    default:
      return [{ name: 'data', value: `${length} bytes` }]
  }
}

/** The last writable byte (5.2.6): the device's only once it has completed the chain. */
function describeStatus(chain: ChainContent): string {
  const [status] = chain.readWritable(chain.writableLength - p.STATUS_SIZE, p.STATUS_SIZE)
  if (chain.writableLength === 0 || status === undefined) return 'no room for it'
  return `${status} (${p.STATUS_NAMES[status] ?? 'not written by the device'})`
}
