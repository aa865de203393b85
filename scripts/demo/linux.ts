/** The demo's second part: Debian's own kernel, unmodified, from its bzImage to a shell. */

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BUSYBOX, buildInitramfs, SHELL_PROMPT } from '../../test/linux/initramfs.ts'
import { findKernel } from '../../test/linux/kernel.ts'
import { Conversation, check } from './conversation.ts'
import type { Page } from './page.ts'

/** The first of its callers is the shell of the initramfs. */
const FUNCTION = 'vfs_read'

/** What is missing and how to get it; undefined when the demo can show Linux. */
export function whyNoLinux(): string | undefined {
  if (findKernel() === undefined) return "Debian's kernel is missing (npm run fetch-kernel)"
  if (!existsSync(BUSYBOX)) return `${BUSYBOX} is missing (apt-get install busybox-static)`
  return undefined
}

export async function showLinux(page: Page): Promise<void> {
  const kernel = findKernel()
  check(kernel !== undefined, "Debian's kernel is not in the cache: run npm run fetch-kernel")
  page.title(`Debian's kernel, Linux ${kernel.release}`)
  page.say('The same with a kernel that nobody here wrote, as its package holds it, and a RAM disk with busybox.')
  const scratch = mkdtempSync(join(tmpdir(), 'ringside-demo-'))
  const conversation = new Conversation(page)
  try {
    const initrd = join(scratch, 'initramfs.gz')
    writeFileSync(initrd, buildInitramfs())
    await boot(conversation, kernel.image, initrd)
    await kernelFunction(conversation)
    await kernelStack(conversation)
    await stepping(conversation)
    await shell(conversation)
    await powerOff(conversation)
  } finally {
    await conversation.close()
    rmSync(scratch, { recursive: true })
  }
}

async function boot(conversation: Conversation, program: string, initrd: string): Promise<void> {
  const { page } = conversation
  page.section('Boot')
  const cmdline = 'console=ttyS0 nokaslr quiet'
  await conversation.launch({ program, initrd, cmdline, memory: '256M' })
  page.gap()
  page.say(
    'The kernel is still compressed, so its functions are not known yet. Once it has unpacked itself, its own symbol ' +
      'table is read out of guest memory, and the breakpoint finds its place.',
  )
  await conversation.breakAtFunctions([FUNCTION])
  await conversation.configurationDone()
  page.gap()
  page.say('Now the kernel boots; this takes a while, for it is a whole Linux on a processor in software.')
  await conversation.stopped('breakpoint')
  await conversation.breakpointResolved()
}

async function kernelFunction(conversation: Conversation): Promise<void> {
  const { page } = conversation
  page.section(`In ${FUNCTION}()`)
  const { name, instructionPointerReference: rip = '' } = await conversation.frame()
  check(name === FUNCTION, `Linux was to stop in ${FUNCTION}, but stopped in ${name}`)
  const registers = await conversation.registers(['CPU mode', 'General registers', 'Control registers'])
  check(registers.get('mode') === '64-bit' && registers.get('CPL') === '0', 'Linux was to run in ring 0, 64-bit')
  check(registers.get('paging') === '4-level paging', 'Linux was to use four levels of paging')
  await conversation.disassemble(rip, 4)
  page.gap()
  page.say('Linux maps its own code with large pages of 2 MiB, so the page directory is the last level:')
  const { levels, page: reached } = await conversation.translateAndRead(rip, 'execute', { everyEptEntry: false })
  check(levels.length === 3 && reached?.size === 2 ** 21, 'the code of Linux was to be mapped by pages of 2 MiB')
}

async function kernelStack(conversation: Conversation): Promise<void> {
  const { page } = conversation
  page.section("The kernel's stack")
  page.say('The stacks lie in pages of 4 KiB: four levels of the guest, and EPT below each.')
  const stack = await conversation.evaluate('$rsp')
  const { levels } = await conversation.translateAndRead(stack, 'write', { everyEptEntry: true })
  check(levels.length === 4, `the walk was to have four guest levels, but has ${levels.length}`)
}

async function stepping(conversation: Conversation): Promise<void> {
  const { page } = conversation
  page.section('Stepping')
  await conversation.step('stepIn', 'instruction')
  const { name, instructionPointerReference: rip = '' } = await conversation.step('stepIn', 'instruction')
  check(name.startsWith(`${FUNCTION}+`), `two steps were to stay in ${FUNCTION}, but lead to ${name}`)
  await conversation.disassemble(rip, 1)
}

async function shell(conversation: Conversation): Promise<void> {
  const { page } = conversation
  page.section('On to the shell')
  await conversation.breakAtFunctions([])
  await conversation.continueToConsole(SHELL_PROMPT)
  await conversation.type('uname -srm; echo $((6 * 7))\n')
  await conversation.consoleShows('\n42')
}

async function powerOff(conversation: Conversation): Promise<void> {
  const { page } = conversation
  page.section('Power off, and what the hypervisor had to do')
  await conversation.type('poweroff -f\n')
  await conversation.ended()
  page.gap()
  const { byReason } = await conversation.exits()
  const reasons = byReason.map(({ reason }) => reason)
  for (const reason of ['io', 'ept-violation', 'hlt'])
    check(reasons.includes(reason), `no exit for ${reason} was recorded`)
}
