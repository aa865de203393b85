/** The demo's first part: the teaching kernel of `guests/tour/`, from its first instruction to its power-off. */

import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Conversation, check } from './conversation.ts'
import type { Page } from './page.ts'

const IMAGE = fileURLToPath(new URL('../../guests/prebuilt/tour.elf', import.meta.url))
/** Where the program of the tour touches memory that nobody has mapped yet (`USER_HEAP` in `guests/tour/kernel.h`). */
const HEAP = '0x40010000'
const USER = fileURLToPath(new URL('../../guests/tour/user.c', import.meta.url))
const PAGING = fileURLToPath(new URL('../../guests/tour/paging.c', import.meta.url))

/** @param image the path of another kernel. */
export async function showTour(page: Page, image = IMAGE): Promise<void> {
  page.title('A teaching kernel')
  page.say(
    'guests/tour/ holds its source: a few hundred lines that turn on paging, take interrupts, and run a program in ' +
      'ring 3, which makes system calls and gets memory on demand. It needs a machine of its own, and here it gets one.',
  )
  const conversation = new Conversation(page)
  try {
    await start(conversation, image)
    await kernel(conversation)
    await stepping(conversation)
    await program(conversation)
    await memoryOnDemand(conversation)
    await end(conversation)
  } finally {
    await conversation.close()
  }
}

async function start(conversation: Conversation, image: string): Promise<void> {
  const { page } = conversation
  page.section('Before the first instruction')
  await conversation.launch({ program: relative(process.cwd(), image), memory: '64M', stopOnEntry: true })
  page.gap()
  page.say(
    'Breakpoints patch no byte of the guest: the processor watches for their addresses. So they can be set before ' +
      'there is paging, in the program of ring 3 as well as in the kernel, by function or by line of source.',
  )
  const breakpoints = await conversation.breakAtFunctions(['kernel_main'])
  check(
    breakpoints.every(({ verified }) => verified),
    'the functions of the tour are not all known',
  )
  await conversation.breakAtLines(USER, ['(code_selector & 3) == 3'])
  await conversation.breakAtLines(PAGING, ['map_page(address & FRAME, frame,'])
  await conversation.configurationDone()
  await conversation.stopped('entry')
  const frame = await conversation.frame()
  check(frame.name === 'start', `the tour was to begin at start, but begins at ${frame.name}`)
  const registers = await conversation.registers(['CPU mode'])
  check(registers.get('mode') === '32-bit protected', 'a Multiboot kernel begins in 32-bit protected mode')
}

async function kernel(conversation: Conversation): Promise<void> {
  const { page } = conversation
  page.section('The kernel, in ring 0')
  page.say('The guest runs until the first breakpoint. By then it has built page tables and is 64-bit code.')
  const { instructionPointerReference: rip = '' } = await conversation.continueTo('kernel_main')
  const registers = await conversation.registers(['CPU mode', 'General registers', 'Control registers'])
  check(registers.get('mode') === '64-bit' && registers.get('CPL') === '0', 'the kernel was to run in ring 0, 64-bit')
  check(registers.get('cr0')?.includes('PG') === true, 'paging was to be on')
  page.gap()
  page.say('CR3 is the guest-physical address of the top page table. The instructions at the stop:')
  await conversation.disassemble(rip, 5)
}

async function stepping(conversation: Conversation): Promise<void> {
  const { page } = conversation
  page.section('Stepping')
  page.say('A line at a time, each with all that it calls. What print() prints comes out of the serial port.')
  const first = await conversation.step('next', 'line')
  const second = await conversation.step('next', 'line')
  check(
    first.name === 'kernel_main' && second.name === 'kernel_main' && second.line > first.line,
    `two steps were to lead through kernel_main, but led to ${first.name}:${first.line}, ${second.name}:${second.line}`,
  )
  page.gap()
  page.say('Or into what a line calls.')
  const { name } = await conversation.step('stepIn', 'line')
  check(name !== 'kernel_main', 'the step was to enter a function')
}

async function program(conversation: Conversation): Promise<void> {
  const { page } = conversation
  page.section('The program, in ring 3')
  const { instructionPointerReference: rip = '' } = await conversation.continueTo('user_main')
  const registers = await conversation.mode()
  check(registers.get('CPL') === '3', `the program was to run at CPL 3, but runs at CPL ${registers.get('CPL')}`)
  page.gap()
  page.say('The program has just asked for its code selector, whose low two bits are the ring:')
  const selector = await conversation.evaluate('code_selector & 3')
  check(selector === '3', `the ring was to be 3, but is ${selector}`)
  page.gap()
  page.say(
    "Where is this instruction? The guest's tables lead from the linear address to a guest-physical one (GPA) in " +
      'four levels. But those tables lie at guest-physical addresses themselves, and each of these leads through four ' +
      "levels of the hypervisor's extended page tables (EPT) to host-physical memory (HPA): " +
      "the processor's walk has two dimensions. P present, RW writable, US for the user, A accessed, D dirty, " +
      'XD not to be executed; r, w, x what EPT allows.',
  )
  const { levels } = await conversation.translateAndRead(rip, 'execute', { everyEptEntry: true })
  check(levels.length === 4, `the walk was to have four guest levels, but has ${levels.length}`)
  check(
    levels.every(({ ept }) => ept?.steps.length === 4),
    'each guest level was to be found through four EPT levels',
  )
  page.gap()
  page.say('The same for a write. The tables say no, and nothing happened to the guest: asking is no access.')
  const { fault } = await conversation.translate(rip, 'write', { everyEptEntry: false })
  check(fault?.kind === 'page-fault', "a write to the program's code was to be a page fault")
}

async function memoryOnDemand(conversation: Conversation): Promise<void> {
  const { page } = conversation
  page.section('Memory on demand')
  page.say('The program goes on, until it touches memory that is not there and the kernel gives it some.')
  await conversation.continueTo('give_page')
  await conversation.mode()
  page.gap()
  page.say('The stack leads from the kernel through the page fault back to the statement of the program:')
  const frames = (await conversation.stack()).map(({ name }) => name)
  check(
    frames.includes('handle_interrupt') && frames.at(-1) === 'user_main',
    `the stack was to lead to user_main, but is ${frames.join(', ')}`,
  )
  page.gap()
  page.say('The arguments and variables of this frame, and the C expressions that they can be part of:')
  const locals = await conversation.registers(['Locals'])
  check(locals.get('address') === HEAP, `address was to be ${HEAP}, but is ${locals.get('address')}`)
  const frame = await conversation.evaluate('frame % 4096 == 0')
  check(frame === '1', 'the frame was to be a whole page')
  page.gap()
  page.say('CR2 holds the address that faulted, and the tables say why:')
  const address = await conversation.evaluate('$cr2')
  check(BigInt(address) === BigInt(HEAP), `the page fault was to be at ${HEAP}, but is at ${address}`)
  const before = await conversation.translate(address, 'write', { everyEptEntry: false })
  check(before.fault?.kind === 'page-fault', `${address} was not to be mapped yet`)
  page.gap()
  page.say('On until the program makes its next system call. The same question again:')
  await conversation.breakAtFunctions(['handle_system_call'])
  await conversation.continueTo('handle_system_call')
  const { bytes } = await conversation.translateAndRead(address, 'write', { everyEptEntry: false })
  check(bytes.startsWith('2a 00'), `the program was to write 42 to ${address}, but there is ${bytes}`)
  page.gap()
  page.say('0x2a is the 42 that the program wrote. Its own instruction faulted, was repeated, and never noticed.')
  await conversation.breakAtFunctions([])
  await conversation.breakAtLines(PAGING, [])
}

async function end(conversation: Conversation): Promise<void> {
  const { page } = conversation
  page.section('The end, and what the hypervisor had to do')
  await conversation.continueToEnd()
  page.gap()
  page.say(
    'Exits are what the guest could not do by itself: io is a device, ept-violation memory that is touched for the ' +
      'first time, interrupt-window an interrupt that waited until the guest would take it. Run it again, and ' +
      'every number here is the same: time is counted in instructions.',
  )
  const { byReason } = await conversation.exits()
  const reasons = byReason.map(({ reason }) => reason)
  for (const reason of ['io', 'ept-violation']) check(reasons.includes(reason), `no exit for ${reason} was recorded`)
}
