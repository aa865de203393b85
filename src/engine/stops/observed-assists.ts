/** What assists do that an observer of the processor may want to know, by the names of their instructions. */

import type { CpuState } from '../cpu-state.ts'
import type { Observer, ProcessorEvent, TransitionCause } from '../processor.ts'
import * as S from '../state.ts'

/** Kinds of events, as a sum. */
const CONTROL = 1
const MSR = 2
const TRANSITION = 4
const RETURN = 8

const CAUSES: readonly (readonly [RegExp, TransitionCause])[] = [
  [/^Syscall/, 'syscall'],
  [/^Sysret/, 'sysret'],
  [/^Sysenter/, 'sysenter'],
  [/^Sysexit/, 'sysexit'],
  [/^Iret/, 'iret'],
  [/^Int/, 'software-interrupt'],
  [/^(Retf|Call|Jmp)/, 'far-transfer'],
]
const RETURNS = /^(Iret|Sysret|Sysexit|Retf)/
const CONTROLS = /^(Mov_cr_|Lmsw|Clts)/

const kinds = new Map<string, number>()

/** Events that an instruction may cause, as a sum. */
function kindOf(name: string): number {
  const known = kinds.get(name)
  if (known !== undefined) return known
  const kind =
    (CONTROLS.test(name) ? CONTROL : 0) |
    (name === 'Wrmsr' ? MSR : 0) |
    (causeOf(name) === undefined ? 0 : TRANSITION) |
    (RETURNS.test(name) ? RETURN : 0)
  kinds.set(name, kind)
  return kind
}

const causeOf = (name: string): TransitionCause | undefined => CAUSES.find(([pattern]) => pattern.test(name))?.[1]

function wantedOf({ controlRegisters, msrs, transitions, returns }: Observer): number {
  return (controlRegisters ? CONTROL : 0) | (msrs ? MSR : 0) | (transitions ? TRANSITION : 0) | (returns ? RETURN : 0)
}

/** Does anybody want to know of what an instruction may do? */
export const isObserved = (observer: Observer, name: string): boolean => (kindOf(name) & wantedOf(observer)) !== 0

/** What an instruction may change, as it was before. */
export interface Before {
  readonly rip: bigint
  readonly cpl: number
  readonly controls: readonly [cr0: bigint, cr3: bigint, cr4: bigint]
  /** Number and value of the MSR that RCX names; a WRMSR writes EDX:EAX. */
  readonly msr: number
  readonly msrValue: bigint | undefined
}

const CONTROL_REGISTERS = [
  [0, S.CR0],
  [3, S.CR3],
  [4, S.CR4],
] as const

const [RAX, RCX, RDX] = [0, 1, 2]

export function before(state: CpuState, rip: bigint, readMsr: (msr: number) => bigint | undefined): Before {
  const msr = state.gpr32(RCX)
  return {
    ...{ rip, cpl: state.cpl, msr, msrValue: readMsr(msr) },
    controls: [state.get64(S.CR0), state.get64(S.CR3), state.get64(S.CR4)],
  }
}

/** The events that an instruction which has retired was. @param register first operand, of MOV to a control register */
export function eventsOf(
  observer: Observer,
  name: string,
  register: number,
  state: CpuState,
  { rip, cpl, controls, msr, msrValue }: Before,
): ProcessorEvent[] {
  const events: ProcessorEvent[] = []
  const kind = kindOf(name) & wantedOf(observer)
  if ((kind & CONTROL) !== 0)
    CONTROL_REGISTERS.forEach(([number, at], i) => {
      const value = state.get64(at)
      const written = name.startsWith('Mov_cr_') ? number === register : value !== controls[i]
      if (written) events.push({ kind: 'control-register', register: number, old: controls[i], value, rip })
    })
  if ((kind & MSR) !== 0) {
    const value = (BigInt(state.gpr32(RDX)) << 32n) | BigInt(state.gpr32(RAX))
    events.push({ kind: 'msr', msr, old: msrValue, value, rip })
  }
  if ((kind & TRANSITION) !== 0 && state.cpl !== cpl)
    events.push({ kind: 'transition', from: cpl, to: state.cpl, cause: causeOf(name) ?? 'far-transfer', rip })
  if ((kind & RETURN) !== 0) events.push({ kind: 'return', rip })
  return events
}
