/** Fused multiplication from WebAssembly's arithmetic: what it calls safe is what software floating point computes. */

import { describe, expect, it } from 'vitest'
import { FLAG_PRECISION } from '../../../src/engine/float/environment.ts'
import { sseEnvironment, sseMultiplyAdd32, sseMultiplyAdd64 } from '../../../src/engine/float/sse-scalar.ts'
import { HostMemory } from '../../../src/engine/host-memory.ts'
import { fusedDoubles, fusedSingles } from '../../../src/engine/isa/fused-native.ts'
import { ModuleBuilder } from '../../../src/engine/wasm/module-builder.ts'
import { i32 } from '../../../src/engine/wasm/value.ts'
import { RandomFloats } from '../float/random-floats.ts'

const MASKED = 0x1f80
const NO_SIGNS = { product: false, addend: false }
/** Where operands, and what comes of them, are in memory. */
const [A, B, C, RESULT, UNSAFE, EXACT] = [0, 16, 32, 48, 64, 80]
const CASES = 20_000

async function compile(compute: typeof fusedDoubles) {
  const module = new ModuleBuilder()
  const { builder: f } = module.declare([], 'void', 'run')
  const at = (address: number) => f.let(f.load('v128', i32(0), address))
  const { result, unsafe, exact } = compute(f, at(A), at(B), at(C))
  f.store(i32(0), result, RESULT)
  f.store(i32(0), unsafe, UNSAFE)
  f.store(i32(0), exact, EXACT)
  const memory = new HostMemory(65536)
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.encode(1)), {
    env: { memory: memory.memory },
  })
  const { run } = instance.exports
  if (typeof run !== 'function') throw new Error('not compiled')
  return { memory, run }
}

const random = new RandomFloats(5)

/** A number whose product with others neither overflows nor vanishes, often a short one. */
function moderate64(): bigint {
  const fraction = random.pick([random.fraction(52), random.bits() & 0xf_ffff_ffff_ffffn, random.fraction(20) << 32n])
  return (BigInt(random.below(2)) << 63n) | (BigInt(1023 + random.below(60) - 30) << 52n) | fraction
}

function moderate32(): number {
  const fraction = random.pick([random.fraction(23), random.bits() & 0x7f_ffffn, random.fraction(10) << 13n])
  return Number((BigInt(random.below(2)) << 31n) | (BigInt(127 + random.below(30) - 15) << 23n) | fraction)
}

const [view, buffer64] = [new DataView(new ArrayBuffer(8)), new BigUint64Array(1)]
/** The addend that nearly or wholly cancels a product, or any other. */
function addend64(a: bigint, b: bigint): bigint {
  if (random.below(2) === 0) return moderate64()
  view.setBigUint64(0, a)
  const x = view.getFloat64(0)
  view.setBigUint64(0, b)
  view.setFloat64(0, -x * view.getFloat64(0))
  return BigInt.asUintN(64, view.getBigUint64(0) + BigInt(random.below(5) - 2))
}

function addend32(a: number, b: number): number {
  if (random.below(2) === 0) return moderate32()
  view.setUint32(0, a)
  const x = view.getFloat32(0)
  view.setUint32(0, b)
  view.setFloat32(0, -x * view.getFloat32(0))
  return (view.getUint32(0) + random.below(5) - 2) >>> 0
}

describe('fused multiplication natively', () => {
  it('is what software computes in binary64, and knows what was exact', async () => {
    const { memory, run } = await compile(fusedDoubles)
    let [safe, exact] = [0, 0]
    for (let i = 0; i < CASES; i++) {
      const anything = i % 10 === 0
      const [a, b] = anything ? [random.binary64(), random.binary64()] : [moderate64(), moderate64()]
      const c = anything ? random.binary64() : addend64(a, b)
      for (const [at, value] of [
        [A, a],
        [B, b],
        [C, c],
      ] as const)
        for (const lane of [0, 1]) memory.u64[(at >> 3) + lane] = value
      run()
      if (memory.u64[UNSAFE >> 3] !== 0n) continue
      safe++
      const environment = sseEnvironment(MASKED)
      buffer64[0] = sseMultiplyAdd64(a, b, c, NO_SIGNS, environment)
      const operands = [a, b, c].map(each => each.toString(16)).join(' ')
      expect(`${operands}: ${memory.u64[RESULT >> 3].toString(16)}`).toBe(`${operands}: ${buffer64[0].toString(16)}`)
      expect(environment.flags & ~FLAG_PRECISION).toBe(0)
      if (memory.u64[EXACT >> 3] === 0n) continue
      exact++
      expect(environment.flags, operands).toBe(0)
    }
    expect(safe).toBeGreaterThan(CASES * 0.8)
    expect(exact).toBeGreaterThan(CASES * 0.05)
  })

  it('is what software computes in binary32, and knows what was exact', async () => {
    const { memory, run } = await compile(fusedSingles)
    let [safe, exact] = [0, 0]
    for (let i = 0; i < CASES; i++) {
      const operands = Array.from({ length: 4 }, () => {
        const anything = i % 10 === 0
        const [a, b] = anything ? [Number(random.binary32()), Number(random.binary32())] : [moderate32(), moderate32()]
        return { a, b, c: anything ? Number(random.binary32()) : addend32(a, b) }
      })
      operands.forEach(({ a, b, c }, lane) => {
        memory.u32[(A >> 2) + lane] = a
        memory.u32[(B >> 2) + lane] = b
        memory.u32[(C >> 2) + lane] = c
      })
      run()
      operands.forEach(({ a, b, c }, lane) => {
        if (memory.u32[(UNSAFE >> 2) + lane] !== 0) return
        safe++
        const environment = sseEnvironment(MASKED)
        const text = [a, b, c].map(each => each.toString(16)).join(' ')
        const expected = sseMultiplyAdd32(a, b, c, NO_SIGNS, environment)
        expect(`${text}: ${memory.u32[(RESULT >> 2) + lane].toString(16)}`).toBe(`${text}: ${expected.toString(16)}`)
        expect(environment.flags & ~FLAG_PRECISION).toBe(0)
        if (memory.u32[(EXACT >> 2) + lane] === 0) return
        exact++
        expect(environment.flags, text).toBe(0)
      })
    }
    expect(safe).toBeGreaterThan(CASES * 3)
    expect(exact).toBeGreaterThan(CASES * 0.2)
  })
})
