/** Models of the processor to choose from: each is a set of features, from which CPUID, CR4 and the instructions follow. */

import {
  CR4_DE,
  CR4_FSGSBASE,
  CR4_LA57,
  CR4_OSFXSR,
  CR4_OSXMMEXCPT,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_PCE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PSE,
  CR4_PVI,
  CR4_SMAP,
  CR4_SMEP,
  CR4_TSD,
  CR4_UMIP,
  CR4_VME,
} from '../x86/control-registers.ts'
import {
  FEATURE_NAMES,
  type FeatureName,
  type FeatureWord,
  featureOf,
  featureOfInstructions,
  isFeatureName,
} from './cpu-features.ts'

/** A text that names no model; the message says what there is. */
export class CpuModelError extends Error {}

/** What belongs to the platform more than to a level of instructions, and what no kernel is slower with. */
const SYSTEM: readonly FeatureName[] = ['vme', 'pcid', 'x2apic', 'tsc-deadline', 'smep', 'smap', 'pdpe1gb', 'rdtscp']
/** x86-64-v2 of the psABI, with the cryptography that came at the same time. */
const LEVEL_2: readonly FeatureName[] = ['cx16', 'popcnt', 'sse4.2', 'ssse3', 'sse4.1', 'sse3', 'aes', 'pclmulqdq']
/** x86-64-v3, with what its processors have beside it. */
const LEVEL_3: readonly FeatureName[] = [
  ...['avx', 'avx2', 'fma', 'f16c', 'bmi1', 'bmi2', 'lzcnt', 'movbe', 'adx', 'sha'],
  ...['xsave', 'xsaveopt', 'xsavec', 'xgetbv1', 'fsgsbase', 'invpcid', 'rdrand', 'rdseed', 'clflushopt', 'rdpid'],
  ...['umip', 'pku'],
].filter(isFeatureName)

/** By name; instruction levels as the x86-64 psABI defines them (chapter 3.1.1, micro-architecture levels). */
const MODELS = {
  baseline: SYSTEM,
  v2: [...SYSTEM, ...LEVEL_2],
  v3: [...SYSTEM, ...LEVEL_2, ...LEVEL_3],
  /** Everything, what kernels are slower with included. */
  max: FEATURE_NAMES,
} as const satisfies Readonly<Record<string, readonly FeatureName[]>>

export const MODEL_NAMES: readonly string[] = Object.keys(MODELS)
/** No kernel was slower on it than on a smaller one (docs/performance.md), and it runs the most programs. */
export const DEFAULT_MODEL = 'v3'

const CR4_ALWAYS = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT
const CR4_OF_FEATURE: Readonly<Partial<Record<FeatureName, number>>> = {
  vme: CR4_VME | CR4_PVI,
  umip: CR4_UMIP,
  la57: CR4_LA57,
  fsgsbase: CR4_FSGSBASE,
  pcid: CR4_PCIDE,
  xsave: CR4_OSXSAVE,
  smep: CR4_SMEP,
  smap: CR4_SMAP,
  pku: CR4_PKE,
}

/** State components in XCR0 (SDM vol. 1, 13.1). */
export const XCR0_X87 = 1 << 0
export const XCR0_SSE = 1 << 1
export const XCR0_AVX = 1 << 2
export const XCR0_PKRU = 1 << 9

export class CpuModel {
  /** As {@link parseCpuModel} reads it: the same text is the same processor. */
  readonly name: string
  readonly features: ReadonlySet<FeatureName>
  /** Bits of CR4 that may be set; every other one is reserved. */
  readonly cr4Allowed: number
  /** Bits of XCR0 that may be set; 0 without XSAVE. */
  readonly xcr0Allowed: number
  readonly linearAddressBits: number

  constructor(name: string, features: ReadonlySet<FeatureName>) {
    this.name = name
    this.features = features
    this.cr4Allowed = FEATURE_NAMES.reduce(
      (mask, feature) => mask | (features.has(feature) ? (CR4_OF_FEATURE[feature] ?? 0) : 0),
      CR4_ALWAYS,
    )
    this.xcr0Allowed = features.has('xsave')
      ? XCR0_X87 | XCR0_SSE | (features.has('avx') ? XCR0_AVX : 0) | (features.has('pku') ? XCR0_PKRU : 0)
      : 0
    this.linearAddressBits = features.has('la57') ? 57 : 48
  }

  has(feature: FeatureName): boolean {
    return this.features.has(feature)
  }

  /** Feature bits of one word of CPUID's answers. */
  cpuidBits(word: FeatureWord): number {
    let bits = 0
    for (const feature of this.features) if (featureOf(feature).word === word) bits |= 1 << featureOf(feature).bit
    return bits >>> 0
  }

  /** May an instruction of these features (iced-x86's names) be executed? */
  executes(cpuidFeatures: readonly string[]): boolean {
    return cpuidFeatures.every(each => {
      const feature = featureOfInstructions(each)
      return feature === undefined || this.features.has(feature)
    })
  }
}

/**
 * Reads a model and what is added to it or taken away, such as `v3`, `v2,+aes` or `v3,-avx`. What a feature needs comes
 * with it, and what needs it goes with it. Throws {@link CpuModelError}.
 */
export function parseCpuModel(text: string): CpuModel {
  const [name, ...changes] = text.split(',').map(part => part.trim())
  const features = new Set(featuresOfModel(name))
  for (const change of changes) {
    const feature = change.slice(1)
    if (!isFeatureName(feature) || !/^[+-]/.test(change))
      throw new CpuModelError(
        `processor "${text}": "${change}" is not + or - and a feature: ${[...FEATURE_NAMES].sort().join(', ')}`,
      )
    if (change.startsWith('+')) add(features, feature)
    else remove(features, feature)
  }
  return new CpuModel([name, ...changes].join(','), features)
}

function featuresOfModel(name: string): readonly FeatureName[] {
  for (const [model, features] of Object.entries(MODELS)) if (model === name) return features
  throw new CpuModelError(
    `processor "${name}" is not one of ${MODEL_NAMES.join(', ')} (features follow, such as v2,+aes)`,
  )
}

function add(features: Set<FeatureName>, feature: FeatureName): void {
  features.add(feature)
  for (const needed of featureOf(feature).needs ?? []) if (isFeatureName(needed)) add(features, needed)
}

function remove(features: Set<FeatureName>, feature: FeatureName): void {
  features.delete(feature)
  for (const dependent of FEATURE_NAMES)
    if (features.has(dependent) && featureOf(dependent).needs?.includes(feature)) remove(features, dependent)
}
