/** "How a page fault travels": from ring 3 through the gate to the handler and back in the tour; a repair in the modes. */

import type { Observation, Step, Stop, Translation } from '../observation.ts'
import { NEW_MEMORY, read, translated, valueAt } from './looking.ts'

/** Of a write from ring 3 to a page that is not present: W and U (SDM vol. 3, 4.7). */
const WRITE_FROM_RING_3 = 6
/** What touch_new_memory() writes. */
const WRITTEN = 42n

const PAGE_FAULT = 14n
/** What lies on the stack at interrupt_entry, before it has pushed anything. */
const VECTOR = '*(unsigned long *)$rsp'
const ERROR_CODE = '*(unsigned long *)($rsp + 8)'
const WORD = '*(unsigned long *)0x40010000'

export const PAGE_FAULT_STEPS: readonly Step[] = [
  {
    id: 'fault.foreseen',
    kernel: 'tour',
    done: observation =>
      inProgram(observation.now) &&
      translatedWord(observation, ({ access, errorCode }) => access === 'write' && errorCode === WRITE_FROM_RING_3),
  },
  {
    id: 'fault.raised',
    kernel: 'tour',
    done: ({ now }) => inProgram(now) && isPageFault(now),
  },
  {
    id: 'fault.gate',
    kernel: 'tour',
    asks: ({ function: name }) => (name === 'interrupt_entry' ? { expressions: [VECTOR, ERROR_CODE] } : {}),
    done: ({ now }) =>
      now !== undefined &&
      inKernel(now, 'interrupt_entry') &&
      now.registers.get('cr2') === NEW_MEMORY &&
      valueAt(now, VECTOR) === PAGE_FAULT &&
      valueAt(now, ERROR_CODE) === BigInt(WRITE_FROM_RING_3),
  },
  {
    id: 'fault.handler',
    kernel: 'tour',
    done: observation =>
      inKernel(observation.now, 'page_fault') &&
      observation.now?.registers.get('cr2') === NEW_MEMORY &&
      read(observation, 'frame->error_code', BigInt(WRITE_FROM_RING_3)),
  },
  {
    id: 'fault.mapped',
    kernel: 'tour',
    done: observation =>
      inKernel(observation.now, 'give_page') &&
      translatedWord(observation, ({ fault, levels, gpa }) => !fault && levels.length === 4 && gpa !== undefined),
  },
  {
    id: 'fault.repeated',
    kernel: 'tour',
    asks: stop => (inProgram(stop) ? { expressions: [WORD] } : {}),
    done: ({ past, now }) =>
      now !== undefined &&
      inProgram(now) &&
      valueAt(now, WORD) === WRITTEN &&
      past.some(({ function: name }) => name === 'give_page'),
  },
  {
    id: 'fault.mended',
    kernel: 'modes',
    // The guest counts its page faults itself: it has seen none, and yet there was one to stop at.
    done: ({ past, console, exitCode }) =>
      exitCode === 0 &&
      console.includes('modes: the end, without a page fault') &&
      past.some(stop => isPageFault(stop) && stop.function === 'read_letter'),
  },
]

const inProgram = (stop: Stop | undefined): boolean => stop?.cpl === 3 && stop.function === 'touch_new_memory'

const inKernel = (stop: Stop | undefined, name: string): boolean => stop?.cpl === 0 && stop.function === name

const isPageFault = (stop: Stop | undefined): boolean => stop?.reason === 'exception' && stop.text.includes('#PF')

const translatedWord = (observation: Observation, like: (translation: Translation) => boolean): boolean =>
  translated(observation, translation => translation.linear === NEW_MEMORY && like(translation))
