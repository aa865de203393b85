/** The header that every ACPI table but the FACS begins with (ACPI 6.5, 5.2.6), and the generic address (5.2.3.2). */

import { ByteList, setChecksum } from './byte-list.ts'

export const OEM_ID = 'RINGSD'
const OEM_TABLE_ID = 'RINGSIDE'
const HEADER_SIZE = 36
const CHECKSUM_OFFSET = 9

/** Address space ids of a generic address. */
export const SPACE_MEMORY = 0
export const SPACE_IO = 1

/** A whole table, checksum included. `signature` has four characters. */
export function acpiTable(signature: string, revision: number, body: ByteList): Uint8Array {
  const header = new ByteList()
    .text(signature, 4)
    .u32(HEADER_SIZE + body.length)
    .u8(revision, 0)
    .text(OEM_ID, 6)
    .text(OEM_TABLE_ID, 8)
    .u32(1)
    .text('RING', 4)
    .u32(1)
  const bytes = header.bytes(body.toBytes()).toBytes()
  setChecksum(bytes, CHECKSUM_OFFSET)
  return bytes
}

/**
 * A generic address structure; `bytes` is the width of the register block. The access size is 0, which leaves it to
 * the system: the blocks hold registers of different widths. Address 0: there is no such block.
 */
export function genericAddress(list: ByteList, space: number, address: number, bytes: number): void {
  if (address === 0) list.zeroes(12)
  else list.u8(space, bytes * 8, 0, 0).u64(address)
}
