/** Model-specific registers by the manual's names (SDM vol. 4, 2.1). */

import type { VcpuView } from './machine-view.ts'
import { addressNode, type Describe, hex, type RegisterNode } from './register-node.ts'

/** Those that hold an address of code or data. */
const ADDRESSES: readonly (readonly [name: string, register: string])[] = [
  ['IA32_LSTAR', 'msr_lstar'],
  ['IA32_CSTAR', 'msr_cstar'],
  ['IA32_FS_BASE', 'fs_base'],
  ['IA32_GS_BASE', 'gs_base'],
  ['IA32_KERNEL_GS_BASE', 'msr_kernel_gs_base'],
  ['IA32_SYSENTER_ESP', 'msr_sysenter_esp'],
  ['IA32_SYSENTER_EIP', 'msr_sysenter_eip'],
]
const NUMBERS: readonly (readonly [name: string, register: string])[] = [
  ['IA32_SYSENTER_CS', 'msr_sysenter_cs'],
  ['IA32_FMASK', 'msr_fmask'],
  ['IA32_TSC_ADJUST', 'msr_tsc_adjust'],
  ['IA32_TSC_AUX', 'msr_tsc_aux'],
  ['IA32_MISC_ENABLE', 'msr_misc_enable'],
  ['IA32_DEBUGCTL', 'msr_debugctl'],
  ['IA32_MTRR_DEF_TYPE', 'msr_mtrr_def_type'],
]
/** SDM vol. 3, table 12-10. */
const MEMORY_TYPES: Readonly<Record<number, string>> = { 0: 'UC', 1: 'WC', 4: 'WT', 5: 'WP', 6: 'WB', 7: 'UC-' }

export function modelSpecificNodes(vcpu: VcpuView, describe: Describe): RegisterNode[] {
  return [
    starNode(vcpu),
    ...ADDRESSES.map(([name, register]) => ({
      ...addressNode(name, vcpu.register(register), 16, describe),
      register,
    })),
    ...NUMBERS.map(([name, register]) => ({ name, value: hex(vcpu.register(register)), register })),
    attributeTableNode(vcpu),
    apicBaseNode(vcpu),
  ]
}

/** Selectors that SYSCALL and SYSRET load (SDM vol. 3, 5.8.8). */
function starNode(vcpu: VcpuView): RegisterNode {
  const value = vcpu.register('msr_star')
  const selector = (shift: bigint) => hex((value >> shift) & 0xffffn)
  return {
    name: 'IA32_STAR',
    value: hex(value),
    register: 'msr_star',
    children: [
      { name: 'SYSCALL CS', value: selector(32n) },
      { name: 'SYSRET CS', value: selector(48n) },
    ],
  }
}

/** Page attribute table: eight memory types (SDM vol. 3, 12.12.2). */
function attributeTableNode(vcpu: VcpuView): RegisterNode {
  const value = vcpu.register('msr_pat')
  const types = Array.from({ length: 8 }, (_, i) => MEMORY_TYPES[Number((value >> BigInt(8 * i)) & 7n)] ?? 'reserved')
  return {
    name: 'IA32_PAT',
    value: `${hex(value)} [${types.join(' ')}]`,
    register: 'msr_pat',
    children: types.map((type, i) => ({ name: `PA${i}`, value: type })),
  }
}

/** SDM vol. 3, 11.4.4. */
function apicBaseNode(vcpu: VcpuView): RegisterNode {
  const value = vcpu.register('msr_apic_base')
  const bits = [
    [8, 'BSP'],
    [10, 'EXTD'],
    [11, 'EN'],
  ] as const
  const set = bits.filter(([bit]) => ((value >> BigInt(bit)) & 1n) !== 0n).map(([, name]) => name)
  return {
    name: 'IA32_APIC_BASE',
    value: `${hex(value)} [${set.join(' ')}]`,
    address: { space: 'physical', address: value & 0xf_ffff_ffff_f000n },
  }
}
