/**
 * Which instruction forms are compared with the host: every `Code` of iced-x86 that the engine defines, but for those
 * below, each with its reason.
 */

import { readFileSync } from 'node:fs'
import { Code, CodeExt, CpuidFeature, EncodingKind, Instruction, type OpCodeOperandKind } from 'iced-x86'
import type { Definitions } from '../../src/engine/isa/definition.ts'

export type Mode = 64 | 32 | 16
export const MODES: readonly Mode[] = [64, 32, 16]

export interface Form {
  readonly code: Code
  readonly name: string
  readonly modes: readonly Mode[]
  readonly operandKinds: readonly OpCodeOperandKind[]
  readonly vex: boolean
}

/** A form that nothing is compared for, and why. */
export interface Unproven {
  readonly name: string
  readonly because: string
}

const EXCLUDED: readonly { readonly codes: RegExp; readonly because: string }[] = [
  { codes: /^(Int_imm8|Syscall|Sysenter)$/, because: 'calls the operating system of the host' },
  { codes: /^(Vmcall|Vmmcall)$/, because: 'calls the hypervisor below the host' },
  { codes: /^Int1$/, because: 'a hypervisor below the host reports its #DB with a RIP of its own' },
  {
    codes: /^(Sgdt|Sidt|Sldt|Str|Smsw)_/,
    because: 'Linux answers it in place of the processor, which has UMIP (arch/x86/kernel/umip.c)',
  },
  {
    codes: /^(Cpuid|Rdtsc|Rdtscp|Rdpmc|Rdpid_r32|Rdpid_r64|Xgetbv)$|^(Rdrand|Rdseed)_/,
    because: 'what it reads is different on each machine, or each time',
  },
  { codes: /^Bswap_r16$/, because: 'its result is undefined (SDM vol. 2, BSWAP)' },
  {
    codes: /^(Call|Jmp|Lss_r64|Lfs_r64|Lgs_r64)_m1664$/,
    because: 'AMD ignores REX.W and reads m16:32 (APM vol. 3, CALL far, LFS), the engine reads m16:64 (SDM vol. 2)',
  },
  { codes: /^Sysexit[dq]$/, because: 'AMD: #UD in long mode; hypervisors for guests of both makers let it be #GP(0)' },
  {
    codes: /^Reservednop_.*_0F0D$/,
    because: 'AMD raises #UD for PREFETCH of a register, for Intel it is a NOP (SDM vol. 2, table A-3)',
  },
  {
    codes: /^(Monitor|Mwait)/,
    because: 'needs CPL 0: which exception user mode gets is a choice of the model (SDM vol. 2, MONITOR; APM vol. 3)',
  },
]

/** Names in /proc/cpuinfo, where they are not iced-x86's in lower case. */
const HOST_NAMES: Readonly<Record<string, string>> = {
  SSE3: 'pni',
  CMPXCHG16B: 'cx16',
  CLFSH: 'clflush',
  LZCNT: 'abm',
  SHA: 'sha_ni',
  X64: 'lm',
  PKU: 'ospke',
}

/** Without a flag of their own; and those that are NOPs, or #UD, where the feature is absent. */
const HAS_NO_FLAG =
  /^(INTEL\d+86|FPU\d*|X64|PAUSE|SMM|RDPMC|MULTIBYTENOP|PREFETCHW|PREFETCHWT1|PREFETCHITI|CLDEMOTE|CET_IBT|CET_SS|WBNOINVD|MSR)$/

function hostFlags(): ReadonlySet<string> {
  const line = /^flags\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))
  return new Set(line?.[1].split(' '))
}

function featuresOf(code: Code): string[] {
  const instruction = new Instruction()
  instruction.code = code
  const features = [...instruction.cpuidFeatures()].map(feature => CpuidFeature[feature])
  instruction.free()
  return features
}

export interface Forms {
  readonly compared: readonly Form[]
  readonly unproven: readonly Unproven[]
}

export function formsToCompare(definitions: Definitions): Forms {
  const flags = hostFlags()
  const compared: Form[] = []
  const unproven: Unproven[] = []
  for (const [name, code] of Object.entries(Code)) {
    if (typeof code !== 'number' || !definitions.has(name)) continue
    const form = describe(name, code)
    // WAIT before an x87 instruction is an instruction of its own, and a form without modes is only for other processors.
    if (form === undefined || form.modes.length === 0) continue
    const because =
      EXCLUDED.find(({ codes }) => codes.test(name))?.because ??
      featuresOf(code)
        .filter(feature => !HAS_NO_FLAG.test(feature) && !flags.has(HOST_NAMES[feature] ?? feature.toLowerCase()))
        .map(feature => `the host lacks ${feature}`)[0]
    if (because === undefined) compared.push(form)
    else unproven.push({ name, because })
  }
  return { compared, unproven }
}

function describe(name: string, code: Code): Form | undefined {
  const info = CodeExt.opCode(code)
  const { isInstruction, fwait, opCount, encoding } = info
  // Intel's decoding; AMD's has 16-bit branches in 64-bit mode, which Intel's processors don't know.
  const valid = {
    64: info.mode64 && info.intelDecoder64,
    32: info.mode32 && info.intelDecoder32,
    16: info.mode16 && info.intelDecoder16,
  }
  const operandKinds = Array.from({ length: opCount }, (_, operand) => info.opKind(operand))
  info.free()
  if (!isInstruction || fwait) return undefined
  const modes = MODES.filter(mode => valid[mode])
  return { code, name, modes, operandKinds, vex: encoding === EncodingKind.VEX }
}
