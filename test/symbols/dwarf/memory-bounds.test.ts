/** Files that promise or hold far more than their size: refused or answered, and never kept in memory. */

import { readFileSync } from 'node:fs'
import { deflateSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { DebugFile } from '../../../src/symbols/dwarf/debug-file.ts'
import { ElfError } from '../../../src/symbols/elf/elf-error.ts'
import { compile, scratchDirectory } from './compiled.ts'

const directory = scratchDirectory()
const compressed = readFileSync(compile(directory, 'compressed', '-gdwarf-5', '-O1', '-gz'))

interface Section {
  /** Where its header is. */
  readonly header: number
  readonly offset: number
  readonly size: number
}

/** Sections of an ELF64 file by name (System V ABI, "Sections"). */
function sectionsOf(file: Buffer): Map<string, Section> {
  const table = Number(file.readBigUInt64LE(0x28))
  const [count, names] = [file.readUInt16LE(0x3c), file.readUInt16LE(0x3e)]
  const at = (index: number): Section & { readonly name: number } => {
    const header = table + index * 64
    const [offset, size] = [Number(file.readBigUInt64LE(header + 24)), Number(file.readBigUInt64LE(header + 32))]
    return { header, offset, size, name: file.readUInt32LE(header) }
  }
  const strings = at(names).offset
  return new Map(
    Array.from({ length: count }, (_, index) => {
      const section = at(index)
      const start = strings + section.name
      return [file.toString('latin1', start, file.indexOf(0, start)), section]
    }),
  )
}

function section(file: Buffer, name: string): Section {
  const found = sectionsOf(file).get(name)
  if (found === undefined) throw new Error(`no section ${name}`)
  return found
}

const megabytes = (): number => {
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return (heapUsed + external + arrayBuffers) / 2 ** 20
}

/** Asks for what needs the sections; how much more memory there was afterwards, and how many questions were refused. */
function ask(bytes: Uint8Array): { readonly grown: number; readonly refused: number } {
  const before = megabytes()
  let refused = 0
  const questions = [
    (file: DebugFile) => file.framesAt(file.symbolNamed('leaf')?.address ?? 0n),
    (file: DebugFile) => file.lineAt(file.symbolNamed('leaf')?.address ?? 0n),
    (file: DebugFile) => file.sourceFiles(),
    (file: DebugFile) => file.findType('struct node'),
    (file: DebugFile) => file.functionsNamed('squared'),
  ]
  for (const question of [() => undefined, ...questions])
    try {
      question(DebugFile.of('hostile', bytes, { cache: false }))
    } catch (error) {
      if (!(error instanceof ElfError)) throw error
      refused++
    }
  return { grown: megabytes() - before, refused }
}

const DEBUG_SECTIONS = ['.debug_info', '.debug_line', '.debug_abbrev']

test.each(DEBUG_SECTIONS.flatMap(name => [2n ** 31n, 2n ** 40n, 2n ** 64n - 1n].map(size => [name, size] as const)))(
  'a compressed %s that promises %d bytes',
  (name, size) => {
    const file = Buffer.from(compressed)
    // Elf64_Chdr: type, reserved, size, alignment.
    file.writeBigUInt64LE(size, section(file, name).offset + 8)
    const { grown, refused } = ask(file)
    expect(refused).toBeGreaterThan(0)
    expect(grown).toBeLessThan(200)
  },
)

test.each(DEBUG_SECTIONS)('a compressed %s that unpacks to a thousand times what it promises', name => {
  const { header, offset } = section(compressed, name)
  const bomb = deflateSync(Buffer.alloc(512 * 2 ** 20))
  const chdr = compressed.subarray(offset, offset + 24)
  const file = Buffer.concat([compressed, chdr, bomb])
  file.writeBigUInt64LE(BigInt(compressed.length), header + 24)
  file.writeBigUInt64LE(BigInt(24 + bomb.length), header + 32)
  const { grown, refused } = ask(file)
  expect(refused).toBeGreaterThan(0)
  expect(grown).toBeLessThan(200)
})

test('sections that all cover the whole file', () => {
  const file = Buffer.concat([compressed, Buffer.alloc(32 * 2 ** 20)])
  for (const { header } of sectionsOf(file).values()) {
    file.writeBigUInt64LE(0n, header + 24)
    file.writeBigUInt64LE(BigInt(file.length), header + 32)
  }
  expect(ask(file).grown).toBeLessThan(500)
})
