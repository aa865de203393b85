/** The boot information of Multiboot2: a list of tags (Multiboot2 Specification 2.0, 3.6). */

import type { BootRequest, GuestRam } from '../boot-target.ts'
import { cString } from '../c-string.ts'
import type { PlacedInitrd } from '../initrd.ts'
import { PAGE_SIZE, type Placement } from '../placement.ts'
import type { ElfSectionHeaders } from './elf-sections.ts'
import { memorySize } from './memory-size.ts'

const TAG_END = 0
const TAG_CMDLINE = 1
const TAG_LOADER_NAME = 2
const TAG_MODULE = 3
const TAG_MEMORY = 4
const TAG_MMAP = 6
const TAG_FRAMEBUFFER = 8
const TAG_ELF_SECTIONS = 9
const TAG_ACPI_OLD = 14
const TAG_ACPI_NEW = 15
const TAG_LOAD_BASE = 21

const MMAP_ENTRY_SIZE = 24
const FRAMEBUFFER_EGA_TEXT = 2
const RSDP_SIZE_1 = 20
const RSDP_SIZE_2 = 36

export interface InfoContents {
  readonly initrd: PlacedInitrd | undefined
  readonly sections: ElfSectionHeaders | undefined
  /** Physical address of a relocatable image. */
  readonly loadBase: number | undefined
}

/** Writes the information into guest RAM and returns its address. */
export function writeMultiboot2Info(
  request: BootRequest,
  ram: GuestRam,
  placement: Placement,
  { initrd, sections, loadBase }: InfoContents,
): number {
  const memory = memorySize(ram.map)
  const parts = [
    tag(TAG_CMDLINE, cString(request, request.cmdline)),
    tag(TAG_LOADER_NAME, cString(request, 'Ringside')),
    tag(TAG_MEMORY, words(memory.lower, memory.upper)),
    tag(TAG_MMAP, words(MMAP_ENTRY_SIZE, 0), mmapEntries(ram)),
    tag(TAG_FRAMEBUFFER, textMode()),
  ]
  if (initrd) {
    const name = cString(request, request.initrdName ?? 'initrd')
    parts.push(tag(TAG_MODULE, words(initrd.start, initrd.start + initrd.size), name))
  }
  if (sections) {
    parts.push(tag(TAG_ELF_SECTIONS, words(sections.count, sections.entrySize, sections.names), sections.headers))
  }
  if (request.rsdp !== undefined) {
    parts.push(tag(TAG_ACPI_OLD, ram.read(request.rsdp, RSDP_SIZE_1)))
    parts.push(tag(TAG_ACPI_NEW, ram.read(request.rsdp, RSDP_SIZE_2)))
  }
  if (loadBase !== undefined) parts.push(tag(TAG_LOAD_BASE, words(loadBase)))
  parts.push(tag(TAG_END))
  const length = 8 + parts.reduce((sum, part) => sum + part.length, 0)
  const bytes = concatenate([words(length, 0), ...parts])
  const base = placement.allocateStructure(bytes.length, 'the multiboot2 information', PAGE_SIZE)
  ram.write(base, bytes)
  return base
}

/** A tag padded to 8 bytes; its size field doesn't count the padding. */
function tag(type: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const size = 8 + contents.reduce((sum, part) => sum + part.length, 0)
  return concatenate([words(type, size), ...contents, new Uint8Array(-size & 7)])
}

function mmapEntries(ram: GuestRam): Uint8Array {
  const data = new DataView(new ArrayBuffer(ram.map.length * MMAP_ENTRY_SIZE))
  ram.map.forEach(({ start, length, type }, index) => {
    const at = index * MMAP_ENTRY_SIZE
    data.setBigUint64(at, BigInt(start), true)
    data.setBigUint64(at + 8, BigInt(length), true)
    data.setUint32(at + 16, type, true)
  })
  return new Uint8Array(data.buffer)
}

/** 80x25 text at B8000h, two bytes a character. */
function textMode(): Uint8Array {
  const CHARACTER_BITS = 16
  return concatenate([words(0xb8000, 0, 160, 80, 25), Uint8Array.of(CHARACTER_BITS, FRAMEBUFFER_EGA_TEXT, 0, 0)])
}

function words(...values: readonly number[]): Uint8Array {
  const data = new DataView(new ArrayBuffer(values.length * 4))
  values.forEach((value, index) => {
    data.setUint32(index * 4, value, true)
  })
  return new Uint8Array(data.buffer)
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
