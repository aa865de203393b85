import { describe, expect, it } from 'vitest'
import { CpuState } from '../../../src/engine/cpu-state.ts'
import { GuestFault } from '../../../src/engine/fault.ts'
import type { HostMemory } from '../../../src/engine/host-memory.ts'
import { createSseSlowPath } from '../../../src/engine/sse-slow-path.ts'
import * as S from '../../../src/engine/state.ts'
import { CR4_OSXMMEXCPT } from '../../../src/x86/control-registers.ts'
import { nativeUnavailable, runNative } from '../float/native.ts'
import { RandomFloats } from '../float/random-floats.ts'
import {
  contentOf,
  FLAGS,
  type Form,
  formsOf,
  GENERAL,
  MEMORY,
  MEMORY_SIZE,
  MM,
  MXCSR,
  RAISED,
  RDX,
  randomState,
  STATE_BYTES,
  sseCodes,
  XMM,
} from './sse-cases.ts'
import { compileForms, definitions, formOf, MEMORY_AT } from './sse-harness.ts'

const CASES_A_FORM = 60
/** Strings and dot products have many immediates that matter. */
const CASES_BY_IMMEDIATE = 300

const casesOf = (code: string): number => (/^(Pcmp[ei]str|Dpp)/.test(code) ? CASES_BY_IMMEDIATE : CASES_A_FORM)
const ARITHMETIC_FLAGS = 0x8d5

// EMMS is an instruction of the x87.
const codes = sseCodes().filter(code => code !== 'Emms')
/** Approximations differ between processors: see sse-approximation.test.ts. */
const comparable = codes.filter(code => !/^(Rcp|Rsqrt)/.test(code))
/** Instructions that may raise #XM. */
const FLOATING_POINT = /^(Add|Sub|Mul|Div|Sqrt|Min|Max|U?comi|Cmp|Cvt|Hadd|Hsub|Round|Dp)\w*?(p[sdi]|s[sdi]|dq)_/

/** Pairs of (address in the processor's state, offset in a case's state) of what an instruction may touch. */
const QUADWORDS: readonly (readonly [number, number])[] = [
  [S.VECTORS, XMM],
  [S.VECTORS + 8, XMM + 8],
  [S.VECTORS + S.VECTOR_STRIDE, XMM + 16],
  [S.VECTORS + S.VECTOR_STRIDE + 8, XMM + 24],
  [S.X87_REGISTERS, MM],
  [S.X87_REGISTERS + 16, MM + 8],
  [S.GPR, GENERAL],
  [S.GPR + 8, GENERAL + 8],
  [S.GPR + 16, RDX],
]

function loadState(memory: HostMemory, state: Uint8Array): void {
  const view = new DataView(state.buffer)
  for (const [at, offset] of QUADWORDS) memory.u64[at >> 3] = view.getBigUint64(offset, true)
  memory.u8.set(state.subarray(MEMORY, MEMORY + MEMORY_SIZE), MEMORY_AT)
  memory.u32[S.MXCSR >> 2] = view.getUint32(MXCSR, true)
  new CpuState(memory).rflags = 2
}

function saveState(memory: HostMemory, raised: boolean): Uint8Array {
  const state = new Uint8Array(STATE_BYTES)
  const view = new DataView(state.buffer)
  for (const [at, offset] of QUADWORDS) view.setBigUint64(offset, memory.u64[at >> 3], true)
  state.set(memory.u8.subarray(MEMORY_AT, MEMORY_AT + MEMORY_SIZE), MEMORY)
  view.setUint32(MXCSR, memory.u32[S.MXCSR >> 2], true)
  view.setUint32(FLAGS, new CpuState(memory).rflags & ARITHMETIC_FLAGS, true)
  view.setUint32(RAISED, raised ? 1 : 0, true)
  return state
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** A state as a person can compare it. */
function describeState(text: string): string {
  const state = Buffer.from(text, 'hex')
  const quad = (at: number) => state.readBigUInt64LE(at).toString(16).padStart(16, '0')
  return [
    `xmm0 ${quad(XMM + 8)} ${quad(XMM)}`,
    `xmm1 ${quad(XMM + 24)} ${quad(XMM + 16)}`,
    `mm0 ${quad(MM)} mm1 ${quad(MM + 8)}`,
    `rax ${quad(GENERAL)} rcx ${quad(GENERAL + 8)}`,
    `memory ${quad(MEMORY + 24)} ${quad(MEMORY + 16)} ${quad(MEMORY + 8)} ${quad(MEMORY)}`,
    `mxcsr ${state.readUInt32LE(MXCSR).toString(16)} flags ${state.readUInt32LE(FLAGS).toString(16)} raised ${state[RAISED]}`,
  ].join('\n')
}

interface Case {
  readonly index: number
  readonly form: Form
  readonly immediate: number
  readonly state: Uint8Array
}

function randomCases(forms: readonly Form[], seed: number, exceptions: 'masked' | 'unmasked'): Case[] {
  const random = new RandomFloats(seed)
  return forms.flatMap((form, index) =>
    Array.from({ length: casesOf(form.code) }, () => ({
      index,
      form,
      immediate: form.code.startsWith('Cmp') ? random.below(8) : random.pick([random.below(256), random.below(20)]),
      state: randomState(random, contentOf(form.code), form.code, exceptions),
    })),
  )
}

function machineCode({ form, immediate }: Case): Uint8Array {
  const code = new Uint8Array(16).fill(0x90)
  code.set(form.encode((immediate << 24) >> 24))
  return code
}

/** Runs random cases of the forms here and there; the first few differences as a person can read them. */
async function differences(forms: readonly Form[], seed: number, exceptions: 'masked' | 'unmasked'): Promise<string[]> {
  const { memory, run } = await compileForms(
    forms.map(form => formOf(form.code, form.shape, form.registers)),
    host => createSseSlowPath(new CpuState(host)),
  )
  memory.u64[S.CR4 >> 3] = BigInt(CR4_OSXMMEXCPT)
  const cases = randomCases(forms, seed, exceptions)
  const native = runNative(
    new URL('sse-native.c', import.meta.url),
    cases.map(each => hex(machineCode(each)) + hex(each.state)),
  )
  const failures: string[] = []
  cases.forEach((each, i) => {
    loadState(memory, each.state)
    const ours = hex(
      saveState(
        memory,
        raises(() => run(each.index, (each.immediate << 24) >> 24)),
      ),
    )
    const theirs = native[i]
    if (ours !== theirs)
      failures.push(
        `${each.form.code} ${each.form.shape} imm ${each.immediate}\nbefore\n${describeState(hex(each.state))}\n` +
          `expected\n${describeState(theirs)}\ngot\n${describeState(ours)}`,
      )
  })
  return failures.slice(0, 3)
}

/** Does an instruction raise #XM? */
function raises(run: () => void): boolean {
  try {
    run()
    return false
  } catch (error) {
    if (error instanceof GuestFault && error.vector === 19) return true
    throw error
  }
}

describe('SSE and MMX', () => {
  it('define every instruction', () => {
    expect(codes.filter(code => !definitions.has(code))).toEqual([])
  })

  it('state the size of memory operands as the architecture has it', () => {
    for (const form of codes.flatMap(formsOf).filter(each => each.shape.includes('m'))) {
      const { bits } = formOf(form.code, form.shape, form.registers).definition
      expect({ code: form.code, bits: bits[form.shape.indexOf('m')] }).toEqual({
        code: form.code,
        bits: form.memoryBytes * 8,
      })
    }
  })

  it.skipIf(nativeUnavailable)('leave registers, memory, flags and MXCSR as the host does', async () => {
    expect(await differences(comparable.flatMap(formsOf), 20, 'masked')).toEqual([])
  })

  it.skipIf(nativeUnavailable)(
    'raise unmasked exceptions as the host does, with nothing changed but MXCSR',
    async () => {
      const forms = comparable.filter(code => FLOATING_POINT.test(code)).flatMap(formsOf)
      expect(await differences(forms, 21, 'unmasked')).toEqual([])
    },
  )
})
