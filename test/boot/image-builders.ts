/** Small images of every format, byte by byte, for tests of loaders and of the ELF reader. */

export interface SegmentSpec {
  readonly type?: number
  readonly virtual?: bigint
  readonly physical: number
  readonly bytes: Uint8Array
  readonly memorySize?: number
}

export interface SectionSpec {
  readonly name: string
  readonly type: number
  readonly bytes: Uint8Array
  readonly link?: number
  readonly align?: number
}

export interface ElfSpec {
  readonly bits: 32 | 64
  readonly entry: bigint
  readonly segments: readonly SegmentSpec[]
  readonly sections?: readonly SectionSpec[]
  readonly machine?: number
  readonly type?: number
}

/** Header, program headers, contents of segments and sections, section headers (null, given ones, `.shstrtab`). */
export function buildElf({ bits, entry, segments, sections = [], machine, type = 2 }: ElfSpec): Uint8Array {
  const wide = bits === 64
  const [headerSize, segmentSize, sectionSize] = wide ? [64, 56, 64] : [52, 32, 40]
  let cursor = headerSize + segments.length * segmentSize
  const placeContents = (bytes: Uint8Array) => {
    const at = Math.ceil(cursor / 8) * 8
    cursor = at + bytes.length
    return { at, bytes }
  }
  const segmentContents = segments.map(segment => placeContents(segment.bytes))
  const sectionContents = sections.map(section => placeContents(section.bytes))
  const names = placeContents(strings([...sections.map(section => section.name), '.shstrtab']).bytes)
  const sectionTable = Math.ceil(cursor / 8) * 8
  const allSections = [...sections, { name: '.shstrtab', type: 3, bytes: names.bytes }]
  const offsets = strings(allSections.map(section => section.name)).offsets
  const bytes = new Uint8Array(sectionTable + (allSections.length + 1) * sectionSize)
  const data = new DataView(bytes.buffer)
  const word = (at: number, value: number | bigint) => {
    if (wide) data.setBigUint64(at, BigInt(value), true)
    else data.setUint32(at, Number(value), true)
  }
  for (const { at, bytes: contents } of [...segmentContents, ...sectionContents, names]) bytes.set(contents, at)

  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1])
  data.setUint16(16, type, true)
  data.setUint16(18, machine ?? (wide ? 62 : 3), true)
  data.setUint32(20, 1, true)
  word(24, entry)
  word(wide ? 32 : 28, headerSize)
  word(wide ? 40 : 32, sectionTable)
  const counts = wide ? 52 : 40
  for (const [index, value] of [
    headerSize,
    segmentSize,
    segments.length,
    sectionSize,
    allSections.length + 1,
    allSections.length,
  ].entries()) {
    data.setUint16(counts + index * 2, value, true)
  }

  segments.forEach((segment, index) => {
    const at = headerSize + index * segmentSize
    const virtual = segment.virtual ?? BigInt(segment.physical)
    const memorySize = segment.memorySize ?? segment.bytes.length
    data.setUint32(at, segment.type ?? 1, true)
    data.setUint32(at + (wide ? 4 : 24), 7, true)
    const [offsetAt, virtualAt, physicalAt, fileAt, memoryAt, alignAt] = wide
      ? [8, 16, 24, 32, 40, 48]
      : [4, 8, 12, 16, 20, 28]
    word(at + offsetAt, segmentContents[index].at)
    word(at + virtualAt, virtual)
    word(at + physicalAt, segment.physical)
    word(at + fileAt, segment.bytes.length)
    word(at + memoryAt, memorySize)
    word(at + alignAt, 4)
  })

  allSections.forEach((section, index) => {
    const at = sectionTable + (index + 1) * sectionSize
    const contents = [...sectionContents, names][index]
    data.setUint32(at, offsets[index], true)
    data.setUint32(at + 4, section.type, true)
    const [offsetAt, sizeAt, linkAt, alignAt] = wide ? [24, 32, 40, 48] : [16, 20, 24, 32]
    word(at + offsetAt, contents.at)
    word(at + sizeAt, section.bytes.length)
    data.setUint32(at + linkAt, 'link' in section ? (section.link ?? 0) : 0, true)
    word(at + alignAt, 'align' in section ? (section.align ?? 1) : 1)
  })
  return bytes
}

/** A string table and the offset of each string in it. */
export function strings(names: readonly string[]): { bytes: Uint8Array; offsets: readonly number[] } {
  const offsets: number[] = []
  let text = '\0'
  for (const name of names) {
    offsets.push(text.length)
    text += `${name}\0`
  }
  return { bytes: new TextEncoder().encode(text), offsets }
}

export interface SymbolSpec {
  readonly name: string
  readonly value: bigint
  readonly size?: bigint
  readonly type?: number
  readonly binding?: number
  readonly section?: number
}

/** `.symtab` and `.strtab`; `index` is the section index that `.symtab` will get. */
export function symbolSections(bits: 32 | 64, symbols: readonly SymbolSpec[], index: number): readonly SectionSpec[] {
  const table = strings(symbols.map(symbol => symbol.name))
  const entrySize = bits === 64 ? 24 : 16
  const data = new DataView(new ArrayBuffer((symbols.length + 1) * entrySize))
  symbols.forEach((symbol, position) => {
    const at = (position + 1) * entrySize
    const info = ((symbol.binding ?? 1) << 4) | (symbol.type ?? 2)
    data.setUint32(at, table.offsets[position], true)
    if (bits === 64) {
      data.setUint8(at + 4, info)
      data.setUint16(at + 6, symbol.section ?? 1, true)
      data.setBigUint64(at + 8, symbol.value, true)
      data.setBigUint64(at + 16, symbol.size ?? 0n, true)
    } else {
      data.setUint32(at + 4, Number(symbol.value), true)
      data.setUint32(at + 8, Number(symbol.size ?? 0n), true)
      data.setUint8(at + 12, info)
      data.setUint16(at + 14, symbol.section ?? 1, true)
    }
  })
  return [
    { name: '.symtab', type: 2, bytes: new Uint8Array(data.buffer), link: index + 1 },
    { name: '.strtab', type: 3, bytes: table.bytes },
  ]
}

export function note(name: string, type: number, description: Uint8Array): Uint8Array {
  const nameBytes = new TextEncoder().encode(`${name}\0`)
  const nameSize = Math.ceil(nameBytes.length / 4) * 4
  const bytes = new Uint8Array(12 + nameSize + Math.ceil(description.length / 4) * 4)
  bytes.set(words(nameBytes.length, description.length, type))
  bytes.set(nameBytes, 12)
  bytes.set(description, 12 + nameSize)
  return bytes
}

/** Little-endian 32-bit words. */
export function words(...values: readonly number[]): Uint8Array {
  const data = new DataView(new ArrayBuffer(values.length * 4))
  values.forEach((value, index) => {
    data.setUint32(index * 4, value, true)
  })
  return new Uint8Array(data.buffer)
}

export function concatenate(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap(part => [...part]))
}

export interface BzImageSpec {
  readonly version?: number
  readonly xloadflags?: number
  readonly loadflags?: number
  readonly preferredAddress?: number
  readonly initSize?: number
  readonly relocatable?: boolean
  readonly cmdlineSize?: number
  readonly initrdMax?: number
  readonly code32Start?: number
  readonly kernelSize?: number
}

/** A bzImage with 2 setup sectors; the kernel's bytes are 0xaa. */
export function buildBzImage(spec: BzImageSpec = {}): Uint8Array {
  const kernelSize = spec.kernelSize ?? 0x2000
  const bytes = new Uint8Array(3 * 512 + kernelSize).fill(0xaa, 3 * 512)
  const data = new DataView(bytes.buffer)
  data.setUint8(0x1f1, 2)
  data.setUint32(0x1f4, kernelSize / 16, true)
  data.setUint16(0x1fe, 0xaa55, true)
  data.setUint16(0x200, 0x6aeb, true)
  data.setUint32(0x202, 0x53726448, true)
  data.setUint16(0x206, spec.version ?? 0x20f, true)
  data.setUint8(0x211, spec.loadflags ?? 1)
  data.setUint32(0x214, spec.code32Start ?? 0x100000, true)
  data.setUint32(0x22c, spec.initrdMax ?? 0x7fffffff, true)
  data.setUint32(0x230, 0x200000, true)
  data.setUint8(0x234, (spec.relocatable ?? true) ? 1 : 0)
  data.setUint16(0x236, spec.xloadflags ?? 1, true)
  data.setUint32(0x238, spec.cmdlineSize ?? 2047, true)
  data.setBigUint64(0x258, BigInt(spec.preferredAddress ?? 0x1000000), true)
  data.setUint32(0x260, spec.initSize ?? 0x800000, true)
  return bytes
}

/** A multiboot 1 header. */
export function multiboot1Header(flags: number, ...fields: readonly number[]): Uint8Array {
  return words(0x1badb002, flags, -(0x1badb002 + flags), ...fields)
}

/** A multiboot2 header of the given tags: [type, flags, ...words]. */
export function multiboot2Header(...tags: readonly (readonly number[])[]): Uint8Array {
  const parts = [...tags, [0, 0]].map(([type, flags, ...contents]) => {
    const size = 8 + contents.length * 4
    return concatenate(words(type | (flags << 16), size, ...contents), new Uint8Array(-size & 7))
  })
  const length = 16 + parts.reduce((sum, part) => sum + part.length, 0)
  return concatenate(words(0xe85250d6, 0, length, -(0xe85250d6 + length)), ...parts)
}
