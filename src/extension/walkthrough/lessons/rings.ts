/** "From ring 3 to ring 0 and back": IRETQ, SYSCALL and SYSRET in the modes. */

import type { Step, Stop } from '../observation.ts'
import { read, valueAt } from './looking.ts'

/** The program's page of code and its page of stack: guests/modes/kernel.h. */
const PROGRAM = 0x4000_0000n
const STACK_END = 0x4000_8000n
const PAGE = 4096n
/** 48h, CFh. */
const IRETQ = 0xcf48n
const NEXT_INSTRUCTION = '*(unsigned short *)$rip'
/** What the program wants doubled, and what it gets. */
const QUESTION = 21n
const ANSWER = 42n

export const RINGS_STEPS: readonly Step[] = [
  {
    id: 'rings.beforeIretq',
    kernel: 'modes',
    asks: ({ function: name }) => (name === 'enter_user' ? { expressions: [NEXT_INSTRUCTION] } : {}),
    done: ({ now }) => isIn(now, 0, 'enter_user') && now !== undefined && valueAt(now, NEXT_INSTRUCTION) === IRETQ,
  },
  {
    id: 'rings.toRing3',
    kernel: 'modes',
    done: ({ past, now }) => isIn(past.at(-1), 0, 'enter_user') && isIn(now, 3, 'user_main') && now?.reason === 'step',
  },
  {
    id: 'rings.syscall',
    kernel: 'modes',
    // SYSCALL has put the return address into RCX, and left the program's stack where it was.
    done: ({ past, now }) =>
      isIn(past.at(-1), 3, 'system_call') &&
      isIn(now, 0, 'system_call_entry') &&
      now?.reason === 'step' &&
      isWithin(now.registers.get('rcx'), PROGRAM) &&
      onProgramStack(now),
  },
  {
    id: 'rings.stack',
    kernel: 'modes',
    done: ({ past, now }) =>
      isIn(past.at(-1), 0, 'system_call_entry') &&
      onProgramStack(past.at(-1)) &&
      isIn(now, 0, 'system_call_entry') &&
      now?.reason === 'step' &&
      !onProgramStack(now),
  },
  {
    id: 'rings.argument',
    kernel: 'modes',
    done: observation => isIn(observation.now, 0, 'handle_system_call') && read(observation, 'frame->rdi', QUESTION),
  },
  {
    id: 'rings.sysret',
    kernel: 'modes',
    done: ({ past, now }) =>
      isIn(past.at(-1), 0, 'system_call_entry') &&
      isIn(now, 3, 'system_call') &&
      now?.reason === 'step' &&
      now.registers.get('rax') === ANSWER,
  },
]

const isIn = (stop: Stop | undefined, cpl: number, name: string): boolean => stop?.cpl === cpl && stop.function === name

const isWithin = (address: bigint | undefined, page: bigint): boolean =>
  address !== undefined && address >= page && address < page + PAGE

/** The stack pointer may be the end of the page, when the stack is empty. */
function onProgramStack(stop: Stop | undefined): boolean {
  const rsp = stop?.registers.get('rsp')
  return rsp !== undefined && rsp > STACK_END - PAGE && rsp <= STACK_END
}
