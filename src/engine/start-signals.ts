/**
 * INIT and SIPI. They arrive in the middle of the sender's instruction, when the state in place is the sender's: they
 * wait in {@link PendingEvents} until it is their target's turn.
 */

import type { LocalApic } from './apic/local-apic.ts'
import { type CpuState, Segment } from './cpu-state.ts'
import type { PendingEvents } from './pending-events.ts'
import { resetState } from './reset.ts'
import * as S from './state.ts'

const waitsAfterInit = (apic: LocalApic): boolean => !apic.bootstrap

/** What a vCPU's {@link S.ACTIVITY} will be when the signals that wait for it are taken. */
export function activityAfterSignals(activity: number, { init, startUp }: PendingEvents, apic: LocalApic): number {
  let after = activity
  if (init) after = waitsAfterInit(apic) ? S.ACTIVITY_WAIT_FOR_SIPI : S.ACTIVITY_ACTIVE
  return startUp !== undefined && after === S.ACTIVITY_WAIT_FOR_SIPI ? S.ACTIVITY_ACTIVE : after
}

/**
 * INIT ends whatever was under way; the bootstrap processor then runs at once, the others wait for a SIPI (SDM vol. 3,
 * 11.4.7.3). Translations are the caller's to drop.
 * @param state of the vCPU, in place
 */
export function takeInit(state: CpuState, pending: PendingEvents, apic: LocalApic): void {
  pending.abandon()
  resetState(state, false)
  apic.init()
  state.set32(S.ACTIVITY, waitsAfterInit(apic) ? S.ACTIVITY_WAIT_FOR_SIPI : S.ACTIVITY_ACTIVE)
}

/** A SIPI is lost on a processor that does not wait for it. @param state of the vCPU, in place */
export function takeStartUp(state: CpuState, pending: PendingEvents): void {
  const vector = pending.startUp
  pending.startUp = undefined
  if (vector === undefined || state.get32(S.ACTIVITY) !== S.ACTIVITY_WAIT_FOR_SIPI) return
  // SDM vol. 3, 9.4.4.1: the vector is the page of the first instruction.
  const code = state.segment(Segment.CS)
  state.setSegment(Segment.CS, { ...code, selector: vector << 8, base: BigInt(vector << 12) })
  state.rip = 0n
  state.set32(S.ACTIVITY, S.ACTIVITY_ACTIVE)
}
