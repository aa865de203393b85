/**
 * The RAM of one VM by guest-physical address. Frames are allocated at the first touch: by the guest through an EPT
 * violation, by devices and loaders through {@link GuestPhysicalMemory.write}. A page never touched reads as zero.
 */

import { PAGE_SIZE } from '../engine/host-memory.ts'
import type { Processor } from '../engine/processor.ts'
import { type EPT_EXECUTE, type EPT_READ, EPT_RIGHTS, Ept, eptFrames } from './ept.ts'
import type { FramePool, OwnerId } from './frame-pool.ts'

/** RAM that all VMs together may have: a 32-bit WebAssembly memory ends at 4 GiB, and the processor needs room too. */
export const GUEST_RAM_LIMIT = 3 * 2 ** 30
/** RAM below 4 GiB ends here at the latest: PCI, APICs and firmware have the rest. */
export const LOW_RAM_END = 0xc000_0000
const HIGH_RAM_START = 2 ** 32
const MEBIBYTE = 2 ** 20

/** Extended BIOS data area: the kilobyte below 640 KiB where firmware keeps its tables. */
export const EBDA_START = 0x9_fc00
const LEGACY_HOLE_START = 0xa_0000
/** Firmware area: ACPI and MP tables, found by scanning it. */
export const FIRMWARE_START = 0xe_0000
/** Open-bus pages mapped at a time: a guest that wanders through holes can't fill host memory with page tables. */
const OPEN_BUS_PAGES = 16
/** What a page reads as that was never touched. */
const ZEROES = new Uint8Array(PAGE_SIZE)

/** One range of the memory map that firmware reports: E820 type 1 usable, 2 reserved. */
export interface RamRange {
  readonly start: number
  readonly length: number
  readonly type: 1 | 2
}

interface RamBlock {
  readonly start: number
  readonly end: number
}

export class GuestPhysicalMemory {
  readonly size: number
  /** Ascending. */
  readonly map: readonly RamRange[]
  readonly ept: Ept
  readonly owner: OwnerId
  /** Called when pages from `first` up to `last` (guest-physical) have other frames than before, or none. */
  framesChanged: (first: number, last: number) => void = () => {}

  readonly #processor: Processor
  readonly #pool: FramePool
  readonly #blocks: readonly RamBlock[]
  /** Per guest page the HPA of its frame, 0 where none is allocated; derived from what {@link frame} maps. */
  readonly #frames: Uint32Array
  #openBusFrame: number | undefined
  readonly #openBusPages: number[] = []

  /**
   * @param size bytes of RAM, a multiple of 4 KiB, at least 1 MiB. Throws {@link OutOfFramesError} when host memory can't hold it.
   * @param lowEnd where RAM stops below 4 GiB; the rest continues above.
   */
  constructor(processor: Processor, pool: FramePool, size: number, lowEnd = LOW_RAM_END) {
    if (size % PAGE_SIZE !== 0 || size < MEBIBYTE)
      throw new RangeError(`guest RAM of ${size} bytes: a multiple of 4096 and at least 1 MiB is needed`)
    this.size = size
    this.#processor = processor
    this.#pool = pool
    const low = Math.min(size, lowEnd)
    const end = size > lowEnd ? HIGH_RAM_START + size - lowEnd : low
    this.#blocks = [
      { start: 0, end: LEGACY_HOLE_START },
      { start: FIRMWARE_START, end: low },
      ...(size > lowEnd ? [{ start: HIGH_RAM_START, end }] : []),
    ]
    this.map = [
      { start: 0, length: EBDA_START, type: 1 },
      { start: EBDA_START, length: LEGACY_HOLE_START - EBDA_START, type: 2 },
      { start: FIRMWARE_START, length: MEBIBYTE - FIRMWARE_START, type: 2 },
      ...(low > MEBIBYTE ? [{ start: MEBIBYTE, length: low - MEBIBYTE, type: 1 as const }] : []),
      ...(size > lowEnd ? [{ start: HIGH_RAM_START, length: end - HIGH_RAM_START, type: 1 as const }] : []),
    ]
    this.#frames = new Uint32Array(end / PAGE_SIZE)
    // Beyond RAM and its tables: the open-bus frame, and three tables for each open-bus page.
    const frames = size / PAGE_SIZE + eptFrames(end) + 1 + 3 * (OPEN_BUS_PAGES + 1)
    this.owner = pool.reserve(`a guest with ${size / MEBIBYTE} MiB of RAM`, frames)
    this.ept = new Ept(pool, this.owner, root => processor.invept(root))
  }

  /** Is there RAM at `gpa`, touched or not? */
  isRam(gpa: number): boolean {
    return this.#blocks.some(block => gpa >= block.start && gpa < block.end)
  }

  /** Is the whole range RAM, in one block? */
  containsRam(gpa: number, length: number): boolean {
    if (length < 0) return false
    for (const { start, end } of this.#blocks) if (gpa >= start && gpa + length <= end) return true
    return false
  }

  /** Does the host frame at `hpa` belong to this VM, as RAM or as a table? */
  ownsFrame(hpa: number): boolean {
    return this.#pool.ownerOf(hpa) === this.owner
  }

  /** HPA behind `gpa`, or undefined where no frame is allocated (yet). */
  hostAddress(gpa: number): number | undefined {
    const page = Math.floor(gpa / PAGE_SIZE)
    const frame = page < this.#frames.length ? this.#frames[page] : 0
    return frame === 0 ? undefined : frame + (gpa % PAGE_SIZE)
  }

  /** HPA of the frame of the page that `gpa` lies in, allocated and mapped with all rights if this is the first touch. */
  frame(gpa: number): number {
    const page = Math.floor(gpa / PAGE_SIZE)
    if (!this.isRam(gpa)) throw new RangeError(`guest-physical 0x${gpa.toString(16)} is not RAM`)
    if (this.#frames[page] !== 0) return this.#frames[page]
    const hpa = this.#pool.allocate(this.owner)
    this.ept.map(page * PAGE_SIZE, hpa, EPT_RIGHTS)
    this.#frames[page] = hpa
    this.framesChanged(page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
    return hpa
  }

  /** Reads RAM: without side effect, untouched pages are not allocated. */
  read(gpa: number, length: number): Uint8Array {
    this.#check(gpa, length)
    const bytes = new Uint8Array(length)
    this.readInto(gpa, bytes)
    return bytes
  }

  /** As {@link read}, into memory of the caller's. */
  readInto(gpa: number, bytes: Uint8Array): void {
    const { length } = bytes
    this.#check(gpa, length)
    for (let done = 0; done < length; ) {
      const piece = Math.min(length - done, PAGE_SIZE - ((gpa + done) % PAGE_SIZE))
      const hpa = this.hostAddress(gpa + done)
      if (hpa !== undefined) bytes.set(this.#pool.memory.u8.subarray(hpa, hpa + piece), done)
      else bytes.fill(0, done, done + piece)
      done += piece
    }
  }

  write(gpa: number, bytes: Uint8Array): void {
    this.#check(gpa, bytes.length)
    for (let done = 0; done < bytes.length; ) {
      const offset = (gpa + done) % PAGE_SIZE
      const piece = bytes.subarray(done, done + PAGE_SIZE - offset)
      const hpa = this.frame(gpa + done) + offset
      this.#pool.memory.u8.set(piece, hpa)
      this.#processor.frameWritten(hpa, piece.length)
      done += piece.length
    }
  }

  /**
   * Appends the bytes of a range themselves, in as many pieces as they have in host memory, to be read before the guest
   * runs again. Without side effect: pages never touched are zeroes of nobody's.
   */
  pieces(gpa: number, length: number, into: Uint8Array[]): void {
    this.#check(gpa, length)
    for (let done = 0; done < length; ) {
      const hpa = this.hostAddress(gpa + done)
      const here = Math.min(length - done, PAGE_SIZE - ((gpa + done) % PAGE_SIZE))
      if (hpa === undefined) {
        into.push(ZEROES.subarray(0, here))
        done += here
        continue
      }
      let piece = here
      while (done + piece < length && this.hostAddress(gpa + done + piece) === hpa + piece)
        piece += Math.min(length - done - piece, PAGE_SIZE)
      into.push(this.#pool.memory.u8.subarray(hpa, hpa + piece))
      done += piece
    }
  }

  /** As {@link pieces}, to be written: whoever does that calls {@link written} before the guest runs again. */
  piecesToWrite(gpa: number, length: number, into: Uint8Array[]): void {
    this.#check(gpa, length)
    for (let at = gpa; at < gpa + length; at += PAGE_SIZE - (at % PAGE_SIZE)) this.frame(at)
    this.pieces(gpa, length, into)
  }

  /** A range was written to in place. */
  written(gpa: number, length: number): void {
    this.#check(gpa, length)
    for (let done = 0; done < length; ) {
      const piece = Math.min(length - done, PAGE_SIZE - ((gpa + done) % PAGE_SIZE))
      const hpa = this.hostAddress(gpa + done)
      if (hpa !== undefined) this.#processor.frameWritten(hpa, piece)
      done += piece
    }
  }

  /**
   * Where nothing is, a read gives all ones. An instruction fetch and the page walk need memory for that: a frame of
   * ones, mapped with `right` only, so that data accesses to the page still exit.
   * False when the page has it already: the access needs something no hole can give.
   */
  mapOpenBus(gpa: number, right: typeof EPT_READ | typeof EPT_EXECUTE): boolean {
    const page = gpa - (gpa % PAGE_SIZE)
    const rights = this.ept.rights(page)
    if ((rights & right) !== 0) return false
    if (this.#openBusFrame === undefined) {
      this.#openBusFrame = this.#pool.allocate(this.owner)
      this.#pool.memory.u8.fill(0xff, this.#openBusFrame, this.#openBusFrame + PAGE_SIZE)
    }
    if (rights === 0) this.#openBusPages.push(page)
    const oldest = this.#openBusPages.length > OPEN_BUS_PAGES ? this.#openBusPages.shift() : undefined
    if (oldest !== undefined) this.ept.unmap(oldest)
    this.ept.map(page, this.#openBusFrame, rights | right)
    return true
  }

  /** Guest-physical addresses of the pages that have a frame, ascending. */
  *touchedPages(): Generator<number> {
    for (let page = 0; page < this.#frames.length; page++) if (this.#frames[page] !== 0) yield page * PAGE_SIZE
  }

  /**
   * Gives the frames of pages of RAM back to the pool: the pages read as zero and get other frames at their next touch.
   * Only for whoever may take the guest's memory away. Addresses without a frame, RAM or not, are passed over.
   * @returns how many frames were given back
   */
  discard(gpas: readonly number[]): number {
    const pages = gpas
      .map(gpa => Math.floor(gpa / PAGE_SIZE))
      .filter(page => page < this.#frames.length && this.#frames[page] !== 0)
    this.ept.unmapAll(pages.map(page => page * PAGE_SIZE))
    let discarded = 0
    for (const page of pages) {
      const hpa = this.#frames[page]
      // Named twice.
      if (hpa === 0) continue
      this.#frames[page] = 0
      this.#giveBack(hpa)
      this.framesChanged(page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
      discarded++
    }
    return discarded
  }

  /** RAM as after power-on: every frame is given back. */
  clear(): void {
    for (const gpa of this.touchedPages()) this.#giveBack(this.#frames[gpa / PAGE_SIZE])
    if (this.#openBusFrame !== undefined) this.#giveBack(this.#openBusFrame)
    this.#openBusFrame = undefined
    this.#openBusPages.length = 0
    this.#frames.fill(0)
    this.ept.clear()
    this.framesChanged(0, this.#frames.length * PAGE_SIZE)
  }

  /** Ends the VM's claim on host memory; this object can't be used afterwards. */
  release(): void {
    this.clear()
    this.#pool.release(this.owner)
  }

  #giveBack(hpa: number): void {
    this.#processor.frameWritten(hpa, PAGE_SIZE)
    this.#pool.free(hpa)
  }

  #check(gpa: number, length: number): void {
    if (!this.containsRam(gpa, length))
      throw new RangeError(`guest-physical 0x${gpa.toString(16)}, ${length} bytes, is not all RAM`)
  }
}
