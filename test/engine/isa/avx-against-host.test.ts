/** Every vector instruction with a VEX prefix, executed by the processor and by the host's. */

import { afterAll, describe, expect, it } from 'vitest'
import * as S from '../../../src/engine/state.ts'
import { nativeUnavailable, runNative } from '../float/native.ts'
import { RandomFloats } from '../float/random-floats.ts'
import { Guest, Host, TIERS } from '../guest/guest.ts'
import { CODE, DATA, enterLongMode, VMCALL } from '../guest/long-mode.ts'
import {
  avxCodes,
  FLAGS,
  type Form,
  formsOf,
  GENERAL,
  MEMORY,
  MEMORY_SIZE,
  MXCSR,
  RAISED,
  REGISTERS,
  randomState,
  STATE_BYTES,
  YMM,
} from './avx-cases.ts'

const IMMEDIATES_A_CODE = 3
const STATES_A_FORM = 4
const ARITHMETIC_FLAGS = 0x8d5n
const SIMD_EXCEPTION = 19
/** CR4.OSXSAVE and CR4.OSXMMEXCPT with what long mode needs. */
const CR4 = 0x4_06a0

interface Case {
  readonly form: Form
  readonly state: Uint8Array
}

// Approximations differ between processors: see sse-approximation.test.ts.
const codes = avxCodes().filter(code => !/^VEX_Vr(cp|sqrt)/.test(code))

function randomCases(): Case[] {
  const random = new RandomFloats(21)
  return codes.flatMap(code => {
    const immediates = code.includes('imm8') ? IMMEDIATES_A_CODE : 1
    return Array.from({ length: immediates }, () =>
      formsOf(code, random.pick([random.below(256), random.below(32), random.below(8)])),
    )
      .flat()
      .flatMap(form => Array.from({ length: STATES_A_FORM }, () => ({ form, state: randomState(random, code) })))
  })
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** A state as a person can compare it. */
function describeState(text: string): string {
  const state = Buffer.from(text, 'hex')
  const quads = (at: number, count: number) =>
    Array.from({ length: count }, (_, i) =>
      state
        .readBigUInt64LE(at + (count - 1 - i) * 8)
        .toString(16)
        .padStart(16, '0'),
    ).join(' ')
  return [
    ...[0, 1, 2, 3].map(i => `ymm${i} ${quads(YMM + i * 32, 4)}`),
    `rax ${quads(GENERAL, 1)} rcx ${quads(GENERAL + 8, 1)}`,
    `memory ${quads(MEMORY, 8)}`,
    `mxcsr ${state.readUInt32LE(MXCSR).toString(16)} flags ${state.readUInt32LE(FLAGS).toString(16)} raised ${state.readUInt32LE(RAISED)}`,
  ].join('\n')
}

describe.each(TIERS)('VEX instructions, $tier', ({ hotEntries }) => {
  const host = new Host({ hotEntries })
  const guest = new Guest(host, { exceptionBitmap: 0xffff_ffff })
  afterAll(() => guest.release())

  function load(state: Uint8Array): void {
    const view = new DataView(state.buffer)
    const { u64 } = host.memory
    guest.setRegisters({ rip: CODE, rax: view.getBigUint64(GENERAL, true), rcx: view.getBigUint64(GENERAL + 8, true) })
    guest.setRegisters({ rdi: DATA, mxcsr: view.getUint32(MXCSR, true), rflags: 0x2 })
    for (let i = 0; i < REGISTERS; i++)
      for (let at = 0; at < 32; at += 8)
        u64[(S.VECTORS + i * S.VECTOR_STRIDE + at) >> 3] = view.getBigUint64(YMM + i * 32 + at, true)
    guest.write(DATA, state.subarray(MEMORY, MEMORY + MEMORY_SIZE))
  }

  function save(raised: boolean): Uint8Array {
    const state = new Uint8Array(STATE_BYTES)
    const view = new DataView(state.buffer)
    const { u64 } = host.memory
    state.set(guest.read(DATA, MEMORY_SIZE), MEMORY)
    for (let i = 0; i < REGISTERS; i++)
      for (let at = 0; at < 32; at += 8)
        view.setBigUint64(YMM + i * 32 + at, u64[(S.VECTORS + i * S.VECTOR_STRIDE + at) >> 3], true)
    view.setBigUint64(GENERAL, guest.register('rax'), true)
    view.setBigUint64(GENERAL + 8, guest.register('rcx'), true)
    view.setUint32(MXCSR, Number(guest.register('mxcsr')), true)
    view.setUint32(FLAGS, Number(guest.register('rflags') & ARITHMETIC_FLAGS), true)
    view.setUint32(RAISED, raised ? 1 : 0, true)
    return state
  }

  // VMCALL makes a block of two instructions, which is compiled when it has run twice.
  it.skipIf(nativeUnavailable)('leave registers, memory, flags and MXCSR as the host does', () => {
    enterLongMode(guest)
    guest.setRegisters({ cr4: CR4, xcr0: 7 })
    const cases = randomCases()
    const native = runNative(
      new URL('avx-native.c', import.meta.url),
      cases.map(
        ({ form, state }) => hex(Uint8Array.from({ length: 16 }, (_, i) => form.bytes[i] ?? 0x90)) + hex(state),
      ),
    )
    const failures: string[] = []
    let form: Form | undefined
    cases.forEach((each, i) => {
      if (each.form !== form) guest.write(CODE, [...each.form.bytes, ...VMCALL])
      form = each.form
      load(each.state)
      const exit = guest.run(100)
      const raised = exit.reason === 'exception' && exit.vector === SIMD_EXCEPTION
      const ours = exit.reason === 'vmcall' || raised ? hex(save(raised)) : JSON.stringify(exit)
      const theirs = native[i]
      if (ours !== theirs)
        failures.push(
          `${form.code} ${form.description} ${hex(Uint8Array.from(form.bytes))}\nbefore\n${describeState(hex(each.state))}\n` +
            `expected\n${describeState(theirs)}\ngot\n${ours.startsWith('{') ? ours : describeState(ours)}`,
        )
    })
    expect(host.processor.compiler.compiled > 1000).toBe(hotEntries > 0)
    const names = [...new Set(failures.map(text => text.slice(0, text.indexOf(' '))))]
    expect(
      `${failures.slice(0, 3).join('\n\n')}${names.length > 3 ? `\n${names.length} codes: ${names.join(' ')}` : ''}`,
    ).toBe('')
  })

  it('approximate as SSE does, whose results the host leaves open', () => {
    enterLongMode(guest)
    guest.setRegisters({ cr4: CR4, xcr0: 7 })
    const random = new RandomFloats(22)
    // rcpps xmm0, xmm1; rsqrtps xmm0, xmm1 and their forms on ymm0 and ymm1
    for (const opcode of [0x53, 0x52])
      for (let i = 0; i < 50; i++) {
        const lanes = Array.from({ length: 8 }, () => random.binary32())
        const vector = (from: readonly bigint[]) => from.reduceRight((all, lane) => (all << 32n) | lane, 0n)
        const run = (code: readonly number[], value: bigint): bigint => {
          guest.write(CODE, [...code, ...VMCALL])
          guest.setRegisters({ rip: CODE, ymm0: 0n, ymm1: value })
          expect(guest.run(100).reason).toBe('vmcall')
          return guest.register('ymm0')
        }
        const halves = [lanes.slice(0, 4), lanes.slice(4)].map(half => run([0x0f, opcode, 0xc1], vector(half)))
        expect(run([0xc5, 0xfc, opcode, 0xc1], vector(lanes))).toBe(halves[0] | (halves[1] << 128n))
      }
  })
})
