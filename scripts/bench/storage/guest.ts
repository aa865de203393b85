/** What the guest does in the storage benchmark: Debian's kernel, its drivers, and one workload after the other. */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SCENARIO_CMDLINE, SKIP_REASON, virtioLinux } from '../../../test/virtio-linux/guest.ts'

export const DISK_MEBIBYTES = 64
const PASSES = 4
const OPERATIONS = 4000

export interface Workload {
  readonly name: string
  /** Commands; `$disk` is the device. */
  readonly command: string
  /** Requests of the disk that the guest means to make, and bytes that they move. */
  readonly operations: number
  readonly bytes: number
}

const sequential = (name: string, from: string, to: string, option: string): Workload => ({
  name,
  command: `for pass in $(seq ${PASSES}); do dd if=${from} of=${to} bs=1M count=${DISK_MEBIBYTES} ${option}=direct; done`,
  operations: PASSES * DISK_MEBIBYTES,
  bytes: PASSES * DISK_MEBIBYTES * 2 ** 20,
})

const random = (name: string, direction: 'read' | 'write'): Workload => ({
  name,
  command: `random-io ${direction} $disk ${OPERATIONS}`,
  operations: OPERATIONS,
  bytes: OPERATIONS * 4096,
})

export const WORKLOADS: readonly Workload[] = [
  sequential('read 1 MiB', '$disk', '/dev/null', 'iflag'),
  sequential('write 1 MiB', '/dev/zero', '$disk', 'oflag'),
  random('read 4 KiB', 'read'),
  random('write 4 KiB', 'write'),
]

/** The lines by which the guest tells where it is; times and exits are taken when they appear. */
const MARKER = /^storage: (begin|end) (\d+)\r?$/

/** @returns which workload begins or ends with this line of the console. */
export function markerIn(line: string): { readonly what: 'begin' | 'end'; readonly workload: number } | undefined {
  const [, what, number] = MARKER.exec(line) ?? []
  if (what === undefined) return undefined
  return { what: what === 'begin' ? 'begin' : 'end', workload: Number(number) }
}

export interface StorageGuest {
  readonly image: string
  readonly initrd: string
  readonly cmdline: string
}

/** Puts the guest's files into `directory`. Throws when a package that it needs is missing. */
export function makeGuest(directory: string): StorageGuest {
  const linux = virtioLinux()
  if (linux === undefined) throw new Error(SKIP_REASON)
  const program = join(directory, 'random-io')
  const source = fileURLToPath(new URL('random-io.c', import.meta.url))
  execFileSync('gcc', ['-O2', '-static', '-o', program, source], { stdio: ['ignore', 'inherit', 'inherit'] })
  const steps = WORKLOADS.map(({ command }, i) =>
    [`echo storage: begin ${i}`, `${command} > /tmp/log 2>&1 || cat /tmp/log`, `echo storage: end ${i}`].join('\n'),
  )
  const initrd = join(directory, 'initramfs.gz')
  writeFileSync(
    initrd,
    linux.initramfs({
      modules: ['virtio_pci', 'virtio_blk', 'ata_piix', 'sd_mod'],
      script: ['disk=/dev/vda', '[ -b $disk ] || disk=/dev/sda', ...steps].join('\n'),
      files: [{ kind: 'file', path: 'bin/random-io', data: readFileSync(program), executable: true }],
    }),
  )
  return { image: linux.image, initrd, cmdline: SCENARIO_CMDLINE }
}
