/** The boot from the kernel's first instruction to a shell, with and without a condition on a function that is hot. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { kernelSymbolsInRam, recognizeLinux } from '../../../src/debugger/linux/kernel-tables.ts'
import { BUSYBOX, buildInitramfs, SHELL_PROMPT } from '../../../test/linux/initramfs.ts'
import { findKernel } from '../../../test/linux/kernel.ts'
import { DebugSession } from '../debug-session.ts'

export const HOT_FUNCTION = '_raw_spin_lock'

export interface ConditionalBoot {
  /** Seconds. */
  readonly without: number
  readonly withCondition: number
  readonly evaluations: number
}

/** A text says why it can't be measured. */
export async function measureBoot(scratch: string): Promise<ConditionalBoot | string> {
  const kernel = findKernel()
  if (kernel === undefined || !existsSync(BUSYBOX))
    return "it needs Debian's kernel (npm run fetch-kernel) and the package busybox-static"
  const initrd = join(scratch, 'initramfs.gz')
  writeFileSync(initrd, buildInitramfs())
  const guest = { image: kernel.image, initrd, commandLine: 'console=ttyS0 quiet nokaslr' }
  const seconds: number[] = []
  let evaluations = 0
  const condition = (): boolean => ++evaluations < 0
  for (const conditional of [false, true]) {
    const session = await DebugSession.start(guest)
    const address = await hotFunction(session, kernel.image)
    const start = performance.now()
    await session.runUntil(
      SHELL_PROMPT,
      conditional ? [{ id: 1, kind: 'code', space: 'linear', address, condition }] : [],
    )
    seconds.push((performance.now() - start) / 1000)
    session.target.dispose()
  }
  const [without, withCondition] = seconds
  return { without, withCondition, evaluations }
}

/** Runs to the decompressed kernel's first instruction, where its own tables tell where the function will be. */
async function hotFunction(session: DebugSession, image: string): Promise<bigint> {
  const linux = recognizeLinux(image, readFileSync(image))
  if (linux === undefined) throw new Error(`${image} is no Linux kernel`)
  await session.stop([{ id: 0, kind: 'code', space: 'physical', address: BigInt(linux.start) }])
  const found = kernelSymbolsInRam(session.target.machine, linux)?.find(({ name }) => name === HOT_FUNCTION)
  if (found === undefined) throw new Error(`the kernel has no ${HOT_FUNCTION}`)
  return found.address
}
