/** Which kernel a bzImage holds, to be compared with the `vmlinux` that is to describe it. */

import * as zlib from 'node:zlib'
import type { DebugFile } from '../../symbols/dwarf/debug-file.ts'
import { ElfError } from '../../symbols/elf/elf-error.ts'
import { ElfFile } from '../../symbols/elf/elf-file.ts'
import { ElfSections } from '../../symbols/elf/section-contents.ts'
import { decompressLegacyLz4, isLegacyLz4 } from './lz4.ts'

export interface KernelIdentity {
  /** `6.1.0-18-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP ...`, as `file` shows it. */
  readonly version: string | undefined
  /** Of the kernel inside; undefined when its compression can't be undone here. */
  readonly buildId: string | undefined
}

// Fields of the setup header (Linux Documentation/arch/x86/boot.rst).
const SETUP_SECTORS = 0x1f1
const KERNEL_VERSION = 0x20e
const PAYLOAD_OFFSET = 0x248
const PAYLOAD_LENGTH = 0x24c
const SECTOR = 512
const LONGEST_VERSION = 512
/** A kernel is smaller than this; bounds what a hostile image decompresses to. */
const LARGEST_KERNEL = 2 ** 29
/** The build appends the size of the decompressed kernel (scripts/Makefile.lib, size_append). */
const SIZE_SUFFIX = 4

export function kernelIdentity(image: Uint8Array): KernelIdentity {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.byteLength)
  if (bytes.length < PAYLOAD_LENGTH + 4) return { version: undefined, buildId: undefined }
  const pointer = bytes.readUInt16LE(KERNEL_VERSION)
  const version = pointer === 0 ? undefined : text(bytes.subarray(pointer + SECTOR, pointer + SECTOR + LONGEST_VERSION))
  return { version: version === '' ? undefined : version, buildId: payloadBuildId(bytes) }
}

/**
 * Why a symbol file does not belong to a kernel; undefined when it does, or when nothing can be compared.
 * The build id decides where both are known, the version otherwise.
 */
export function mismatch(identity: KernelIdentity, file: DebugFile): string | undefined {
  if (identity.buildId !== undefined && file.buildId !== undefined)
    return identity.buildId === file.buildId
      ? undefined
      : `is of another build than the kernel that boots (build id ${file.buildId}, not ${identity.buildId})`
  const banner = bannerOf(file)
  if (identity.version === undefined || banner === undefined) return undefined
  const [release] = identity.version.split(' ', 1)
  const build = identity.version.slice(Math.max(0, identity.version.indexOf('#')))
  if (banner.startsWith(`Linux version ${release} `) && banner.includes(build)) return undefined
  return `is of "${banner}", but the kernel that boots is "${identity.version}"`
}

function payloadBuildId(image: Buffer): string | undefined {
  const start = ((image[SETUP_SECTORS] || 4) + 1) * SECTOR + image.readUInt32LE(PAYLOAD_OFFSET)
  const length = image.readUInt32LE(PAYLOAD_LENGTH) - SIZE_SUFFIX
  if (length <= 0 || start + length > image.length) return undefined
  const kernel = decompressed(image.subarray(start, start + length))
  if (kernel === undefined || !ElfFile.hasMagic(kernel)) return undefined
  try {
    return new ElfFile(kernel).buildId
  } catch (error) {
    if (error instanceof ElfError) return undefined
    throw error
  }
}

/** gzip, zstd and LZ4; XZ, bzip2, LZMA and LZO can't be undone here. */
function decompressed(payload: Buffer): Uint8Array | undefined {
  const options = { maxOutputLength: LARGEST_KERNEL }
  if (isLegacyLz4(payload)) return decompressLegacyLz4(payload, LARGEST_KERNEL)
  try {
    if (payload.readUInt16BE(0) === 0x1f8b) return zlib.gunzipSync(payload, options)
    if (payload.readUInt32LE(0) === 0xfd2fb528) return zlib.zstdDecompressSync(payload, options)
  } catch {
    // A damaged payload has no build id; the boot itself will say what is wrong.
  }
  return undefined
}

/** `linux_banner`, as the file has it. */
function bannerOf(file: DebugFile): string | undefined {
  try {
    const address = file.symbolNamed('linux_banner')?.address
    if (address === undefined) return undefined
    const linked = BigInt.asUintN(64, address - file.slide)
    const section = file.elf.sections.find(
      each => each.address !== 0n && linked >= each.address && linked < each.address + BigInt(each.size),
    )
    const contents = section && new ElfSections(file.elf).named(section.name)
    if (contents === undefined) return undefined
    const offset = Number(linked - contents.address)
    return text(contents.read(offset, Math.min(LONGEST_VERSION, contents.size - offset))).trimEnd()
  } catch (error) {
    if (error instanceof ElfError) return undefined
    throw error
  }
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('latin1')
}
