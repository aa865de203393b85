/** What the guest does in the storage benchmark: Debian's kernel, its drivers, and one workload after the other. */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SCENARIO_CMDLINE, SKIP_REASON, virtioLinux } from '../../../test/virtio-linux/guest.ts'

export const DISK_MEBIBYTES = 64
const LARGE = 2 ** 20
const SMALL = 4096
const LARGE_OPERATIONS = 2048
const SMALL_OPERATIONS = 20_000
/** Programs that have a request each under way. */
const AT_ONCE = 8

export interface Workload {
  readonly name: string
  /** Commands; `$disk` is the device. */
  readonly command: string
  /** Requests that the guest's programs make, and bytes that they move. */
  readonly operations: number
  readonly bytes: number
}

function workload(direction: 'read' | 'write', order: 'sequential' | 'random', atOnce = 1): Workload {
  const [size, operations] = order === 'sequential' ? [LARGE, LARGE_OPERATIONS] : [SMALL, SMALL_OPERATIONS]
  const one = `disk-io ${direction} ${order} $disk ${size} ${operations / atOnce}`
  return {
    name: `${order} ${direction}, ${order === 'sequential' ? '1 MiB' : '4 KiB'}${atOnce === 1 ? '' : `, ${atOnce} at once`}`,
    command: atOnce === 1 ? one : `for i in $(seq ${atOnce}); do ${one} & done; wait`,
    operations,
    bytes: operations * size,
  }
}

export const WORKLOADS: readonly Workload[] = [
  workload('read', 'sequential'),
  workload('write', 'sequential'),
  workload('read', 'random'),
  workload('write', 'random'),
  workload('read', 'random', AT_ONCE),
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
  const program = join(directory, 'disk-io')
  const source = fileURLToPath(new URL('disk-io.c', import.meta.url))
  execFileSync('gcc', ['-O2', '-static', '-o', program, source], { stdio: ['ignore', 'inherit', 'inherit'] })
  const steps = WORKLOADS.map(({ command }, i) =>
    [`echo storage: begin ${i}`, `{ ${command}; } > /tmp/log 2>&1; cat /tmp/log`, `echo storage: end ${i}`].join('\n'),
  )
  const initrd = join(directory, 'initramfs.gz')
  writeFileSync(
    initrd,
    linux.initramfs({
      modules: ['virtio_pci', 'virtio_blk', 'ata_piix', 'sd_mod'],
      script: ['disk=/dev/vda', '[ -b $disk ] || disk=/dev/sda', ...steps].join('\n'),
      files: [{ kind: 'file', path: 'bin/disk-io', data: readFileSync(program), executable: true }],
    }),
  )
  return { image: linux.image, initrd, cmdline: SCENARIO_CMDLINE }
}
