/**
 * An encoder for the part of AML (ACPI 6.5, chapter 20) that this machine's DSDT uses. A term is a list of bytes;
 * what contains other terms takes them as arguments.
 */

export type Term = readonly number[]

const ZERO_OP = 0x00
const ONE_OP = 0x01
const NAME_OP = 0x08
const BYTE_PREFIX = 0x0a
const WORD_PREFIX = 0x0b
const DWORD_PREFIX = 0x0c
const STRING_PREFIX = 0x0d
const SCOPE_OP = 0x10
const BUFFER_OP = 0x11
const PACKAGE_OP = 0x12
const DUAL_NAME_PREFIX = 0x2e
const MULTI_NAME_PREFIX = 0x2f
const EXT_OP_PREFIX = 0x5b
const DEVICE_OP = 0x82
const ROOT_CHAR = 0x5c

const NAME_SEGMENT = /^[A-Z_][A-Z0-9_]{0,3}$/

/** A path such as `\_SB.PCI0` or `_HID`. Throws RangeError for what is no name. */
export function path(text: string): Term {
  const rooted = text.startsWith('\\')
  const segments = (rooted ? text.slice(1) : text).split('.')
  for (const segment of segments) {
    if (!NAME_SEGMENT.test(segment)) throw new RangeError(`"${text}" is not an ACPI name`)
  }
  const prefix =
    segments.length === 1 ? [] : segments.length === 2 ? [DUAL_NAME_PREFIX] : [MULTI_NAME_PREFIX, segments.length]
  return [...(rooted ? [ROOT_CHAR] : []), ...prefix, ...segments.flatMap(segment => ascii(segment.padEnd(4, '_')))]
}

/** An integer of up to 32 bits. */
export function integer(value: number): Term {
  if (value === 0) return [ZERO_OP]
  if (value === 1) return [ONE_OP]
  if (value <= 0xff) return [BYTE_PREFIX, value]
  if (value <= 0xffff) return [WORD_PREFIX, ...littleEndian(value, 2)]
  return [DWORD_PREFIX, ...littleEndian(value, 4)]
}

export function string(text: string): Term {
  return [STRING_PREFIX, ...ascii(text), 0]
}

/** A plug-and-play id such as `PNP0A03`, compressed to 32 bits (19.3.4): three letters of 5 bits, then the number. */
export function eisaId(id: string): Term {
  const [a, b, c] = ascii(id).map(code => code - 0x40)
  const compressed = ((a << 26) | (b << 21) | (c << 16) | Number.parseInt(id.slice(3), 16)) >>> 0
  return [DWORD_PREFIX, ...littleEndian(compressed, 4).toReversed()]
}

export function buffer(bytes: Term): Term {
  return [BUFFER_OP, ...sized([...integer(bytes.length), ...bytes])]
}

/** At most 255 elements. */
export function pkg(...elements: readonly Term[]): Term {
  return [PACKAGE_OP, ...sized([elements.length, ...elements.flat()])]
}

export function name(of: string, value: Term): Term {
  return [NAME_OP, ...path(of), ...value]
}

export function scope(of: string, ...terms: readonly Term[]): Term {
  return [SCOPE_OP, ...sized([...path(of), ...terms.flat()])]
}

export function device(of: string, ...terms: readonly Term[]): Term {
  return [EXT_OP_PREFIX, DEVICE_OP, ...sized([...path(of), ...terms.flat()])]
}

/** PkgLength and contents (20.2.4). The length counts its own bytes. */
function sized(contents: Term): Term {
  if (contents.length + 1 <= 0x3f) return [contents.length + 1, ...contents]
  const following = contents.length + 2 <= 0xfff ? 1 : contents.length + 3 <= 0xfffff ? 2 : 3
  const length = contents.length + 1 + following
  return [(following << 6) | (length & 0xf), ...littleEndian(length >>> 4, following), ...contents]
}

function littleEndian(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, index) => (value >>> (8 * index)) & 0xff)
}

function ascii(text: string): number[] {
  return Array.from(text, character => character.charCodeAt(0))
}
