/**
 * The setup header of a bzImage (Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"), checked for
 * what the 32-bit and 64-bit boot protocols need.
 */

import { type BootRequest, ImageError } from '../boot-target.ts'
import { hex } from '../hex.ts'

/** The header starts here, in the image and in the zero page alike. */
export const HEADER_START = 0x1f1
/** What follows the header in the zero page begins here. */
export const HEADER_LIMIT = 0x290

const SETUP_SECTS = 0x1f1
const SYSSIZE = 0x1f4
const BOOT_FLAG = 0x1fe
const JUMP_OFFSET = 0x201
const MAGIC = 0x202
const VERSION = 0x206
const LOADFLAGS = 0x211
const CODE32_START = 0x214
const INITRD_ADDR_MAX = 0x22c
const KERNEL_ALIGNMENT = 0x230
const RELOCATABLE_KERNEL = 0x234
const XLOADFLAGS = 0x236
const CMDLINE_SIZE = 0x238
const PREF_ADDRESS = 0x258
const INIT_SIZE = 0x260

const HDRS = 0x53726448
const LOADED_HIGH = 1 << 0
const XLF_KERNEL_64 = 1 << 0

/** cmdline_size came with 2.06; every kernel since 2.6.22 has it. */
const OLDEST_VERSION = 0x0206
const VERSION_PREF_ADDRESS = 0x020a
const VERSION_XLOADFLAGS = 0x020c
/** Where protocols before 2.10 put every kernel. */
export const DEFAULT_LOAD_ADDRESS = 0x100000
const SECTOR = 512

export interface SetupHeader {
  /** Major in the high byte. */
  readonly version: number
  /** The header's bytes, from {@link HEADER_START} on. */
  readonly bytes: Uint8Array
  /** The protected-mode kernel. */
  readonly kernel: Uint8Array
  /** Offset of the 32-bit entry point in it. */
  readonly entry32: number
  /** It has a 64-bit entry point, at offset 200h. */
  readonly has64: boolean
  readonly relocatable: boolean
  /** Bytes, a power of two. */
  readonly alignment: number
  /** Where it wants to be loaded. */
  readonly preferredAddress: number
  /** Contiguous memory that it needs from its load address on. */
  readonly initSize: number
  /** Last address that the initrd may use. */
  readonly initrdMax: number
  /** Longest command line, without its NUL. */
  readonly cmdlineSize: number
}

export function hasSetupHeader(image: Uint8Array): boolean {
  return image.length >= MAGIC + 4 && view(image).getUint32(MAGIC, true) === HDRS
}

/** Throws {@link ImageError} for an image that neither protocol can start. */
export function parseSetupHeader(request: BootRequest): SetupHeader {
  const { image, name } = request
  if (!hasSetupHeader(image)) throw new ImageError(`${name}: not a Linux bzImage: no "HdrS" at offset 0x202`)
  if (image.length < HEADER_LIMIT) {
    throw new ImageError(`${name}: truncated Linux image: ${image.length} bytes do not hold its setup header`)
  }
  const data = view(image)
  if (data.getUint16(BOOT_FLAG, true) !== 0xaa55) {
    throw new ImageError(`${name}: damaged Linux image: no boot flag 55 AA at offset 0x1fe`)
  }
  const version = data.getUint16(VERSION, true)
  if (version < OLDEST_VERSION) {
    throw new ImageError(
      `${name}: Linux boot protocol ${versionText(version)} is too old; a kernel with 2.06 or later (Linux 2.6.22) is needed`,
    )
  }
  if ((image[LOADFLAGS] & LOADED_HIGH) === 0) {
    throw new ImageError(`${name}: a zImage, which loads below 640 KiB through a BIOS; build it as bzImage`)
  }
  const kernel = protectedModeKernel(name, data)
  const has64 = version >= VERSION_XLOADFLAGS && (data.getUint16(XLOADFLAGS, true) & XLF_KERNEL_64) !== 0
  const entry32 = data.getUint32(CODE32_START, true) - DEFAULT_LOAD_ADDRESS
  const has32 = entry32 >= 0 && entry32 < kernel.length
  if (!has32 && !has64) {
    throw new ImageError(
      `${name}: a Linux image without a 32-bit or 64-bit entry point (code32_start ${hex(data.getUint32(CODE32_START, true))}), for UEFI only; use a kernel built without that restriction, or its vmlinux`,
    )
  }
  return {
    version,
    bytes: image.subarray(HEADER_START, Math.min(MAGIC + image[JUMP_OFFSET], HEADER_LIMIT)),
    kernel,
    entry32: has32 ? entry32 : 0,
    has64,
    cmdlineSize: data.getUint32(CMDLINE_SIZE, true),
    initrdMax: data.getUint32(INITRD_ADDR_MAX, true),
    ...placementFields(request, data, version, kernel),
  }
}

/** "2.15" */
export function versionText(version: number): string {
  return `${version >> 8}.${(version & 0xff).toString().padStart(2, '0')}`
}

function protectedModeKernel(name: string, data: DataView): Uint8Array {
  // boot.rst: "For backwards compatibility, if the setup_sects field contains 0, the real value is 4."
  const setupSectors = data.getUint8(SETUP_SECTS) || 4
  const start = (setupSectors + 1) * SECTOR
  const size = data.getUint32(SYSSIZE, true) * 16
  if (size === 0) throw new ImageError(`${name}: damaged Linux image: the setup header says that it holds no kernel`)
  // syssize counts paragraphs, the last of which the file need not fill.
  if (data.byteLength <= start + size - 16) {
    throw new ImageError(
      `${name}: truncated Linux image: ${data.byteLength} bytes of ${start + size}; copy or download it again`,
    )
  }
  return new Uint8Array(data.buffer, data.byteOffset + start, Math.min(size, data.byteLength - start))
}

function placementFields(request: BootRequest, data: DataView, version: number, kernel: Uint8Array) {
  const relocatable = data.getUint8(RELOCATABLE_KERNEL) !== 0
  const alignment = relocatable ? data.getUint32(KERNEL_ALIGNMENT, true) : 1
  if (alignment === 0 || (alignment & (alignment - 1)) !== 0) {
    throw new ImageError(`${request.name}: damaged Linux image: kernel alignment ${hex(alignment)} is no power of two`)
  }
  if (version < VERSION_PREF_ADDRESS) {
    return { relocatable, alignment, preferredAddress: DEFAULT_LOAD_ADDRESS, initSize: kernel.length }
  }
  const preferred = data.getBigUint64(PREF_ADDRESS, true)
  if (preferred > 0xffffffffn) {
    throw new ImageError(
      `${request.name}: damaged Linux image: preferred load address ${hex(preferred)} is above 4 GiB`,
    )
  }
  const initSize = Math.max(data.getUint32(INIT_SIZE, true), kernel.length)
  return { relocatable, alignment: alignment >>> 0, preferredAddress: Number(preferred), initSize }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
