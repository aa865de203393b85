/**
 * `npm run bench:network`: how many packets a second pass the bridge, and a virtqueue with it; how fast TCP runs between
 * Debian's kernel and a server on the host's loopback, beside QEMU's TCG with its user-mode network and the same kernel
 * and initramfs; and how many exits and interrupts a packet costs, with VIRTIO_F_EVENT_IDX and without.
 */

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import {
  resultsIn,
  SCENARIO_CMDLINE,
  SKIP_REASON,
  type VirtioLinux,
  virtioLinux,
} from '../../test/virtio-linux/guest.ts'
import { BRING_UP, NETWORK_FILES, NETWORK_MODULES } from '../../test/virtio-linux/network-guest.ts'
import { BUNDLE, type Guest, qemu, qemuVersion, ringside } from './contestants.ts'
import { bridgeRate, queueRate } from './network-double.ts'
import { type Command, median, time } from './stopwatch.ts'

const MEGABYTE = 1e6

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1' },
    megabytes: { type: 'string', default: '50' },
    'no-guest': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const [rounds, megabytes] = [options.rounds, options.megabytes].map(Number)
if (options.help || ![rounds, megabytes].every(n => Number.isInteger(n) && n >= 1)) {
  console.log('usage: npm run bench:network -- [--rounds N] [--megabytes N] [--no-guest]')
  process.exit(options.help ? 0 : 64)
}

/** The host's ends: a server that sends, and one that fetches a file from the guest's own server when it is asked to. */
class HostEnds {
  readonly #data = Buffer.alloc(megabytes * MEGABYTE, 'ringside')
  readonly #servers: Server[] = []
  downloadPort = 0
  /** Who connects has a server ready; the connection ends when the file was fetched. */
  readyPort = 0
  /** Of the host, that leads to the guest's port 80. */
  forwardedPort = 0
  /** Seconds of the last transfers. */
  download = Number.NaN
  upload = Number.NaN

  async open(): Promise<void> {
    this.downloadPort = await this.#listen(
      createServer({ allowHalfOpen: true }, socket => {
        const started = performance.now()
        socket.resume()
        socket.on('error', () => undefined)
        // The other end closes when it has everything.
        socket.on('close', () => {
          this.download = (performance.now() - started) / 1000
        })
        socket.end(this.#data)
      }),
    )
    this.readyPort = await this.#listen(
      createServer({ allowHalfOpen: true }, socket => {
        socket.resume()
        socket.on('error', () => undefined)
        void this.#fetch().finally(() => socket.end())
      }),
    )
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    this.forwardedPort = portOf(probe)
    probe.close()
    await once(probe, 'close')
  }

  close(): void {
    for (const server of this.#servers) server.close()
  }

  async #fetch(): Promise<void> {
    const socket = connect(this.forwardedPort, '127.0.0.1', () => socket.write('GET /data HTTP/1.0\r\n\r\n'))
    const started = performance.now()
    let received = 0
    socket.on('data', bytes => {
      received += bytes.length
    })
    socket.on('error', () => undefined)
    await once(socket, 'close')
    if (received > this.#data.length) this.upload = (performance.now() - started) / 1000
  }

  async #listen(server: Server): Promise<number> {
    this.#servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return portOf(server)
  }
}

function portOf(server: Server): number {
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('a server without a port')
  return address.port
}

interface Transfer {
  readonly download: number
  readonly upload: number
  readonly packets: number
  readonly interrupts: number
  /** Of the whole run; undefined for QEMU. */
  readonly exits: number | undefined
}

console.log('Packets a second, millions\n')
for (const length of [64, 1514]) {
  console.log(`  bridge, ${length} bytes                         ${bridgeRate(length).toFixed(2)}`)
  console.log(`  virtqueue of 256, device and bridge, ${length} bytes  ${queueRate(length).toFixed(2)}`)
}
const linux = virtioLinux()
if (options['no-guest']) process.exit(0)
if (linux === undefined) {
  console.error(SKIP_REASON)
  process.exit(69)
}
const built = spawnSync(process.execPath, [fileURLToPath(new URL('../build.ts', import.meta.url))], { stdio: 'ignore' })
if (built.status !== 0) throw new Error('the bundle could not be built: npm run build shows why')
const host = new HostEnds()
const scratch = mkdtempSync(join(tmpdir(), 'ringside-bench-'))
try {
  await host.open()
  await compare(linux)
} finally {
  host.close()
  rmSync(scratch, { recursive: true })
}

async function compare(guest: VirtioLinux): Promise<void> {
  const allowed = `allow=tcp:${host.downloadPort},allow=tcp:${host.readyPort}`
  const network = `user,${allowed},forward=tcp:${host.forwardedPort}:80`
  const contestants: { name: string; net: string | undefined; runs: Transfer[]; base?: number }[] = [
    { name: 'Ringside', net: network, runs: [] },
    { name: 'Ringside, event-index=off', net: `${network},event-index=off`, runs: [] },
    ...(qemuVersion() === undefined ? [] : [{ name: `${qemuVersion()}, TCG`, net: undefined, runs: [] }]),
  ]
  for (let round = 0; round < rounds; round++)
    for (const { net, runs } of contestants) runs.push(await transfer(guest, net, true))
  for (const contestant of contestants)
    if (contestant.net !== undefined) contestant.base = (await transfer(guest, contestant.net, false)).exits ?? 0

  console.log(`\n${megabytes} MB over TCP, MB/s, median of ${rounds}; exits and interrupts a packet\n`)
  console.log('                                    to the guest  from it    exits  interrupts')
  for (const { name, runs, base = 0 } of contestants) {
    const rate = (seconds: (run: Transfer) => number) => (megabytes / median(runs.map(seconds))).toFixed(1).padStart(8)
    const each = (count: (run: Transfer) => number) => median(runs.map(run => count(run) / run.packets)).toFixed(3)
    const exits = runs[0].exits === undefined ? '    -' : each(run => (run.exits ?? 0) - base)
    console.log(
      `  ${name}`.padEnd(38).slice(0, 38),
      rate(run => run.download),
      rate(run => run.upload),
      `  ${exits}`,
      `     ${each(run => run.interrupts)}`,
    )
  }
}

/** @param net of Ringside; QEMU if undefined. @param moves false for a run that only gets an address. */
async function transfer(guest: VirtioLinux, net: string | undefined, moves: boolean): Promise<Transfer> {
  const script = `${BRING_UP}
    head -c ${megabytes * MEGABYTE} /dev/zero > /tmp/data
    httpd -p 80 -h /tmp
    ${moves ? `nc 10.0.2.2 ${host.downloadPort} < /dev/null > /dev/null` : ''}
    ${moves ? `nc 10.0.2.2 ${host.readyPort} < /dev/null > /dev/null` : ''}
    result packets $(cat /sys/class/net/eth0/statistics/rx_packets) $(cat /sys/class/net/eth0/statistics/tx_packets)
    result interrupts $(awk '/virtio/ && !/config/ { sum += $2 } END { print sum }' /proc/interrupts)`
  const initrd = join(scratch, 'initramfs.gz')
  const statistics = join(scratch, 'stats.json')
  writeFileSync(initrd, guest.initramfs({ modules: NETWORK_MODULES, files: NETWORK_FILES, script }))
  const machine: Guest = { image: guest.image, commandLine: SCENARIO_CMDLINE, initrd }
  host.download = Number.NaN
  host.upload = Number.NaN
  const { output } = await time(commandOf(machine, net, statistics))
  const results = resultsIn(output)
  const numbers = (name: string) =>
    results
      .find(line => line.startsWith(`${name} `))
      ?.split(' ')
      .slice(1)
      .map(Number) ?? [Number.NaN]
  if (results.at(-1) !== 'end') throw new Error(`the guest did not come to its end: ${output.slice(-2000)}`)
  return {
    download: host.download,
    upload: host.upload,
    packets: numbers('packets').reduce((sum, count) => sum + count, 0),
    interrupts: numbers('interrupts')[0],
    exits: net === undefined ? undefined : exitsIn(statistics),
  }
}

function commandOf(machine: Guest, net: string | undefined, statistics: string): Command {
  if (net !== undefined) {
    const command = ringside(BUNDLE, machine, statistics)
    return { ...command, arguments: [...command.arguments, '--net', net] }
  }
  const command = qemu(machine)
  const rest = command.arguments.filter((argument, i, all) => argument !== '-nic' && all[i - 1] !== '-nic')
  return {
    ...command,
    arguments: [...rest, '-nic', `user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:${host.forwardedPort}-:80`],
  }
}

function exitsIn(statistics: string): number {
  const content: unknown = JSON.parse(readFileSync(statistics, 'utf8'))
  if (typeof content !== 'object' || content === null || !('exits' in content)) throw new Error('no exits')
  const { exits } = content
  if (typeof exits !== 'object' || exits === null) throw new Error('no exits')
  return Object.values(exits).reduce<number>((sum, count) => sum + Number(count), 0)
}
