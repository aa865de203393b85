/** XMM and YMM registers, with the lanes that they may be read as, and MXCSR. */

import { CR4_OSXSAVE } from '../x86/control-registers.ts'
import { isSet } from './control-bits.ts'
import { decodedNode } from './control-register-nodes.ts'
import type { VcpuView } from './machine-view.ts'
import { padded, type RegisterNode } from './register-node.ts'

/** XCR0: the upper halves of the YMM registers (SDM vol. 1, 13.3). */
const XCR0_AVX = 1 << 2

export function vectorNodes(vcpu: VcpuView): RegisterNode[] {
  const wide = isSet(vcpu.register('cr4'), CR4_OSXSAVE) && isSet(vcpu.register('xcr0'), XCR0_AVX)
  const registers = Array.from({ length: 16 }, (_, i) => vectorNode(vcpu, `${wide ? 'y' : 'x'}mm${i}`, wide ? 32 : 16))
  return [decodedNode(vcpu, 'mxcsr'), ...registers]
}

function vectorNode(vcpu: VcpuView, register: string, bytes: number): RegisterNode {
  const value = vcpu.register(register)
  const view = new DataView(new ArrayBuffer(bytes))
  for (let at = 0; at < bytes; at += 8) view.setBigUint64(at, BigInt.asUintN(64, value >> BigInt(8 * at)), true)
  const lanes = (name: string, size: number, read: (at: number) => string): RegisterNode => ({
    name,
    value: Array.from({ length: bytes / size }, (_, i) => read(i * size)).join(' '),
  })
  const integer = (size: number): RegisterNode =>
    lanes(`u${size * 8}`, size, at => {
      const lane = BigInt.asUintN(size * 8, value >> BigInt(8 * at))
      return lane.toString(16).padStart(size * 2, '0')
    })
  return {
    name: register,
    value: padded(value, bytes * 2),
    register,
    children: [
      ...[1, 2, 4, 8].map(integer),
      lanes('f32', 4, at => String(view.getFloat32(at, true))),
      lanes('f64', 8, at => String(view.getFloat64(at, true))),
    ],
  }
}
