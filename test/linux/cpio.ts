/**
 * Writer of the `newc` cpio format, which Linux unpacks as an initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 */

export type CpioEntry =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string; readonly data: Uint8Array; readonly executable: boolean }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'character-device'; readonly path: string; readonly major: number; readonly minor: number }

// File types and modes: inode(7).
const S_IFDIR = 0o040000
const S_IFREG = 0o100000
const S_IFLNK = 0o120000
const S_IFCHR = 0o020000

const MAGIC = '070701'
const TRAILER = 'TRAILER!!!'

/** Archive with the entries in the order given; paths without a leading slash, parents before children. */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const records = entries.map((entry, index) =>
    record(entry.path, modeOf(entry), contentOf(entry), index + 1, deviceOf(entry)),
  )
  return Buffer.concat([...records, record(TRAILER, 0, Buffer.alloc(0), 0, [0, 0])])
}

function modeOf(entry: CpioEntry): number {
  switch (entry.kind) {
    case 'directory':
      return S_IFDIR | 0o755
    case 'file':
      return S_IFREG | (entry.executable ? 0o755 : 0o644)
    case 'symlink':
      return S_IFLNK | 0o777
    case 'character-device':
      return S_IFCHR | 0o600
  }
}

function contentOf(entry: CpioEntry): Uint8Array {
  if (entry.kind === 'file') return entry.data
  return Buffer.from(entry.kind === 'symlink' ? entry.target : '')
}

function deviceOf(entry: CpioEntry): readonly [major: number, minor: number] {
  return entry.kind === 'character-device' ? [entry.major, entry.minor] : [0, 0]
}

/** Times and owners are zero, so that equal entries make equal archives. */
function record(
  path: string,
  mode: number,
  content: Uint8Array,
  inode: number,
  [major, minor]: readonly [number, number],
): Buffer {
  const [user, group, links, modified, containerMajor, containerMinor, checksum] = [0, 0, 1, 0, 0, 0, 0]
  const nameSize = Buffer.byteLength(path) + 1
  const fields = [inode, mode, user, group, links, modified, content.length]
  fields.push(containerMajor, containerMinor, major, minor, nameSize, checksum)
  const header = MAGIC + fields.map(field => field.toString(16).padStart(8, '0')).join('')
  return Buffer.concat([padded(Buffer.from(`${header}${path}\0`)), padded(content)])
}

/** Header with name, and content, each end at a multiple of 4 bytes. */
function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)])
}
