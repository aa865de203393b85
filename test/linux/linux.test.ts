import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { instructionsIn, ringside } from '../support/ringside-command.ts'
import { BUSYBOX, buildInitramfs, SHELL_PROMPT } from './initramfs.ts'
import { findKernel } from './kernel.ts'
import { expectedResults, resultsIn } from './scenario-results.ts'

const kernel = findKernel()
const NO_ACPI = 'acpi=off noapic nolapic'
const BOOT_LIMIT = 240_000

if (kernel === undefined || !existsSync(BUSYBOX)) {
  test.skip("the Linux tests need Debian's kernel (npm run fetch-kernel) and the package busybox-static")
} else {
  describe(`Linux ${kernel.release}`, () => {
    linuxTests(kernel.image)
  })
}

function linuxTests(image: string): void {
  let scratch: string
  let initrd: string

  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'ringside-linux-'))
    initrd = join(scratch, 'initramfs.gz')
    writeFileSync(initrd, buildInitramfs())
  })
  afterAll(() => rmSync(scratch, { recursive: true }))

  /** Arguments of a run; every one ends when the guest does. */
  const run = (commandLine: string, ...options: string[]) => [
    ...['run', image, '--initrd', initrd, '--cmdline', `console=ttyS0 ${commandLine}`],
    ...['--no-reboot', '--timeout', String(BOOT_LIMIT / 1000 - 10), ...options],
  ]

  const machines = [1, 2].flatMap(cpus =>
    ['128M', '1G'].flatMap(memory => ['', NO_ACPI].map(platform => ({ cpus, memory, platform }))),
  )

  test.each(machines)(
    'with $cpus CPUs, $memory and "$platform" runs programs right and powers off',
    async ({ cpus, memory, platform }) => {
      const { status, stdout, stderr } = await ringside(
        run(`quiet rdinit=/scenario ${platform}`, '--cpus', String(cpus), '--memory', memory),
      )
      // Without ACPI this kernel knows no second processor: it is built without CONFIG_X86_MPPARSE.
      expect(resultsIn(stdout)).toEqual(expectedResults(platform === NO_ACPI ? 1 : cpus))
      expect(stderr).toBe('')
      expect(status).toBe(0)
    },
    BOOT_LIMIT,
  )

  test(
    'shows its messages and a shell that answers what is typed',
    async () => {
      const commands = ['echo $((6 * 7))', 'cat /proc/1/comm', 'poweroff -f']
      let answered = 0
      const { status, stdout } = await ringside(run(''), (output, write) => {
        if (output.split(SHELL_PROMPT).length - 1 <= answered) return
        write(`${commands[answered++]}\r`)
      })
      expect(stdout).toMatch(/Linux version 6\.1\./)
      expect(stdout).toMatch(/Run \/init as init process/)
      expect(stdout).toMatch(/^42\r$/m)
      expect(stdout).toMatch(/^sh\r$/m)
      expect(stdout).toMatch(/reboot: Power down/)
      expect(status).toBe(0)
    },
    BOOT_LIMIT,
  )

  test(
    'does the same in every run, and when saved and continued in another process',
    async () => {
      const file = (name: string) => join(scratch, name)
      const options = ['--cpus', '2', '--memory', '128M', '--stats']
      const scenario = (statistics: string, ...more: string[]) =>
        ringside(run('rdinit=/scenario', ...options, file(statistics), ...more))

      const first = await scenario('first.json')
      const total = instructionsIn(file('first.json'))
      expect(first.stdout).toMatch(/reboot: Power down/)

      const second = await scenario('second.json')
      expect(second.stdout).toBe(first.stdout)
      expect(instructionsIn(file('second.json'))).toBe(total)

      // An odd count in the middle: nothing is special about it.
      const middle = Math.floor(total / 2) | 1
      const before = await scenario('before.json', '--save', file('saved'), '--save-at', String(middle))
      expect(before.status).toBe(0)
      expect(instructionsIn(file('before.json'))).toBe(middle)
      const after = await scenario('after.json', '--restore', file('saved'))
      expect(after.status).toBe(0)
      expect(before.stdout + after.stdout).toBe(first.stdout)
      expect(instructionsIn(file('after.json'))).toBe(total)
    },
    4 * BOOT_LIMIT,
  )
}
