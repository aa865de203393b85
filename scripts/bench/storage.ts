/**
 * `npm run bench:storage`: what a disk costs, by virtio and by IDE, served in the machine's thread and by a worker,
 * beside QEMU TCG with the same kernel, the same programs and the same image in the same run. Debian's own drivers read
 * and write past the guest's page cache: 1 MiB at a time in order, and 4 KiB at places that look random. Wall time is
 * taken between lines of the guest's console, and the processor's time of all threads, which a busy machine falsifies
 * less; the ratios are to QEMU with virtio. Instructions and exits are counted by Ringside between the same lines.
 */

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { qemuVersion } from './contestants.ts'
import { median } from './stopwatch.ts'
import { DISK_MEBIBYTES, makeGuest, markerIn, type StorageGuest, WORKLOADS } from './storage/guest.ts'
import type { Measurement } from './storage/measure.ts'

const MEMORY = '256M'
const LIMIT_MILLISECONDS = 580_000
const MEASURE = fileURLToPath(new URL('storage/measure.ts', import.meta.url))

interface Contestant {
  readonly name: string
  readonly run: (guest: StorageGuest, disk: string) => Promise<readonly Measurement[]>
}

const CONTESTANTS: Readonly<Record<string, Contestant>> = {
  virtio: ringside('virtio, in the thread', ''),
  'no-event-idx': ringside('virtio, no EVENT_IDX', ',event-index=off'),
  worker: ringside('virtio, worker', ',backend=worker'),
  ide: ringside('IDE', ',interface=ide'),
  'qemu-virtio': qemu('QEMU TCG, virtio', ['-device', 'virtio-blk-pci,drive=disk', '-drive', 'if=none,id=disk']),
  'qemu-ide': qemu('QEMU TCG, IDE', ['-drive', 'if=ide']),
}
const REFERENCE = 'qemu-virtio'

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1' },
    only: { type: 'string', default: Object.keys(CONTESTANTS).join(',') },
    help: { type: 'boolean', default: false },
  },
})
const rounds = Number(options.rounds)
const chosen = options.only.split(',')
if (options.help || !Number.isInteger(rounds) || rounds < 1 || chosen.some(name => !(name in CONTESTANTS))) {
  console.log(`usage: npm run bench:storage -- [--rounds N] [--only ${Object.keys(CONTESTANTS).join(',')}]`)
  process.exit(options.help ? 0 : 64)
}
const version = qemuVersion()
if (version === undefined) {
  console.error('qemu-system-x86_64 is not installed: on Debian and Ubuntu, apt-get install qemu-system-x86')
  process.exit(69)
}

const scratch = mkdtempSync(join(tmpdir(), 'ringside-storage-'))
try {
  console.log(`Ringside on Node ${process.versions.node} beside ${version}, medians of ${rounds} rounds\n`)
  print(await measureAll(makeGuest(scratch)))
} finally {
  rmSync(scratch, { recursive: true })
}

/** All rounds of every contestant, in turns. */
async function measureAll(guest: StorageGuest): Promise<Map<string, Measurement[]>> {
  const disk = join(scratch, 'disk.img')
  const results = new Map<string, Measurement[]>(chosen.map(name => [name, []]))
  for (let round = 0; round < rounds; round++)
    for (const [name, measurements] of results) {
      // Contents that are no hole, the same for everybody.
      writeFileSync(disk, new Uint8Array(DISK_MEBIBYTES * 2 ** 20).fill(0xa5))
      measurements.push(...(await CONTESTANTS[name].run(guest, disk)))
    }
  return results
}

function print(results: ReadonlyMap<string, readonly Measurement[]>): void {
  for (const [workload, { name, operations, bytes }] of WORKLOADS.entries()) {
    console.log(cells(name, 'MB/s', 'operations/s', 'by wall time', 'by CPU time', 'instructions/op', 'exits/op'))
    const reference = results.get(REFERENCE)
    const ratio = (measurements: readonly Measurement[], what: 'seconds' | 'cpuSeconds') =>
      reference === undefined
        ? ''
        : (medianOf(reference, workload, what) / medianOf(measurements, workload, what)).toFixed(2)
    for (const [contestant, measurements] of results) {
      const time = medianOf(measurements, workload, 'seconds')
      const ours = !contestant.startsWith('qemu')
      const count = (what: 'instructions' | 'exits') => medianOf(measurements, workload, what) / operations
      console.log(
        cells(
          `  ${CONTESTANTS[contestant].name}`,
          (bytes / time / 1e6).toFixed(0),
          (operations / time).toFixed(0),
          ratio(measurements, 'seconds'),
          ratio(measurements, 'cpuSeconds'),
          ours ? count('instructions').toFixed(0) : '',
          ours ? count('exits').toFixed(2) : '',
        ),
      )
    }
    console.log()
  }
}

function medianOf(measurements: readonly Measurement[], workload: number, what: keyof Measurement): number {
  return median(measurements.filter(measurement => measurement.workload === workload).map(each => each[what]))
}

function cells(name: string, ...columns: string[]): string {
  return name.padEnd(32) + columns.map(column => column.padStart(16)).join('')
}

function ringside(name: string, diskOptions: string): Contestant {
  return {
    name,
    run: async ({ image, initrd, cmdline }, disk) => {
      const args = [
        ...[MEASURE, image, '--initrd', initrd, '--cmdline', cmdline, '--memory', MEMORY, '--no-reboot'],
        ...['--disk', `${disk}${diskOptions}`],
      ]
      let output = ''
      await play(process.execPath, args, text => {
        output += text
      })
      const measurements: unknown = JSON.parse(output)
      return checked(name, isMeasurements(measurements) ? measurements : [])
    },
  }
}

/** QEMU's console is watched from outside: its times are those at which lines arrive. */
function qemu(name: string, drive: readonly string[]): Contestant {
  return {
    name,
    run: async ({ image, initrd, cmdline }, disk) => {
      const place = drive.slice(0, -1)
      const args = [
        ...['-accel', 'tcg', '-m', MEMORY, '-no-reboot', '-display', 'none', '-vga', 'none', '-nic', 'none'],
        ...['-serial', 'stdio', '-kernel', image, '-initrd', initrd, '-append', cmdline],
        ...[...place, `${drive.at(-1)},file=${disk},format=raw,cache=writeback`],
      ]
      const begun = new Map<number, Times>()
      const measurements: Measurement[] = []
      let pending = ''
      await play('qemu-system-x86_64', args, (text, pid) => {
        const lines = (pending + text).split('\n')
        pending = lines.pop() ?? ''
        for (const line of lines) {
          const marker = markerIn(line)
          const begin = begun.get(marker?.workload ?? -1)
          const now = timesOf(pid)
          if (marker?.what === 'begin') begun.set(marker.workload, now)
          else if (marker !== undefined && begin !== undefined)
            measurements.push({
              ...{ workload: marker.workload, instructions: 0, exits: 0 },
              seconds: now.seconds - begin.seconds,
              cpuSeconds: now.cpuSeconds - begin.cpuSeconds,
            })
        }
      })
      return checked(name, measurements)
    },
  }
}

type Times = Pick<Measurement, 'seconds' | 'cpuSeconds'>

/** Of a process: Linux counts its threads' time in hundredths of a second (proc(5), `stat`). */
function timesOf(pid: number): Times {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return { seconds: performance.now() / 1000, cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100 }
}

function checked(name: string, measurements: readonly Measurement[]): readonly Measurement[] {
  if (measurements.length !== WORKLOADS.length)
    throw new Error(`${name}: the guest finished ${measurements.length} of ${WORKLOADS.length} workloads`)
  return measurements
}

function isMeasurements(value: unknown): value is Measurement[] {
  return Array.isArray(value) && value.every(each => typeof each === 'object' && each !== null && 'workload' in each)
}

function play(program: string, args: readonly string[], read: (text: string, pid: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], timeout: LIMIT_MILLISECONDS })
    child.stdout.setEncoding('latin1').on('data', (text: string) => read(text, child.pid ?? 0))
    child.on('error', reject)
    child.on('close', () => resolve())
  })
}
