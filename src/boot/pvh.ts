/**
 * PVH: an ELF file with a Xen note that holds its 32-bit physical entry point. The kernel gets `hvm_start_info` in
 * EBX (Xen docs/misc/pvh.pandoc, xen/include/public/arch-x86/hvm/start_info.h).
 */

import { XEN_ELFNOTE_PHYS32_ENTRY } from '../symbols/elf/constants.ts'
import { ElfError } from '../symbols/elf/elf-error.ts'
import { ElfFile } from '../symbols/elf/elf-file.ts'
import { type BootRequest, type GuestRam, ImageError, type Loader } from './boot-target.ts'
import { cString } from './c-string.ts'
import { loadElf, openElf, readingElf } from './elf-image.ts'
import { protectedModeEntry } from './entry-state.ts'
import { hex } from './hex.ts'
import { loadInitrd } from './initrd.ts'
import { Placement } from './placement.ts'

const START_INFO_MAGIC = 0x336ec578
const START_INFO_VERSION = 1
const START_INFO_SIZE = 56
const MODULE_ENTRY_SIZE = 32
const MEMMAP_ENTRY_SIZE = 24

export const pvh: Loader = {
  protocol: 'pvh',

  recognizes(image) {
    if (!ElfFile.hasMagic(image)) return false
    try {
      return pvhEntry(new ElfFile(image)) !== undefined
    } catch (error) {
      if (error instanceof ElfError) return false
      throw error
    }
  },

  load(request, ram) {
    const elf = openElf(request)
    const entry = readingElf(request, () => pvhEntry(elf))
    if (entry === undefined) {
      throw new ImageError(
        `${request.name}: no PVH entry point (Xen note 18); a Linux kernel needs CONFIG_PVH=y for it`,
      )
    }
    const placement = new Placement(request, ram)
    const loaded = loadElf(request, elf, ram, placement)
    if (entry < loaded.start || entry >= loaded.end) {
      throw new ImageError(`${request.name}: the PVH entry point ${hex(entry)} is in none of the loaded segments`)
    }
    return protectedModeEntry(ram, placement, entry, { rbx: writeStartInfo(request, ram, placement) })
  },
}

/** The note's value has the size of the ELF class's words; the address is a 32-bit one either way. */
function pvhEntry(elf: ElfFile): number | undefined {
  const description = elf.note('Xen', XEN_ELFNOTE_PHYS32_ENTRY)?.description
  if (!description || description.length < 4) return undefined
  return new DataView(description.buffer, description.byteOffset).getUint32(0, true)
}

function writeStartInfo(request: BootRequest, ram: GuestRam, placement: Placement): number {
  const initrd = loadInitrd(request, ram, placement, { highest: true })
  const cmdlineBytes = cString(request, request.cmdline)
  const modules = START_INFO_SIZE
  const memmap = modules + (initrd ? MODULE_ENTRY_SIZE : 0)
  const cmdline = memmap + ram.map.length * MEMMAP_ENTRY_SIZE
  const bytes = new Uint8Array(cmdline + cmdlineBytes.length)
  const base = placement.allocateStructure(bytes.length, 'the PVH start info')
  const data = new DataView(bytes.buffer)
  const setAddress = (at: number, value: number) => data.setBigUint64(at, BigInt(value), true)
  data.setUint32(0, START_INFO_MAGIC, true)
  data.setUint32(4, START_INFO_VERSION, true)
  data.setUint32(12, initrd ? 1 : 0, true)
  setAddress(16, initrd ? base + modules : 0)
  setAddress(24, base + cmdline)
  setAddress(32, request.rsdp ?? 0)
  setAddress(40, base + memmap)
  data.setUint32(48, ram.map.length, true)
  if (initrd) {
    setAddress(modules, initrd.start)
    setAddress(modules + 8, initrd.size)
  }
  ram.map.forEach(({ start, length, type }, index) => {
    const at = memmap + index * MEMMAP_ENTRY_SIZE
    setAddress(at, start)
    setAddress(at + 8, length)
    data.setUint32(at + 16, type, true)
  })
  bytes.set(cmdlineBytes, cmdline)
  ram.write(base, bytes)
  return base
}
