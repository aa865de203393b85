import { describe, expect, test } from 'vitest'
import { Bridge } from '../../src/backends/network/bridge.ts'
import { PacketTrace } from '../../src/backends/network/packet-trace.ts'
import { configure, DEFAULT_MEMORY, readImage } from '../../src/machine/configuration.ts'
import { Host } from '../../src/machine/host.ts'
import { DEFAULT_MAC, type NetConfiguration } from '../../src/machine/net-configuration.ts'
import { Pc } from '../../src/machine/pc.ts'
import { BOOT_LIMIT, resultsIn, SCENARIO_CMDLINE, SKIP_REASON, type VirtioLinux, virtioLinux } from './guest.ts'
import { NETWORK_MODULES } from './network-guest.ts'

const linux = virtioLinux()
/** Instructions, and virtual nanoseconds: the machines' clocks stay that close to each other. */
const STEP = 1_000_000

/** One of two machines that share a bridge. */
function configurationOf(guest: VirtioLinux, index: number, script: string) {
  const net: NetConfiguration = {
    kind: 'net',
    mac: DEFAULT_MAC + index,
    user: undefined,
    tap: undefined,
    transport: 'pci',
    packed: index === 1,
  }
  return configure({
    image: readImage(guest.image, 'image'),
    initrd: { name: 'initramfs', bytes: guest.initramfs({ modules: NETWORK_MODULES, script }) },
    cmdline: SCENARIO_CMDLINE,
    devices: [net],
  })
}

/** Runs machines to their ends, always the one whose virtual time is behind: else one would sleep while others work. */
async function runInStep(machines: readonly Pc[]): Promise<void> {
  const running = new Set(machines.map(({ vm }) => vm))
  for (let steps = 0; running.size > 0; steps++) {
    const [behind, next] = [...running].sort((a, b) => a.clock.now - b.clock.now)
    const stop = behind.run({ instructions: STEP, idle: 'return' })
    if (stop.kind === 'idle') behind.passIdleTime((next ?? behind).clock.now + STEP - behind.clock.now)
    else if (stop.kind !== 'slice') running.delete(behind)
    if (steps % 100 === 0) await new Promise(done => setImmediate(done))
  }
}

/** Waits until the other is there, then pings it; and stays for as long as the other may want to. */
const script = (own: number, other: number) => `
  ip addr add 10.9.0.${own}/24 dev eth0
  ip link set eth0 up
  for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    ping -c 1 -W 1 10.9.0.${other} > /dev/null && break
  done
  result $(ping -c 3 -s 1000 10.9.0.${other} | grep received)
  sleep 3`

if (linux === undefined) {
  test.skip(SKIP_REASON)
} else {
  describe('two machines on one bridge', () => {
    test(
      'ping each other, and the way of each packet can be followed',
      async () => {
        const configurations = [configurationOf(linux, 0, script(1, 2)), configurationOf(linux, 1, script(2, 1))]
        const host = await Host.create(configurations[0].model, DEFAULT_MEMORY, DEFAULT_MEMORY)
        const bridge = new Bridge({ trace: new PacketTrace({ now: 0, count: 0 }, 65_536) })
        const texts = ['', '']
        const machines: Pc[] = []
        for (const [i, configuration] of configurations.entries()) {
          const console = (byte: number) => {
            texts[i] += String.fromCharCode(byte)
          }
          const machine = await Pc.create(configuration, { console, debugConsole: () => {} }, host, bridge)
          machine.boot()
          machines.push(machine)
        }
        await runInStep(machines)
        for (const text of texts)
          expect(resultsIn(text)).toEqual([expect.stringContaining('3 packets transmitted, 3 packets received'), 'end'])

        const { trace } = bridge
        const notes = trace?.last(trace.total) ?? []
        const way = (frame: number) => notes.filter(note => note.frame === frame).map(({ station }) => station)
        const pings = notes.filter(
          ({ length, station }) => length === 1042 && station === 'virtio-net0: taken from transmitq',
        )
        expect(pings.length).toBeGreaterThanOrEqual(6)
        expect(way(pings[pings.length - 1].frame)).toEqual([
          'virtio-net0: taken from transmitq',
          'bridge: in from virtio-net0',
          'bridge: out to virtio-net0.2',
          'virtio-net0.2: arrived',
          'virtio-net0.2: put into receiveq',
        ])
        for (const machine of machines) machine.dispose()
      },
      2 * BOOT_LIMIT,
    )
  })
}
