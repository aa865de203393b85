/** What selectors of stacks and gates mean to a vCPU that stands still, and where its interrupts are handled. */

import { cpuMode } from '../../inspect/cpu-mode.ts'
import { decodeInterruptTable, decodeSegmentTable, type SegmentDescriptor } from '../../inspect/descriptor-tables.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { interruptGates } from '../../inspect/system-tables.ts'
import { RIGHTS_DB, RIGHTS_UNUSABLE } from '../../x86/segment-rights.ts'
import type { FrameSegment, FrameSegments } from './frame.ts'
import type { StillMemory } from './still-memory.ts'

export interface CodeSegment extends FrameSegment {
  readonly bits: 16 | 32 | 64
}

export interface StackSegment extends FrameSegment {
  readonly bits: 16 | 32
}

/** Of where a vCPU stands, outside 64-bit mode. */
export function currentSegments(vcpu: VcpuView): FrameSegments {
  const [cs, ss] = [vcpu.segment('cs'), vcpu.segment('ss')]
  const { mode } = cpuMode(vcpu)
  return {
    cs: { selector: cs.selector, base: cs.base },
    ss: { selector: ss.selector, base: ss.base },
    stackBits: (ss.rights & RIGHTS_DB) !== 0 ? 32 : 16,
    paragraphs: mode === 'real' || mode === 'virtual-8086',
  }
}

/** Bit 2 of a selector: it is one of the LDT (SDM vol. 3, 3.4.2). */
const TABLE_INDICATOR = 4
const REAL_MODE_VECTORS = 256 * 4

export class SegmentReader {
  readonly #memory: StillMemory
  readonly #machine: MachineView
  readonly #vcpu: VcpuView
  readonly #handlers = new Map<boolean, ReadonlySet<bigint>>()

  constructor(memory: StillMemory, machine: MachineView, vcpu: VcpuView) {
    this.#memory = memory
    this.#machine = machine
    this.#vcpu = vcpu
  }

  /** undefined when the selector means no present code segment. */
  code(selector: number, paragraphs: boolean): CodeSegment | undefined {
    if (paragraphs) return { selector, base: BigInt(selector) << 4n, bits: 16 }
    const descriptor = this.#descriptor(selector)
    if (descriptor?.kind !== 'code') return undefined
    return { selector, base: descriptor.base, bits: descriptor.bits }
  }

  /** undefined when the selector means no present data segment. */
  stack(selector: number, paragraphs: boolean): StackSegment | undefined {
    if (paragraphs) return { selector, base: BigInt(selector) << 4n, bits: 16 }
    const descriptor = this.#descriptor(selector)
    if (descriptor?.kind !== 'data') return undefined
    return { selector, base: descriptor.base, bits: descriptor.bits === 16 ? 16 : 32 }
  }

  /**
   * Does the code at a linear address begin to handle an interrupt or exception?
   * @param paragraphs by the vectors of real mode, which the monitor of virtual-8086 mode goes by too (SDM vol. 3, 20.3)
   */
  isHandler(address: bigint, paragraphs: boolean): boolean {
    const known = this.#handlers.get(paragraphs) ?? new Set(this.#handlerAddresses(paragraphs))
    this.#handlers.set(paragraphs, known)
    return known.has(address)
  }

  *#handlerAddresses(paragraphs: boolean): Generator<bigint> {
    const { mode } = cpuMode(this.#vcpu)
    // Gates of long mode lead to 64-bit code only (SDM vol. 3, 6.14.1).
    if (mode === 'compatibility' || mode === '64-bit') return
    const own = paragraphs === (mode === 'real')
    const gates = own
      ? interruptGates(this.#machine, this.#vcpu).entries
      : decodeInterruptTable(this.#memory.read(0n, REAL_MODE_VECTORS) ?? new Uint8Array(0), 'real')
    for (const { present, type, selector, offset } of gates) {
      if (!present || (type !== 'interrupt gate' && type !== 'trap gate')) continue
      const segment = this.code(selector, paragraphs)
      // A vector that nobody has set is 0:0.
      if (segment !== undefined && (selector !== 0 || offset !== 0n)) yield segment.base + offset
    }
  }

  #descriptor(selector: number): SegmentDescriptor | undefined {
    const local = this.#vcpu.segment('ldtr')
    const isLocal = (selector & TABLE_INDICATOR) !== 0
    if (isLocal && (local.rights & RIGHTS_UNUSABLE) !== 0) return undefined
    const table = isLocal ? local : this.#vcpu.table('gdtr')
    const offset = selector & ~7
    // The first entry of the GDT means no segment.
    if (offset + 7 > table.limit || (selector & ~3) === 0) return undefined
    const bytes = this.#memory.read(BigInt.asUintN(64, table.base + BigInt(offset)), 8)
    if (bytes === undefined) return undefined
    const [descriptor] = decodeSegmentTable(bytes, false)
    return descriptor.present ? descriptor : undefined
  }
}
