/** Reading a request's chain. Its parts may be split over descriptors in any way (Virtio 1.2, 2.7.4). */

import { SECTOR_SIZE } from '../../../backends/disk/disk.ts'
import type { DiskCommand } from '../../../backends/disk/disk-backend.ts'
import { MAXIMUM_REQUEST_BYTES } from '../../../backends/disk/disk-range.ts'
import type { Chain, ChainContent } from '../virtio-device.ts'
import * as p from './protocol.ts'

export interface RequestHeader {
  readonly type: number
  /** Beyond 2^53 not exact, and then beyond every disk too. */
  readonly sector: number
}

/** What a request asks for. */
export type BlockRequest =
  | { readonly kind: 'disk'; readonly command: DiskCommand }
  | { readonly kind: 'id' }
  /** It is answered with this status, for this reason. */
  | { readonly kind: 'refused'; readonly status: number; readonly reason: string }

/** Undefined when the chain is shorter than a header. */
export function readHeader(chain: ChainContent): RequestHeader | undefined {
  const bytes = chain.read(0, p.HEADER_SIZE)
  if (bytes.length < p.HEADER_SIZE) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return { type: view.getUint32(0, true), sector: view.getUint32(8, true) + view.getUint32(12, true) * 2 ** 32 }
}

/** Bytes of data that a request carries, header and status apart. */
export function dataLength({ type }: RequestHeader, chain: ChainContent): number {
  const read = type === p.VIRTIO_BLK_T_IN || type === p.VIRTIO_BLK_T_GET_ID
  return Math.max(0, read ? chain.writableLength - p.STATUS_SIZE : chain.readableLength - p.HEADER_SIZE)
}

/** @param chain has room for a header and a status byte. */
export function readRequest(header: RequestHeader, chain: Chain): BlockRequest {
  const { type, sector } = header
  switch (type) {
    case p.VIRTIO_BLK_T_IN:
    case p.VIRTIO_BLK_T_OUT: {
      const length = dataLength(header, chain)
      if (length % SECTOR_SIZE !== 0) return ioError(`${length} bytes of data are no whole sectors`)
      if (length > MAXIMUM_REQUEST_BYTES) return ioError(`${length} bytes of data are more than size_max by seg_max`)
      return {
        kind: 'disk',
        command:
          type === p.VIRTIO_BLK_T_IN
            ? { kind: 'read', sector, count: length / SECTOR_SIZE, fill: read => chain.fill(0, length, read) }
            : { kind: 'write', sector, pieces: chain.view(p.HEADER_SIZE, length) },
      }
    }
    case p.VIRTIO_BLK_T_FLUSH:
      return { kind: 'disk', command: { kind: 'flush' } }
    case p.VIRTIO_BLK_T_GET_ID:
      return { kind: 'id' }
    case p.VIRTIO_BLK_T_DISCARD:
      return readRange('discard', 0, chain)
    case p.VIRTIO_BLK_T_WRITE_ZEROES:
      return readRange('write-zeroes', p.RANGE_FLAG_UNMAP, chain)
    default:
      return unsupported(`request type ${type}`)
  }
}

/** A request may have one range: `max_discard_seg` and `max_write_zeroes_seg` say so. */
function readRange(kind: 'discard' | 'write-zeroes', allowedFlags: number, chain: ChainContent): BlockRequest {
  const length = chain.readableLength - p.HEADER_SIZE
  if (length !== p.RANGE_SIZE) return ioError(`${length} bytes are not one range of ${p.RANGE_SIZE}`)
  const bytes = chain.read(p.HEADER_SIZE, p.RANGE_SIZE)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const sector = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32
  const flags = view.getUint32(12, true)
  // 5.2.6.2: UNSUPP for an unknown flag, and for unmap with discard.
  if ((flags & ~allowedFlags) !== 0) return unsupported(`flags 0x${flags.toString(16)}`)
  return { kind: 'disk', command: { kind, sector, count: view.getUint32(8, true) } }
}

function ioError(reason: string): BlockRequest {
  return { kind: 'refused', status: p.VIRTIO_BLK_S_IOERR, reason }
}

function unsupported(reason: string): BlockRequest {
  return { kind: 'refused', status: p.VIRTIO_BLK_S_UNSUPP, reason }
}
