import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { DebugFile } from '../../../src/symbols/dwarf/debug-file.ts'
import { compile, FLAVOURS, isInstalled, markedLine, SUBJECT, scratchDirectory } from './compiled.ts'

const directory = scratchDirectory()

/** What binutils says of an address: function and line of each frame, innermost first. */
function addr2line(path: string, addresses: readonly bigint[]): string[] {
  const output = execFileSync('addr2line', ['-a', '-i', '-f', '-e', path, ...addresses.map(hex)], { encoding: 'utf8' })
  return output
    .split(/^0x[0-9a-f]+\n/m)
    .slice(1)
    .map(group => group.trim().replaceAll(/ \(discriminator \d+\)/g, ''))
}

const hex = (address: bigint) => `0x${address.toString(16)}`

describe.each(FLAVOURS)('%s', (name, ...options) => {
  const path = compile(directory, name.replaceAll(/\W/g, '-'), ...options)
  const file = DebugFile.open(path, { cache: false })
  const functions = [...file.symbols()].filter(symbol => symbol.kind === 'function' && symbol.size > 0n)

  it.skipIf(!isInstalled('gdb'))(
    'names the functions, inlined ones too, and lines of every address like addr2line',
    () => {
      const addresses = functions.flatMap(({ address, size }) =>
        Array.from({ length: Number(size) }, (_, i) => address + BigInt(i)),
      )
      expect(addresses.length).toBeGreaterThan(100)
      const ours = addresses.map(address => {
        const frames = file.framesAt(address)
        return frames.map(frame => `${frame.name}\n${frame.location?.file}:${frame.location?.line}`).join('\n')
      })
      const theirs = addr2line(path, addresses)
      // Of several rows at one address gdb takes the statement, as we do, and binutils the last.
      const differing = addresses.filter((_, index) => ours[index] !== theirs[index])
      const lines = differing.map(address => file.lineAt(address)?.line)
      expect(lines).toEqual(linesOfGdb(path, differing))
    },
  )

  it('puts a breakpoint on a line where code of the line is', () => {
    const line = markedLine('call-leaf')
    const found = file.breakpointsAt('dwarf/subject.c', line)
    expect(found?.line).toBe(line)
    for (const { address, file: source } of found?.places ?? []) {
      expect(source).toBe(SUBJECT)
      expect(file.framesAt(address)[0].name).toBe('middle')
    }
  })

  it('finds every copy of an inlined line', () => {
    const found = file.breakpointsAt('/elsewhere/subject.c', markedLine('square'))
    expect(found?.places.length).toBeGreaterThan(0)
    for (const { address } of found?.places ?? []) {
      const frames = file.framesAt(address).map(frame => frame.name)
      expect(frames.at(-1)).toBe('leaf')
      // The optimizer mixes a copy's instructions with the function's own: a line can begin at one of those.
      if (!options.includes('-O2')) expect(frames).toEqual(['squared', 'leaf'])
    }
  })

  it('moves a breakpoint without code to the next line that has some, and says which', () => {
    // An inlined function has no code for its own first line, which not every build has either.
    const first = declarationOf('squared')
    expect([first, first + 1, first + 2]).toContain(file.breakpointsAt('subject.c', 1)?.line)
    expect(file.breakpointsAt('subject.c', 100_000)).toBeUndefined()
    expect(file.breakpointsAt('other.c', 1)).toBeUndefined()
  })

  it('lists the statements of a range of lines', () => {
    const lines = file
      .statementsIn('subject.c', markedLine('call-leaf'), markedLine('middle-return'))
      .map(place => place.line)
    expect(new Set(lines)).toContain(markedLine('middle-return'))
    expect(Math.min(...lines)).toBe(markedLine('call-leaf'))
    expect(file.sourceFiles()).toContain(SUBJECT)
  })

  it('finds functions: with a symbol, and inlined without', () => {
    const [leaf, ...others] = file.functionsNamed('leaf')
    expect(others).toEqual([])
    expect(leaf.address).toBe(file.symbolNamed('leaf')?.address)
    expect(leaf.declared?.line).toBe(declarationOf('leaf'))
    expect(file.framesAt(leaf.bodyAddress).at(-1)?.name).toBe('leaf')
    if (options.includes('-O0')) expect(leaf.bodyAddress).toBeGreaterThan(leaf.address)
    const squared = file.functionsNamed('squared')
    expect(squared.length).toBeGreaterThan(0)
    expect(squared.every(place => place.inlined)).toBe(true)
    expect(file.functionsNamed('nothing')).toEqual([])
  })

  it('moves everything by its slide', () => {
    const before = {
      symbol: file.symbolNamed('leaf'),
      breakpoint: file.breakpointsAt('subject.c', markedLine('leaf-return')),
    }
    const address = before.symbol?.address ?? 0n
    const line = file.lineAt(address)
    file.slide = 0x1000_0000n
    expect(file.symbolNamed('leaf')?.address).toBe(address + 0x1000_0000n)
    expect(file.symbolAt(address + 0x1000_0003n)).toMatchObject({ symbol: { name: 'leaf' }, offset: 3n })
    expect(file.lineAt(address + 0x1000_0000n)?.line).toBe(line?.line)
    expect(file.breakpointsAt('subject.c', markedLine('leaf-return'))?.places[0].address).toBe(
      (before.breakpoint?.places[0].address ?? 0n) + 0x1000_0000n,
    )
    expect(file.framesAt(address)).toEqual([])
    file.slide = 0n
  })
})

function linesOfGdb(path: string, addresses: readonly bigint[]): number[] {
  const questions = addresses.flatMap(address => ['-ex', `info line *${hex(address)}`])
  const said = execFileSync('gdb', ['-nx', '-batch', ...questions, path], { encoding: 'utf8' })
  return [...said.matchAll(/^Line (\d+) /gm)].map(match => Number(match[1]))
}

/** The line that a function's definition begins on. */
function declarationOf(name: string): number {
  const lines = readFileSync(SUBJECT, 'utf8').split('\n')
  return lines.findIndex((line, index) => line.includes(` ${name}(`) && lines[index + 1] === '{') + 1
}
