/** What a file that is no kernel looks like, so that an error can say more than "unknown format". */

const EM_NAMES: Readonly<Record<number, string>> = {
  2: 'SPARC',
  8: 'MIPS',
  20: 'PowerPC',
  21: 'PowerPC 64',
  22: 'IBM S/390',
  40: 'Arm',
  183: 'AArch64',
  243: 'RISC-V',
  258: 'LoongArch',
}

interface Signature {
  readonly offset: number
  readonly bytes: readonly number[]
  readonly description: string
}

const ascii = (text: string) => Array.from(text, character => character.charCodeAt(0))

const SIGNATURES: readonly Signature[] = [
  { offset: 0, bytes: [0x1f, 0x8b], description: 'gzip-compressed data; unpack it first (gunzip)' },
  { offset: 0, bytes: [0xfd, ...ascii('7zXZ'), 0], description: 'xz-compressed data; unpack it first (unxz)' },
  { offset: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], description: 'zstd-compressed data; unpack it first (unzstd)' },
  { offset: 0, bytes: ascii('BZh'), description: 'bzip2-compressed data; unpack it first (bunzip2)' },
  { offset: 0, bytes: [0x04, 0x22, 0x4d, 0x18], description: 'lz4-compressed data; unpack it first (unlz4)' },
  { offset: 0, bytes: ascii('070701'), description: 'a cpio archive; an initramfs belongs into --initrd' },
  { offset: 0, bytes: ascii('PK\u0003\u0004'), description: 'a zip archive' },
  { offset: 0, bytes: ascii('!<arch>'), description: 'an archive such as a Debian package; unpack the kernel from it' },
  { offset: 0, bytes: [0x51, 0x46, 0x49, 0xfb], description: 'a qcow2 disk image, not a kernel' },
  { offset: 0, bytes: [0x27, 0x05, 0x19, 0x56], description: 'a U-Boot image, for another architecture' },
  { offset: 0, bytes: ascii('#!'), description: 'a script' },
  { offset: 0x38, bytes: ascii('ARM\u0064'), description: 'a Linux kernel for AArch64; this is a PC' },
  { offset: 0x8001, bytes: ascii('CD001'), description: 'an ISO 9660 CD image, not a kernel' },
]

/** One phrase, such as "gzip-compressed data; unpack it first (gunzip)". Never throws. */
export function describeImage(image: Uint8Array): string {
  if (image.length === 0) return 'empty'
  const signature = SIGNATURES.find(({ offset, bytes }) => bytes.every((byte, index) => image[offset + index] === byte))
  if (signature) return signature.description
  if (startsWith(image, '\u007fELF')) return describeElf(image)
  if (startsWith(image, 'MZ')) return describePe(image)
  if (image.length > 512 && image[510] === 0x55 && image[511] === 0xaa) {
    return 'a disk image with a boot sector, which would need a BIOS'
  }
  if (image.every(byte => byte === 0)) return 'zeroes only'
  if (isText(image.subarray(0, 512))) return 'text'
  const first = Array.from(image.subarray(0, 4), byte => byte.toString(16).padStart(2, '0')).join(' ')
  return `unknown data that begins with ${first}`
}

function describeElf(image: Uint8Array): string {
  if (image.length < 20) return 'a truncated ELF file'
  const bigEndian = image[5] === 2
  const machine = bigEndian ? (image[18] << 8) | image[19] : image[18] | (image[19] << 8)
  return `an ELF file for ${EM_NAMES[machine] ?? `machine ${machine}`}; this is a PC`
}

/** PE/COFF (Microsoft PE format): an EFI program, perhaps a unified kernel image with the kernel in a section. */
function describePe(image: Uint8Array): string {
  const data = new DataView(image.buffer, image.byteOffset, image.byteLength)
  const at = image.length >= 0x40 ? data.getUint32(0x3c, true) : image.length
  if (at + 24 > image.length || data.getUint32(at, true) !== 0x4550) {
    return 'an MZ executable, or a kernel cut off in its header'
  }
  const sections = data.getUint16(at + 6, true)
  const table = at + 24 + data.getUint16(at + 20, true)
  for (let index = 0; index < sections; index++) {
    const name = image.subarray(table + index * 40, table + index * 40 + 8)
    if (startsWith(name, '.linux')) {
      return 'a unified kernel image, for UEFI only; take the kernel out of it (objcopy -O binary --only-section=.linux)'
    }
  }
  return 'an EFI or Windows program (PE/COFF), for UEFI only; use a kernel with a legacy or multiboot entry'
}

function startsWith(image: Uint8Array, text: string): boolean {
  return ascii(text).every((byte, index) => image[index] === byte)
}

function isText(bytes: Uint8Array): boolean {
  return bytes.every(byte => byte === 9 || byte === 10 || byte === 13 || (byte >= 0x20 && byte !== 0x7f))
}
