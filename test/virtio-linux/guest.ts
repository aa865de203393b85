/**
 * Boots Debian's ordinary kernel with modules of its own and a shell script: what the scenarios of virtio devices are
 * made of. A scenario is a test file beside this one: it calls {@link virtioLinux} and skips when that gives nothing.
 *
 * ```ts
 * const linux = virtioLinux()
 * describe.skipIf(linux === undefined)('...', () => {
 *   test('...', async () => {
 *     const run = await linux?.run({ modules: ['virtio_pci', 'virtio_rng'], script: '...', options: ['--rng'] })
 * ```
 */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { findPackaged } from '../kernels/packages.ts'
import type { CpioEntry } from '../linux/cpio.ts'
import { BUSYBOX, buildInitramfs } from '../linux/initramfs.ts'
import { type CommandResult, instructionsIn, ringside } from '../support/ringside-command.ts'
import { KernelModules } from './kernel-modules.ts'

/** Milliseconds that a scenario may take; for the test's own limit. */
export const BOOT_LIMIT = 300_000

export const SKIP_REASON =
  "the virtio tests need Debian's kernel with its modules (npm run fetch-guests) and the package busybox-static"

export const SCENARIO_CMDLINE = 'console=ttyS0 quiet rdinit=/virtio-scenario'

export interface Scenario {
  /** Modules to load before the script; what they depend on comes by itself. */
  readonly modules: readonly string[]
  /**
   * Commands of busybox's shell, run as the first process with /proc, /sys, /dev and /tmp mounted; the machine powers
   * off behind them. `result WORDS` prints a line that {@link ScenarioRun.results} has.
   */
  readonly script: string
  /** Options of `ringside run`: the devices. */
  readonly options: readonly string[]
  /** More of the kernel's command line. */
  readonly cmdline?: string
  /** More files of the initramfs. */
  readonly files?: readonly CpioEntry[]
}

export interface ScenarioRun extends CommandResult {
  /** What the script printed by `result`, in order. */
  readonly results: readonly string[]
  readonly instructions: number
}

export class VirtioLinux {
  /** The bzImage. */
  readonly image: string
  readonly #modules: KernelModules

  constructor(image: string, modules: string) {
    this.image = image
    this.#modules = new KernelModules(modules)
  }

  /** Boots to the end of the script. Guests whose arguments are equal do equal things. */
  async run(scenario: Scenario): Promise<ScenarioRun> {
    const scratch = mkdtempSync(join(tmpdir(), 'ringside-virtio-'))
    try {
      const initrd = join(scratch, 'initramfs.gz')
      const statistics = join(scratch, 'stats.json')
      writeFileSync(initrd, this.initramfs(scenario))
      const result = await ringside([
        ...['run', this.image, '--initrd', initrd, '--memory', '256M', '--no-reboot', '--stats', statistics],
        ...['--cmdline', `${SCENARIO_CMDLINE} ${scenario.cmdline ?? ''}`],
        ...['--timeout', String(BOOT_LIMIT / 1000 - 10), ...scenario.options],
      ])
      const results = resultsIn(result.stdout)
      return { ...result, results, instructions: existsSync(statistics) ? instructionsIn(statistics) : 0 }
    } finally {
      rmSync(scratch, { recursive: true })
    }
  }

  /** For whoever runs the guest by other means, with {@link SCENARIO_CMDLINE}. */
  initramfs({ modules, script, files = [] }: Pick<Scenario, 'modules' | 'script' | 'files'>): Buffer {
    const loaded = this.#modules.withDependencies(modules)
    const load = loaded.map(({ path }) => `insmod /modules/${basename(path)} || result insmod ${basename(path)} failed`)
    const program = [PROLOGUE, ...load, script, EPILOGUE].join('\n')
    return buildInitramfs([
      { kind: 'directory', path: 'modules' },
      ...loaded.map(({ path }): CpioEntry => {
        return { kind: 'file', path: `modules/${basename(path)}`, data: readFileSync(path), executable: false }
      }),
      { kind: 'file', path: 'virtio-scenario', data: Buffer.from(program), executable: true },
      ...files,
    ])
  }
}

/** Undefined when the packages aren't there: skip with {@link SKIP_REASON}. */
export function virtioLinux(): VirtioLinux | undefined {
  const image = findPackaged('amd64')
  const modules = findPackaged('amd64-modules')
  if (image === undefined || modules === undefined || !existsSync(BUSYBOX)) return undefined
  // A kernel loads modules of its own release only.
  return basename(image) === `vmlinuz-${basename(modules)}` ? new VirtioLinux(image, modules) : undefined
}

const RESULT = 'result: '

/** What a script printed by `result`. */
export function resultsIn(output: string): string[] {
  const lines = output.split(/\r?\n/).filter(line => line.startsWith(RESULT))
  return lines.map(line => line.slice(RESULT.length))
}

const PROLOGUE = `#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
result() { echo "${RESULT}$*"; }`

/** Without ACPI a PC can't power itself off, and the keyboard controller resets it. */
const EPILOGUE = `result end
if grep -q acpi=off /proc/cmdline; then reboot -f; else poweroff -f; fi
`
