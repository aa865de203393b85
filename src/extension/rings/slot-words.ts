/** What the states of slots are called, and the letters by which they are told without colours. */

import { SLOT_STATES } from '../../protocol/ring-request.ts'

export type State = (typeof SLOT_STATES)[number]
export type Counts = Readonly<Record<State, number>>

export const STATE_WORDS: Readonly<Record<State, { letter: string; name: string; meaning: string }>> = {
  free: { letter: '', name: 'free', meaning: "nobody's; or the driver has taken back what was there" },
  available: { letter: 'A', name: 'available', meaning: 'posted by the driver, not yet taken by the device' },
  taken: { letter: 'D', name: 'in the device', meaning: 'taken by the device, not yet returned' },
  used: {
    letter: 'U',
    name: 'used',
    meaning: 'returned; the driver has not posted it again, nor told that it has seen it',
  },
}

/** In the order in which they follow each other. */
export const STATES = SLOT_STATES

/** `3 available, 5 free` */
export function countsText(counts: Counts): string {
  return STATES.toReversed()
    .filter(state => counts[state] > 0)
    .map(state => `${counts[state].toLocaleString('en-US')} ${STATE_WORDS[state].name}`)
    .join(', ')
}
