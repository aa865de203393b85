/**
 * Images without any format. A boot sector (512 bytes that end in 55 AA) runs as a BIOS starts it: in real mode at
 * 0000:7C00, DL = 80h. There is no BIOS to call, though. Everything else is copied to an address and entered at its
 * first byte, by default at 1 MiB in flat 32-bit protected mode.
 */

import { type BootRequest, type EntryState, type GuestRam, ImageError, type Loader } from './boot-target.ts'
import { protectedModeEntry, realModeEntry } from './entry-state.ts'
import { hex } from './hex.ts'
import { refuseInitrd } from './initrd.ts'
import { HIGH_MEMORY, Placement } from './placement.ts'

export const BOOT_SECTOR_ADDRESS = 0x7c00
export const SECTOR_SIZE = 512
/** The BIOS's number of the first hard disk. */
const FIRST_HARD_DISK = 0x80
/** The first byte that real mode can't reach, without HMA tricks. */
const REAL_MODE_END = 0x100000

export interface FlatOptions {
  /** Physical load address; default 7C00h for a boot sector and for `real`, 1 MiB otherwise. */
  readonly address?: number
  /** Default: `real` for a boot sector, `protected` otherwise. */
  readonly mode?: 'real' | 'protected'
}

/** One sector with the signature; one that begins like a PE file is the stub of a truncated EFI image. */
export function isBootSector(image: Uint8Array): boolean {
  const mz = image[0] === 0x4d && image[1] === 0x5a
  return image.length === SECTOR_SIZE && image[510] === 0x55 && image[511] === 0xaa && !mz
}

export function flatLoader(options: FlatOptions = {}): Loader {
  return {
    protocol: 'flat',
    recognizes: isBootSector,
    load: (request, ram) => loadFlat(request, ram, options),
  }
}

function loadFlat(request: BootRequest, ram: GuestRam, options: FlatOptions): EntryState {
  if (request.image.length === 0) throw new ImageError(`${request.name}: the file is empty`)
  refuseInitrd(request, 'a flat image')
  const mode = options.mode ?? (isBootSector(request.image) && options.address === undefined ? 'real' : 'protected')
  const address = options.address ?? (mode === 'real' ? BOOT_SECTOR_ADDRESS : HIGH_MEMORY)
  const placement = new Placement(request, ram)
  placement.claim(address, request.image.length, 'the flat image')
  if (mode === 'real' && address >= REAL_MODE_END) {
    throw new ImageError(
      `${request.name}: real mode can't reach the load address ${hex(address)}; choose one below 640 KiB`,
    )
  }
  ram.write(address, request.image)
  if (mode === 'protected') return protectedModeEntry(ram, placement, address, {})
  // Offsets below 64 KiB keep segment 0, as the BIOS enters a boot sector.
  const segment = address < 0x10000 ? 0 : address >>> 4
  return realModeEntry(segment, address - segment * 16, { rdx: FIRST_HARD_DISK, rsp: BOOT_SECTOR_ADDRESS })
}
