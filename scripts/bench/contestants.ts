/** How Ringside and QEMU are told to run the same guest: the same image, command line, memory and serial console. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Command } from './stopwatch.ts'

export interface Guest {
  readonly image: string
  readonly commandLine: string
  readonly initrd?: string
  /** Model of Ringside's processor; its default if absent. QEMU keeps its own default. */
  readonly cpu?: string
}

const MEMORY = '256M'
export const BUNDLE = fileURLToPath(new URL('../../dist/ringside.mjs', import.meta.url))

/** `statistics` is the file for the instruction count; with `until` Ringside ends by itself at that text. */
export function ringside(bundle: string, guest: Guest, statistics: string, until?: string): Command {
  return {
    program: process.execPath,
    arguments: [
      bundle,
      'run',
      guest.image,
      ...(guest.initrd === undefined ? [] : ['--initrd', guest.initrd]),
      ...['--cmdline', guest.commandLine, '--memory', MEMORY, '--no-reboot', '--stats', statistics],
      ...(guest.cpu === undefined ? [] : ['--cpu', guest.cpu]),
      ...(until === undefined ? [] : ['--until', until]),
    ],
  }
}

const QEMU = 'qemu-system-x86_64'

/** Without network card and display, which Ringside does not have either and which cost QEMU time at start. */
export function qemu(guest: Guest): Command {
  return {
    program: QEMU,
    arguments: [
      ...['-accel', 'tcg', '-m', MEMORY, '-no-reboot'],
      ...['-display', 'none', '-vga', 'none', '-nic', 'none', '-serial', 'stdio'],
      ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=4'],
      ...['-kernel', guest.image, '-append', guest.commandLine],
      ...(guest.initrd === undefined ? [] : ['-initrd', guest.initrd]),
    ],
  }
}

/** The first line of `qemu-system-x86_64 --version`, or undefined when it is not installed. */
export function qemuVersion(): string | undefined {
  const { stdout, error } = spawnSync(QEMU, ['--version'], { encoding: 'utf8' })
  return error === undefined ? stdout.split('\n')[0] : undefined
}
