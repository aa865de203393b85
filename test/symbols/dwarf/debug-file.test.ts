import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { DebugFile } from '../../../src/symbols/dwarf/debug-file.ts'
import { IndexCache } from '../../../src/symbols/dwarf/index-cache.ts'
import { OrcTable } from '../../../src/symbols/dwarf/orc.ts'
import { matchingPaths, normalizePath, SourceMap } from '../../../src/symbols/dwarf/path-match.ts'
import { ElfError } from '../../../src/symbols/elf/elf-error.ts'
import { ElfFile } from '../../../src/symbols/elf/elf-file.ts'
import { compile, markedLine, scratchDirectory } from './compiled.ts'

const directory = scratchDirectory()

describe('a relocatable file', () => {
  const path = compile(directory, 'module.o', '-gdwarf-5', '-O1', '-c', '-ffunction-sections')

  it('has its sections where the guest put them', () => {
    const addresses = new Map([
      ['.text.leaf', 0xffffffffc0001000n],
      ['.text.middle', 0xffffffffc0002000n],
      ['.data', 0xffffffffc0003000n],
    ])
    const file = DebugFile.open(path, { cache: false, sectionAddresses: addresses })
    expect(file.symbolNamed('leaf')?.address).toBe(0xffffffffc0001000n)
    expect(file.framesAt(0xffffffffc0001000n).map(frame => frame.name)).toEqual(['leaf'])
    expect(file.framesAt(0xffffffffc0002004n).map(frame => frame.name)).toEqual(['middle'])
    const [place] = file.breakpointsAt('subject.c', markedLine('call-leaf'))?.places ?? []
    expect(file.symbolAt(place.address)?.symbol.name).toBe('middle')
    expect(file.variableNamed('counter')).toMatchObject({ type: { name: 'int' } })
    expect(file.symbolNamed('counter')?.address).toBe(0xffffffffc0003000n)
    const registers = Array.from({ length: 17 }, (_, number) => (number === 16 ? 0xffffffffc0001000n : 0x1000n))
    const unwound = file.unwind(registers, (_, size) => new Uint8Array(size).fill(1), false)
    expect(unwound).toMatchObject({ cfa: 0x1008n, pc: 0x0101010101010101n, interrupted: false })
  })

  it('is laid out by itself when nothing is known, and has its types', () => {
    const file = DebugFile.open(path, { cache: false })
    expect(file.symbolNamed('leaf')?.address).not.toBe(file.symbolNamed('middle')?.address)
    expect(file.findType('struct node')).toMatchObject({ size: 64 })
  })
})

describe('compressed sections', () => {
  const plain = compile(directory, 'plain', '-gdwarf-5', '-O1')

  it.each(['zlib', 'zlib-gnu', ...(typeof zstdCompressSync === 'function' && objcopyKnows('zstd') ? ['zstd'] : [])])(
    'are read when they are %s',
    algorithm => {
      const packed = join(directory, algorithm)
      execFileSync('objcopy', [`--compress-debug-sections=${algorithm}`, plain, packed])
      expect(DebugFile.open(packed, { cache: false }).findType('struct node')).toMatchObject({ size: 64 })
    },
  )

  it('that claim to be larger than they can be are refused', () => {
    const packed = join(directory, 'zlib')
    execFileSync('objcopy', ['--compress-debug-sections=zlib', plain, packed])
    const bytes = readFileSync(packed)
    const info = new ElfFile(bytes).section('.debug_info')
    for (const size of [2n ** 62n, 2n ** 29n, 10n]) {
      bytes.writeBigUInt64LE(size, (info?.offset ?? 0) + 8)
      expect(() => DebugFile.of('packed', bytes, { cache: false }).findType('struct node')).toThrow(ElfError)
    }
  })
})

/** Debian 12's binutils may have been built without it. */
function objcopyKnows(algorithm: string): boolean {
  try {
    execFileSync(
      'objcopy',
      [`--compress-debug-sections=${algorithm}`, compile(directory, 'try', '-g'), join(directory, 'tried')],
      {
        stdio: 'ignore',
      },
    )
    return true
  } catch {
    return false
  }
}

describe('what is known of an address', () => {
  it('moves with the file', () => {
    const file = DebugFile.open(compile(directory, 'moved', '-gdwarf-5', '-O1'), { cache: false })
    const slide = 0x1000_0000n
    const before = file.symbolNamed('leaf')?.address ?? 0n
    const asked = () =>
      [before, before + slide].map(address => ({
        frames: file.framesAt(address).map(({ name, ranges }) => [name, ranges[0].low]),
        line: file.lineAt(address)?.low,
        statement: file.lineAt(address)?.statements[0],
        isInLeaf: file.symbolAt(address)?.symbol.name === 'leaf',
      }))
    const here = { frames: [['leaf', before]], line: before, statement: before, isInLeaf: true }
    const nowhere = { frames: [], line: undefined, statement: undefined, isInLeaf: false }
    expect(asked()).toEqual([here, nowhere])
    file.slide = slide
    const moved = before + slide
    expect(asked()).toEqual([nowhere, { frames: [['leaf', moved]], line: moved, statement: moved, isInLeaf: true }])
  })
})

describe('the cache of searches', () => {
  const path = compile(directory, 'cached', '-gdwarf-5', '-O1')
  const cache = join(directory, 'cache')

  it('is written by build id, and used', () => {
    DebugFile.open(path, { cache }).findType('struct node')
    const [name] = readdirSync(cache)
    expect(name).toMatch(/^[0-9a-f]{40}-[0-9a-f]+\.json$/)
    const stored = JSON.parse(readFileSync(join(cache, name), 'utf8'))
    expect(Object.keys(stored.entries)).toEqual(['type struct node'])
    expect(DebugFile.open(path, { cache }).findType('struct node')).toMatchObject({ size: 64 })
  })

  it.each([
    '',
    '{',
    '[]',
    'null',
    '{"version":1,"entries":{"type struct node":[0,3]}}',
    '{"version":1,"entries":{"type struct node":["x"]}}',
    '{"version":0,"entries":{}}',
  ])('is found out when it says %s', damage => {
    const [name] = readdirSync(cache)
    writeFileSync(join(cache, name), damage)
    expect(DebugFile.open(path, { cache }).findType('struct node')).toMatchObject({ size: 64 })
  })

  it('knows of a long search that there was nothing to find', () => {
    const [name] = readdirSync(cache)
    const entries = { 'type struct node': [] }
    writeFileSync(join(cache, name), JSON.stringify({ version: 1, entries }))
    const file = DebugFile.open(path, { cache })
    expect(file.findType('struct node')).toBeUndefined()
    expect(file.findType('enum color')).toMatchObject({ kind: 'enum' })
  })

  it('does without where it can not write', () => {
    const blocked = join(directory, 'a-file')
    writeFileSync(blocked, '')
    expect(DebugFile.open(path, { cache: join(blocked, 'inside') }).findType('struct node')).toMatchObject({ size: 64 })
  })

  it('keeps a bounded number of files', () => {
    const many = join(directory, 'many')
    mkdirSync(many)
    for (let index = 0; index < 80; index++) writeFileSync(join(many, `${index}.json`), '{}')
    new IndexCache('0123456789abcdef0123', many).set('type', 'x', [1])
    expect(readdirSync(many).length).toBe(64)
  })
})

describe('paths of sources', () => {
  it('match by their ends, the longest first', () => {
    const known = ['/build/linux/fs/read_write.c', '/build/linux/drivers/read_write.c', '/build/linux/fs/open.c']
    expect([...matchingPaths('read_write.c', known)]).toEqual(known.slice(0, 2))
    expect([...matchingPaths('/home/me/src/fs/read_write.c', known)]).toEqual(known.slice(0, 1))
    expect([...matchingPaths('write.c', known)]).toEqual([])
    expect(normalizePath('/a/./b/../c//d')).toBe('/a/c/d')
    expect(normalizePath('../a/../../b')).toBe('../../b')
  })

  it('are mapped between the build and here by the longest directory that fits', () => {
    const map = new SourceMap({ '/build': '/src', '/build/linux/': '/home/me/linux' })
    expect(map.toLocal('/build/linux/fs/open.c')).toBe('/home/me/linux/fs/open.c')
    expect(map.toLocal('/build/other.c')).toBe('/src/other.c')
    expect(map.toLocal('/builder/other.c')).toBe('/builder/other.c')
    expect(map.toCompiler('/home/me/linux/fs/open.c')).toBe('/build/linux/fs/open.c')
  })
})

describe('ORC', () => {
  const address = 0xffffffff82000000n
  /** [address, sp register, sp offset, bp register, bp offset, type, end] */
  function table(entries: readonly (readonly number[])[]): OrcTable {
    const ips = Buffer.alloc(entries.length * 4)
    const rows = Buffer.alloc(entries.length * 6)
    entries.forEach(([ip, sp, spOffset, bp, bpOffset, type], index) => {
      ips.writeInt32LE(ip - index * 4, index * 4)
      rows.writeInt16LE(spOffset, index * 6)
      rows.writeInt16LE(bpOffset, index * 6 + 2)
      rows.writeUInt16LE(sp | (bp << 4) | (type << 8), index * 6 + 4)
    })
    return new OrcTable(ips, address, rows)
  }
  /** Each word of the stack is its own address plus one. */
  const read = (at: bigint, size: number) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(at + 1n)
    return bytes.subarray(0, size)
  }
  const registers = Array.from({ length: 17 }, (_, number) => (number === 7 ? 0x8000n : number === 6 ? 0x9000n : 0n))

  it.each([
    ['before Linux 6.4', 0, 1, 2],
    ['since Linux 6.4', 2, 3, 4],
  ])('unwinds calls, interrupts and what the processor pushed, %s', (_, call, regs, partial) => {
    const orc = table([
      [0x100, 5, 8, 0, 0, call],
      [0x110, 5, 16, 1, -16, call],
      [0x120, 5, 0, 0, 0, regs],
      [0x130, 5, 0, 0, 0, partial],
      [0x140, 0, 0, 0, 0, call === 0 ? 4 : 1],
      [0x150, 4, 16, 1, -16, call],
      [0x160, 4, 16, 1, -16, call],
      [0x170, 4, 16, 1, -16, call],
    ])
    const at = (offset: bigint) => orc.unwind(address + offset, registers, read)
    expect(at(0x50n)).toBeUndefined()
    expect(at(0x104n)).toMatchObject({ pc: 0x8001n, cfa: 0x8008n, interrupted: false, by: 'orc' })
    expect(at(0x104n)?.registers[6]).toBe(0x9000n)
    expect(at(0x110n)?.registers[6]).toBe(0x8001n)
    // struct pt_regs: ip is its 17th word, sp its 20th.
    expect(at(0x12fn)).toMatchObject({ pc: 0x8081n, interrupted: true })
    expect(at(0x12fn)?.registers[7]).toBe(0x8099n)
    expect(at(0x130n)).toMatchObject({ pc: 0x8001n, interrupted: true })
    expect(at(0x130n)?.registers[7]).toBe(0x8019n)
    expect(at(0x140n)).toBeUndefined()
    expect(at(0x150n)).toMatchObject({ cfa: 0x9010n, pc: 0x9009n })
  })
})
