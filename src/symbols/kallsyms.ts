/**
 * Symbols that a Linux kernel carries in its own image (`CONFIG_KALLSYMS`), read from the bytes of the running or the
 * decompressed kernel. A stock kernel is stripped, but `/proc/kallsyms` must work, so the tables are always there.
 *
 * They have no header; they are found by their shape. Layout as written by `scripts/kallsyms.c` of Linux 4.6 to 6.x,
 * every table aligned to a word of the kernel, which `relative_base` has too:
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

/** Bytes of a pointer of the kernel. */
export type WordSize = 4 | 8

/** Bytes that may hold the tables. */
interface Haystack {
  readonly image: Uint8Array
  readonly view: DataView
  readonly word: WordSize
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
/** Names that are gone through at most while the table of them is searched for, whatever a guest puts there. */
const MOST_STEPS = 50_000_000
/** The lowest CONFIG_PAGE_OFFSET of i386 (VMSPLIT_1G): a 32-bit kernel lies above. */
const LOWEST_32_BIT_BASE = 0x4000_0000n

const align = (offset: number, word: WordSize): number => (offset + word - 1) & ~(word - 1)

/**
 * The kernel's symbols in the order of their addresses, or undefined when `image` holds no such tables.
 * @param image the kernel as it lies in memory, or its decompressed `vmlinux`; the tables must be contiguous in it,
 * and the kernel's words aligned as they are in memory
 */
export function parseKallsyms(image: Uint8Array, word: WordSize = 8): KernelSymbol[] | undefined {
  const haystack: Haystack = { image, word, view: new DataView(image.buffer, image.byteOffset, image.byteLength) }
  for (const tokens of tokenTables(haystack)) {
    const names = findNames(haystack, tokens.start)
    if (names === undefined) continue
    const addresses = readAddresses(haystack, names, tokens.end)
    if (addresses !== undefined) return expand(image, names, tokens.tokens, addresses)
  }
  return undefined
}

/**
 * Candidates for `token_table` with its index. The tokens '0' to '9' stand for themselves, because digits occur in
 * names; ten of them in a row are the pattern to look for, and the index proves it.
 */
function* tokenTables(haystack: Haystack): Generator<TokenTables> {
  const { image, word } = haystack
  const digits = Buffer.from('0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00', 'latin1')
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.byteLength)
  for (let at = bytes.indexOf(digits); at >= 0; at = bytes.indexOf(digits, at + 1)) {
    const start = startOfToken(image, at, DIGIT_ZERO)
    const table = start === undefined || start % word !== 0 ? undefined : readTokens(haystack, start)
    if (table !== undefined) yield table
  }
}

/** Goes `count` NUL-terminated strings back from the string at `at`. */
function startOfToken(image: Uint8Array, at: number, count: number): number | undefined {
  let position = at
  for (let i = 0; i < count; i++) {
    position-- // the terminator of the string before
    if (position <= 0 || image[position] !== 0) return undefined
    while (position > 0 && image[position - 1] !== 0) position--
  }
  return position
}

function readTokens({ image, view, word }: Haystack, start: number): TokenTables | undefined {
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
  const index = align(position, word)
  if (index + TOKENS * 2 > image.length) return undefined
  for (let i = 0; i < TOKENS; i++) if (view.getUint16(index + i * 2, true) !== offsets[i]) return undefined
  return { tokens, start, end: index + TOKENS * 2 }
}

/** Searches backwards from `token_table` for a count whose names end where the markers that describe them begin. */
function findNames(haystack: Haystack, before: number): NameTable | undefined {
  const { view, word } = haystack
  let steps = 0
  for (let at = before - 16; at >= 0 && steps < MOST_STEPS; at -= word) {
    const count = view.getUint32(at, true)
    if (count < FEWEST_SYMBOLS || count > MOST_SYMBOLS) continue
    // It has 4 bytes; zeros fill the word.
    if (word === 8 && view.getUint32(at + 4, true) !== 0) continue
    const markers = readNames(haystack, at + word, count, before)
    steps += markers.steps
    if (markers.fit) return { at, count, names: at + word }
  }
  return undefined
}

/** Goes through the names: do the markers behind them describe them? */
function readNames(
  { image, view, word }: Haystack,
  names: number,
  count: number,
  before: number,
): { fit: boolean; steps: number } {
  const markers: number[] = []
  let position = names
  for (let i = 0; i < count; i++) {
    if (i % MARKER_INTERVAL === 0) markers.push(position - names)
    const length = nameLength(image, position)
    position += length.prefix + length.bytes
    if (length.bytes === 0 || position >= before) return { fit: false, steps: i + 1 }
  }
  const at = align(position, word)
  const fit =
    at + markers.length * 4 <= before && markers.every((marker, i) => view.getUint32(at + i * 4, true) === marker)
  return { fit, steps: count }
}

/** Length prefix of a compressed name: one byte, or two since Linux 6.1 when the first has bit 7 set. */
function nameLength(image: Uint8Array, at: number): { prefix: number; bytes: number } {
  const first = image[at]
  return first & 0x80 ? { prefix: 2, bytes: (first & 0x7f) | (image[at + 1] << 7) } : { prefix: 1, bytes: first }
}

function readAddresses(haystack: Haystack, { at, count }: NameTable, behindTokens: number): bigint[] | undefined {
  const { word } = haystack
  const room = align(count * 4, word)
  const inFront = at - word - room
  const behind = align(behindTokens, word)
  return addressesAt(haystack, count, inFront, inFront + room) ?? addressesAt(haystack, count, behind, behind + room)
}

function addressesAt({ view, word }: Haystack, count: number, offsets: number, baseAt: number): bigint[] | undefined {
  if (offsets < 0 || baseAt + word > view.byteLength) return undefined
  if (word === 4) return addressesOf32Bits(view, count, offsets, BigInt(view.getUint32(baseAt, true)))
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

/** Per-CPU variables of i386 are no exception; offsets in the order of their size tell the table from other data. */
function addressesOf32Bits(view: DataView, count: number, offsets: number, base: bigint): bigint[] | undefined {
  if (base < LOWEST_32_BIT_BASE) return undefined
  const addresses: bigint[] = []
  for (let i = 0, last = 0; i < count; i++) {
    const offset = view.getUint32(offsets + i * 4, true)
    if (offset < last) return undefined
    last = offset
    addresses.push(BigInt.asUintN(32, base + BigInt(offset)))
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
