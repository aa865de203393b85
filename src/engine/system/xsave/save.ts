/** XSAVE, XSAVEOPT and XSAVEC (SDM vol. 1, 13.7, 13.9 and 13.10). */

import type { Assist } from '../../assist.ts'
import { XCR0_AVX, XCR0_SSE, XCR0_X87 } from '../../cpu-model.ts'
import type { CpuState } from '../../cpu-state.ts'
import { MXCSR_DEFAULT, MXCSR_MASK } from '../../float/sse-scalar.ts'
import * as S from '../../state.ts'
import { encodeX87Area, encodeXmm, FXSAVE_MXCSR, FXSAVE_REGISTERS, FXSAVE_XMM } from '../../x87/fxsave.ts'
import { requestedComponents, requireArea, vectorCount, XCOMP_BV_COMPACTED } from './area.ts'
import {
  compactedOffset,
  componentsInUse,
  EXTENDED_COMPONENTS,
  type VectorCount,
  XSAVE_EXTENDED,
  XSAVE_HEADER,
} from './components.ts'

/** Bytes that are written, from the start of the area; those between pieces stay. */
interface Piece {
  readonly at: number
  readonly bytes: Uint8Array
}

interface Saving {
  readonly state: CpuState
  readonly registers: VectorCount
  /** 64-bit instruction and data pointers. */
  readonly wide: boolean
  /** Components to write, and whether MXCSR goes with them. */
  readonly components: number
  readonly mxcsr: boolean
  /** Components that a compacted area has room for; undefined for the standard format. */
  readonly compacted: number | undefined
}

function legacyPieces({ state, registers, wide, components, mxcsr }: Saving): Piece[] {
  const bytes = new Uint8Array(XSAVE_HEADER)
  const area = new DataView(bytes.buffer)
  const pieces: Piece[] = []
  const add = (at: number, end: number) => pieces.push({ at, bytes: bytes.subarray(at, end) })
  if (components & XCR0_X87) {
    encodeX87Area(state, area, wide)
    add(0, FXSAVE_MXCSR)
    add(FXSAVE_REGISTERS, FXSAVE_XMM)
  }
  if (mxcsr) {
    area.setUint32(FXSAVE_MXCSR, state.get32(S.MXCSR), true)
    area.setUint32(FXSAVE_MXCSR + 4, MXCSR_MASK, true)
    add(FXSAVE_MXCSR, FXSAVE_MXCSR + 8)
  }
  if (components & XCR0_SSE) {
    encodeXmm(state, area, registers)
    add(FXSAVE_XMM, FXSAVE_XMM + registers * 16)
  }
  return pieces
}

function extendedPieces({ state, registers, components, compacted }: Saving): Piece[] {
  return EXTENDED_COMPONENTS.filter(each => components & each.bit).map(component => {
    const bytes = new Uint8Array(component.length(registers))
    component.save(state, new DataView(bytes.buffer), registers)
    return { at: compacted === undefined ? component.offset : compactedOffset(component, compacted), bytes }
  })
}

const quadword = (value: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(value).buffer)

/** @param optimized XSAVEOPT: what is in its initial configuration is not written. All of it counts as modified. */
const saveStandard =
  (wide: boolean, optimized: boolean): Assist =>
  (cpu, instruction) => {
    const { state, memory } = cpu
    const { address } = instruction
    requireArea(cpu, instruction)
    const requested = requestedComponents(state)
    const registers = vectorCount(state)
    const inUse = componentsInUse(state, registers)
    const components = optimized ? requested & inUse : requested
    const mxcsr = (requested & (XCR0_SSE | XCR0_AVX)) !== 0
    const saving = { state, registers, wide, components, mxcsr, compacted: undefined }
    const pieces = [...legacyPieces(saving), ...extendedPieces(saving)]
    instruction.checkSegment(state, endOf(pieces), true)
    const header = address + BigInt(XSAVE_HEADER)
    for (const { at, bytes } of pieces) memory.probeWrite(address + BigInt(at), bytes.length)
    memory.probeWrite(header, 8)
    const kept = memory.read64(header) & ~BigInt(requested)
    for (const { at, bytes } of pieces) memory.writeBytes(address + BigInt(at), bytes)
    memory.write64(header, BigInt.asUintN(64, kept | BigInt(requested & inUse)))
  }

/** XSAVEC: the compacted format, without what is in its initial configuration; the old header does not matter. */
const saveCompacted =
  (wide: boolean): Assist =>
  (cpu, instruction) => {
    const { state, memory } = cpu
    const { address } = instruction
    requireArea(cpu, instruction)
    const requested = requestedComponents(state)
    const registers = vectorCount(state)
    // Here MXCSR counts as part of SSE (SDM vol. 1, 13.10).
    const mxcsrInUse = state.get32(S.MXCSR) !== MXCSR_DEFAULT ? XCR0_SSE : 0
    const components = requested & (componentsInUse(state, registers) | mxcsrInUse)
    const mxcsr = (components & XCR0_SSE) !== 0
    const saving = { state, registers, wide, components, mxcsr, compacted: requested }
    const pieces = [
      ...legacyPieces(saving),
      { at: XSAVE_HEADER, bytes: quadword(BigInt(components)) },
      { at: XSAVE_HEADER + 8, bytes: quadword(XCOMP_BV_COMPACTED | BigInt(requested)) },
      ...extendedPieces(saving),
    ]
    instruction.checkSegment(state, endOf(pieces), true)
    for (const { at, bytes } of pieces) memory.probeWrite(address + BigInt(at), bytes.length)
    for (const { at, bytes } of pieces) memory.writeBytes(address + BigInt(at), bytes)
  }

/** Bytes of the area that are accessed, the header among them. */
const endOf = (pieces: readonly Piece[]): number =>
  pieces.reduce((end, { at, bytes }) => Math.max(end, at + bytes.length), XSAVE_EXTENDED)

export const xsaveAssists: Readonly<Record<string, Assist>> = {
  Xsave_mem: saveStandard(false, false),
  Xsave64_mem: saveStandard(true, false),
  Xsaveopt_mem: saveStandard(false, true),
  Xsaveopt64_mem: saveStandard(true, true),
  Xsavec_mem: saveCompacted(false),
  Xsavec64_mem: saveCompacted(true),
}
