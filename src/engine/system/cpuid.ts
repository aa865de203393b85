/**
 * What this processor is and implements, and nothing else (SDM vol. 2, CPUID; AMD64 APM vol. 3, appendix E).
 * It calls itself an AMD of family 15, model 107, as QEMU's qemu64 does: old enough that no kernel looks for the
 * speculation faults of later parts, or works around them.
 */

import { CR4_OSXSAVE, CR4_PKE } from '../../x86/control-registers.ts'
import type { CpuModel } from '../cpu-model.ts'
import type { CpuidResult } from '../processor.ts'
import { xsaveLeaf } from './cpuid-xsave.ts'
import { MONITOR_LEAF } from './monitor.ts'

export const PHYSICAL_ADDRESS_BITS = 40
/** Frequency of the time-stamp counter and of the APIC timer: one tick is a nanosecond of virtual time. */
export const TSC_KHZ = 1_000_000

/** The processor that executes CPUID. */
export interface CpuidProcessor {
  readonly model: CpuModel
  readonly apicId: number
  /** Processors of the machine: one package, one thread a core. */
  readonly cpus: number
  /** The enable bit of the APIC's base register. */
  readonly apicEnabled: boolean
  readonly cr4: number
  readonly xcr0: number
}

const bits = (...positions: number[]): number => positions.reduce((mask, position) => mask | (1 << position), 0) >>> 0

/** Family 15 (base 15, extended 0), model 107 (0x6b), stepping 1. */
export const SIGNATURE = (0xf << 8) | (0x6 << 16) | (0xb << 4) | 1

const EDX_VME = 1
const EDX_APIC = 9
/** What every model has: FPU DE PSE TSC MSR PAE CX8 SEP MTRR PGE CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2. */
const ALWAYS_EDX = bits(0, 2, 3, 4, 5, 6, 8, 11, 12, 13, 15, 16, 17, 19, 23, 24, 25, 26)
const EDX_HTT = 28
const ECX_OSXSAVE = 27
/** A hypervisor is there. */
const ECX_HYPERVISOR = 31
const ECX_OSPKE = 4
/** The features that AMD repeats from leaf 1, then SYSCALL NX LM. */
const ALWAYS_EXTENDED_EDX = bits(0, 2, 3, 4, 5, 6, 8, 12, 13, 15, 16, 17, 23, 24, 11, 20, 29)
/** LAHF in 64-bit mode; MOV CR8 by LOCK MOV CR0 (bit 4) is not there. */
const ALWAYS_EXTENDED_ECX = bits(0)
const EXTENDED_ECX_CMP_LEGACY = 1
const INVARIANT_TSC = 1 << 8
/** FXSAVE, XSAVE and their opposites have the x87 pointers without a pending exception, too, unlike older processors of AMD. */
const SAVES_ERROR_POINTERS = 2

const CLFLUSH_LINE_QWORDS = 8

const BRAND = 'Ringside Virtual CPU'

const NOTHING: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 }

/** Four characters of `text` as a little-endian word. */
function characters(text: string, at: number): number {
  let word = 0
  for (let i = 0; i < 4; i++) word |= (text.charCodeAt(at + i) || 0) << (8 * i)
  return word >>> 0
}

/** CPUID's answer for a leaf and subleaf, all registers unsigned. Leaves that don't exist read as zero, as AMD has it. */
export function cpuid(leaf: number, subleaf: number, processor: CpuidProcessor): CpuidResult {
  const { model, apicId, cpus, apicEnabled, cr4 } = processor
  const apic = apicEnabled ? bits(EDX_APIC) : 0
  switch (leaf >>> 0) {
    case 0:
      return {
        eax: model.has('xsave') ? 0xd : 0xb,
        ebx: characters('Auth', 0),
        edx: characters('enti', 0),
        ecx: characters('cAMD', 0),
      }
    case 1:
      return {
        eax: SIGNATURE,
        ebx: ((apicId << 24) | (cpus << 16) | (CLFLUSH_LINE_QWORDS << 8)) >>> 0,
        ecx: (model.cpuidBits('1.ecx') | bits(ECX_HYPERVISOR) | (cr4 & CR4_OSXSAVE ? bits(ECX_OSXSAVE) : 0)) >>> 0,
        edx: (ALWAYS_EDX | model.cpuidBits('1.edx') | apic | (cpus > 1 ? bits(EDX_HTT) : 0)) >>> 0,
      }
    case 5:
      return model.has('monitor') ? MONITOR_LEAF : NOTHING
    case 7:
      return subleaf === 0 ? structuredFeatures(processor) : NOTHING
    case 0xb:
      return topologyLevel(subleaf, processor)
    case 0xd:
      return xsaveLeaf(subleaf, model, processor.xcr0)
    case 0x80000000:
      return { eax: 0x80000008, ebx: characters('Auth', 0), edx: characters('enti', 0), ecx: characters('cAMD', 0) }
    case 0x80000001:
      return {
        eax: SIGNATURE,
        ebx: 0,
        ecx: ALWAYS_EXTENDED_ECX | model.cpuidBits('80000001.ecx') | (cpus > 1 ? bits(EXTENDED_ECX_CMP_LEGACY) : 0),
        edx:
          (ALWAYS_EXTENDED_EDX |
            model.cpuidBits('80000001.edx') |
            apic |
            (model.cpuidBits('1.edx') & bits(EDX_VME))) >>>
          0,
      }
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
      const at = ((leaf >>> 0) - 0x80000002) * 16
      return {
        eax: characters(BRAND, at),
        ebx: characters(BRAND, at + 4),
        ecx: characters(BRAND, at + 8),
        edx: characters(BRAND, at + 12),
      }
    }
    case 0x80000007:
      return { ...NOTHING, edx: INVARIANT_TSC }
    case 0x80000008:
      return {
        eax: PHYSICAL_ADDRESS_BITS | (model.linearAddressBits << 8),
        ebx: bits(SAVES_ERROR_POINTERS),
        ecx: cpus > 1 ? (cpus - 1) | (coreIdBits(cpus) << 12) : 0,
        edx: 0,
      }
    default:
      return NOTHING
  }
}

/** Leaf 7. */
function structuredFeatures({ model, cr4 }: CpuidProcessor): CpuidResult {
  return {
    eax: 0,
    ebx: model.cpuidBits('7.ebx'),
    ecx: (model.cpuidBits('7.ecx') | (cr4 & CR4_PKE ? bits(ECX_OSPKE) : 0)) >>> 0,
    edx: model.cpuidBits('7.edx'),
  }
}

/** Bits of the APIC id that number the cores of the package. */
const coreIdBits = (cpus: number): number => 32 - Math.clz32(cpus - 1)

/** Extended topology (SDM vol. 2, leaf 0xb): level 0 threads, level 1 cores, then nothing. */
function topologyLevel(subleaf: number, { apicId, cpus }: CpuidProcessor): CpuidResult {
  const level = subleaf & 0xff
  if (subleaf === 0) return { eax: 0, ebx: 1, ecx: (1 << 8) | level, edx: apicId }
  if (subleaf === 1) return { eax: coreIdBits(cpus), ebx: cpus, ecx: (2 << 8) | level, edx: apicId }
  return { eax: 0, ebx: 0, ecx: level, edx: apicId }
}
