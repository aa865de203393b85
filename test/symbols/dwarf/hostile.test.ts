import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { DebugFile } from '../../../src/symbols/dwarf/debug-file.ts'
import type { Type } from '../../../src/symbols/dwarf/type-model.ts'
import { ElfError } from '../../../src/symbols/elf/elf-error.ts'
import { compile, markedLine, scratchDirectory } from './compiled.ts'

const directory = scratchDirectory()

/** Asks everything once; an ElfError ends one question, not the others. */
function askEverything(bytes: Uint8Array): number {
  let refused = 0
  const attempt = <T>(question: () => T): T | undefined => {
    try {
      return question()
    } catch (error) {
      if (!(error instanceof ElfError)) throw error
      refused++
      return undefined
    }
  }
  const file = attempt(() => DebugFile.of('damaged', bytes, { cache: false }))
  if (file === undefined) return refused
  const leaf = attempt(() => file.symbolNamed('leaf'))?.address ?? 0x401000n
  const registers = Array.from({ length: 17 }, (_, number) =>
    number === 16 || number === 8 ? leaf + 4n : 0x7fff_0000n,
  )
  const read = (_address: bigint, size: number) => new Uint8Array(Math.min(size, 1 << 16))
  for (let offset = 0n; offset < 64n; offset += 16n) {
    const pc = leaf + offset
    attempt(() => file.symbolAt(pc))
    attempt(() => file.lineAt(pc))
    for (const frame of attempt(() => file.framesAt(pc)) ?? []) {
      for (const variable of attempt(() => file.variablesOf(frame)) ?? []) {
        const context = { pc, register: (number: number) => registers[number], read }
        const location = attempt(() => file.locate(variable, context))
        if (location !== undefined) attempt(() => file.readLocation(location, 8, context))
      }
    }
  }
  attempt(() => file.unwind(registers, read, false))
  attempt(() => file.breakpointsAt('subject.c', markedLine('leaf-return')))
  attempt(() => file.functionsNamed('squared'))
  attempt(() => file.sourceFiles())
  attempt(() => file.variableNamed('counter'))
  attempt(() => file.findEnumerator('GREEN'))
  attempt(() => lookInto(file.findType('struct node'), 4))
  return refused
}

function lookInto(type: Type | undefined, depth: number): void {
  if (type === undefined || depth === 0) return
  expect(typeof type.name).toBe('string')
  expect(['number', 'undefined']).toContain(typeof type.size)
  if (type.kind === 'struct') for (const member of type.members.slice(0, 20)) lookInto(member.type, depth - 1)
  if (type.kind === 'array') lookInto(type.element, depth - 1)
  if (type.kind === 'pointer' || type.kind === 'typedef' || type.kind === 'qualified') lookInto(type.target, depth - 1)
  if (type.kind === 'function') type.parameters.slice(0, 20).forEach(parameter => void lookInto(parameter, depth - 1))
  if (type.kind === 'enum') expect(type.enumerators.length).toBeLessThan(1e6)
}

/** Numerical Recipes' generator: the same damage in every run. */
function* pseudoRandom(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    yield state
  }
}

describe.each([
  ['DWARF 5', '-gdwarf-5', '-O2'],
  ['DWARF 4', '-gdwarf-4', '-O2', '-fdebug-types-section'],
  ['an object file', '-gdwarf-5', '-O1', '-c'],
  ['compressed', '-gdwarf-5', '-O1', '-gz'],
  ['32-bit', '-gdwarf-5', '-O1', '-m32'],
])('%s, damaged', (name, ...options) => {
  const intact = readFileSync(compile(directory, name.replaceAll(/\W/g, '-'), ...options))

  it('answers everything when it is not', () => {
    expect(askEverything(intact)).toBe(0)
  })

  it('is refused by a typed error or answered, whatever bytes are flipped', () => {
    const random = pseudoRandom(20260)
    const next = (limit: number) => random.next().value % limit
    for (let round = 0; round < 400; round++) {
      const bytes = Uint8Array.from(intact)
      const flips = 1 + next(8)
      for (let flip = 0; flip < flips; flip++) bytes[next(bytes.length)] = next(256)
      const started = performance.now()
      askEverything(bytes)
      expect(performance.now() - started).toBeLessThan(5000)
    }
  })

  it('is refused by a typed error or answered, wherever it is cut off', () => {
    for (let length = 0; length < intact.length; length += 97) askEverything(intact.subarray(0, length))
  })
})
