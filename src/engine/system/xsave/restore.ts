/** XRSTOR (SDM vol. 1, 13.8): from an area of either format, checked and read whole before anything changes. */

import type { Assist, AssistCpu } from '../../assist.ts'
import { XCR0_AVX, XCR0_SSE, XCR0_X87 } from '../../cpu-model.ts'
import { generalProtection } from '../../fault.ts'
import { MXCSR_DEFAULT, MXCSR_MASK } from '../../float/sse-scalar.ts'
import * as S from '../../state.ts'
import { clearFpu } from '../../x87/control.ts'
import { Fpu } from '../../x87/fpu.ts'
import { clearXmm, decodeX87Area, decodeXmm, FXSAVE_MXCSR, FXSAVE_XMM } from '../../x87/fxsave.ts'
import { HEADER_SIZE, requestedComponents, requireArea, vectorCount, XCOMP_BV_COMPACTED } from './area.ts'
import { compactedOffset, EXTENDED_COMPONENTS, XSAVE_EXTENDED, XSAVE_HEADER } from './components.ts'

/** What the header says; components as bits of XCR0, which are below 2^32 once they are checked. */
interface Header {
  /** Components that the area holds. */
  readonly saved: number
  /** Components that a compacted area has room for; undefined for the standard format. */
  readonly compacted: number | undefined
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView =>
  new DataView(buffer, byteOffset, byteLength)

/** Reads and checks the header: #GP for what no area has (SDM vol. 1, 13.8.1 and 13.8.2). */
function readHeader({ state, memory, model }: AssistCpu, address: bigint): Header {
  const bytes = memory.readBytes(address + BigInt(XSAVE_HEADER), HEADER_SIZE)
  const header = viewOf(bytes)
  const saved = header.getBigUint64(0, true)
  const format = header.getBigUint64(8, true)
  const enabled = state.get64(S.XCR0)
  if (format & XCOMP_BV_COMPACTED && model.has('xsavec')) {
    const room = format & ~XCOMP_BV_COMPACTED
    if (room & ~enabled || saved & ~room || bytes.subarray(16).some(byte => byte !== 0)) throw generalProtection()
    return { saved: Number(saved), compacted: Number(room) }
  }
  if (saved & ~enabled || bytes.subarray(8, 24).some(byte => byte !== 0)) throw generalProtection()
  return { saved: Number(saved), compacted: undefined }
}

/**
 * The new MXCSR, or undefined when it stays. In the standard format it is loaded with SSE or AVX, whatever the area
 * holds; in the compacted one it is part of SSE.
 */
function readMxcsr(
  cpu: AssistCpu,
  address: bigint,
  requested: number,
  { saved, compacted }: Header,
): number | undefined {
  if (!(requested & (compacted === undefined ? XCR0_SSE | XCR0_AVX : XCR0_SSE))) return undefined
  if (compacted !== undefined && !(saved & XCR0_SSE)) return MXCSR_DEFAULT
  const mxcsr = cpu.memory.read32(address + BigInt(FXSAVE_MXCSR))
  if (mxcsr & ~MXCSR_MASK) throw generalProtection()
  return mxcsr
}

const restore =
  (wide: boolean): Assist =>
  (cpu, instruction) => {
    const { state, memory } = cpu
    const { address } = instruction
    requireArea(cpu, instruction)
    instruction.checkSegment(state, XSAVE_EXTENDED, false)
    const header = readHeader(cpu, address)
    const requested = requestedComponents(state)
    const registers = vectorCount(state)
    const loaded = requested & header.saved
    const mxcsr = readMxcsr(cpu, address, requested, header)
    const legacyEnd = loaded & XCR0_SSE ? FXSAVE_XMM + registers * 16 : FXSAVE_XMM
    const legacy = loaded & (XCR0_X87 | XCR0_SSE) ? memory.readBytes(address, legacyEnd) : undefined
    const extended = EXTENDED_COMPONENTS.filter(each => requested & each.bit).map(component => {
      if (!(loaded & component.bit)) return { component, from: undefined }
      const at = header.compacted === undefined ? component.offset : compactedOffset(component, header.compacted)
      const length = component.length(registers)
      instruction.checkSegment(state, at + length, false)
      return { component, from: viewOf(memory.readBytes(address + BigInt(at), length)) }
    })

    if (requested & XCR0_X87) {
      if (legacy !== undefined && loaded & XCR0_X87) decodeX87Area(new Fpu(cpu, instruction), viewOf(legacy), wide)
      else clearFpu(state)
    }
    if (mxcsr !== undefined) state.set32(S.MXCSR, mxcsr)
    if (requested & XCR0_SSE) {
      if (legacy !== undefined && loaded & XCR0_SSE) decodeXmm(state, viewOf(legacy), registers)
      else clearXmm(state, registers)
    }
    for (const { component, from } of extended) component.restore(cpu, from, registers)
  }

export const xrstorAssists: Readonly<Record<string, Assist>> = {
  Xrstor_mem: restore(false),
  Xrstor64_mem: restore(true),
}
