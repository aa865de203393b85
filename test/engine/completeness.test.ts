/** CPUID tells the truth: every instruction of a reported feature executes, and none of a feature that is not. */

import { Code, CodeExt, CpuidFeature, DecoderOptions, EncodingKind, Instruction } from 'iced-x86'
import { afterAll, describe, expect, it } from 'vitest'
import { type CpuModel, MODEL_NAMES, parseCpuModel } from '../../src/engine/cpu-model.ts'
import { createDefinitions } from '../../src/engine/isa/definitions.ts'
import { cpuid } from '../../src/engine/system/cpuid.ts'
import {
  CR4_FSGSBASE,
  CR4_OSFXSR,
  CR4_OSXMMEXCPT,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_PKE,
} from '../../src/x86/control-registers.ts'
import { type Bits, encodeForm, type Form } from './guest/encoding.ts'
import { Guest, Host } from './guest/guest.ts'
import { CODE, CODE_64, DATA, DATA_FLAT, enterLongMode, STACK } from './guest/long-mode.ts'

const bit = (register: number, position: number): boolean => ((register >>> position) & 1) === 1

/** What every 64-bit processor has, whatever CPUID says; PAUSE, the multi-byte NOP and RDPMC have no bit of their own. */
const ALWAYS = 'INTEL8086 INTEL186 INTEL286 INTEL386 INTEL486 X64 CPUID PAUSE SMM RDPMC MULTIBYTENOP'.split(' ')

/** Features with a bit, by iced-x86's name (SDM vol. 2, CPUID; APM vol. 3, appendix E). */
function reportedFeatures(model: CpuModel): Readonly<Record<string, boolean>> {
  const processor = { model, apicId: 0, cpus: 1, apicEnabled: true, cr4: 0, xcr0: 1 }
  const [standard, structured, extended] = [1, 7, 0x80000001].map(leaf => cpuid(leaf, 0, processor))
  const xsave = cpuid(0xd, 1, processor)
  return {
    ...Object.fromEntries(ALWAYS.map(name => [name, true])),
    FPU: bit(standard.edx, 0),
    FPU287: bit(standard.edx, 0),
    FPU387: bit(standard.edx, 0),
    TSC: bit(standard.edx, 4),
    MSR: bit(standard.edx, 5),
    CX8: bit(standard.edx, 8),
    SEP: bit(standard.edx, 11),
    CMOV: bit(standard.edx, 15),
    CLFSH: bit(standard.edx, 19),
    MMX: bit(standard.edx, 23),
    FXSR: bit(standard.edx, 24),
    SSE: bit(standard.edx, 25),
    SSE2: bit(standard.edx, 26),
    SSE3: bit(standard.ecx, 0),
    PCLMULQDQ: bit(standard.ecx, 1),
    MONITOR: bit(standard.ecx, 3),
    VMX: bit(standard.ecx, 5),
    SMX: bit(standard.ecx, 6),
    SSSE3: bit(standard.ecx, 9),
    FMA: bit(standard.ecx, 12),
    CMPXCHG16B: bit(standard.ecx, 13),
    SSE4_1: bit(standard.ecx, 19),
    SSE4_2: bit(standard.ecx, 20),
    MOVBE: bit(standard.ecx, 22),
    POPCNT: bit(standard.ecx, 23),
    AES: bit(standard.ecx, 25),
    XSAVE: bit(standard.ecx, 26),
    AVX: bit(standard.ecx, 28),
    F16C: bit(standard.ecx, 29),
    RDRAND: bit(standard.ecx, 30),
    FSGSBASE: bit(structured.ebx, 0),
    BMI1: bit(structured.ebx, 3),
    AVX2: bit(structured.ebx, 5),
    BMI2: bit(structured.ebx, 8),
    INVPCID: bit(structured.ebx, 10),
    RTM: bit(structured.ebx, 11),
    AVX512F: bit(structured.ebx, 16),
    RDSEED: bit(structured.ebx, 18),
    ADX: bit(structured.ebx, 19),
    SMAP: bit(structured.ebx, 20),
    CLFLUSHOPT: bit(structured.ebx, 23),
    CLWB: bit(structured.ebx, 24),
    SHA: bit(structured.ebx, 29),
    PKU: bit(structured.ecx, 3),
    RDPID: bit(structured.ecx, 22),
    SYSCALL: bit(extended.edx, 11),
    RDTSCP: bit(extended.edx, 27),
    D3NOW: bit(extended.edx, 31),
    D3NOWEXT: bit(extended.edx, 30),
    SVM: bit(extended.ecx, 2),
    LZCNT: bit(extended.ecx, 5),
    SSE4A: bit(extended.ecx, 6),
    SERIALIZE: bit(structured.edx, 14),
    XSAVEOPT: bit(xsave.eax, 0),
    XSAVEC: bit(xsave.eax, 1),
    XSAVES: bit(xsave.eax, 3),
    VAES: bit(structured.ecx, 9),
    VPCLMULQDQ: bit(structured.ecx, 10),
    GFNI: bit(structured.ecx, 8),
    PREFETCHW: bit(extended.ecx, 8),
    XOP: bit(extended.ecx, 11),
    FMA4: bit(extended.ecx, 16),
    TBM: bit(extended.ecx, 21),
  }
}

interface Exception {
  readonly codes: RegExp
  readonly bits?: Bits
  readonly because: string
}

/** Raise #UD by definition. */
const UNDEFINED: readonly Exception[] = [
  { codes: /^Ud[012](_|$)/, because: 'SDM vol. 2, UD' },
  { codes: /^Rsm$/, because: 'SDM vol. 2, RSM: outside system-management mode' },
  { codes: /^Sys(enter|exit[dq])$/, bits: 64, because: 'APM vol. 3, SYSENTER: not in long mode of an AMD processor' },
]

/** Execute although their feature is not reported. */
const WITHOUT_FEATURE: readonly Exception[] = [
  { codes: /^(Vmcall|Vmmcall)$/, because: 'a call of the hypervisor: it leaves at any privilege' },
  { codes: /^(Tzcnt|Lzcnt)_/, because: 'without the feature F3 is ignored: BSF and BSR' },
  { codes: /^Wbnoinvd$/, because: 'without the feature F3 is ignored: WBINVD' },
  { codes: /^Prefetch(w|wt1|reserved\d|it\d)?_m8$/, because: 'a hint, a NOP on every 64-bit processor' },
  { codes: /^(Endbr(32|64)|Rdssp[dq]_r(32|64)|Cldemote_m8)$/, because: 'a NOP (0F 19 to 0F 1F) without the feature' },
]

interface FormOfCode {
  readonly name: string
  readonly code: Code
  readonly form: Form
  readonly bits: Bits
  readonly bytes: readonly number[]
  readonly features: readonly string[]
}

const codes: Readonly<Record<string, Code | string>> = Code

function featuresOf(code: Code): string[] {
  const instruction = Instruction.create(code)
  const names = [...instruction.cpuidFeatures()].map(feature => CpuidFeature[feature])
  instruction.free()
  return names
}

const isAmong = (exceptions: readonly Exception[], { name, bits }: FormOfCode): boolean =>
  exceptions.some(each => each.codes.test(name) && (each.bits ?? bits) === bits)

/** Every form of every instruction with a legacy or VEX encoding, in every mode it is valid in. */
function everyForm(): FormOfCode[] {
  const forms: FormOfCode[] = []
  for (const [name, code] of Object.entries(codes)) {
    if (typeof code !== 'number') continue
    const features = featuresOf(code)
    for (const form of ['register', 'memory'] as const)
      for (const bits of [64, 32, 16] as const) {
        const bytes = encodeForm(code, form, bits)
        if (bytes !== undefined) forms.push({ name, code, form, bits, bytes, features })
      }
  }
  return forms
}

const FLAT_CODE = { ...CODE_64, rights: 0xc09b }
const CODE_16 = { ...CODE_64, rights: 0x809b }
const GENERAL = 'rax rcx rdx rbx rbp rsi rdi'.split(' ')
/** SSE, its exceptions, and of what XSAVE and the later features need whatever the model has. */
const ENABLED = CR4_OSFXSR | CR4_OSXMMEXCPT
const OPTIONAL = CR4_OSXSAVE | CR4_FSGSBASE | CR4_PKE

/** A vCPU of a model in ring 0, every general register pointing to data, in each mode. */
class Trial {
  readonly #guest: Guest
  readonly #states = new Map<Bits, ReturnType<Guest['vcpu']['save']>>()

  constructor(model: CpuModel) {
    this.#guest = new Guest(new Host({ model }), { exceptionBitmap: 0xffff_ffff })
    for (const bits of [64, 32, 16] as const) this.#states.set(bits, this.#prepare(bits, model))
  }

  #prepare(bits: Bits, model: CpuModel) {
    const guest = this.#guest
    enterLongMode(guest)
    const { registers } = guest.vcpu
    if (bits !== 64) guest.setRegisters({ cr0: 0x31, efer: 1 })
    guest.setRegisters({ cr4: (bits === 64 ? CR4_PAE : 0) | ENABLED | (OPTIONAL & model.cr4Allowed) })
    guest.setRegisters({ xcr0: model.xcr0Allowed || 1 })
    registers.setSegment('cs', bits === 64 ? CODE_64 : bits === 32 ? FLAT_CODE : CODE_16)
    registers.setSegment('ss', bits === 16 ? { ...DATA_FLAT, rights: 0x8093 } : DATA_FLAT)
    for (const name of GENERAL) registers.set(name, BigInt(DATA))
    for (let i = 8; i < 16; i++) registers.set(`r${i}`, BigInt(DATA))
    guest.setRegisters({ rsp: bits === 16 ? 0xff00 : STACK - 0x100, rip: CODE, mxcsr: 0x1f80 })
    return guest.vcpu.save()
  }

  /** Does the instruction raise #UD? */
  isUndefined({ bits, bytes }: FormOfCode): boolean {
    const state = this.#states.get(bits)
    if (state === undefined) throw new Error(`no state for ${bits} bits`)
    this.#guest.vcpu.restore(state)
    this.#guest.write(DATA, new Uint8Array(64))
    this.#guest.write(CODE, [...bytes, 0x90])
    const exit = this.#guest.run(1)
    return exit.reason === 'exception' && exit.vector === 6
  }

  release(): void {
    this.#guest.release()
  }
}

const describeForm = ({ name, bits, form, bytes }: FormOfCode): string =>
  `${name} (${form}, ${bits}-bit: ${Buffer.from(bytes).toString('hex')})`

const forms = everyForm()

describe.each(MODEL_NAMES)('the instruction set of the model %s', name => {
  const model = parseCpuModel(name)
  const features = reportedFeatures(model)
  const isReported = (form: FormOfCode): boolean => form.features.every(feature => features[feature] === true)
  const trial = new Trial(model)
  afterAll(() => trial.release())

  it('has every instruction of every feature that CPUID reports, in each mode and form', () => {
    const reported = forms.filter(isReported)
    expect(reported.length).toBeGreaterThan(2500)
    const missing = reported.filter(form => trial.isUndefined(form) !== isAmong(UNDEFINED, form)).map(describeForm)
    expect(missing).toEqual([])
  })

  it('has no instruction of a feature that CPUID does not report', () => {
    const unreported = forms.filter(form => !isReported(form))
    expect(unreported.length).toBeGreaterThan(300)
    const extra = unreported.filter(form => trial.isUndefined(form) === isAmong(WITHOUT_FEATURE, form))
    expect(extra.map(describeForm)).toEqual([])
  })
})

describe('the list of instructions', () => {
  it('has no definition for one with an XOP or EVEX prefix', () => {
    const definitions = createDefinitions()
    for (const [name, code] of Object.entries(codes)) {
      if (typeof code !== 'number') continue
      const info = CodeExt.opCode(code)
      const later = info.encoding === EncodingKind.XOP || info.encoding === EncodingKind.EVEX
      info.free()
      if (later) expect(definitions.has(name), name).toBe(false)
    }
  })

  it('was tried whole: what could not be encoded is what the decoder never yields', () => {
    const tried = new Set(forms.map(({ name }) => name))
    const features = reportedFeatures(parseCpuModel('max'))
    const untried = Object.entries(codes).flatMap(([name, code]) => {
      if (typeof code !== 'number' || tried.has(name)) return []
      if (!featuresOf(code).every(feature => features[feature] === true)) return []
      const info = CodeExt.opCode(code)
      const { fwait, decoderOption, isInstruction } = info
      info.free()
      // WAIT is an instruction of its own; a decoder option stands for older or other processors.
      return fwait || decoderOption !== DecoderOptions.None || !isInstruction ? [] : [name]
    })
    // AMD's operand-size prefix on branches of 64-bit mode, which Intel's processors ignore; UD0 without ModR/M.
    expect(untried.filter(name => !/^((Loopn?e?|Jrcxz)_rel8_16(_RCX)?|Ud0)$/.test(name))).toEqual([])
  })
})
