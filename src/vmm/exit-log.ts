/**
 * Every exit of a VM as data: the last ones in a ring, totals by reason and by RIP. Recording allocates no objects
 * of its own, for it happens at each exit.
 *
 * `budget` and `breakpoint` are not recorded: where they happen is the caller's choice, and the log is the guest's,
 * the same in every run.
 */

import type { Exit, ExitReason, Vcpu } from '../engine/processor.ts'

const RING_SIZE = 4096
/** Addresses that totals are kept for; exits at further ones are counted together. */
const RIP_LIMIT = 4096

const REASONS = [
  'hlt',
  'io',
  'ept-violation',
  'ept-misconfiguration',
  'cpuid',
  'rdmsr',
  'wrmsr',
  'cr-access',
  'vmcall',
  'exception',
  'interrupt-window',
  'triple-fault',
] as const satisfies readonly ExitReason[]

export type RecordedReason = (typeof REASONS)[number]

const CODES = new Map<ExitReason, number>(REASONS.map((reason, code) => [reason, code]))

/** Is the exit the guest's doing, and not its caller's? */
export const isRecorded = ({ reason }: Exit): boolean => CODES.has(reason)

export interface RecordedExit {
  /** Instructions the VM had retired. */
  readonly count: number
  readonly vcpu: number
  readonly reason: RecordedReason
  /** What the reason makes of it: EPT qualification, port (bit 31 set for an `out`), leaf, MSR, register, vector. */
  readonly qualification: number
  readonly rip: bigint
  /** Guest-physical address of an EPT exit, 0 for others. */
  readonly gpa: number
}

/** Set in the qualification of an I/O exit that writes. */
export const IO_QUALIFICATION_OUT = 2 ** 31

export class ExitLog {
  readonly #count = new Float64Array(RING_SIZE)
  readonly #vcpu = new Uint8Array(RING_SIZE)
  readonly #reason = new Uint8Array(RING_SIZE)
  readonly #qualification = new Uint32Array(RING_SIZE)
  readonly #rip = new BigUint64Array(RING_SIZE)
  readonly #gpa = new Float64Array(RING_SIZE)
  readonly #totals = new Float64Array(REASONS.length)
  readonly #byRip = new Map<bigint, number>()
  #otherRips = 0
  #recorded = 0

  /** @param count instructions that the VM has retired. */
  record(count: number, vcpu: Vcpu, exit: Exit): void {
    const code = CODES.get(exit.reason)
    if (code === undefined) return
    const rip = vcpu.registers.get('rip')
    const at = this.#recorded++ % RING_SIZE
    this.#count[at] = count
    this.#vcpu[at] = vcpu.index
    this.#reason[at] = code
    this.#qualification[at] = qualificationOf(exit)
    this.#rip[at] = rip
    this.#gpa[at] = 'gpa' in exit ? exit.gpa : 0
    this.#totals[code]++
    const before = this.#byRip.get(rip)
    if (before !== undefined) this.#byRip.set(rip, before + 1)
    else if (this.#byRip.size < RIP_LIMIT) this.#byRip.set(rip, 1)
    else this.#otherRips++
  }

  /** Exits recorded in all. */
  get total(): number {
    return this.#recorded
  }

  /** The last `limit` exits, oldest first. */
  last(limit: number): RecordedExit[] {
    const available = Math.min(limit, this.#recorded, RING_SIZE)
    const exits: RecordedExit[] = []
    for (let i = this.#recorded - available; i < this.#recorded; i++) {
      const at = i % RING_SIZE
      exits.push({
        count: this.#count[at],
        vcpu: this.#vcpu[at],
        reason: REASONS[this.#reason[at]],
        qualification: this.#qualification[at],
        rip: this.#rip[at],
        gpa: this.#gpa[at],
      })
    }
    return exits
  }

  /** Exits by reason; reasons that never occurred are left out. */
  byReason(): Partial<Record<RecordedReason, number>> {
    const totals: Partial<Record<RecordedReason, number>> = {}
    for (const [code, reason] of REASONS.entries()) if (this.#totals[code] > 0) totals[reason] = this.#totals[code]
    return totals
  }

  /** The addresses with most exits, most first, and how many exits happened at addresses that are not told apart. */
  byRip(limit: number): { readonly addresses: readonly { rip: bigint; exits: number }[]; readonly others: number } {
    const sorted = [...this.#byRip].map(([rip, exits]) => ({ rip, exits })).sort((a, b) => b.exits - a.exits)
    const others = sorted.slice(limit).reduce((sum, entry) => sum + entry.exits, this.#otherRips)
    return { addresses: sorted.slice(0, limit), others }
  }

  /** Totals only: the ring is history, not state that continues a run. */
  save(): ExitTotals {
    const byRip = [...this.#byRip].map(([rip, exits]) => [`0x${rip.toString(16)}`, exits] as const)
    return { byReason: this.byReason(), byRip, otherRips: this.#otherRips }
  }

  restore(state: ExitTotals): void {
    this.#recorded = 0
    for (const [code, reason] of REASONS.entries()) this.#totals[code] = state.byReason[reason] ?? 0
    this.#byRip.clear()
    for (const [rip, exits] of state.byRip) this.#byRip.set(BigInt(rip), exits)
    this.#otherRips = state.otherRips
  }
}

/** Saved form of the totals. */
export interface ExitTotals {
  readonly byReason: Partial<Record<RecordedReason, number>>
  readonly byRip: readonly (readonly [rip: string, exits: number])[]
  readonly otherRips: number
}

function qualificationOf(exit: Exit): number {
  switch (exit.reason) {
    case 'io':
      return exit.port + (exit.write ? IO_QUALIFICATION_OUT : 0)
    case 'ept-violation':
      return exit.qualification
    case 'cpuid':
      return exit.leaf
    case 'rdmsr':
    case 'wrmsr':
      return exit.msr
    case 'cr-access':
      return exit.register
    case 'exception':
      return exit.vector
    default:
      return 0
  }
}
