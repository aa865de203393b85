import { describe, expect, it } from 'vitest'
import { DebugFile } from '../../../src/symbols/dwarf/debug-file.ts'
import { type StructType, stripped, type Type } from '../../../src/symbols/dwarf/type-model.ts'
import { compile, FLAVOURS, scratchDirectory } from './compiled.ts'

const directory = scratchDirectory()

function struct(type: Type | undefined): StructType {
  if (type?.kind !== 'struct') throw new Error(`${type?.name} is no structure`)
  return type
}

describe.each(FLAVOURS)('types of %s', (name, ...options) => {
  const file = DebugFile.open(compile(directory, name.replaceAll(/\W/g, '-'), ...options), { cache: false })
  const word = file.bits / 8

  it('lays out a structure like the compiler, bit fields included', () => {
    const node = struct(file.findType('struct node'))
    // gdb's ptype/o of both builds.
    const expected =
      word === 8
        ? { size: 64, next: 0, where: 8, anonymous: 24, describe: 40, grid: 48, color: 60 }
        : { size: 52, next: 0, where: 4, anonymous: 20, describe: 32, grid: 36, color: 48 }
    expect(node.size).toBe(expected.size)
    const offsets = Object.fromEntries(node.members.map(member => [member.name ?? 'anonymous', member.offset]))
    expect(offsets).toMatchObject({
      next: expected.next,
      where: expected.where,
      anonymous: expected.anonymous,
      describe: expected.describe,
      grid: expected.grid,
      color: expected.color,
    })
    const first = expected.where + 8
    const places = node.members.flatMap(({ name: field, offset, bits }) =>
      bits ? [[field, (offset - first) * 8 + bits.offset, bits.size]] : [],
    )
    expect(places).toEqual([
      ['flags', 0, 3],
      ['kind', 3, 7],
      ['delta', 10, 5],
      ['wide', 15, 40],
    ])
  })

  it('names types as C does', () => {
    const names = Object.fromEntries(
      struct(file.findType('node')).members.map(({ name: field, type }) => [field, type.name]),
    )
    expect(names).toMatchObject({
      next: 'struct node *',
      where: 'struct point',
      describe: 'const char *(*)(struct node *, enum color)',
      grid: 'short int [2][3]',
      color: 'enum color',
    })
  })

  it('follows pointers back to the structure itself, typedefs and qualifiers to what they stand for', () => {
    const node = struct(file.findType('struct node'))
    const next = node.members[0].type
    expect(next.kind === 'pointer' && next.target?.name).toBe('struct node')
    expect(next.size).toBe(word)
    const alias = file.findType('size_type')
    expect(alias?.kind).toBe('typedef')
    expect(stripped(alias)).toMatchObject({ kind: 'base', encoding: 'unsigned', size: word })
    expect(file.findType('unsigned long')).toMatchObject({ name: 'long unsigned int' })
  })

  it('counts arrays, and knows enumerators with their signs', () => {
    expect(file.variableNamed('nodes')?.type).toMatchObject({ kind: 'array', counts: [3] })
    const color = file.findType('enum color')
    expect(color?.kind === 'enum' && color.enumerators).toEqual([
      { name: 'RED', value: 0n },
      { name: 'GREEN', value: 5n },
      { name: 'BLUE', value: -1n },
    ])
    expect(file.findEnumerator('GREEN')).toMatchObject({ value: 5n, type: { name: 'enum color' } })
    expect(file.findEnumerator('PURPLE')).toBeUndefined()
  })

  it('says that a type is only declared', () => {
    const hidden = struct(file.findType('struct holder')).members[0].type
    const target = hidden.kind === 'pointer' ? hidden.target : undefined
    expect(target).toMatchObject({ name: 'struct opaque', incomplete: true, members: [] })
    expect(file.findType('struct opaque')).toBeUndefined()
    expect(file.findType('')).toBeUndefined()
  })

  it('finds variables outside functions where they lie', () => {
    const read = () => undefined
    const context = { pc: 0n, register: () => undefined, read }
    for (const name of ['counter', 'nodes', 'holder']) {
      const variable = file.variableNamed(name)
      expect(variable?.kind).toBe('static')
      const place = variable && file.locate(variable, context)
      expect(place).toEqual({ kind: 'memory', address: file.symbolNamed(name)?.address })
    }
    expect(file.variableNamed('local')).toBeUndefined()
  })
})
