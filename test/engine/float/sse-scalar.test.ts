import { describe, expect, it } from 'vitest'
import type { FloatEnvironment } from '../../../src/engine/float/environment.ts'
import * as sse from '../../../src/engine/float/sse-scalar.ts'
import { nativeUnavailable, runNative } from './native.ts'
import { RandomFloats } from './random-floats.ts'

type Operation = (env: FloatEnvironment, a: bigint, b: bigint) => bigint

const low32 = (value: bigint): number => Number(value & 0xffff_ffffn)
const mask = (bits: number, value: boolean): bigint => (value ? (1n << BigInt(bits)) - 1n : 0n)

const operations = new Map<string, Operation>()
for (const name of ['add', 'sub', 'mul', 'div', 'sqrt', 'min', 'max'] as const) {
  operations.set(`${name}ss`, (env, a, b) => BigInt(sse.sseArithmetic32(name, low32(a), low32(b), env)))
  operations.set(`${name}sd`, (env, a, b) => sse.sseArithmetic64(name, a, b, env))
}
for (let predicate = 0; predicate < 8; predicate++) {
  operations.set(`cmpss${predicate}`, (env, a, b) => mask(32, sse.sseCompare32(predicate, low32(a), low32(b), env)))
  operations.set(`cmpsd${predicate}`, (env, a, b) => mask(64, sse.sseCompare64(predicate, a, b, env)))
}
for (const [prefix, signalling] of [
  ['', true],
  ['u', false],
] as const) {
  operations.set(`${prefix}comiss`, (env, a, b) => BigInt(sse.sseCompareFlags32(low32(a), low32(b), signalling, env)))
  operations.set(`${prefix}comisd`, (env, a, b) => BigInt(sse.sseCompareFlags64(a, b, signalling, env)))
}
for (const bits of [32, 64] as const) {
  for (const [name, truncate] of [
    ['cvt', false],
    ['cvtt', true],
  ] as const) {
    operations.set(`${name}ss2si${bits}`, (env, a) =>
      BigInt.asUintN(bits, sse.sseToInteger32(low32(a), bits, truncate, env)),
    )
    operations.set(`${name}sd2si${bits}`, (env, a) => BigInt.asUintN(bits, sse.sseToInteger64(a, bits, truncate, env)))
  }
  // The native instruction leaves the upper half of the destination, which held `a`.
  operations.set(
    `cvtsi2ss${bits}`,
    (env, a) => ((a >> 32n) << 32n) | BigInt(sse.sseFromInteger32(BigInt.asIntN(bits, a), env)),
  )
  operations.set(`cvtsi2sd${bits}`, (env, a) => sse.sseFromInteger64(BigInt.asIntN(bits, a), env))
}
operations.set('cvtss2sd', (env, a) => sse.sse32To64(low32(a), env))
operations.set('cvtsd2ss', (env, a) => BigInt(sse.sse64To32(a, env)))
for (const immediate of [0, 3, 4, 12]) {
  operations.set(`roundss${immediate}`, (env, a) => BigInt(sse.sseRound32(low32(a), immediate, env)))
  operations.set(`roundsd${immediate}`, (env, a) => sse.sseRound64(a, immediate, env))
}

interface Case {
  name: string
  mxcsr: number
  a: bigint
  b: bigint
}

function randomCase(random: RandomFloats, name: string, masked: boolean): Case {
  const value = () => {
    if (name.startsWith('cvtsi')) return random.below(3) ? random.fraction(64) : random.bits()
    return /^cvtt?ss|ss\d*$/.test(name.replace('cvtsd2ss', 'cvtsd')) ? random.binary32() : random.binary64()
  }
  const a = value()
  const masks = masked ? 0x3f : random.below(64)
  // Rounding, FTZ and DAZ at random; flags that are already set must survive.
  const mxcsr =
    (masks << 7) | (random.below(4) << 13) | (random.below(2) << 15) | (random.below(3) ? 0 : 1 << 6) | random.below(64)
  return { name, mxcsr: masked ? mxcsr : mxcsr & ~0x3f, a, b: random.below(8) === 0 ? a : value() }
}

function ours({ name, mxcsr, a, b }: Case): string {
  const operation = operations.get(name)
  if (!operation) throw new Error(`no operation ${name}`)
  const env = sse.sseEnvironment(mxcsr)
  const result = operation(env, a, b)
  const outcome = sse.sseOutcome(mxcsr, env)
  return `${(outcome.fault ? 0n : result).toString(16)} ${outcome.mxcsr.toString(16)} ${outcome.fault ? 1 : 0}`
}

function differences(cases: readonly Case[]): string[] {
  const lines = cases.map(c => `${c.name} ${c.mxcsr.toString(16)} ${c.a.toString(16)} ${c.b.toString(16)}`)
  const native = runNative(new URL('native-sse.c', import.meta.url), lines)
  return cases.flatMap((c, i) => (ours(c) === native[i] ? [] : [`${lines[i]}: ${ours(c)}, processor ${native[i]}`]))
}

describe(`SSE scalar operations${nativeUnavailable ? ` (skipped: ${nativeUnavailable})` : ''}`, () => {
  for (const masked of [true, false]) {
    it.skipIf(nativeUnavailable)(
      `agree with the processor on result and MXCSR with exceptions ${masked ? 'masked' : 'unmasked at random'}`,
      () => {
        const random = new RandomFloats(masked ? 1 : 2)
        const cases = [...operations.keys()].flatMap(name =>
          Array.from({ length: 1500 }, () => randomCase(random, name, masked)),
        )
        expect(differences(cases).slice(0, 20)).toEqual([])
      },
    )
  }
})
