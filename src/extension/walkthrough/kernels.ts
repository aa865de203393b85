/** Which guest is a teaching kernel, and what it says. */

import { CONSOLE_OUTPUT } from '../../protocol/custom-requests.ts'
import { members } from '../session-messages.ts'
import { KERNELS, type Kernel } from './observation.ts'

/** Functions that each kernel has and no other of its name is likely to have; one that was built anew has them too. */
export const SYMBOLS: Readonly<Record<Kernel, readonly string[]>> = {
  tour: ['give_page', 'enter_user'],
  modes: ['letter_entry', 'enter_user'],
  virtqueue: ['post_request', 'disk_interrupt_entry'],
}

/** By the name of its image: `guests/prebuilt/tour.elf`. */
export function kernelOf(program: unknown): Kernel | undefined {
  if (typeof program !== 'string') return undefined
  const name = program.split(/[\\/]/).at(-1)
  return KERNELS.find(kernel => name === `${kernel}.elf`)
}

/** What an event of the adapter brings from the guest's serial port, wherever it is shown. */
export function consoleText(event: unknown, body: unknown): string {
  const { category, output, text } = members(body)
  if (event === CONSOLE_OUTPUT && typeof text === 'string') return text
  return event === 'output' && category === 'stdout' && typeof output === 'string' ? output : ''
}
