/**
 * Symbols that a Linux kernel carries in its own image (`CONFIG_KALLSYMS`), read from the bytes of the running or the
 * decompressed kernel. A stock kernel is stripped, but `/proc/kallsyms` must work, so the tables are always there.
 *
 * They have no header; they are found by their shape. Layout as written by `scripts/kallsyms.c` of Linux 4.6 to 6.x,
 * every table aligned to 8 bytes:
 *
 *     [offsets, relative_base]  num_syms  names  markers  [seqs_of_names]  token_table  token_index  [offsets, relative_base]
 *
 * with offsets and base in front until 6.3 and behind from 6.4 on. The base is relocated with the kernel, so that
 * addresses read from guest memory are right under KASLR too.
 */

export interface KernelSymbol {
  readonly name: string
  /** Linear address; per-CPU variables have their offset in the per-CPU area instead. */
  readonly address: bigint
  /** As `nm` and `/proc/kallsyms` print it: T text, D data, R read-only data, B bss, A absolute; lower case is local. */
  readonly type: string
}

interface TokenTables {
  readonly tokens: readonly Uint8Array[]
  /** Offset of `token_table`. */
  readonly start: number
  /** Offset behind `token_index`. */
  readonly end: number
}

interface NameTable {
  readonly count: number
  /** Offset of `num_syms`. */
  readonly at: number
  readonly names: number
}

const TOKENS = 256
/** One name a marker (`scripts/kallsyms.c`: every 256th). */
const MARKER_INTERVAL = 256
const DIGIT_ZERO = 0x30
/** More symbols than any kernel has; bounds every walk. */
const MOST_SYMBOLS = 4_000_000
const FEWEST_SYMBOLS = 512

const align8 = (offset: number): number => (offset + 7) & ~7

/**
 * The kernel's symbols in the order of their addresses, or undefined when `image` holds no such tables.
 * @param image the kernel as it lies in memory, or its decompressed `vmlinux`; the tables must be contiguous in it
 */
export function parseKallsyms(image: Uint8Array): KernelSymbol[] | undefined {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength)
  for (const tokens of tokenTables(image, view)) {
    const names = findNames(image, view, tokens.start)
    if (names === undefined) continue
    const addresses = readAddresses(view, names, tokens.end)
    if (addresses !== undefined) return expand(image, names, tokens.tokens, addresses)
  }
  return undefined
}

/**
 * Candidates for `token_table` with its index. The tokens '0' to '9' stand for themselves, because digits occur in
 * names; ten of them in a row are the pattern to look for, and the index proves it.
 */
function* tokenTables(image: Uint8Array, view: DataView): Generator<TokenTables> {
  const digits = Buffer.from('0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00', 'latin1')
  const haystack = Buffer.from(image.buffer, image.byteOffset, image.byteLength)
  for (let at = haystack.indexOf(digits); at >= 0; at = haystack.indexOf(digits, at + 1)) {
    const start = startOfToken(image, at, DIGIT_ZERO)
    const table = start === undefined ? undefined : readTokens(image, view, start)
    if (table !== undefined) yield table
  }
}

/** Goes `count` NUL-terminated strings back from the string at `at`; the table in front is aligned to 8. */
function startOfToken(image: Uint8Array, at: number, count: number): number | undefined {
  let position = at
  for (let i = 0; i < count; i++) {
    position-- // the terminator of the string before
    if (position <= 0 || image[position] !== 0) return undefined
    while (position > 0 && image[position - 1] !== 0) position--
  }
  return position % 8 === 0 ? position : undefined
}

function readTokens(image: Uint8Array, view: DataView, start: number): TokenTables | undefined {
  const tokens: Uint8Array[] = []
  const offsets: number[] = []
  let position = start
  for (let i = 0; i < TOKENS; i++) {
    const end = image.indexOf(0, position)
    if (end < 0) return undefined
    offsets.push(position - start)
    tokens.push(image.subarray(position, end))
    position = end + 1
  }
  const index = align8(position)
  if (index + TOKENS * 2 > image.length) return undefined
  for (let i = 0; i < TOKENS; i++) if (view.getUint16(index + i * 2, true) !== offsets[i]) return undefined
  return { tokens, start, end: index + TOKENS * 2 }
}

/** Searches backwards from `token_table` for a count whose names end where the markers that describe them begin. */
function findNames(image: Uint8Array, view: DataView, before: number): NameTable | undefined {
  for (let at = before - 16; at >= 0; at -= 8) {
    const count = view.getUint32(at, true)
    if (count < FEWEST_SYMBOLS || count > MOST_SYMBOLS || view.getUint32(at + 4, true) !== 0) continue
    if (markersFit(image, view, { at, count, names: at + 8 }, before)) return { at, count, names: at + 8 }
  }
  return undefined
}

function markersFit(image: Uint8Array, view: DataView, table: NameTable, before: number): boolean {
  const markers: number[] = []
  let position = table.names
  for (let i = 0; i < table.count; i++) {
    if (i % MARKER_INTERVAL === 0) markers.push(position - table.names)
    const length = nameLength(image, position)
    if (length.bytes === 0) return false
    position += length.prefix + length.bytes
    if (position >= before) return false
  }
  const at = align8(position)
  if (at + markers.length * 4 > before) return false
  return markers.every((marker, i) => view.getUint32(at + i * 4, true) === marker)
}

/** Length prefix of a compressed name: one byte, or two since Linux 6.1 when the first has bit 7 set. */
function nameLength(image: Uint8Array, at: number): { prefix: number; bytes: number } {
  const first = image[at]
  return first & 0x80 ? { prefix: 2, bytes: (first & 0x7f) | (image[at + 1] << 7) } : { prefix: 1, bytes: first }
}

function readAddresses(view: DataView, names: NameTable, behindTokens: number): bigint[] | undefined {
  const room = align8(names.count * 4)
  const inFront = names.at - 8 - room
  return addressesAt(view, names.count, inFront, inFront + room) ?? addressesBehind(view, names.count, behindTokens)
}

function addressesBehind(view: DataView, count: number, at: number): bigint[] | undefined {
  const offsets = align8(at)
  return addressesAt(view, count, offsets, offsets + align8(count * 4))
}

function addressesAt(view: DataView, count: number, offsets: number, baseAt: number): bigint[] | undefined {
  if (offsets < 0 || baseAt + 8 > view.byteLength) return undefined
  const base = view.getBigUint64(baseAt, true)
  // A kernel's text lies in the upper half of the canonical addresses.
  if (base >> 47n !== 0x1ffffn) return undefined
  let negative = 0
  for (let i = 0; i < count; i++) if (view.getInt32(offsets + i * 4, true) < 0) negative++
  // CONFIG_KALLSYMS_ABSOLUTE_PERCPU: what is not negative is absolute, -1 is the base itself, and so on downwards.
  const absolutePercpu = negative > count / 2
  const addresses: bigint[] = []
  for (let i = 0; i < count; i++) {
    const offset = view.getInt32(offsets + i * 4, true)
    if (!absolutePercpu) addresses.push(base + BigInt(offset >>> 0))
    else addresses.push(offset >= 0 ? BigInt(offset) : base - 1n - BigInt(offset))
  }
  return addresses
}

function expand(
  image: Uint8Array,
  table: NameTable,
  tokens: readonly Uint8Array[],
  addresses: readonly bigint[],
): KernelSymbol[] {
  const texts = tokens.map(token => Buffer.from(token).toString('latin1'))
  const symbols: KernelSymbol[] = []
  let position = table.names
  for (let i = 0; i < table.count; i++) {
    const { prefix, bytes } = nameLength(image, position)
    position += prefix
    let text = ''
    for (let k = 0; k < bytes; k++) text += texts[image[position + k]]
    position += bytes
    symbols.push({ name: text.slice(1), address: addresses[i], type: text.slice(0, 1) })
  }
  return symbols
}
