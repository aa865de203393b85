/** What is printed when a guest crashes its processor: state of the vCPU, the instruction it was at, the last exits. */

import { exitDetail } from '../debugger/exit-detail.ts'
import { codeBase, cpuMode, instructionPointer } from '../inspect/cpu-mode.ts'
import { disassemble } from '../inspect/disassembly.ts'
import { readLinear } from '../inspect/linear-memory.ts'
import type { MachineView, VcpuView } from '../inspect/machine-view.ts'
import { registerGroups } from '../inspect/register-groups.ts'
import type { ExitLog } from '../vmm/exit-log.ts'
import type { Vm } from '../vmm/vm.ts'
import type { VmStop } from '../vmm/vm-stop.ts'

type Crash = Extract<VmStop, { kind: 'triple-fault' | 'unbacked-page-table' }>

const EXITS_SHOWN = 10
const INSTRUCTIONS_SHOWN = 3

export function crashReport(machine: { readonly vm: Vm; readonly view: MachineView }, crash: Crash): string {
  const { vm, view } = machine
  const vcpu = view.vcpus[crash.vcpu]
  return [
    `ringside: ${headline(crash)} after ${vm.clock.count} instructions`,
    '',
    ...stateLines(vcpu),
    '',
    'Instruction:',
    ...instructionLines(view, vcpu),
    '',
    `Last exits of ${vm.exits.total}:`,
    ...exitLines(vm.exits),
    '',
  ].join('\n')
}

function headline(crash: Crash): string {
  if (crash.kind === 'triple-fault') return `vCPU ${crash.vcpu}: triple fault`
  const where = `guest-physical 0x${crash.gpa.toString(16)}`
  return `vCPU ${crash.vcpu}: it walks page tables at ${where}, where there is no RAM,`
}

function stateLines(vcpu: VcpuView): string[] {
  const groups = registerGroups(vcpu, () => undefined).filter(group => group.rare !== true)
  return groups.flatMap(group => [
    `${group.name}:`,
    ...group.nodes().map(node => `  ${node.name.padEnd(10)} ${node.value}`),
  ])
}

function instructionLines(view: MachineView, vcpu: VcpuView): string[] {
  const source = {
    bits: cpuMode(vcpu).codeBits,
    codeBase: codeBase(vcpu),
    read: (address: bigint, length: number) => readLinear(view, vcpu, address, length),
  }
  return disassemble(source, instructionPointer(vcpu), 0, INSTRUCTIONS_SHOWN).map((instruction, i) => {
    const bytes = [...instruction.bytes].map(byte => byte.toString(16).padStart(2, '0')).join(' ')
    const mark = i === 0 ? '=>' : '  '
    return `${mark} 0x${instruction.address.toString(16)}  ${bytes.padEnd(30)} ${instruction.text}`
  })
}

function exitLines(log: ExitLog): string[] {
  const exits = log.last(EXITS_SHOWN)
  if (exits.length === 0) return ['  none']
  return exits.map(exit => {
    const where = `at 0x${exit.rip.toString(16)}`
    const gpa = exit.reason.startsWith('ept') ? `, guest-physical 0x${exit.gpa.toString(16)}` : ''
    return `  ${exit.count}: vCPU ${exit.vcpu} ${exit.reason} ${exitDetail(exit)} ${where}${gpa}`
  })
}
