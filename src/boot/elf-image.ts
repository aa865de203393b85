/** ELF images as loaders use them: opened with errors of ours, checked for the machine, and put into guest RAM. */

import { EM_386, EM_IAMCU, EM_X86_64, ET_CORE, ET_REL, PF_X, PT_INTERP, PT_LOAD } from '../symbols/elf/constants.ts'
import { ElfError } from '../symbols/elf/elf-error.ts'
import { ElfFile, type ElfSegment } from '../symbols/elf/elf-file.ts'
import { type BootRequest, type GuestRam, ImageError } from './boot-target.ts'
import { hex } from './hex.ts'
import { FOUR_GIB, PAGE_SIZE, type Placement } from './placement.ts'

const X86_MACHINES = new Set([EM_386, EM_IAMCU, EM_X86_64])
/** Kernels have a dozen; a file with more than this means harm. */
const MAX_SEGMENTS = 1024
const ZEROES = new Uint8Array(0x100000)

/** Physical addresses of the first loaded byte and of the first after the last. */
export interface LoadedRange {
  readonly start: number
  readonly end: number
}

/** Runs what reads the ELF file and turns its errors into {@link ImageError}s that name the image. */
export function readingElf<T>(request: BootRequest, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof ElfError) throw new ImageError(`${request.name}: damaged ELF file: ${error.message}`)
    throw error
  }
}

/** Throws {@link ImageError} for anything but a program for the processor in front of us. */
export function openElf(request: BootRequest): ElfFile {
  const elf = readingElf(request, () => new ElfFile(request.image))
  if (!X86_MACHINES.has(elf.machine)) {
    throw new ImageError(
      `${request.name}: an ELF file for machine ${elf.machine}; this is a PC: build the kernel for x86 or x86-64`,
    )
  }
  if (elf.type === ET_REL) {
    throw new ImageError(`${request.name}: an object file or kernel module, not yet linked; link it into a kernel`)
  }
  if (elf.type === ET_CORE) throw new ImageError(`${request.name}: a core dump, not a kernel`)
  const segments = readingElf(request, () => elf.segments)
  if (segments.some(segment => segment.type === PT_INTERP)) {
    throw new ImageError(`${request.name}: a program that needs an operating system's dynamic linker, not a kernel`)
  }
  return elf
}

/** The segments to load: those that are not empty. Throws {@link ImageError} when there are none. */
export function loadableSegments(request: BootRequest, elf: ElfFile): readonly ElfSegment[] {
  const segments = readingElf(request, () => elf.segments).filter(
    segment => segment.type === PT_LOAD && segment.memorySize > 0,
  )
  if (segments.length === 0) throw new ImageError(`${request.name}: the ELF file has nothing to load (no PT_LOAD)`)
  if (segments.length > MAX_SEGMENTS) {
    throw new ImageError(`${request.name}: ${segments.length} segments to load; at most ${MAX_SEGMENTS} are supported`)
  }
  for (const segment of segments) {
    const what = `${request.name}: program header ${segment.index}`
    if (segment.fileSize > segment.memorySize) {
      throw new ImageError(`${what} has ${segment.fileSize} bytes for ${segment.memorySize} bytes of memory`)
    }
    if (segment.physical + BigInt(segment.memorySize) > BigInt(FOUR_GIB)) {
      throw new ImageError(
        `${what} is to be loaded at physical address ${hex(segment.physical)}, above 4 GiB; set its load address (AT() in the linker script)`,
      )
    }
  }
  return segments
}

/**
 * Writes the PT_LOAD segments to their physical addresses plus `displacement`, zero-filled to their size in memory.
 * Throws {@link ImageError}.
 */
export function loadElf(
  request: BootRequest,
  elf: ElfFile,
  ram: GuestRam,
  placement: Placement,
  displacement = 0,
): LoadedRange {
  const segments = loadableSegments(request, elf)
  const at = (segment: ElfSegment) => Number(segment.physical) + displacement
  const contents = segments.map(segment => readingElf(request, () => elf.segmentBytes(segment)))
  claimSegments(
    segments.map(segment => ({ start: at(segment), end: at(segment) + segment.memorySize })),
    placement,
  )
  segments.forEach((segment, index) => {
    ram.write(at(segment), contents[index])
    fillZero(ram, at(segment) + segment.fileSize, segment.memorySize - segment.fileSize)
  })
  return {
    start: Math.min(...segments.map(at)),
    end: Math.max(...segments.map(segment => at(segment) + segment.memorySize)),
  }
}

/** Segments may share a page or even overlap, so they are claimed page-wise and merged. */
function claimSegments(ranges: readonly { start: number; end: number }[], placement: Placement): void {
  let current: { start: number; end: number } | undefined
  const claim = () => current && placement.claim(current.start, current.end - current.start, 'a segment of the image')
  for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start)) {
    if (current && start < current.end + PAGE_SIZE) {
      current.end = Math.max(current.end, end)
    } else {
      claim()
      current = { start, end }
    }
  }
  claim()
}

/**
 * The entry point is a virtual address; kernels linked high give it as such, others as a physical one. As QEMU and
 * GRUB do, it is translated by the segment that holds it, if one does. Returns the physical address, before any
 * displacement; throws {@link ImageError} for one in no segment.
 */
export function physicalEntry(request: BootRequest, elf: ElfFile): number {
  const segments = loadableSegments(request, elf)
  const holds = (segment: ElfSegment, base: bigint) =>
    elf.entry >= base && elf.entry < base + BigInt(segment.memorySize)
  const holder =
    segments.find(segment => (segment.flags & PF_X) !== 0 && holds(segment, segment.virtual)) ??
    segments.find(segment => holds(segment, segment.virtual))
  const entry = holder ? elf.entry - holder.virtual + holder.physical : elf.entry
  if (!segments.some(segment => entry >= segment.physical && entry < segment.physical + BigInt(segment.memorySize))) {
    throw new ImageError(`${request.name}: the entry point ${hex(elf.entry)} is in none of the loaded segments`)
  }
  return Number(entry)
}

/** Zeroes RAM that may hold an earlier boot's data. */
export function fillZero(ram: GuestRam, start: number, length: number): void {
  for (let done = 0; done < length; done += ZEROES.length) {
    ram.write(start + done, ZEROES.subarray(0, Math.min(ZEROES.length, length - done)))
  }
}
