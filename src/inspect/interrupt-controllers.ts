/** Interrupt controllers: each vCPU's local APIC, the I/O APIC and the 8259 pair (SDM vol. 3, chapter 11). */

import type { DeviceRegister, MachineView, VcpuView } from './machine-view.ts'

export interface LocalApicModel {
  readonly vcpu: number
  readonly mode: 'disabled' | 'xAPIC' | 'x2APIC'
  /** Software enable in the spurious-interrupt vector register. */
  readonly enabled: boolean
  /** Vectors requested, in service, and of those level-triggered. */
  readonly requested: readonly number[]
  readonly inService: readonly number[]
  readonly levelTriggered: readonly number[]
  /** Registers by the manual's names; the vectors' bits are left out. */
  readonly registers: readonly DeviceRegister[]
}

export interface ControllerModel {
  readonly name: string
  readonly registers: readonly DeviceRegister[]
}

export interface InterruptControllers {
  readonly localApics: readonly LocalApicModel[]
  readonly controllers: readonly ControllerModel[]
}

const CONTROLLERS = ['ioapic', 'pic']
const VECTOR_BITS = /^(IRR|ISR|TMR)([0-7])$/
const APIC_BASE_EXTENDED = 1n << 10n
const APIC_BASE_ENABLED = 1n << 11n
const SVR_ENABLED = 1 << 8
const LVT_MASKED = 1 << 16
const LVT_LEVEL = 1 << 15
const LVT_PENDING = 1 << 12
const DELIVERY_MODES = ['fixed', 'lowest priority', 'SMI', 'reserved', 'NMI', 'INIT', 'start-up', 'ExtINT']
const TIMER_MODES = ['one-shot', 'periodic', 'TSC deadline', 'reserved']

export function interruptControllers(machine: MachineView): InterruptControllers {
  return {
    localApics: machine.vcpus.filter(vcpu => vcpu.apicRegisters.length > 0).map(localApic),
    controllers: machine.devices
      .filter(({ name }) => CONTROLLERS.includes(name))
      .map(device => ({ name: device.name, registers: device.registers() })),
  }
}

function localApic(vcpu: VcpuView): LocalApicModel {
  const all = vcpu.apicRegisters
  const value = (name: string): number => all.find(register => register.name === name)?.value ?? 0
  const vectors = (set: string): number[] =>
    Array.from({ length: 256 }, (_, vector) => vector).filter(
      vector => (value(`${set}${vector >> 5}`) & (1 << (vector & 31))) !== 0,
    )
  return {
    vcpu: vcpu.index,
    mode: apicMode(vcpu.register('msr_apic_base')),
    enabled: (value('SVR') & SVR_ENABLED) !== 0,
    requested: vectors('IRR'),
    inService: vectors('ISR'),
    levelTriggered: vectors('TMR'),
    registers: all
      .filter(({ name }) => !VECTOR_BITS.test(name))
      .map(register => ({ ...register, ...meaningOf(register.name, register.value) })),
  }
}

function apicMode(base: bigint): LocalApicModel['mode'] {
  if ((base & APIC_BASE_ENABLED) === 0n) return 'disabled'
  return (base & APIC_BASE_EXTENDED) === 0n ? 'xAPIC' : 'x2APIC'
}

/** Entries of the local vector table (SDM vol. 3, figure 11-8), and the spurious-interrupt vector. */
function meaningOf(name: string, value: number): { meaning?: string } {
  if (name === 'SVR') return { meaning: `vector ${value & 0xff}, ${value & SVR_ENABLED ? 'enabled' : 'disabled'}` }
  if (!name.startsWith('LVT_')) return {}
  const vector = `vector ${value & 0xff}`
  const parts = [
    name === 'LVT_TIMER' ? `${TIMER_MODES[(value >>> 17) & 3]}, ${vector}` : '',
    name.startsWith('LVT_LINT') ? `${DELIVERY_MODES[(value >>> 8) & 7]}, ${vector}, ${trigger(value)}` : '',
    value & LVT_PENDING ? 'pending' : '',
    value & LVT_MASKED ? 'masked' : '',
  ].filter(part => part !== '')
  return { meaning: parts.length === 0 ? vector : parts.join(', ') }
}

const trigger = (entry: number): string => (entry & LVT_LEVEL ? 'level' : 'edge')
