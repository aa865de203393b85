/** The demo's second part: the kernel of `guests/modes/`, through every mode, and a page fault that is repaired. */

import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { Conversation, check } from './conversation.ts'
import type { Page } from './page.ts'

const guest = (path: string): string => fileURLToPath(new URL(`../../guests/${path}`, import.meta.url))
const IMAGE = guest('prebuilt/modes.elf')
/** The page that the kernel forgot to mark present (`LETTER` in `guests/modes/kernel.h`). */
const LETTER = '0x40010000'
const PRESENT = 1n

export async function showModes(page: Page): Promise<void> {
  page.title('From real mode to ring 3, and a page fault repaired')
  page.say(
    'guests/modes/ goes down to real mode, in which every PC begins, and up again through all that a processor can be.',
  )
  const conversation = new Conversation(page)
  try {
    await modes(conversation)
    await repair(conversation)
  } finally {
    await conversation.close()
  }
}

async function modes(conversation: Conversation): Promise<void> {
  const { page } = conversation
  page.section('Every mode')
  await conversation.launch({ program: relative(process.cwd(), IMAGE), memory: '64M' })
  page.gap()
  page.say(
    'One breakpoint in each kind of code. The 16-bit part is not even at its place yet: the kernel copies it there.',
  )
  await conversation.breakAtLines(guest('modes/modes.asm'), ['#real-mode', '#protection-on', '#long-mode'])
  await conversation.breakAtLines(guest('modes/user.c'), ['// #user'])
  await conversation.configurationDone()
  await conversation.stopped('breakpoint')
  await look(conversation, await conversation.frame(), '16-bit real, CPL 0, no paging')
  page.gap()
  page.say(
    'Here the processor becomes another, within one instruction. Stepping over it shows that, and the jump behind it:',
  )
  await conversation.continueTo('enter_protected_mode+0xa')
  await conversation.step('stepIn', 'instruction')
  check((await conversation.modeLine()).startsWith('16-bit protected'), 'protected mode was to begin')
  const { instructionPointerReference: protectedMode = '' } = await conversation.step('stepIn', 'instruction')
  check((await conversation.modeLine()).startsWith('32-bit protected'), '32-bit code was to begin')
  await conversation.disassemble(protectedMode, 3)
  page.gap()
  page.say('On to 64 bits, and to the program in ring 3:')
  await look(conversation, await conversation.continueTo('long_mode'), '64-bit, CPL 0, 4-level paging')
  await look(conversation, await conversation.continueTo('user_main'), '64-bit, CPL 3, 4-level paging')
}

async function look(
  conversation: Conversation,
  { instructionPointerReference = '' }: DebugProtocol.StackFrame,
  wanted: string,
): Promise<void> {
  const mode = await conversation.modeLine()
  check(mode.startsWith(wanted), `the mode was to be ${wanted}, but is ${mode}`)
  await conversation.disassemble(instructionPointerReference, 2)
}

async function repair(conversation: Conversation): Promise<void> {
  const { page } = conversation
  page.section('A page fault, explained and repaired')
  page.say(
    'The kernel has a letter to read, and forgot one bit in the page table. The debugger stops before the fault:',
  )
  await conversation.stopAtPageFaults()
  const { name } = await conversation.continueToEvent()
  check(name === 'read_letter', `the fault was to be in read_letter, but is in ${name}`)
  const why = await conversation.explain()
  check(why.includes('the PT entry is not present'), 'the entry was to be the reason')
  page.gap()
  page.say('The walk through the tables ends at that entry. Its lowest bit says that the page is present:')
  const { levels } = await conversation.translate(LETTER, 'read', { everyEptEntry: false })
  const { entry, entryAddress } = levels[levels.length - 1]
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(entry) | PRESENT, true)
  await conversation.writeMemory(`phys:${entryAddress}`, bytes)
  await conversation.explain()
  page.gap()
  page.say(
    'When the guest goes on, its instruction is executed anew, and its own handler never hears of a fault. The next one ' +
      'is about writing. The same entry by its name in the source:',
  )
  await conversation.continueToEvent()
  const second = await conversation.explain()
  check(second.includes('the page is read-only'), 'the second fault was to be about writing')
  await conversation.setExpression('*letter_entry', '*letter_entry | 2')
  await conversation.continueToEnd()
  check(conversation.console.includes('modes: the end, without a page fault'), 'no fault was to reach the kernel')
}
