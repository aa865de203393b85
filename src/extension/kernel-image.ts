/** Tells a kernel that can be booted from other files, by how it begins. */

/** How many bytes of a file are enough: Multiboot 2 has its header in the first 32 KiB. */
export const ENOUGH = 32 * 1024

// Linux/x86 boot protocol: the setup header is at 0x1f1, and its magic number at 0x202.
const LINUX_MAGIC_AT = 0x202
const LINUX_MAGIC = 0x5372_6448
// Multiboot 0.6.96, 3.1.1: in the first 8192 bytes, aligned to 4. Multiboot 2, 3.1.1: in the first 32768, to 8.
const MULTIBOOT1 = { magic: 0x1bad_b002, within: 8192, alignment: 4, fields: 3 }
const MULTIBOOT2 = { magic: 0xe852_50d6, within: ENOUGH, alignment: 8, fields: 4 }

export type KernelKind = 'Linux' | 'Multiboot'

/** @param start the file's first {@link ENOUGH} bytes, or all of it. */
export function kernelKind(start: Uint8Array): KernelKind | undefined {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength)
  if (start.length >= LINUX_MAGIC_AT + 4 && view.getUint32(LINUX_MAGIC_AT, true) === LINUX_MAGIC) return 'Linux'
  return [MULTIBOOT1, MULTIBOOT2].some(header => hasHeader(view, header)) ? 'Multiboot' : undefined
}

/** A magic number alone may be chance: the header's fields add up to zero. */
function hasHeader(view: DataView, { magic, within, alignment, fields }: typeof MULTIBOOT1): boolean {
  const end = Math.min(view.byteLength, within) - fields * 4
  for (let at = 0; at <= end; at += alignment) {
    if (view.getUint32(at, true) !== magic) continue
    let sum = 0
    for (let field = 0; field < fields; field++) sum += view.getUint32(at + field * 4, true)
    if (sum % 2 ** 32 === 0) return true
  }
  return false
}
