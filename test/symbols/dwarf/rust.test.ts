import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DebugFile } from '../../../src/symbols/dwarf/debug-file.ts'
import { demangleRust } from '../../../src/symbols/rust-names.ts'
import { isInstalled, scratchDirectory } from './compiled.ts'

const directory = scratchDirectory()
const SOURCE = join(import.meta.dirname, 'subject.rs')
const hasRust = isInstalled('rustc')
if (!hasRust) console.log('rustc is not installed: debugging information of Rust is not tested')

describe.skipIf(!hasRust).each([4, 5])('a Rust program with DWARF %i', version => {
  const file = hasRust ? build(version) : undefined

  function build(dwarf: number): DebugFile {
    const path = join(directory, `rust-${dwarf}`)
    execFileSync('rustc', ['-g', '-C', `dwarf-version=${dwarf}`, '--crate-name', 'subject', '-o', path, SOURCE])
    return DebugFile.open(path, { cache: false })
  }

  it('finds functions by their paths, or the ends of them', () => {
    for (const name of ['subject::shapes::Counter::bump', 'Counter::bump', 'bump']) {
      const places = file?.functionsNamed(name) ?? []
      expect(places.map(place => place.name)).toEqual(['subject::shapes::Counter::bump'])
    }
    const main = file?.functionsNamed('main').map(place => place.name)
    expect(main).toContain('subject::main')
  })

  it('shows frames, with the source name of mangled symbols', () => {
    const line =
      readFileSync(SOURCE, 'utf8')
        .split('\n')
        .findIndex(text => text.includes('#bump')) + 1
    const [place] = file?.breakpointsAt('symbols/dwarf/subject.rs', line)?.places ?? []
    const [frame] = file?.framesAt(place.address) ?? []
    expect(frame).toMatchObject({ name: 'subject::shapes::Counter::bump', language: 'rust', location: { line } })
    expect(frame.returnType?.name).toBe('u64')
    expect(file?.variablesOf(frame).map(({ kind, name, type }) => `${kind} ${name}: ${type?.name}`)).toEqual([
      'parameter self: &mut subject::shapes::Counter',
      'parameter by: u64',
    ])
    const symbol = file?.symbolAt(place.address)?.symbol
    expect(symbol?.name).toMatch(/^_ZN/)
    expect(symbol && file?.sourceName(symbol)).toBe('subject::shapes::Counter::bump')
  })

  it('lays out enumerations with data by their variants', () => {
    const shape = file?.findType('shapes::Shape')
    if (shape?.kind !== 'struct') throw new Error('Shape is no structure')
    expect(shape.variants?.discriminant?.type.name).toBe('u16')
    expect(shape.variants?.variants.map(({ values, members }) => [values?.[0].low, members[0].name])).toEqual([
      [0n, 'Circle'],
      [1n, 'Rect'],
      [2n, 'Empty'],
    ])
    const rect = shape.variants?.variants[1].members[0].type
    expect(rect?.kind === 'struct' && rect.members.map(({ name, type }) => `${name}: ${type.name}`)).toEqual([
      'w: u16',
      'h: u16',
    ])
    expect(file?.findType('core::option::Option<u32>')).toMatchObject({ size: 8 })
  })
})

describe("Rust's symbols", () => {
  it('are named as in the source', () => {
    expect(demangleRust('_ZN4core3fmt5write17h0123456789abcdefE')).toBe('core::fmt::write')
    expect(demangleRust('_ZN38_$LT$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE')).toBe(
      '<T as core::fmt::Debug>::fmt',
    )
  })

  it.each(['main', '_ZN3foo3barE', '_ZN9999foo17h0123456789abcdefE', '_ZN', '_ZN17h0123456789abcdefE', '_RNvC1a4main'])(
    'are left alone when they are others: %s',
    symbol => expect(demangleRust(symbol)).toBeUndefined(),
  )
})
