/**
 * The "a.out kludge" of both multiboot versions: addresses in the header that say which part of the file goes where,
 * for images that are no ELF files (Multiboot 0.6.96, 3.1.3; Multiboot2 2.0, 3.1.5).
 */

import { type BootRequest, type GuestRam, ImageError } from '../boot-target.ts'
import { fillZero, type LoadedRange } from '../elf-image.ts'
import { hex } from '../hex.ts'
import type { Placement } from '../placement.ts'

export interface AddressFields {
  /** Physical address that the header's first byte gets. */
  readonly header: number
  readonly load: number
  /** End of what is loaded; 0: the whole rest of the file. */
  readonly loadEnd: number
  /** End of the zeroed memory after it; 0: none. */
  readonly bssEnd: number
}

/** Throws {@link ImageError} when the fields contradict each other or the file. */
export function loadByAddressFields(
  request: BootRequest,
  ram: GuestRam,
  placement: Placement,
  headerOffset: number,
  fields: AddressFields,
): LoadedRange {
  const { header, load, loadEnd, bssEnd } = fields
  const refuse = (reason: string) => new ImageError(`${request.name}: multiboot header: ${reason}`)
  if (load > header) throw refuse(`load address ${hex(load)} is above the header's ${hex(header)}`)
  const offset = headerOffset - (header - load)
  if (offset < 0) throw refuse(`load address ${hex(load)} belongs before the beginning of the file`)
  const length = loadEnd === 0 ? request.image.length - offset : loadEnd - load
  if (length <= 0) throw refuse(`load end ${hex(loadEnd)} is not above load address ${hex(load)}`)
  if (offset + length > request.image.length) {
    throw refuse(
      `${length} bytes from offset ${hex(offset)} are to be loaded, but the file has ${request.image.length} bytes; it is truncated`,
    )
  }
  const end = bssEnd === 0 ? load + length : bssEnd
  if (end < load + length)
    throw refuse(`bss end ${hex(bssEnd)} is below the end of what is loaded, ${hex(load + length)}`)
  placement.claim(load, end - load, 'the image')
  ram.write(load, request.image.subarray(offset, offset + length))
  fillZero(ram, load + length, end - load - length)
  return { start: load, end }
}
