/** Multiboot2 (Multiboot2 Specification 2.0), entered in 32-bit protected mode. */

import { ElfFile } from '../../symbols/elf/elf-file.ts'
import { type BootRequest, type GuestRam, ImageError, type Loader } from '../boot-target.ts'
import { type LoadedRange, loadableSegments, loadElf, openElf, physicalEntry } from '../elf-image.ts'
import { protectedModeEntry } from '../entry-state.ts'
import { hex } from '../hex.ts'
import { loadInitrd } from '../initrd.ts'
import { PAGE_SIZE, Placement } from '../placement.ts'
import { loadByAddressFields } from './address-fields.ts'
import { type ElfSectionHeaders, loadSectionHeaders } from './elf-sections.ts'
import {
  findMultiboot2Header,
  type Multiboot2Header,
  parseMultiboot2Header,
  type Relocation,
} from './multiboot2-header.ts'
import { writeMultiboot2Info } from './multiboot2-info.ts'

/** In EAX at entry. */
const BOOTLOADER_MAGIC = 0x36d76289
const PREFERENCE_HIGHEST = 2

interface LoadedImage extends LoadedRange {
  readonly entry: number
  readonly sections?: ElfSectionHeaders | undefined
}

export const multiboot2: Loader = {
  protocol: 'multiboot2',

  recognizes: image => findMultiboot2Header(image) !== undefined,

  load(request, ram) {
    const header = parseMultiboot2Header(request)
    const placement = new Placement(request, ram)
    const image = header.address
      ? loadFlatImage(request, ram, placement, header)
      : loadElfImage(request, ram, placement, header)
    if (image.entry < image.start || image.entry >= image.end) {
      throw new ImageError(`${request.name}: multiboot2: entry point ${hex(image.entry)} is outside the loaded image`)
    }
    const initrd = loadInitrd(request, ram, placement, { highest: false, from: image.end })
    const info = writeMultiboot2Info(request, ram, placement, {
      initrd,
      sections: image.sections,
      loadBase: header.relocation && image.start,
    })
    return protectedModeEntry(ram, placement, image.entry, { rax: BOOTLOADER_MAGIC, rbx: info })
  },
}

function loadFlatImage(
  request: BootRequest,
  ram: GuestRam,
  placement: Placement,
  { offset, address, entry }: Multiboot2Header,
): LoadedImage {
  if (!address || entry === undefined) {
    throw new ImageError(`${request.name}: multiboot2 header: an address tag needs an entry address tag too`)
  }
  return { ...loadByAddressFields(request, ram, placement, offset, address), entry }
}

function loadElfImage(
  request: BootRequest,
  ram: GuestRam,
  placement: Placement,
  { entry, relocation }: Multiboot2Header,
): LoadedImage {
  if (!ElfFile.hasMagic(request.image)) {
    throw new ImageError(`${request.name}: multiboot2: neither an ELF file nor an address tag in its header`)
  }
  const elf = openElf(request)
  const displacement = relocation ? relocate(request, elf, placement, relocation) : 0
  const loaded = loadElf(request, elf, ram, placement, displacement)
  const sections = loadSectionHeaders(request, elf, ram, placement)
  return { ...loaded, sections, entry: (entry ?? physicalEntry(request, elf)) + displacement }
}

/** How far a relocatable image moves: nowhere, when its linked addresses are free and allowed. */
function relocate(
  request: BootRequest,
  elf: ElfFile,
  placement: Placement,
  { min, max, align, preference }: Relocation,
): number {
  if (align === 0 || (align & (align - 1)) !== 0) {
    throw new ImageError(`${request.name}: multiboot2 header: alignment ${hex(align)} is no power of two`)
  }
  const segments = loadableSegments(request, elf)
  const start = Math.min(...segments.map(segment => Number(segment.physical)))
  const end = Math.max(...segments.map(segment => Number(segment.physical) + segment.memorySize))
  if (start >= min && end - 1 <= max && placement.isFree(start, end - start)) return 0
  const options = { from: min, to: max + 1, align: Math.max(align >>> 0, PAGE_SIZE) }
  const place = placement.find(end - start, { ...options, highest: preference === PREFERENCE_HIGHEST })
  if (place === undefined) {
    throw new ImageError(
      `${request.name}: no room for ${end - start} bytes between ${hex(min)} and ${hex(max)}, where its multiboot2 header wants to be; give the machine more memory`,
    )
  }
  return place - start
}
