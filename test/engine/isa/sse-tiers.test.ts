/** Every form of SSE and MMX in a guest: compiled with constant operands it does what the interpreter does. */

import { afterAll, describe, expect, it } from 'vitest'
import { RandomFloats } from '../float/random-floats.ts'
import { Guest, Host, registersOf } from '../guest/guest.ts'
import { CODE, DATA, enterLongMode } from '../guest/long-mode.ts'
import { contentOf, formsOf, GENERAL, MEMORY, MEMORY_SIZE, RDX, randomState, sseCodes, XMM } from './sse-cases.ts'

/** Instructions of a block. */
const LENGTH = 8
const HLT = 0xf4

const host = new Host()
const guest = new Guest(host, { exceptionBitmap: 0xffff_ffff })
afterAll(() => guest.release())
const { processor } = host
const interpret = processor.execute
const compileFirst: typeof interpret = block => {
  processor.compiler.install([block])
  return interpret(block)
}

interface Outcome {
  readonly exit: string
  readonly registers: Record<string, string>
  readonly memory: string
}

function outcome(code: readonly number[], state: Uint8Array, execute: typeof interpret): Outcome {
  const view = new DataView(state.buffer)
  const quad = (at: number) => view.getBigUint64(at, true)
  enterLongMode(guest)
  guest.write(CODE, [...code, HLT])
  guest.write(DATA, state.subarray(MEMORY, MEMORY + MEMORY_SIZE))
  const xmm = (i: number) => (quad(XMM + i * 16 + 8) << 64n) | quad(XMM + i * 16)
  guest.setRegisters({ rax: quad(GENERAL), rcx: quad(GENERAL + 8), rdx: quad(RDX), xmm0: xmm(0), xmm1: xmm(1) })
  guest.setRegisters({ rdi: DATA })
  processor.execute = execute
  const exit = guest.run(1000)
  processor.execute = interpret
  const memory = Buffer.from(guest.read(DATA, MEMORY_SIZE)).toString('hex')
  return { exit: exit.reason, registers: registersOf(guest.vcpu), memory }
}

describe('A compiled block', () => {
  it('computes what the interpreter computes, whatever the form of SSE or MMX', () => {
    const random = new RandomFloats(11)
    // LDMXCSR of anything but a valid value is #GP.
    const forms = sseCodes()
      .filter(code => !code.startsWith('Ldmxcsr'))
      .flatMap(formsOf)
    for (let first = 0; first < forms.length; first += LENGTH) {
      const block = forms.slice(first, first + LENGTH)
      const state = randomState(random, contentOf(block[0].code), block[0].code, 'masked')
      const code = block.flatMap(form => [...form.encode((random.below(256) << 24) >> 24)])
      const expected = outcome(code, state, interpret)
      expect(expected.exit, block.map(form => form.code).join()).toBe('hlt')
      expect(outcome(code, state, compileFirst), block.map(form => form.code).join()).toEqual(expected)
    }
    expect(processor.compiler.compiled).toBeGreaterThanOrEqual(forms.length / LENGTH)
  })
})
