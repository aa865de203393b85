/** RDMSR and WRMSR, RDPMC, CPUID. An MSR that is not here leaves to the hypervisor, which decides. */

import { CR0_PG, EFER_LMA, EFER_LME, EFER_NXE, EFER_SCE } from '../../x86/control-registers.ts'
import type { Assist, AssistCpu } from '../assist.ts'
import { Segment } from '../cpu-state.ts'
import { generalProtection } from '../fault.ts'
import * as S from '../state.ts'
import { isCanonicalBase, requireSupervisor } from './cpu-mode.ts'
import { readMemoryTypeMsr, writeMemoryTypeMsr } from './mtrr.ts'
import { RAX, RBX, RCX, RDX, readEdxEax, writeEdxEax } from './operand.ts'

/** How one MSR is read, and written: false from `write` is #GP. */
interface Msr {
  read(cpu: AssistCpu): bigint
  write(cpu: AssistCpu, value: bigint): boolean
}

const SEGMENT_BASE = (index: number): number => S.SEGMENTS + index * S.SEGMENT_STRIDE + S.SEGMENT_BASE

/** A register that keeps any value which `valid` allows. */
const stored = (at: number, valid: (value: bigint) => boolean = () => true): Msr => ({
  read: ({ state }) => state.get64(at),
  write({ state }, value) {
    if (!valid(value)) return false
    state.set64(at, value)
    return true
  },
})

const canonical = (at: number): Msr => {
  const register = stored(at)
  return { read: register.read, write: (cpu, value) => isCanonicalBase(cpu, value) && register.write(cpu, value) }
}
const upTo32Bits = (value: bigint): boolean => value >> 32n === 0n
const within =
  (mask: bigint) =>
  (value: bigint): boolean =>
    (value & ~mask) === 0n

/** A constant; only its own value can be written. */
const constant = (value: bigint): Msr => ({ read: () => value, write: (_cpu, written) => written === value })

/** FS or GS base: part of the segment register. */
const segmentBase = (index: number): Msr => {
  const base = canonical(SEGMENT_BASE(index))
  return {
    read: base.read,
    write(cpu, value) {
      if (!base.write(cpu, value)) return false
      cpu.contextChanged()
      return true
    },
  }
}

const EFER_KNOWN = BigInt(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

/** LMA is read-only and ignored; LME can't change while paging is on (SDM vol. 3, 10.8.5). */
const efer: Msr = {
  read: ({ state }) => state.get64(S.EFER),
  write(cpu, value) {
    const { state } = cpu
    if (value & ~EFER_KNOWN) return false
    const old = state.get32(S.EFER)
    const next = (Number(value) & ~EFER_LMA) | (old & EFER_LMA)
    const changed = next ^ old
    if (changed & EFER_LME && state.get32(S.CR0) & CR0_PG) return false
    state.set32(S.EFER, next)
    if (changed & EFER_NXE) cpu.flushTlb(false)
    cpu.contextChanged()
    return true
  },
}

/** A write moves the counter by way of TSC_ADJUST (SDM vol. 3, 18.17.3). */
const timeStampCounter: Msr = {
  read: cpu => cpu.tsc,
  write(cpu, value) {
    const adjust = cpu.state.get64(S.MSR_TSC_ADJUST)
    cpu.state.set64(S.MSR_TSC_ADJUST, BigInt.asUintN(64, adjust + value - cpu.tsc))
    return true
  },
}

const SYSENTER_CS = stored(S.MSR_SYSENTER_CS, upTo32Bits)
/** LBR and BTF. */
const DEBUGCTL_KNOWN = 3n
/** Nonzero: software takes zero for "no microcode was loaded". */
const PATCH_LEVEL = 0x1000065n
/** FFDIS (the TLB flush filter, which Linux disables on several processors) and what firmware sets beside it. */
const HWCR_KNOWN = 0x3fffffffn

const MSRS = new Map<number, Msr>([
  [0x10, timeStampCounter],
  [0x3b, stored(S.MSR_TSC_ADJUST)],
  [0x8b, constant(PATCH_LEVEL)],
  [0x174, SYSENTER_CS],
  [0x175, canonical(S.MSR_SYSENTER_ESP)],
  [0x176, canonical(S.MSR_SYSENTER_EIP)],
  [0x1a0, stored(S.MSR_MISC_ENABLE)],
  [0x1d9, stored(S.MSR_DEBUGCTL, within(DEBUGCTL_KNOWN))],
  [0xc0000080, efer],
  [0xc0000081, stored(S.MSR_STAR)],
  [0xc0000082, canonical(S.MSR_LSTAR)],
  [0xc0000083, canonical(S.MSR_CSTAR)],
  [0xc0000084, stored(S.MSR_FMASK, upTo32Bits)],
  [0xc0000100, segmentBase(Segment.FS)],
  [0xc0000101, segmentBase(Segment.GS)],
  [0xc0000102, canonical(S.MSR_KERNEL_GS_BASE)],
  [0xc0000103, stored(S.MSR_TSC_AUX, upTo32Bits)],
  // SYSCFG: neither extended fixed-range MTRR bits nor a second top of memory.
  [0xc0010010, constant(0n)],
  [0xc0010015, stored(S.MSR_HWCR, within(HWCR_KNOWN))],
  // Interrupt pending message: C1E, which stops the APIC timer, is off.
  [0xc0010055, constant(0n)],
])

const APIC_BASE = 0x1b
const TSC_DEADLINE = 0x6e0
const isApicMsr = (msr: number): boolean => msr === APIC_BASE || msr === TSC_DEADLINE || (msr >= 0x800 && msr <= 0x8ff)

const rdmsr: Assist = cpu => {
  const { state } = cpu
  requireSupervisor(state)
  const completion = cpu.takeCompletion()
  const value = completion?.kind === 'rdmsr' ? completion.value : readMsr(cpu, state.gpr32(RCX))
  if (value === undefined) throw generalProtection()
  writeEdxEax(state, value)
}

/** undefined: the MSR exists and can't be read. */
function readMsr(cpu: AssistCpu, msr: number): bigint | undefined {
  const known = MSRS.get(msr)
  if (known) return known.read(cpu)
  if (isApicMsr(msr)) return cpu.readApicMsr(msr)
  return readMemoryTypeMsr(cpu.state, msr) ?? cpu.exit({ reason: 'rdmsr', msr })
}

/** For who only looks: undefined where the processor has no such MSR, or none that can be read. */
export function peekMsr(cpu: AssistCpu, msr: number): bigint | undefined {
  const known = MSRS.get(msr)
  if (known) return known.read(cpu)
  return isApicMsr(msr) ? cpu.readApicMsr(msr) : readMemoryTypeMsr(cpu.state, msr)
}

const wrmsr: Assist = cpu => {
  const { state } = cpu
  requireSupervisor(state)
  const completion = cpu.takeCompletion()
  const done = completion?.kind === 'wrmsr' ? completion.known : writeMsr(cpu, state.gpr32(RCX), readEdxEax(state))
  if (!done) throw generalProtection()
}

function writeMsr(cpu: AssistCpu, msr: number, value: bigint): boolean {
  const known = MSRS.get(msr)
  if (known) return known.write(cpu, value)
  if (isApicMsr(msr)) return cpu.writeApicMsr(msr, value)
  const outcome = writeMemoryTypeMsr(cpu.state, msr, value)
  return outcome === 'unknown' ? cpu.exit({ reason: 'wrmsr', msr, value }) : outcome === 'written'
}

/** No performance counter exists. */
const rdpmc: Assist = () => {
  throw generalProtection()
}

const cpuidAssist: Assist = cpu => {
  const { state } = cpu
  const completion = cpu.takeCompletion()
  const { eax, ebx, ecx, edx } =
    completion?.kind === 'cpuid'
      ? completion.result
      : cpu.exit({ reason: 'cpuid', leaf: state.gpr32(RAX), subleaf: state.gpr32(RCX) })
  state.setGpr32(RAX, eax)
  state.setGpr32(RBX, ebx)
  state.setGpr32(RCX, ecx)
  state.setGpr32(RDX, edx)
}

export const msrAssists: Readonly<Record<string, Assist>> = {
  Rdmsr: rdmsr,
  Wrmsr: wrmsr,
  Rdpmc: rdpmc,
  Cpuid: cpuidAssist,
}
