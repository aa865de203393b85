/** `struct boot_params`, the "zero page" (Linux Documentation/arch/x86/zero-page.rst). */

import type { MemoryRange } from '../boot-target.ts'
import type { PlacedInitrd } from '../initrd.ts'
import { HEADER_START, type SetupHeader } from './setup-header.ts'

export const ZERO_PAGE_SIZE = 0x1000

const ACPI_RSDP_ADDR = 0x070
const E820_ENTRIES = 0x1e8
const VID_MODE = 0x1fa
const TYPE_OF_LOADER = 0x210
const CODE32_START = 0x214
const RAMDISK_IMAGE = 0x218
const RAMDISK_SIZE = 0x21c
const CMD_LINE_PTR = 0x228
const E820_TABLE = 0x2d0
const E820_ENTRY_SIZE = 20
const E820_MAX = 128

const LOADER_UNDEFINED = 0xff
/** "normal" of the vid_mode values: the mode the screen is in. */
const VIDEO_NORMAL = 0xffff

export interface ZeroPageContents {
  readonly header: SetupHeader
  readonly loadAddress: number
  readonly cmdline: number
  readonly initrd: PlacedInitrd | undefined
  readonly rsdp: number | undefined
  readonly map: readonly MemoryRange[]
}

export function buildZeroPage({ header, loadAddress, cmdline, initrd, rsdp, map }: ZeroPageContents): Uint8Array {
  const bytes = new Uint8Array(ZERO_PAGE_SIZE)
  const data = new DataView(bytes.buffer)
  bytes.set(header.bytes, HEADER_START)
  writeScreenInfo(data)
  // The upper halves (ext_ramdisk_image, ext_ramdisk_size, ext_cmd_line_ptr) stay 0: all of it lies below 4 GiB.
  data.setUint16(VID_MODE, VIDEO_NORMAL, true)
  data.setUint8(TYPE_OF_LOADER, LOADER_UNDEFINED)
  data.setUint32(CODE32_START, loadAddress + header.entry32, true)
  data.setUint32(RAMDISK_IMAGE, initrd?.start ?? 0, true)
  data.setUint32(RAMDISK_SIZE, initrd?.size ?? 0, true)
  data.setUint32(CMD_LINE_PTR, cmdline, true)
  data.setBigUint64(ACPI_RSDP_ADDR, BigInt(rsdp ?? 0), true)
  writeE820(data, map)
  return bytes
}

/** `struct screen_info` at offset 0: VGA in 80x25 colour text mode (include/uapi/linux/screen_info.h). */
function writeScreenInfo(data: DataView): void {
  const MODE_80X25_COLOR = 3
  const VGA_MEMORY_256K = 3
  data.setUint8(0x06, MODE_80X25_COLOR)
  data.setUint8(0x07, 80)
  data.setUint16(0x0a, VGA_MEMORY_256K, true)
  data.setUint8(0x0e, 25)
  data.setUint8(0x0f, 1)
  data.setUint16(0x10, 16, true)
}

function writeE820(data: DataView, map: readonly MemoryRange[]): void {
  const entries = map.slice(0, E820_MAX)
  data.setUint8(E820_ENTRIES, entries.length)
  entries.forEach(({ start, length, type }, index) => {
    const at = E820_TABLE + index * E820_ENTRY_SIZE
    data.setBigUint64(at, BigInt(start), true)
    data.setBigUint64(at + 8, BigInt(length), true)
    data.setUint32(at + 16, type, true)
  })
}
