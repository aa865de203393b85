/** Registers by name, for inspection, loaders and the debugger: {@link RegisterFile} over the state block. */

import { type CpuState, Segment } from './cpu-state.ts'
import type { RegisterFile, SegmentName, SegmentRegister } from './processor.ts'
import * as S from './state.ts'

const GENERAL = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
]

const SEGMENT_INDEX = {
  es: Segment.ES,
  cs: Segment.CS,
  ss: Segment.SS,
  ds: Segment.DS,
  fs: Segment.FS,
  gs: Segment.GS,
  ldtr: Segment.LDTR,
  tr: Segment.TR,
} as const

/** 64-bit registers that are plain words of the state. */
const WORDS: Readonly<Record<string, number>> = {
  ...Object.fromEntries(GENERAL.map((name, index) => [name, S.GPR + index * 8])),
  rip: S.RIP,
  cr0: S.CR0,
  cr2: S.CR2,
  cr3: S.CR3,
  cr4: S.CR4,
  ...Object.fromEntries([0, 1, 2, 3].map(index => [`pdpte${index}`, S.PDPTES + index * 8])),
  xcr0: S.XCR0,
  random: S.RANDOM,
  efer: S.EFER,
  ...Object.fromEntries([0, 1, 2, 3, 6, 7].map(index => [`dr${index}`, S.DR + index * 8])),
  msr_star: S.MSR_STAR,
  msr_lstar: S.MSR_LSTAR,
  msr_cstar: S.MSR_CSTAR,
  msr_fmask: S.MSR_FMASK,
  msr_kernel_gs_base: S.MSR_KERNEL_GS_BASE,
  msr_sysenter_cs: S.MSR_SYSENTER_CS,
  msr_sysenter_esp: S.MSR_SYSENTER_ESP,
  msr_sysenter_eip: S.MSR_SYSENTER_EIP,
  msr_pat: S.MSR_PAT,
  msr_tsc_adjust: S.MSR_TSC_ADJUST,
  msr_tsc_aux: S.MSR_TSC_AUX,
  msr_misc_enable: S.MSR_MISC_ENABLE,
  msr_debugctl: S.MSR_DEBUGCTL,
  msr_mtrr_def_type: S.MSR_MTRR_DEF_TYPE,
  msr_hwcr: S.MSR_HWCR,
  x87_ip: S.X87_IP,
  x87_dp: S.X87_DP,
  fs_base: S.SEGMENTS + Segment.FS * S.SEGMENT_STRIDE + S.SEGMENT_BASE,
  gs_base: S.SEGMENTS + Segment.GS * S.SEGMENT_STRIDE + S.SEGMENT_BASE,
}

/** 32-bit words of the x87 unit; tags are abridged as in FXSAVE: bit i set when R(i) is not empty. */
const X87_WORDS: Readonly<Record<string, number>> = {
  x87_control: S.X87_CONTROL,
  x87_tags: S.X87_TAGS,
  x87_opcode: S.X87_OPCODE,
}

/** What writing a register changes beyond its word. */
export interface RegisterEffects {
  /** Brings this vCPU's state to where it can be read and written. */
  activate(): void
  /** Mode, privilege or address space may have changed. */
  contextChanged(): void
  flushTlb(keepGlobal: boolean): void
  /** Loads the PDPTE registers of PAE paging, where they are used, from memory. */
  reloadPdptes(): void
  taskPriority: number
  /** IA32_APIC_BASE, which the local APIC keeps. */
  readonly apicBase: bigint
}

export class StateRegisterFile implements RegisterFile {
  readonly #state: CpuState
  readonly #effects: RegisterEffects

  constructor(state: CpuState, effects: RegisterEffects) {
    this.#state = state
    this.#effects = effects
  }

  get(name: string): bigint {
    this.#effects.activate()
    const word = WORDS[name]
    if (word !== undefined) return this.#state.get64(word)
    if (name === 'rflags') return BigInt(this.#state.rflags)
    if (name === 'msr_apic_base') return this.#effects.apicBase
    if (name === 'cr8') return BigInt(this.#effects.taskPriority)
    if (name === 'mxcsr') return BigInt(this.#state.get32(S.MXCSR))
    if (name === 'a20m') return this.#state.get32(S.A20_MASK) === 0 ? 0n : 1n
    if (name === 'pkru') return BigInt(this.#state.get32(S.PKRU))
    if (isSegment(name)) return BigInt(this.segment(name).selector)
    if (name in X87_WORDS) return BigInt(this.#state.get32(X87_WORDS[name]))
    if (name === 'x87_status') return BigInt(this.#state.get32(S.X87_STATUS) | (this.#state.get32(S.X87_TOP) << 11))
    if (/^st[0-7]$/.test(name)) return this.#stackRegister(Number(name[2]))
    const vector = vectorRegister(name)
    if (vector !== undefined) {
      let value = 0n
      for (let i = vector.bytes - 8; i >= 0; i -= 8) value = (value << 64n) | this.#state.get64(vector.address + i)
      return value
    }
    throw new RangeError(`no register "${name}"`)
  }

  set(name: string, value: bigint): void {
    this.#effects.activate()
    const word = WORDS[name]
    if (word !== undefined) {
      this.#state.set64(word, BigInt.asUintN(64, value))
      const control = name.startsWith('cr') || name === 'efer'
      if (control) this.#effects.reloadPdptes()
      if (control || name.startsWith('pdpte')) this.#effects.flushTlb(false)
      this.#effects.contextChanged()
      return
    }
    if (name === 'rflags') {
      this.#state.rflags = Number(BigInt.asUintN(32, value))
      this.#effects.contextChanged()
    } else if (name === 'cr8') this.#effects.taskPriority = Number(value & 0xfn)
    else if (name === 'pkru') {
      this.#state.set32(S.PKRU, Number(BigInt.asUintN(32, value)))
      this.#effects.flushTlb(false)
    } else if (name === 'mxcsr') this.#state.set32(S.MXCSR, Number(BigInt.asUintN(32, value)))
    else {
      const vector = vectorRegister(name)
      if (vector === undefined) throw new RangeError(`no register "${name}" that can be set`)
      for (let i = 0; i < vector.bytes; i += 8)
        this.#state.set64(vector.address + i, BigInt.asUintN(64, value >> BigInt(8 * i)))
    }
  }

  /** ST(i): the 80 bits as they are stored. */
  #stackRegister(index: number): bigint {
    const at = S.X87_REGISTERS + ((this.#state.get32(S.X87_TOP) + index) & 7) * 16
    return this.#state.get64(at) | (BigInt(this.#state.get32(at + 8) & 0xffff) << 64n)
  }

  segment(name: SegmentName): SegmentRegister {
    this.#effects.activate()
    return this.#state.segment(SEGMENT_INDEX[name])
  }

  setSegment(name: SegmentName, value: SegmentRegister): void {
    this.#effects.activate()
    this.#state.setSegment(SEGMENT_INDEX[name], value)
    // CPL is the DPL of the stack segment (VMCS access rights; SDM vol. 3, 25.4.1).
    if (name === 'ss') this.#state.cpl = (value.rights >> 5) & 3
    this.#effects.contextChanged()
  }

  table(name: 'gdtr' | 'idtr'): { base: bigint; limit: number } {
    this.#effects.activate()
    return name === 'gdtr'
      ? { base: this.#state.get64(S.GDTR_BASE), limit: this.#state.get32(S.GDTR_LIMIT) }
      : { base: this.#state.get64(S.IDTR_BASE), limit: this.#state.get32(S.IDTR_LIMIT) }
  }

  setTable(name: 'gdtr' | 'idtr', value: { base: bigint; limit: number }): void {
    this.#effects.activate()
    this.#state.set64(name === 'gdtr' ? S.GDTR_BASE : S.IDTR_BASE, value.base)
    this.#state.set32(name === 'gdtr' ? S.GDTR_LIMIT : S.IDTR_LIMIT, value.limit)
  }

  get cpl(): number {
    this.#effects.activate()
    return this.#state.cpl
  }
}

function isSegment(name: string): name is SegmentName {
  return name in SEGMENT_INDEX
}

function vectorRegister(name: string): { readonly address: number; readonly bytes: 16 | 32 } | undefined {
  const match = /^([xy])mm(\d+)$/.exec(name)
  if (match === null || Number(match[2]) >= 16) return undefined
  return { address: S.VECTORS + Number(match[2]) * S.VECTOR_STRIDE, bytes: match[1] === 'x' ? 16 : 32 }
}
