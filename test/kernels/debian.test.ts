/**
 * Debian's ordinary kernels, as the archive has them: of amd64, and of i386 with PAE and without. Each boots on every
 * model of the processor to programs of its own kind, and the 64-bit one to 32-bit programs too.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MODEL_NAMES } from '../../src/engine/cpu-model.ts'
import { BUSYBOX, buildInitramfs, SHELL_PROMPT } from '../linux/initramfs.ts'
import { expectedResults, resultsIn } from '../linux/scenario-results.ts'
import { instructionsIn, ringside } from '../support/ringside-command.ts'
import { findPackaged } from './packages.ts'

const BOOT_LIMIT = 900_000

const busybox32 = findPackaged('busybox32')
const GUESTS = [
  { kernel: 'amd64', programs: '64-bit', busybox: BUSYBOX, machine: 'x86_64' },
  { kernel: 'amd64', programs: '32-bit', busybox: busybox32, machine: 'x86_64' },
  { kernel: '686-pae', programs: '32-bit', busybox: busybox32, machine: 'i686' },
  { kernel: '686', programs: '32-bit', busybox: busybox32, machine: 'i686' },
] as const

describe.each(GUESTS)("Debian's kernel of $kernel with $programs programs", ({ kernel, busybox, machine }) => {
  const image = findPackaged(kernel)
  if (image === undefined || busybox === undefined) {
    test.skip(`needs the packages of linux-image-${kernel} and busybox: npm run fetch-guests`)
    return
  }
  let scratch: string
  let initrd: string

  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'ringside-kernels-'))
    initrd = join(scratch, 'initramfs.gz')
    writeFileSync(initrd, buildInitramfs([], busybox))
  })
  afterAll(() => rmSync(scratch, { recursive: true }))

  const run = (commandLine: string, ...options: string[]) => [
    ...['run', image, '--initrd', initrd, '--cmdline', `console=ttyS0 ${commandLine}`],
    ...['--no-reboot', '--timeout', String(BOOT_LIMIT / 1000 - 10), ...options],
  ]

  test.each(MODEL_NAMES)(
    'runs programs right and powers off, on the model %s',
    async model => {
      const { status, stdout, stderr } = await ringside(run('quiet rdinit=/scenario', '--cpu', model, '--cpus', '2'))
      expect(resultsIn(stdout)).toEqual(expectedResults(2))
      expect(stderr).toBe('')
      expect(status).toBe(0)
    },
    BOOT_LIMIT,
  )

  test(
    'shows a shell that answers what is typed',
    async () => {
      const commands = ['echo $((6 * 7))', 'uname -m', 'poweroff -f']
      let answered = 0
      const { status, stdout } = await ringside(run('quiet'), (output, write) => {
        if (output.split(SHELL_PROMPT).length - 1 <= answered) return
        write(`${commands[answered++]}\r`)
      })
      expect(stdout).toMatch(/^42\r$/m)
      expect(stdout).toMatch(new RegExp(`^${machine}\r$`, 'm'))
      expect(status).toBe(0)
    },
    BOOT_LIMIT,
  )

  test(
    'does the same in every run',
    async () => {
      const runs = ['first', 'second'].map(name => join(scratch, `${name}.json`))
      const outputs: string[] = []
      for (const statistics of runs)
        outputs.push((await ringside(run('rdinit=/scenario', '--stats', statistics))).stdout)
      expect(outputs[0]).toMatch(/reboot: Power down/)
      expect(outputs[1]).toBe(outputs[0])
      expect(instructionsIn(runs[1])).toBe(instructionsIn(runs[0]))
    },
    2 * BOOT_LIMIT,
  )
})
