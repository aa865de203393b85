import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { x87Assists, x87MemorySizes } from '../../../src/engine/x87/x87-assists.ts'

const iced: typeof import('iced-x86') = createRequire(import.meta.url)('iced-x86')

/** Features of processors before the Pentium Pro that none since has. */
const ABSENT = ['FPU287XL_ONLY', 'FPU387SL_ONLY', 'CYRIX_FPU']

interface IcedCode {
  readonly name: string
  readonly memoryBytes: number | undefined
}

function codesOfTheFpu(): IcedCode[] {
  const features = new Map(Object.entries(iced.CpuidFeature).map(([name, value]) => [value, name]))
  const instruction = new iced.Instruction()
  return Object.entries(iced.Code).flatMap(([name, code]) => {
    if (typeof code !== 'number') return []
    instruction.code = code
    const needs = Array.from(instruction.cpuidFeatures(), feature => features.get(feature) ?? '')
    const wanted = needs.some(feature => /FPU|FXSR/.test(feature)) && !needs.some(feature => ABSENT.includes(feature))
    if (!wanted) return []
    const { memorySize } = instruction.opCode
    const memoryBytes = memorySize === iced.MemorySize.Unknown ? undefined : iced.MemorySizeExt.size(memorySize)
    return [{ name, memoryBytes }]
  })
}

describe('the table of x87 assists', () => {
  it('has every instruction that iced-x86 knows of the 8087 to the Pentium Pro, FXSAVE and FISTTP', () => {
    const missing = codesOfTheFpu().filter(({ name }) => x87Assists[name] === undefined)
    expect(missing).toEqual([])
  })

  it('has WAIT and EMMS', () => {
    expect(x87Assists.Wait).toBeTypeOf('function')
    expect(x87Assists.Emms).toBeTypeOf('function')
  })

  it('names nothing that iced-x86 does not', () => {
    expect(Object.keys(x87Assists).filter(name => !(name in iced.Code))).toEqual([])
  })

  it('gives the size of every memory operand', () => {
    for (const { name, memoryBytes } of codesOfTheFpu())
      expect([name, x87MemorySizes[name]]).toEqual([name, memoryBytes])
  })
})
