/**
 * State components of the XSAVE feature set behind the legacy region and the header (SDM vol. 1, 13.4.3 and 13.5): where
 * each lies, when it is in its initial configuration, and how it is saved and restored.
 */

import type { AssistCpu } from '../../assist.ts'
import { XCR0_AVX, XCR0_PKRU, XCR0_SSE, XCR0_X87 } from '../../cpu-model.ts'
import type { CpuState } from '../../cpu-state.ts'
import * as S from '../../state.ts'
import { isInitialFpu } from '../../x87/control.ts'
import { writePkru } from '../protection-keys.ts'

/** Bytes of legacy region and header, which every area has. */
export const XSAVE_HEADER = 512
export const XSAVE_EXTENDED = 576

const HALF = 16
const YMM_HIGH = 16

export interface ExtendedComponent {
  /** Its bit in XCR0. */
  readonly bit: number
  /** In the standard format, from the start of the area. Multiples of 64 but for the last: none needs aligning. */
  readonly offset: number
  readonly size: number
  /** Bytes of it that the mode reaches: outside 64-bit mode only 8 of the vector registers. */
  length(registers: VectorCount): number
  isInUse(state: CpuState, registers: VectorCount): boolean
  save(state: CpuState, to: DataView, registers: VectorCount): void
  /** @param from undefined for the initial configuration */
  restore(cpu: AssistCpu, from: DataView | undefined, registers: VectorCount): void
}

/** Vector registers that the mode has. */
export type VectorCount = 8 | 16

const avx: ExtendedComponent = {
  bit: XCR0_AVX,
  offset: XSAVE_EXTENDED,
  size: 16 * HALF,
  length: registers => registers * HALF,
  isInUse: (state, registers) => anyNonZero(state, YMM_HIGH, registers),
  save(state, to, registers) {
    for (let i = 0; i < registers; i++) {
      const at = S.VECTORS + i * S.VECTOR_STRIDE + YMM_HIGH
      to.setBigUint64(i * HALF, state.get64(at), true)
      to.setBigUint64(i * HALF + 8, state.get64(at + 8), true)
    }
  },
  restore({ state }, from, registers) {
    for (let i = 0; i < registers; i++) {
      const at = S.VECTORS + i * S.VECTOR_STRIDE + YMM_HIGH
      state.set64(at, from?.getBigUint64(i * HALF, true) ?? 0n)
      state.set64(at + 8, from?.getBigUint64(i * HALF + 8, true) ?? 0n)
    }
  },
}

/** Directly behind AVX, as AMD's processors without AVX-512 have it: Zen 3 answers 832 in leaf Dh, subleaf 9. */
const pkru: ExtendedComponent = {
  bit: XCR0_PKRU,
  offset: XSAVE_EXTENDED + avx.size,
  size: 8,
  length: () => 8,
  isInUse: state => state.get32(S.PKRU) !== 0,
  save: (state, to) => to.setUint32(0, state.get32(S.PKRU), true),
  restore: (cpu, from) => writePkru(cpu, from?.getUint32(0, true) ?? 0),
}

/** In the order in which areas have them. */
export const EXTENDED_COMPONENTS: readonly ExtendedComponent[] = [avx, pkru]

/** Where a component lies in a compacted area that has room for those in `present` (SDM vol. 1, 13.4.3). */
export function compactedOffset(component: ExtendedComponent, present: number): number {
  let offset = XSAVE_EXTENDED
  for (const each of EXTENDED_COMPONENTS) {
    if (each === component) break
    if (present & each.bit) offset += each.size
  }
  return offset
}

/** Bytes of a compacted area with room for the components in `present`. */
export function compactedSize(present: number): number {
  return EXTENDED_COMPONENTS.reduce((size, each) => size + (present & each.bit ? each.size : 0), XSAVE_EXTENDED)
}

/** Bytes of an area in the standard format with the components in `present`. */
export function standardSize(present: number): number {
  return EXTENDED_COMPONENTS.reduce(
    (size, each) => (present & each.bit ? Math.max(size, each.offset + each.size) : size),
    XSAVE_EXTENDED,
  )
}

/** Is any of the vector registers not zero in the half at `half` bytes? */
function anyNonZero(state: CpuState, half: number, registers: VectorCount): boolean {
  for (let i = 0; i < registers; i++) {
    const at = S.VECTORS + i * S.VECTOR_STRIDE + half
    if (state.get64(at) !== 0n || state.get64(at + 8) !== 0n) return true
  }
  return false
}

/**
 * XINUSE: the components that are not in their initial configuration (SDM vol. 1, 13.6). It is the registers' values
 * that decide, so that the answer is the same in every run; MXCSR is not part of it.
 */
export function componentsInUse(state: CpuState, registers: VectorCount): number {
  let inUse = isInitialFpu(state) ? 0 : XCR0_X87
  if (anyNonZero(state, 0, registers)) inUse |= XCR0_SSE
  for (const component of EXTENDED_COMPONENTS) if (component.isInUse(state, registers)) inUse |= component.bit
  return inUse
}
