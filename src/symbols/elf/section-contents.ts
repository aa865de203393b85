/**
 * The contents of sections as a debugger wants them: decompressed, relocated, and read by ranges where the file on disk
 * has them as they are. Throws {@link ElfError}.
 */

import * as zlib from 'node:zlib'
import { ET_REL, SHF_ALLOC, SHF_TLS, SHT_NOBITS } from './constants.ts'
import { ElfError } from './elf-error.ts'
import type { ElfFile, ElfSection } from './elf-file.ts'
import { applyRelocations } from './relocations.ts'

const SHF_COMPRESSED = 0x800
const ELFCOMPRESS_ZLIB = 1
const ELFCOMPRESS_ZSTD = 2

/** The largest section that is decompressed; a file that claims more is damaged or hostile. */
const LARGEST_DECOMPRESSED = 2 ** 30

/** zlib can't do better than 1032:1 (zlib's "technical details"), so a larger claim is false. */
const ZLIB_BEST_RATIO = 1032

export class SectionContents {
  readonly name: string
  /** Where the section lies in memory, as linked or as placed. */
  readonly address: bigint
  readonly #elf: ElfFile
  readonly #section: ElfSection
  readonly #sections: ElfSections
  readonly #asItIs: boolean
  #whole: Buffer | undefined

  constructor(elf: ElfFile, section: ElfSection, sections: ElfSections) {
    this.name = section.name
    this.address = sections.addressOf(section)
    this.#elf = elf
    this.#section = section
    this.#sections = sections
    const compressed = (section.flags & SHF_COMPRESSED) !== 0 || section.name.startsWith('.zdebug_')
    this.#asItIs = !compressed && elf.type !== ET_REL
  }

  /** Bytes. */
  get size(): number {
    if (this.#section.type === SHT_NOBITS) return 0
    return this.#asItIs ? this.#section.size : this.all().length
  }

  /** Whether ranges can be read without reading the whole section. */
  get onDisk(): boolean {
    return this.#asItIs && this.#whole === undefined
  }

  read(offset: number, length: number): Buffer {
    if (offset < 0 || length < 0 || offset + length > this.size) {
      throw new ElfError(
        `${this.name}: ${length} bytes at 0x${offset.toString(16)} lie outside its 0x${this.size.toString(16)} bytes`,
      )
    }
    if (this.#whole !== undefined || !this.#asItIs) return this.all().subarray(offset, offset + length)
    return toBuffer(this.#elf.source.read(this.#section.offset + offset, length, this.name))
  }

  /** Fills a buffer that the caller uses again; the range must lie in the section. */
  readInto(buffer: Buffer, offset: number): void {
    if (this.onDisk) this.#elf.source.readInto(buffer, this.#section.offset + offset, this.name)
    else this.read(offset, buffer.length).copy(buffer)
  }

  /** The whole section, kept. */
  all(): Buffer {
    this.#whole ??= this.#load()
    return this.#whole
  }

  #load(): Buffer {
    if (this.#section.type === SHT_NOBITS) return Buffer.alloc(0)
    const stored = toBuffer(this.#elf.sectionBytes(this.#section))
    const bytes = this.#decompress(stored)
    if (this.#elf.type !== ET_REL) return bytes
    // What the file source holds in memory may be the caller's own bytes: relocations go to a copy.
    const copy = bytes === stored ? Buffer.from(stored) : bytes
    applyRelocations(this.#elf, this.#section, copy, section => this.#sections.addressOf(section))
    return copy
  }

  #decompress(stored: Buffer): Buffer {
    if ((this.#section.flags & SHF_COMPRESSED) !== 0) {
      // gABI chapter 4, "Section Compression": Elf32_Chdr of 12 bytes, Elf64_Chdr of 24.
      const header = this.#elf.bits === 64 ? 24 : 12
      if (stored.length < header) throw new ElfError(`${this.name}: its compression header is cut off`)
      const size = this.#elf.bits === 64 ? Number(stored.readBigUInt64LE(8)) : stored.readUInt32LE(4)
      return this.#inflate(stored.subarray(header), stored.readUInt32LE(0), size)
    }
    if (this.name.startsWith('.zdebug_') && stored.toString('latin1', 0, 4) === 'ZLIB' && stored.length >= 12) {
      return this.#inflate(stored.subarray(12), ELFCOMPRESS_ZLIB, Number(stored.readBigUInt64BE(4)))
    }
    return stored
  }

  #inflate(compressed: Buffer, algorithm: number, size: number): Buffer {
    if (size > LARGEST_DECOMPRESSED) {
      throw new ElfError(`${this.name}: ${size} bytes are more than are decompressed (${LARGEST_DECOMPRESSED})`)
    }
    if (algorithm === ELFCOMPRESS_ZLIB && size > compressed.length * ZLIB_BEST_RATIO + 64) {
      throw new ElfError(`${this.name}: ${compressed.length} compressed bytes can't become ${size}`)
    }
    const decompress = this.#algorithm(algorithm)
    let bytes: Buffer
    try {
      bytes = decompress(compressed, { maxOutputLength: Math.max(size, 1) })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new ElfError(`${this.name}: can't be decompressed: ${reason}`, { cause: error })
    }
    if (bytes.length !== size)
      throw new ElfError(`${this.name}: decompressed to ${bytes.length} bytes instead of ${size}`)
    return bytes
  }

  #algorithm(algorithm: number): (bytes: Buffer, options: { maxOutputLength: number }) => Buffer {
    if (algorithm === ELFCOMPRESS_ZLIB) return zlib.inflateSync
    if (algorithm !== ELFCOMPRESS_ZSTD) throw new ElfError(`${this.name}: compression ${algorithm} is not known`)
    if (typeof zlib.zstdDecompressSync === 'function') return zlib.zstdDecompressSync
    throw new ElfError(
      `${this.name}: is compressed with zstd, which this Node (${process.version}) can't; 22.15 and later can`,
    )
  }
}

/** The sections of one file by name, each opened once, and where they lie. */
export class ElfSections {
  readonly elf: ElfFile
  readonly #placed: ReadonlyMap<string, bigint>
  readonly #addresses: ReadonlyMap<number, bigint>
  readonly #opened = new Map<string, SectionContents>()

  /**
   * @param placed addresses of the sections of a relocatable file, by name; those left out are laid one after the
   * other from 0, as if the file were linked by itself.
   */
  constructor(elf: ElfFile, placed: ReadonlyMap<string, bigint> = new Map()) {
    this.elf = elf
    this.#placed = placed
    this.#addresses = elf.type === ET_REL ? layOut(elf, placed) : new Map()
  }

  addressOf(section: ElfSection): bigint {
    return this.#addresses.get(section.index) ?? section.address
  }

  /** Sections that a running program has in memory, where they are known to lie. */
  *loaded(): Generator<{ readonly name: string; readonly address: bigint; readonly size: number }> {
    for (const section of this.elf.sections) {
      const { name, flags, size } = section
      // What is thread-local is a pattern in the file, and lies elsewhere for each thread.
      if ((flags & SHF_ALLOC) === 0 || (flags & SHF_TLS) !== 0 || size === 0) continue
      if (this.elf.type === ET_REL && !this.#placed.has(name)) continue
      yield { name, address: this.addressOf(section), size }
    }
  }

  /** undefined when the file has no section of this name that has contents. */
  named(name: string): SectionContents | undefined {
    const known = this.#opened.get(name)
    if (known !== undefined) return known
    const section = this.elf.section(name) ?? this.elf.section(name.replace(/^\.debug_/, '.zdebug_'))
    if (section === undefined || section.type === SHT_NOBITS) return undefined
    const contents = new SectionContents(this.elf, section, this)
    this.#opened.set(name, contents)
    return contents
  }

  /** All of a section; empty when there is none. */
  bytes(name: string): Buffer {
    return this.named(name)?.all() ?? EMPTY
  }
}

const EMPTY = Buffer.alloc(0)

function layOut(elf: ElfFile, placed: ReadonlyMap<string, bigint>): ReadonlyMap<number, bigint> {
  const addresses = new Map<number, bigint>()
  let next = 0n
  for (const section of elf.sections) {
    if ((section.flags & SHF_ALLOC) === 0) continue
    const known = placed.get(section.name)
    if (known !== undefined) {
      addresses.set(section.index, known)
      continue
    }
    const align = BigInt(Math.max(section.align, 1))
    next = ((next + align - 1n) / align) * align
    addresses.set(section.index, next)
    next += BigInt(section.size)
  }
  return addresses
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
