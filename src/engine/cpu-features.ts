/**
 * Features that a model of the processor may have or lack: where CPUID tells of each, which instructions belong to it,
 * and what it is built on (SDM vol. 2, CPUID; AMD64 APM vol. 3, appendix E). What every 64-bit processor has is not
 * here; it can't be taken away.
 */

/** Words of CPUID's answers that have feature bits: leaf, subleaf where it has one, and register. */
export type FeatureWord = '1.ecx' | '1.edx' | '7.ebx' | '7.ecx' | '7.edx' | 'd.1.eax' | '80000001.ecx' | '80000001.edx'

interface Feature {
  readonly word: FeatureWord
  readonly bit: number
  /** What iced-x86 calls the feature of the instructions that are undefined without it. */
  readonly instructions?: readonly string[]
  /** Features without which this one can't be. */
  readonly needs?: readonly string[]
}

const FEATURES = {
  vme: { word: '1.edx', bit: 1 },
  sse3: { word: '1.ecx', bit: 0, instructions: ['SSE3'] },
  pclmulqdq: { word: '1.ecx', bit: 1, instructions: ['PCLMULQDQ'] },
  monitor: { word: '1.ecx', bit: 3, instructions: ['MONITOR'] },
  ssse3: { word: '1.ecx', bit: 9, instructions: ['SSSE3'], needs: ['sse3'] },
  fma: { word: '1.ecx', bit: 12, instructions: ['FMA'], needs: ['avx'] },
  cx16: { word: '1.ecx', bit: 13, instructions: ['CMPXCHG16B'] },
  pcid: { word: '1.ecx', bit: 17 },
  'sse4.1': { word: '1.ecx', bit: 19, instructions: ['SSE4_1'], needs: ['ssse3'] },
  'sse4.2': { word: '1.ecx', bit: 20, instructions: ['SSE4_2'], needs: ['sse4.1'] },
  x2apic: { word: '1.ecx', bit: 21 },
  movbe: { word: '1.ecx', bit: 22, instructions: ['MOVBE'] },
  popcnt: { word: '1.ecx', bit: 23, instructions: ['POPCNT'] },
  'tsc-deadline': { word: '1.ecx', bit: 24 },
  aes: { word: '1.ecx', bit: 25, instructions: ['AES'] },
  xsave: { word: '1.ecx', bit: 26, instructions: ['XSAVE'] },
  avx: { word: '1.ecx', bit: 28, instructions: ['AVX'], needs: ['xsave', 'sse4.2'] },
  f16c: { word: '1.ecx', bit: 29, instructions: ['F16C'], needs: ['avx'] },
  rdrand: { word: '1.ecx', bit: 30, instructions: ['RDRAND'] },
  fsgsbase: { word: '7.ebx', bit: 0, instructions: ['FSGSBASE'] },
  bmi1: { word: '7.ebx', bit: 3, instructions: ['BMI1'] },
  avx2: { word: '7.ebx', bit: 5, instructions: ['AVX2'], needs: ['avx'] },
  smep: { word: '7.ebx', bit: 7 },
  bmi2: { word: '7.ebx', bit: 8, instructions: ['BMI2'] },
  erms: { word: '7.ebx', bit: 9 },
  invpcid: { word: '7.ebx', bit: 10, instructions: ['INVPCID'] },
  rdseed: { word: '7.ebx', bit: 18, instructions: ['RDSEED'] },
  adx: { word: '7.ebx', bit: 19, instructions: ['ADX'] },
  smap: { word: '7.ebx', bit: 20, instructions: ['SMAP'] },
  clflushopt: { word: '7.ebx', bit: 23, instructions: ['CLFLUSHOPT'] },
  sha: { word: '7.ebx', bit: 29, instructions: ['SHA'], needs: ['ssse3'] },
  umip: { word: '7.ecx', bit: 2 },
  pku: { word: '7.ecx', bit: 3, instructions: ['PKU'] },
  la57: { word: '7.ecx', bit: 16 },
  rdpid: { word: '7.ecx', bit: 22, instructions: ['RDPID'] },
  fsrm: { word: '7.edx', bit: 4 },
  serialize: { word: '7.edx', bit: 14, instructions: ['SERIALIZE'] },
  xsaveopt: { word: 'd.1.eax', bit: 0, instructions: ['XSAVEOPT'], needs: ['xsave'] },
  xsavec: { word: 'd.1.eax', bit: 1, instructions: ['XSAVEC'], needs: ['xsave'] },
  /** XGETBV with ECX = 1. */
  xgetbv1: { word: 'd.1.eax', bit: 2, needs: ['xsave'] },
  lzcnt: { word: '80000001.ecx', bit: 5, instructions: ['LZCNT'] },
  pdpe1gb: { word: '80000001.edx', bit: 26 },
  rdtscp: { word: '80000001.edx', bit: 27, instructions: ['RDTSCP'] },
} as const satisfies Readonly<Record<string, Feature>>

export type FeatureName = keyof typeof FEATURES

export const FEATURE_NAMES: readonly FeatureName[] = Object.keys(FEATURES).filter(isFeatureName)

export function isFeatureName(name: string): name is FeatureName {
  return Object.hasOwn(FEATURES, name)
}

export function featureOf(name: FeatureName): Feature {
  return FEATURES[name]
}

const BY_INSTRUCTIONS: ReadonlyMap<string, FeatureName> = new Map(
  FEATURE_NAMES.flatMap(name =>
    (featureOf(name).instructions ?? []).map(instructions => [instructions, name] as const),
  ),
)

/** The feature that instructions of an iced-x86 `CpuidFeature` need, by its name; undefined where no model lacks them. */
export function featureOfInstructions(cpuidFeature: string): FeatureName | undefined {
  return BY_INSTRUCTIONS.get(cpuidFeature)
}
