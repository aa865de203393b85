/** Puts a vCPU into the mode a guest of noise begins in, with random control bits, registers and debug registers. */

import type { CpuModel } from '../../src/engine/cpu-model.ts'
import type { Vcpu } from '../../src/engine/processor.ts'
import {
  CR0_AM,
  CR0_ET,
  CR0_MP,
  CR0_NE,
  CR0_PE,
  CR0_PG,
  CR0_TS,
  CR0_WP,
  CR4_LA57,
  CR4_OSFXSR,
  CR4_OSXMMEXCPT,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_PCIDE,
  CR4_SMAP,
  CR4_SMEP,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  EFER_SCE,
} from '../../src/x86/control-registers.ts'
import type { Random } from '../engine/guest/random.ts'
import type { Mode } from './modes.ts'
import { RAM } from './operands.ts'
import { CODE, DATA, GDT, IDT, LOCAL_SELECTOR, STACKS, TABLES, TASK, TASK_SELECTOR } from './tables.ts'

export interface Entry {
  readonly mode: Mode
  readonly ring: number
  /** The tables that {@link file://./tables.ts} makes are used, not any place in RAM. */
  readonly handlers: boolean
}

const DATA_SEGMENTS = ['ss', 'ds', 'es', 'fs', 'gs'] as const
const GENERAL = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ')
const RFLAGS_VM = 1 << 17
/** CF to OF, IOPL, NT, AC, VIF, ID; TF and RF apart. */
const RFLAGS_RANDOM = 0x2c7ed5 & ~0x100

export function enter(vcpu: Vcpu, random: Random, model: CpuModel, entry: Entry): void {
  vcpu.reset()
  wake(vcpu)
  setControls(vcpu, random, model, entry.mode)
  setSegments(vcpu, random, entry)
  setTables(vcpu, random, entry)
  setRegisters(vcpu, random, entry)
}

/** A processor other than the first waits for a SIPI. */
function wake(vcpu: Vcpu): void {
  if (vcpu.index === 0) return
  vcpu.acceptInterrupt({ mode: 'start-up', vector: 0, destination: 0, logical: false, level: false })
  vcpu.takeSignals()
  if (vcpu.activity !== 'active') throw new Error(`processor ${vcpu.index} is ${vcpu.activity} after a SIPI`)
}

function setControls(
  { registers }: Vcpu,
  random: Random,
  model: CpuModel,
  { levels, protected: pe, long }: Mode,
): void {
  const efer = (long ? EFER_LME | EFER_LMA : 0) | (random.chance(0.7) ? EFER_SCE : 0)
  registers.set('efer', BigInt(efer | (levels > 2 && random.chance(0.8) ? EFER_NXE : 0)))
  // What only some modes have; and SSE is on most of the time.
  const chosen = CR4_PAE | CR4_LA57 | CR4_PCIDE
  let cr4 = random.word() & random.word() & model.cr4Allowed & ~chosen
  if (random.chance(0.9)) cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT
  if (random.chance(0.8)) cr4 |= model.cr4Allowed & CR4_OSXSAVE
  if (random.chance(0.5)) cr4 &= ~(CR4_SMEP | CR4_SMAP)
  if (levels > 2) cr4 |= CR4_PAE
  if (levels === 5) cr4 |= CR4_LA57
  if (long && random.chance(0.3)) cr4 |= model.cr4Allowed & CR4_PCIDE
  registers.set('cr4', BigInt(cr4 >>> 0))
  registers.set('cr3', BigInt(levels === 5 ? TABLES.level5 : TABLES.root))
  const cr0 = CR0_ET | (pe ? CR0_PE : 0) | (levels > 0 ? CR0_PG : 0)
  const optional = random.word() & (CR0_WP | CR0_AM | CR0_NE | CR0_MP)
  registers.set('cr0', BigInt((cr0 | optional | (random.chance(0.05) ? CR0_TS : 0)) >>> 0))
  // Bit 0 is always set; AVX needs SSE.
  if (model.xcr0Allowed !== 0) registers.set('xcr0', BigInt(random.pick([1, 3, 7, 7, 7, 7, 0x207]) & model.xcr0Allowed))
}

const LIMIT_4G = 0xffff_ffff
const RIGHTS_DB = 1 << 14
const RIGHTS_G = 1 << 15
const RIGHTS_L = 1 << 13

function setSegments({ registers }: Vcpu, random: Random, { mode, ring }: Entry): void {
  if (mode.v86) {
    for (const name of ['cs', ...DATA_SEGMENTS] as const) {
      const selector = random.chance(0.5) ? 0 : random.below(RAM / 16)
      registers.setSegment(name, { selector, base: BigInt(selector * 16), limit: 0xffff, rights: 0xf3 })
    }
  } else if (mode.protected) {
    const size = mode.bits === 64 ? RIGHTS_L : mode.bits === 32 ? RIGHTS_DB : 0
    const dpl = ring << 5
    const flat = { base: 0n, limit: LIMIT_4G }
    registers.setSegment('cs', { ...flat, selector: CODE | ring, rights: RIGHTS_G | size | 0x9b | dpl })
    const data = { ...flat, selector: DATA | ring, rights: RIGHTS_G | RIGHTS_DB | 0x93 | dpl }
    for (const name of DATA_SEGMENTS) registers.setSegment(name, data)
  } else {
    registers.setSegment('cs', { selector: 0, base: 0n, limit: 0xffff, rights: 0x9b })
    if (mode.name === 'unreal')
      for (const name of DATA_SEGMENTS)
        registers.setSegment(name, { selector: 0, base: 0n, limit: LIMIT_4G, rights: RIGHTS_G | 0x93 })
  }
}

function setTables({ registers }: Vcpu, random: Random, { mode, handlers }: Entry): void {
  const somewhere = () => BigInt(random.below(RAM))
  registers.setTable('gdtr', { base: handlers ? BigInt(GDT) : somewhere(), limit: random.below(0x1000) | 0xff })
  registers.setTable('idtr', { base: handlers ? BigInt(IDT) : somewhere(), limit: random.below(0x1000) | 0x3ff })
  registers.setSegment('tr', { selector: TASK_SELECTOR, base: BigInt(TASK), limit: 0x3ff, rights: 0x8b })
  if (random.chance(0.5))
    registers.setSegment('ldtr', { selector: LOCAL_SELECTOR, base: BigInt(GDT), limit: 0xfff, rights: 0x82 })
  // What SYSCALL and SYSENTER lead to.
  registers.set('msr_star', (BigInt(random.below(16) * 8) << 48n) | (BigInt(random.chance(0.5) ? 24 : CODE) << 32n))
  for (const name of ['msr_lstar', 'msr_cstar', 'msr_sysenter_eip', 'msr_kernel_gs_base'])
    registers.set(name, somewhere())
  registers.set('msr_fmask', BigInt(random.word() & 0x3f7fd5))
  registers.set('msr_sysenter_cs', BigInt(random.chance(0.7) ? 24 : random.below(0x10000)))
  registers.set('msr_sysenter_esp', BigInt(STACKS + 0x800))
  if (mode.bits === 64 && random.chance(0.5))
    for (const name of ['fs_base', 'gs_base']) registers.set(name, somewhere())
}

function setRegisters({ registers }: Vcpu, random: Random, { mode }: Entry): void {
  const wide = mode.bits === 64
  for (const name of GENERAL.slice(0, wide ? 16 : 8))
    registers.set(
      name,
      BigInt.asUintN(wide ? 64 : 32, random.chance(0.7) ? BigInt(random.below(RAM)) : random.operand()),
    )
  if (random.chance(0.9))
    registers.set('rsp', BigInt(mode.bits === 16 ? 0x8000 : 0x10000 + random.below(RAM - 0x11000)))
  const trap = random.chance(0.05) ? 0x100 : 0
  registers.set('rflags', BigInt((random.word() & RFLAGS_RANDOM) | 2 | trap | (mode.v86 ? RFLAGS_VM : 0)))
  const segmented = mode.v86 || !mode.protected
  registers.set('rip', BigInt(random.below(segmented ? 0x10000 : RAM - 0xa000) + (segmented ? 0 : 0xa000)))
  for (let i = 0; i < 16; i++) registers.set(`xmm${i}`, (random.word64() << 64n) | random.word64())
  if (random.chance(0.3)) registers.set('mxcsr', BigInt(random.word() & 0xffff))
  for (const name of ['dr0', 'dr1', 'dr2', 'dr3']) registers.set(name, BigInt(random.below(RAM)))
  // GD, bit 13, would end every look at the debug registers.
  if (random.chance(0.15)) registers.set('dr7', BigInt((random.word() & 0xffff_03ff) >>> 0) | 0x400n)
}
