/** Segment registers with the descriptors that the processor has cached, and the table registers. */

import type { SegmentName, SegmentRegister } from '../engine/processor.ts'
import {
  RIGHTS_CODE,
  RIGHTS_DB,
  RIGHTS_L,
  RIGHTS_P,
  RIGHTS_S,
  RIGHTS_UNUSABLE,
  rightsDpl,
} from '../x86/segment-rights.ts'
import type { VcpuView } from './machine-view.ts'
import { hex, padded, type RegisterNode } from './register-node.ts'

const SEGMENTS: readonly SegmentName[] = ['cs', 'ss', 'ds', 'es', 'fs', 'gs', 'ldtr', 'tr']

export function segmentNodes(vcpu: VcpuView): RegisterNode[] {
  const segments = SEGMENTS.map(name => segmentNode(name, vcpu.segment(name)))
  const tables = (['gdtr', 'idtr'] as const).map((name): RegisterNode => {
    const { base, limit } = vcpu.table(name)
    const value = `base ${hex(base)}, limit ${hex(BigInt(limit))}`
    return { name, value, address: { space: 'linear', address: base } }
  })
  return [...segments, ...tables]
}

function segmentNode(name: SegmentName, segment: SegmentRegister): RegisterNode {
  const selector = padded(BigInt(segment.selector), 4)
  return {
    name,
    value: `${selector} ${describeRights(segment.rights)}, base ${hex(segment.base)}, limit ${hex(BigInt(segment.limit))}`,
    children: [
      { name: 'selector', value: selector },
      { name: 'base', value: hex(segment.base), address: { space: 'linear', address: segment.base } },
      { name: 'limit', value: hex(BigInt(segment.limit)) },
      { name: 'rights', value: hex(BigInt(segment.rights)), meaning: 'access rights in the format of the VMCS' },
    ],
  }
}

/** Cached access rights in words (SDM vol. 3, table 25-2). */
export function describeRights(rights: number): string {
  if ((rights & RIGHTS_UNUSABLE) !== 0) return 'unusable'
  const bits = (rights & RIGHTS_L) !== 0 ? 64 : (rights & RIGHTS_DB) !== 0 ? 32 : 16
  const kind = (rights & RIGHTS_S) === 0 ? 'system' : (rights & RIGHTS_CODE) !== 0 ? `${bits}-bit code` : 'data'
  const present = (rights & RIGHTS_P) === 0 ? ', not present' : ''
  return `${kind}, DPL ${rightsDpl(rights)}${present}`
}
