/** The tags of a Multiboot2 header (Multiboot2 Specification 2.0, 3.1). */

import { type BootRequest, ImageError } from '../boot-target.ts'
import type { AddressFields } from './address-fields.ts'
import { findHeader } from './header-search.ts'

const HEADER_MAGIC = 0xe85250d6
const ARCHITECTURE_I386 = 0
const FIXED_SIZE = 16

const TAG_END = 0
const TAG_INFORMATION_REQUEST = 1
const TAG_ADDRESS = 2
const TAG_ENTRY_ADDRESS = 3
const TAG_CONSOLE_FLAGS = 4
const TAG_FRAMEBUFFER = 5
const TAG_MODULE_ALIGN = 6
/** 3.1.7 to 3.1.9: the three EFI tags are taken into account on EFI platforms only, which this one is not. */
const TAG_EFI_BOOT_SERVICES = 7
const TAG_EFI32_ENTRY = 8
const TAG_EFI64_ENTRY = 9
const TAG_RELOCATABLE = 10

const TAG_OPTIONAL = 1 << 0
/** Console flag: a console must be there. */
const CONSOLE_REQUIRED = 1 << 0
const CONSOLE_TEXT_SUPPORTED = 1 << 1
/** The highest type of boot information that 3.6 defines. */
const LAST_INFORMATION_TYPE = 21

export interface Relocation {
  /** Lowest and highest physical address of the image. */
  readonly min: number
  readonly max: number
  readonly align: number
  /** 0 none, 1 lowest, 2 highest. */
  readonly preference: number
}

export interface Multiboot2Header {
  readonly offset: number
  readonly address?: AddressFields
  readonly entry?: number
  readonly relocation?: Relocation
}

interface Tag {
  readonly type: number
  readonly optional: boolean
  /** Offset of the tag's contents in the image, and their size. */
  readonly at: number
  readonly size: number
}

/** Offset of the header, or undefined. Never throws. */
export function findMultiboot2Header(image: Uint8Array): number | undefined {
  return findHeader(image, { magic: HEADER_MAGIC, align: 8, within: 32768, checksumWords: 4 })
}

/** Throws {@link ImageError} for a header that is damaged or requires what this machine hasn't got. */
export function parseMultiboot2Header(request: BootRequest): Multiboot2Header {
  const refuse = (reason: string) => new ImageError(`${request.name}: multiboot2 header: ${reason}`)
  const offset = findMultiboot2Header(request.image)
  if (offset === undefined) throw refuse('none with a right checksum in the first 32768 bytes')
  const data = new DataView(request.image.buffer, request.image.byteOffset, request.image.byteLength)
  if (data.getUint32(offset + 4, true) !== ARCHITECTURE_I386) {
    throw refuse(`architecture ${data.getUint32(offset + 4, true)} is not the PC's (0)`)
  }
  let header: Multiboot2Header = { offset }
  for (const tag of tags(data, offset, refuse)) {
    const need = (size: number) => {
      if (tag.size < size) throw refuse(`tag ${tag.type} has ${tag.size} bytes instead of ${size}`)
    }
    const field = (at: number) => data.getUint32(tag.at + at, true)
    switch (tag.type) {
      case TAG_INFORMATION_REQUEST:
        for (let at = 0; at + 4 <= tag.size && !tag.optional; at += 4) {
          if (field(at) > LAST_INFORMATION_TYPE) throw refuse(`unknown information ${field(at)} is required`)
        }
        break
      case TAG_ADDRESS:
        need(16)
        header = { ...header, address: { header: field(0), load: field(4), loadEnd: field(8), bssEnd: field(12) } }
        break
      case TAG_ENTRY_ADDRESS:
        need(4)
        header = { ...header, entry: field(0) }
        break
      case TAG_CONSOLE_FLAGS:
        need(4)
        if ((field(0) & CONSOLE_REQUIRED) !== 0 && (field(0) & CONSOLE_TEXT_SUPPORTED) === 0) {
          throw refuse('a console other than text is required; there is only 80x25 text')
        }
        break
      case TAG_RELOCATABLE:
        need(16)
        header = { ...header, relocation: { min: field(0), max: field(4), align: field(8), preference: field(12) } }
        break
      case TAG_FRAMEBUFFER:
      case TAG_MODULE_ALIGN:
      case TAG_EFI_BOOT_SERVICES:
      case TAG_EFI32_ENTRY:
      case TAG_EFI64_ENTRY:
        // The mode is a wish, and modules are page-aligned anyway.
        break
      default:
        if (!tag.optional) throw refuse(`unknown tag ${tag.type} is required`)
    }
  }
  return header
}

function* tags(data: DataView, offset: number, refuse: (reason: string) => ImageError): Generator<Tag> {
  const end = offset + data.getUint32(offset + 8, true)
  if (end > data.byteLength) throw refuse('it reaches past the end of the file; the image is truncated')
  for (let at = offset + FIXED_SIZE; at + 8 <= end; ) {
    const type = data.getUint16(at, true)
    const size = data.getUint32(at + 4, true)
    if (type === TAG_END) return
    if (size < 8 || at + size > end) throw refuse(`tag ${type} of ${size} bytes does not fit`)
    yield { type, optional: (data.getUint16(at + 2, true) & TAG_OPTIONAL) !== 0, at: at + 8, size: size - 8 }
    at += Math.ceil(size / 8) * 8
  }
}
