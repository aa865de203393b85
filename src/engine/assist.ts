/**
 * Assists: instructions that are rare or bulky are executed by TypeScript, called from either tier.
 * An assist checks and translates everything before its first side effect, and throws {@link GuestFault} to fault;
 * RIP then stays at the instruction. On entry RIP is already the next instruction's: a control transfer sets it.
 */

import type { VirtualClock } from '../util/virtual-clock.ts'
import type { CpuModel } from './cpu-model.ts'
import type { CpuState, SegmentIndex } from './cpu-state.ts'
import type { LinearMemory } from './linear-memory.ts'
import type { ControlBlock, CpuidResult, Exit } from './processor.ts'

/** The instruction that an assist executes: its operands, decoded. */
export interface AssistInstruction {
  /** Effective operand size in bits. */
  readonly operandSize: 16 | 32 | 64
  readonly addressSize: 16 | 32 | 64
  /** In bytes. */
  readonly length: number
  /** RIP of this instruction and of the next. */
  readonly rip: bigint
  readonly nextRip: bigint
  /** Immediate operand, sign-extended as the instruction says; a far pointer is selector << 32 | offset. */
  readonly immediate: bigint
  /** Is one of the operands memory? Then `address` is its linear address, segment-checked (for the size that the definition named). */
  readonly hasMemory: boolean
  readonly address: bigint
  /**
   * Checks the limit and rights of the memory operand's segment for `bytes` from its first, where only the assist knows
   * how many it accesses.
   */
  checkSegment(state: CpuState, bytes: number, write: boolean, flush?: boolean): void
  /**
   * Linear address of an element of the memory operand, `offset` bytes from where the operand begins, segment-checked.
   * An operand with a vector of indices begins where index 0 leads.
   */
  addressAt(state: CpuState, offset: bigint, bytes: number, write: boolean): bigint
  /** Factor of the index: 1, 2, 4 or 8. */
  readonly scale: number
  /** Segment register of the memory operand; DS where absent. Only the x87 data pointer (FDS, FDP) asks. */
  readonly segment?: SegmentIndex
  /** Number of the register in operand 0 or 1, in encoding order of its class (general, segment, control, debug, ST(i), MMX, XMM). */
  readonly register0: number
  readonly register1: number
  /** The same for any operand; for a memory operand with a vector of indices it is the vector. */
  register(operand: 0 | 1 | 2): number
  /** REP or REPE 1, REPNE 2, none 0. */
  readonly repeat: 0 | 1 | 2
}

/** What the hypervisor answered to an exit with a `complete...` call of the vCPU. */
export type Completion =
  | { readonly kind: 'in'; readonly value: number }
  | { readonly kind: 'cpuid'; readonly result: CpuidResult }
  | { readonly kind: 'rdmsr'; readonly value: bigint | undefined }
  | { readonly kind: 'wrmsr'; readonly known: boolean }

export type Assist = (cpu: AssistCpu, instruction: AssistInstruction) => void

/** The running vCPU as an assist sees it. */
export interface AssistCpu {
  readonly model: CpuModel
  readonly state: CpuState
  readonly memory: LinearMemory
  readonly clock: VirtualClock
  readonly controls: ControlBlock
  /** Virtual time in nanoseconds, exact at this instruction, also in the middle of a block. */
  readonly now: number
  /** Time-stamp counter at this instruction: virtual time in ns, plus TSC adjust and offset. */
  readonly tsc: bigint
  /** Leaves to the hypervisor; the instruction has not retired. After a `complete...` call it is run again, or skipped as that call says. */
  exit(exit: Exit): never
  /**
   * Leaves to the hypervisor with the instruction retired: registers and RIP stand as the assist left them.
   * For what needs no answer: `out` and `cr-access`, which tells of a write that has happened.
   */
  exitRetired(exit: Exit): never
  /**
   * Takes the answer that the hypervisor gave to this instruction's exit, or undefined when it runs for the first time.
   * An assist whose exit needs an answer asks here first, and exits when there is none.
   */
  takeCompletion(): Completion | undefined
  /** Little-endian 64 bits at a guest-physical address, as the page walker reads them (PDPTEs at MOV CR3). */
  readPhysical64(address: number): bigint
  /** To be called after CR0, CR3, CR4, EFER, CPL, RFLAGS.AC/VM or a segment register changed: derives mode and ASID again. */
  contextChanged(): void
  /** Drops TLB entries of this vCPU: all, or all but global ones. */
  flushTlb(keepGlobal: boolean): void
  /** Drops entries of one PCID of this vCPU (SDM vol. 3, 4.10.4). */
  flushPcid(pcid: number): void
  /** Drops entries of every PCID of this vCPU but for global ones: INVPCID, type 3. */
  flushAllPcids(): void
  /** Drops what one PCID has of the page of `linear` but for a global one: INVPCID, type 0. */
  invalidatePcidPage(linear: bigint, pcid: number): void
  /** The rights of protection keys in PKRU have changed. @param keys bit i for key i */
  dropProtectionKeys(keys: number): void
  /** INVLPG: drops the page of `linear` in the current PCID and as a global page. */
  invalidatePage(linear: bigint): void
  /** Local APIC registers reached by MSR (x2APIC 0x800-0x8ff, TSC deadline 0x6e0, APIC base 0x1b); undefined: #GP. */
  readApicMsr(msr: number): bigint | undefined
  writeApicMsr(msr: number, value: bigint): boolean
  /** Task priority, CR8. */
  taskPriority: number
}
