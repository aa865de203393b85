/** One definition serves both tiers: a block compiled with constant operands does what the interpreter does. */

import { afterAll, describe, expect, it } from 'vitest'
import type { Exit } from '../../src/engine/processor.ts'
import { Guest, Host, registersOf } from './guest/guest.ts'
import { CODE, DATA, enterLongMode, STACK } from './guest/long-mode.ts'
import { Random } from './guest/random.ts'
import { type CodeStyle, DATA_BYTES, RandomCode } from './guest/random-code.ts'

const INSTRUCTIONS = 12
const HLT = 0xf4
const EVERY_EXCEPTION = 0xffff_ffff

const host = new Host()
const guest = new Guest(host, { exceptionBitmap: EVERY_EXCEPTION })
const { processor } = host
const interpret = processor.execute
const { compiler } = processor

afterAll(() => guest.release())

/** From now on every block is compiled, and none interpreted. */
function compileEverything(): void {
  processor.execute = block => {
    compiler.install([block])
    return interpret(block)
  }
}

interface Outcome {
  readonly exit: Exit
  readonly registers: Record<string, string>
  readonly count: number
  readonly data: string
  readonly stack: string
}

/** Runs the code from a start state that `seed` stands for. @param compile undefined: however the processor does now */
function outcome(code: readonly number[], seed: number, compile: boolean | undefined, budget: number): Outcome {
  const random = new Random(seed)
  enterLongMode(guest)
  guest.write(CODE, [...code, HLT])
  guest.write(
    DATA,
    Array.from({ length: DATA_BYTES }, () => random.below(256)),
  )
  guest.write(STACK - 0x1000, new Uint8Array(0x1000))
  for (const name of 'rax rcx rdx rbx rbp rsi rdi r8 r9 r10 r11 r12'.split(' '))
    guest.setRegisters({ [name]: random.operand() })
  for (let i = 0; i < 16; i++) guest.setRegisters({ [`xmm${i}`]: (random.operand() << 64n) | random.operand() })
  guest.setRegisters({ r14: random.below(16), r15: DATA, rsp: STACK - 0x100, rflags: 2 | (random.word() & 0x8d5) })
  guest.clock.count = 0
  if (compile === true) compileEverything()
  else if (compile === false) processor.execute = interpret
  const exit = guest.run(budget)
  processor.execute = interpret
  return {
    exit,
    registers: registersOf(guest.vcpu),
    count: guest.clock.count,
    data: Buffer.from(guest.read(DATA, DATA_BYTES)).toString('base64'),
    stack: Buffer.from(guest.read(STACK - 0x1000, 0x1000)).toString('base64'),
  }
}

function compareBlocks(blocks: number, style: CodeStyle, firstSeed: number): Map<string, number> {
  const exits = new Map<string, number>()
  for (let seed = firstSeed; seed < firstSeed + blocks; seed++) {
    const source = new RandomCode(new Random(seed), style)
    const code = Array.from({ length: INSTRUCTIONS }, () => source.snippet().flat()).flat()
    const expected = outcome(code, seed, false, 1000)
    const got = outcome(code, seed, true, 1000)
    expect(got, `seed ${seed}: ${Buffer.from(code).toString('hex')}`).toEqual(expected)
    exits.set(expected.exit.reason, (exits.get(expected.exit.reason) ?? 0) + 1)
  }
  return exits
}

describe('a compiled block', () => {
  it('computes what the interpreter computes: integers, memory, stack and flags', () => {
    const exits = compareBlocks(150, {}, 1)
    expect(exits.get('hlt')).toBe(150)
    expect(compiler.compiled).toBeGreaterThanOrEqual(150)
  })

  it('computes what the interpreter computes: SSE, and strings, which end their blocks', () => {
    const exits = compareBlocks(100, { sse: true, strings: true }, 1000)
    expect(exits.get('hlt')).toBeGreaterThan(80)
  })

  it('faults in the middle as the interpreter does, with the instructions before it retired', () => {
    const exits = compareBlocks(100, { sse: true, holes: 0.2, division: true }, 2000)
    expect(exits.get('exception')).toBeGreaterThan(50)
  })

  it('stops where the budget ends', () => {
    const source = new RandomCode(new Random(77))
    const code = Array.from({ length: INSTRUCTIONS }, () => source.instruction()).flat()
    for (let budget = 1; budget < INSTRUCTIONS + 2; budget++)
      expect(outcome(code, 77, true, budget)).toEqual(outcome(code, 77, false, budget))
  })

  it('follows a fused comparison and branch both ways', () => {
    // mov eax, N; cmp eax, 5; jl +1; inc ecx
    for (const value of [4, 5, 6]) {
      const code = [0xb8, value, 0, 0, 0, 0x83, 0xf8, 5, 0x7c, 2, 0xff, 0xc1]
      const got = outcome(code, 5, true, 10)
      expect(got).toEqual(outcome(code, 5, false, 10))
      expect(got.count).toBe(value < 5 ? 4 : 5)
    }
  })
})
