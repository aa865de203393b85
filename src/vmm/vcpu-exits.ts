/** What the hypervisor does about each reason for an exit: one function a reason. */

import type { CpuModel } from '../engine/cpu-model.ts'
import { PAGE_SIZE } from '../engine/host-memory.ts'
import {
  EPT_QUALIFICATION_EXECUTABLE,
  EPT_QUALIFICATION_FETCH,
  EPT_QUALIFICATION_READ,
  EPT_QUALIFICATION_READABLE,
  EPT_QUALIFICATION_TRANSLATED,
  EPT_QUALIFICATION_WRITABLE,
  EPT_QUALIFICATION_WRITE,
  type Exit,
  type ExitReason,
  type GuestAccess,
  type Vcpu,
} from '../engine/processor.ts'
import { cpuid } from '../engine/system/cpuid.ts'
import type { VirtualClock } from '../util/virtual-clock.ts'
import { EPT_EXECUTE, EPT_READ, EPT_RIGHTS } from './ept.ts'
import type { GuestPhysicalMemory } from './guest-memory.ts'
import { type HypercallHost, serveHypercall } from './hypercalls.ts'
import { hypervisorLeaf } from './hypervisor-leaves.ts'
import type { AccessSize, PlatformBus } from './platform.ts'
import type { VmStop } from './vm-stop.ts'

/** IA32_APIC_BASE, bit 11 (SDM vol. 3, 11.4.4). */
const APIC_BASE_ENABLE = 1n << 11n

type ExitOf<R extends ExitReason> = Extract<Exit, { reason: R }>

/** Called for the first write to a page whose writes are trapped, before the write happens. A stop returned goes to the caller of `run`. */
export type WriteTrap = (vcpu: Vcpu, exit: ExitOf<'ept-violation'>) => VmStop | undefined

/** What the handlers need of the VM. */
export interface ExitContext {
  readonly clock: VirtualClock
  readonly memory: GuestPhysicalMemory
  readonly bus: PlatformBus
  readonly cpus: number
  readonly model: CpuModel
  readonly hypercalls: HypercallHost
  /** By guest-physical address of the page. */
  readonly writeTraps: Map<number, WriteTrap>
}

/** Acts on an exit; a stop returned goes to the caller of `run`. */
export function handleExit(vm: ExitContext, vcpu: Vcpu, exit: Exit): VmStop | undefined {
  switch (exit.reason) {
    case 'io':
      return handleIo(vm, vcpu, exit)
    case 'ept-violation':
      return handleEptViolation(vm, vcpu, exit)
    case 'cpuid':
      return handleCpuid(vm, vcpu, exit)
    case 'rdmsr':
      vcpu.completeRdmsr(undefined)
      return undefined
    case 'wrmsr':
      vcpu.completeWrmsr(false)
      return undefined
    case 'vmcall':
      serveHypercall(vm.hypercalls, vcpu, vm.clock.count)
      return undefined
    case 'triple-fault':
      return { kind: 'triple-fault', vcpu: vcpu.index }
    case 'breakpoint':
      return { kind: 'breakpoint', vcpu: vcpu.index }
    case 'exception':
    case 'cr-access':
      return { kind: 'exit', vcpu: vcpu.index, exit }
    case 'ept-misconfiguration':
      throw new Error(`EPT entry for guest-physical 0x${exit.gpa.toString(16)} is misconfigured`)
    // The run loop looks at budget, activity and pending interrupts before it runs a vCPU again.
    case 'budget':
    case 'hlt':
    case 'interrupt-window':
      return undefined
  }
}

/**
 * Virtual time that an access to a port takes, about that of a cycle of the ISA bus. Guests wait by counting such
 * accesses, and by polling a port until a timer has run down: without it they would do so a thousand times as often as
 * on a machine.
 */
const PORT_ACCESS_NANOSECONDS = 500

function handleIo(vm: ExitContext, vcpu: Vcpu, exit: ExitOf<'io'>): undefined {
  if (exit.write) vm.bus.writePort(exit.port, exit.size, exit.value)
  else {
    exit.value = vm.bus.readPort(exit.port, exit.size)
    vcpu.completeIn(exit.value)
  }
  vm.clock.skipTo(vm.clock.now + PORT_ACCESS_NANOSECONDS)
}

function handleCpuid(vm: ExitContext, vcpu: Vcpu, { leaf, subleaf }: ExitOf<'cpuid'>): undefined {
  const { registers } = vcpu
  const processor = {
    model: vm.model,
    apicId: vcpu.index,
    cpus: vm.cpus,
    apicEnabled: (registers.get('msr_apic_base') & APIC_BASE_ENABLE) !== 0n,
    cr4: Number(registers.get('cr4')),
    xcr0: Number(registers.get('xcr0')),
  }
  vcpu.completeCpuid(hypervisorLeaf(leaf) ?? cpuid(leaf, subleaf, processor))
}

function handleEptViolation(vm: ExitContext, vcpu: Vcpu, exit: ExitOf<'ept-violation'>): VmStop | undefined {
  if (vm.memory.isRam(exit.gpa)) return handleRam(vm, vcpu, exit)
  if (exit.access !== undefined) {
    accessDevice(vm, vcpu, exit.gpa, exit.access)
    return undefined
  }
  const pageWalk = (exit.qualification & EPT_QUALIFICATION_TRANSLATED) === 0
  const served = pageWalk
    ? !vm.bus.claims(exit.gpa) && vm.memory.mapOpenBus(exit.gpa, EPT_READ)
    : vm.memory.mapOpenBus(exit.gpa, EPT_EXECUTE)
  return served ? undefined : { kind: 'unbacked-page-table', vcpu: vcpu.index, gpa: exit.gpa }
}

/** The first touch of a page of RAM, or a write to one whose writes are trapped. */
function handleRam(vm: ExitContext, vcpu: Vcpu, exit: ExitOf<'ept-violation'>): VmStop | undefined {
  if (vm.memory.hostAddress(exit.gpa) === undefined) {
    vm.memory.frame(exit.gpa)
    return undefined
  }
  if (!lacksRights(exit.qualification))
    throw new Error(
      `EPT violation at guest-physical 0x${exit.gpa.toString(16)}, which is mapped with the rights it needs`,
    )
  const page = exit.gpa - (exit.gpa % PAGE_SIZE)
  const trap = vm.writeTraps.get(page)
  vm.memory.ept.setRights(page, EPT_RIGHTS)
  if (trap === undefined || (exit.qualification & EPT_QUALIFICATION_WRITE) === 0) return undefined
  vm.writeTraps.delete(page)
  return trap(vcpu, exit)
}

function lacksRights(qualification: number): boolean {
  const lacks = (access: number, right: number) => (qualification & access) !== 0 && (qualification & right) === 0
  return (
    lacks(EPT_QUALIFICATION_READ, EPT_QUALIFICATION_READABLE) ||
    lacks(EPT_QUALIFICATION_WRITE, EPT_QUALIFICATION_WRITABLE) ||
    lacks(EPT_QUALIFICATION_FETCH, EPT_QUALIFICATION_EXECUTABLE)
  )
}

/** A device register, or a hole: there a read gives all ones and a write goes nowhere. */
function accessDevice(vm: ExitContext, vcpu: Vcpu, gpa: number, access: GuestAccess): void {
  const size = accessSize(access.size)
  if (!vm.bus.claims(gpa)) vcpu.completeAccess(BigInt.asUintN(size * 8, -1n))
  else if (access.write) {
    vm.bus.writeMmio(gpa, size, access.value)
    vcpu.completeAccess(0n)
  } else vcpu.completeAccess(vm.bus.readMmio(gpa, size))
}

function accessSize(bytes: number): AccessSize {
  if (bytes === 1 || bytes === 2 || bytes === 4 || bytes === 8) return bytes
  throw new Error(`a device access of ${bytes} bytes: the processor must split it`)
}
