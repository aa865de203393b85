/** What the hypervisor controls about a vCPU: its control block in words, in the spirit of the VMCS (SDM vol. 3, 25). */

import { describeVector } from '../x86/exceptions.ts'
import type { VcpuView } from './machine-view.ts'
import { decimalNode, hex, type RegisterNode } from './register-node.ts'

export function virtualizationNodes(vcpu: VcpuView): RegisterNode[] {
  const { controls } = vcpu
  const activity: RegisterNode = { name: 'activity', value: vcpu.activity }
  if (controls === undefined) return [activity]
  const { eptPointer, vpid, exceptionBitmap, crExits, tscOffset } = controls
  const vectors = Array.from({ length: 32 }, (_, i) => i).filter(vector => (exceptionBitmap & (1 << vector)) !== 0)
  const registers = (['cr0', 'cr3', 'cr4'] as const).filter(name => crExits[name])
  return [
    activity,
    {
      name: 'EPT pointer',
      value: eptPointer === undefined ? 'no EPT' : hex(BigInt(eptPointer)),
      ...(eptPointer === undefined ? {} : { address: { space: 'host', address: BigInt(eptPointer) } }),
    },
    decimalNode('VPID', vpid, 'tags translations in the TLB'),
    {
      name: 'exception bitmap',
      value: hex(BigInt(exceptionBitmap >>> 0)),
      meaning: 'exceptions that exit instead of being delivered',
      children: vectors.map(vector => ({ name: String(vector), value: describeVector(vector) })),
    },
    { name: 'control-register exits', value: registers.length === 0 ? 'none' : registers.join(' ') },
    decimalNode('TSC offset', tscOffset, 'added to the time-stamp counter'),
  ]
}
