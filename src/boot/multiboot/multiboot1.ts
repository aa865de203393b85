/** Multiboot 1 (Multiboot Specification 0.6.96): an ELF32 or ELF64 image, or one with addresses in its header. */

import { type BootRequest, type GuestRam, ImageError, type Loader } from '../boot-target.ts'
import { cString } from '../c-string.ts'
import { type LoadedRange, loadElf, openElf, physicalEntry } from '../elf-image.ts'
import { protectedModeEntry } from '../entry-state.ts'
import { hex } from '../hex.ts'
import { loadInitrd, type PlacedInitrd } from '../initrd.ts'
import { PAGE_SIZE, Placement } from '../placement.ts'
import { loadByAddressFields } from './address-fields.ts'
import { findHeader } from './header-search.ts'
import { memorySize } from './memory-size.ts'

const HEADER_MAGIC = 0x1badb002
/** In EAX at entry. */
const BOOTLOADER_MAGIC = 0x2badb002

/** Header flags, 3.1.2. Bits 0 to 15 must be understood by the loader. */
const PAGE_ALIGN = 1 << 0
const MEMORY_INFO = 1 << 1
const VIDEO_MODE = 1 << 2
const ADDRESS_FIELDS = 1 << 16
const REQUIREMENTS = 0xffff
const KNOWN_REQUIREMENTS = PAGE_ALIGN | MEMORY_INFO | VIDEO_MODE

/** Flags of the information structure, 3.3. */
const INFO_MEMORY = 1 << 0
const INFO_CMDLINE = 1 << 2
const INFO_MODULES = 1 << 3
const INFO_MMAP = 1 << 6
const INFO_LOADER_NAME = 1 << 9
const INFO_FRAMEBUFFER = 1 << 12
const INFO_SIZE = 116
const MODULE_SIZE = 16
/** The size field, which doesn't count itself, and 20 bytes. */
const MMAP_ENTRY_SIZE = 24
const FRAMEBUFFER_EGA_TEXT = 2

const find = (image: Uint8Array) => findHeader(image, { magic: HEADER_MAGIC, align: 4, within: 8192, checksumWords: 3 })

export const multiboot1: Loader = {
  protocol: 'multiboot',

  recognizes: image => find(image) !== undefined,

  load(request, ram) {
    const header = find(request.image)
    if (header === undefined) {
      throw new ImageError(`${request.name}: no multiboot header with a right checksum in the first 8192 bytes`)
    }
    const flags = view(request.image).getUint32(header + 4, true)
    const unknown = flags & REQUIREMENTS & ~KNOWN_REQUIREMENTS
    if (unknown !== 0) {
      throw new ImageError(`${request.name}: multiboot header requires unknown features (flags ${hex(unknown)})`)
    }
    const placement = new Placement(request, ram)
    const image = loadImage(request, ram, placement, header, flags)
    const initrd = loadInitrd(request, ram, placement, { highest: false, from: image.end })
    const info = writeInfo(request, ram, placement, initrd, (flags & VIDEO_MODE) !== 0)
    return protectedModeEntry(ram, placement, image.entry, { rax: BOOTLOADER_MAGIC, rbx: info })
  },
}

function loadImage(
  request: BootRequest,
  ram: GuestRam,
  placement: Placement,
  header: number,
  flags: number,
): LoadedRange & { entry: number } {
  if ((flags & ADDRESS_FIELDS) === 0) {
    const elf = openElf(request)
    return { ...loadElf(request, elf, ram, placement), entry: physicalEntry(request, elf) }
  }
  if (header + 32 > request.image.length) {
    throw new ImageError(`${request.name}: truncated in the address fields of its multiboot header`)
  }
  const data = view(request.image)
  const field = (offset: number) => data.getUint32(header + offset, true)
  const loaded = loadByAddressFields(request, ram, placement, header, {
    header: field(12),
    load: field(16),
    loadEnd: field(20),
    bssEnd: field(24),
  })
  const entry = field(28)
  if (entry < loaded.start || entry >= loaded.end) {
    throw new ImageError(`${request.name}: multiboot header: entry point ${hex(entry)} is outside the loaded image`)
  }
  return { ...loaded, entry }
}

function writeInfo(
  request: BootRequest,
  ram: GuestRam,
  placement: Placement,
  initrd: PlacedInitrd | undefined,
  video: boolean,
): number {
  // As QEMU does, the image's name comes first: kernels skip the first word.
  const cmdline = cString(request, request.cmdline === '' ? request.name : `${request.name} ${request.cmdline}`)
  const moduleName = cString(request, request.initrdName ?? 'initrd')
  const loaderName = cString(request, 'Ringside')
  const modules = INFO_SIZE
  const mmap = modules + (initrd ? MODULE_SIZE : 0)
  const mmapLength = ram.map.length * MMAP_ENTRY_SIZE
  const cmdlineAt = mmap + mmapLength
  const moduleNameAt = cmdlineAt + cmdline.length
  const loaderNameAt = moduleNameAt + moduleName.length
  const bytes = new Uint8Array(loaderNameAt + loaderName.length)
  const base = placement.allocateStructure(bytes.length, 'the multiboot information', PAGE_SIZE)
  const data = view(bytes)
  const set = (at: number, value: number) => data.setUint32(at, value, true)
  const memory = memorySize(ram.map)
  const optional = (initrd ? INFO_MODULES : 0) | (video ? INFO_FRAMEBUFFER : 0)
  set(0, INFO_MEMORY | INFO_CMDLINE | INFO_MMAP | INFO_LOADER_NAME | optional)
  set(4, memory.lower)
  set(8, memory.upper)
  set(16, base + cmdlineAt)
  if (initrd) {
    set(20, 1)
    set(24, base + modules)
    set(modules, initrd.start)
    set(modules + 4, initrd.start + initrd.size)
    set(modules + 8, base + moduleNameAt)
  }
  set(44, mmapLength)
  set(48, base + mmap)
  set(64, base + loaderNameAt)
  if (video) writeTextMode(data)
  ram.map.forEach(({ start, length, type }, index) => {
    const at = mmap + index * MMAP_ENTRY_SIZE
    set(at, MMAP_ENTRY_SIZE - 4)
    data.setBigUint64(at + 4, BigInt(start), true)
    data.setBigUint64(at + 12, BigInt(length), true)
    set(at + 20, type)
  })
  bytes.set(cmdline, cmdlineAt)
  bytes.set(moduleName, moduleNameAt)
  bytes.set(loaderName, loaderNameAt)
  ram.write(base, bytes)
  return base
}

/** The only video mode there is: 80x25 text at B8000h, two bytes a character. */
function writeTextMode(data: DataView): void {
  data.setBigUint64(88, 0xb8000n, true)
  data.setUint32(96, 160, true)
  data.setUint32(100, 80, true)
  data.setUint32(104, 25, true)
  data.setUint8(108, 16)
  data.setUint8(109, FRAMEBUFFER_EGA_TEXT)
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
