/** "What CR3 means": from addresses without paging to a program's page, in the tour. */

import type { Observation, Step, Translation } from '../observation.ts'
import { frameOf, read, translated } from './looking.ts'

export const CR3_STEPS: readonly Step[] = [
  {
    id: 'cr3.physical',
    kernel: 'tour',
    done: observation =>
      observation.now?.paging === false &&
      translatedRip(observation, ({ linear, gpa, levels }) => levels.length === 0 && gpa === linear),
  },
  {
    id: 'cr3.loaded',
    kernel: 'tour',
    done: ({ past, now }) => past.at(-1)?.cr3 === 0n && now !== undefined && now.cr3 !== 0n && !now.paging,
  },
  {
    id: 'cr3.walk',
    kernel: 'tour',
    done: observation =>
      observation.now?.paging === true &&
      readCr3(observation) &&
      translatedRip(observation, translation => startsAtCr3(observation, translation)),
  },
  {
    id: 'cr3.memory',
    kernel: 'tour',
    done: observation =>
      translatedRip(
        observation,
        translation => startsAtCr3(observation, translation) && sawFirstEntry(observation, translation),
      ),
  },
  {
    id: 'cr3.shared',
    kernel: 'tour',
    done: observation => {
      const { past, now } = observation
      const sameInRing0 = past.some(({ cpl, paging, cr3 }) => cpl === 0 && paging && cr3 === now?.cr3)
      return now?.cpl === 3 && sameInRing0 && readCr3(observation)
    },
  },
  {
    id: 'cr3.fourLevels',
    kernel: 'tour',
    done: observation =>
      observation.now?.cpl === 3 &&
      translatedRip(
        observation,
        translation =>
          startsAtCr3(observation, translation) && translation.levels.length === 4 && isElsewhere(translation),
      ),
  },
]

/** Has the user asked where the next instruction lies? */
const translatedRip = (observation: Observation, like: (translation: Translation) => boolean): boolean =>
  translated(
    observation,
    translation => translation.linear === observation.now?.rip && !translation.fault && like(translation),
  )

const readCr3 = (observation: Observation): boolean =>
  observation.now !== undefined && read(observation, '$cr3', observation.now.cr3)

const startsAtCr3 = ({ now }: Observation, { levels: [first] }: Translation): boolean =>
  now !== undefined && first?.level === 'PML4' && first.table === frameOf(now.cr3)

const isElsewhere = ({ linear, gpa }: Translation): boolean => gpa !== undefined && gpa !== linear

/** Memory at CR3 as bytes, whose first eight are the entry of the translation. */
function sawFirstEntry({ now, asked }: Observation, { levels: [first] }: Translation): boolean {
  if (now === undefined || first === undefined) return false
  return asked.some(
    answer =>
      answer.kind === 'memory' &&
      answer.reference.toLowerCase() === `phys:0x${frameOf(now.cr3).toString(16)}` &&
      answer.bytes.length >= 8 &&
      new DataView(answer.bytes.buffer, answer.bytes.byteOffset).getBigUint64(0, true) === first.entry,
  )
}
