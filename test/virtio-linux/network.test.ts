import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { DapClient } from '../../scripts/dap-client.ts'
import type { VirtqueuesBody } from '../../src/protocol/device-requests.ts'
import type { PacketsBody } from '../../src/protocol/network-requests.ts'
import { startAdapter } from '../support/adapter-process.ts'
import { BOOT_LIMIT, SCENARIO_CMDLINE, SKIP_REASON, virtioLinux } from './guest.ts'
import { BRING_UP, NETWORK_FILES, NETWORK_MODULES } from './network-guest.ts'

const linux = virtioLinux()

const SCRIPT = `
${BRING_UP}
result mac $(cat /sys/class/net/eth0/address)
result carrier $(cat /sys/class/net/eth0/carrier)
result address $(ip -4 addr show dev eth0 | awk '/inet/ { print $2 }')
result route $(ip route | grep default)
result resolver $(cat /etc/resolv.conf)
result ping $(ping -c 3 -s 56 10.0.2.2 | grep received)
result fragments $(ping -c 2 -s 4000 10.0.2.2 | grep received)
result name $(nslookup gateway 10.0.2.3 | grep -A 1 gateway | tail -n 1)
result nobody $(nslookup example.org 10.0.2.3 2>&1 | grep -c NXDOMAIN)
result outside $(nc -w 5 192.0.2.1 80 < /dev/null 2>&1)
result host $(nc -w 5 10.0.2.2 22 < /dev/null 2>&1)
result features $(cat /sys/bus/virtio/devices/virtio0/features)
`

if (linux === undefined) {
  test.skip(SKIP_REASON)
} else {
  const debian = linux
  describe('the network card under Debian', () => {
    const run = (option: string) =>
      linux.run({ modules: NETWORK_MODULES, files: NETWORK_FILES, script: SCRIPT, options: ['--net', `user${option}`] })

    test.each([
      { name: 'modern PCI, split', option: '' },
      { name: 'modern PCI, packed', option: ',packed=on' },
      { name: 'legacy PCI', option: ',transport=pci-legacy' },
      { name: 'MMIO, split', option: ',transport=mmio' },
      { name: 'MMIO, packed', option: ',transport=mmio,packed=on' },
    ])(
      'gets an address, pings, asks for names, and is let nowhere: $name',
      async ({ option }) => {
        const { results, status } = await run(option)
        const line = (name: string) => results.find(text => text.startsWith(`${name} `))?.slice(name.length + 1)
        expect(line('mac')).toBe('02:52:53:00:00:01')
        expect(line('carrier')).toBe('1')
        expect(line('address')).toBe('10.0.2.15/24')
        expect(line('route')).toContain('default via 10.0.2.2')
        expect(line('resolver')).toBe('nameserver 10.0.2.3')
        expect(line('ping')).toContain('3 packets transmitted, 3 packets received')
        expect(line('fragments')).toContain('2 packets transmitted, 2 packets received')
        expect(line('name')).toContain('10.0.2.2')
        expect(line('nobody')).not.toBe('0')
        expect(line('outside')).toContain('refused')
        expect(line('host')).toContain('refused')
        expect(results.at(-1)).toBe('end')
        expect(status).toBe(0)
      },
      BOOT_LIMIT,
    )

    test(
      'without sockets of the host, the same run is the same to the instruction',
      async () => {
        const [first, second] = [await run(''), await run('')]
        expect(second.instructions).toBe(first.instructions)
        expect(second.stdout).toBe(first.stdout)
      },
      2 * BOOT_LIMIT,
    )

    /** A machine with a network card whose driver sends, under the adapter. @param condition where it stops first */
    async function debugged(
      condition: string,
      look: (client: DapClient, text?: string) => Promise<void>,
    ): Promise<void> {
      const scratch = mkdtempSync(join(tmpdir(), 'ringside-packets-'))
      const initrd = join(scratch, 'initramfs.gz')
      writeFileSync(initrd, debian.initramfs({ modules: NETWORK_MODULES, files: NETWORK_FILES, script: BRING_UP }))
      const client = startAdapter()
      try {
        await client.launch({
          ...{ program: debian.image, initrd, cmdline: SCENARIO_CMDLINE, memory: '256M', net: 'user' },
        })
        await stopAt(client, condition)
        await client.request('configurationDone')
        const { text } = await client.event<{ text?: string }>('stopped', () => true, BOOT_LIMIT)
        await look(client, text)
      } finally {
        await client.close()
        rmSync(scratch, { recursive: true })
      }
    }

    const stopAt = (client: DapClient, condition: string) =>
      client.request('setExceptionBreakpoints', {
        ...{ filters: ['broken'], filterOptions: [{ filterId: 'virtqueue', condition }] },
      })

    async function goOn(client: DapClient): Promise<string | undefined> {
      await client.request('continue', { threadId: 1 })
      return (await client.event<{ text?: string }>('stopped', () => true, BOOT_LIMIT)).text
    }

    const stationsOf = (packet: { steps: readonly { station: string }[] } | undefined) =>
      packet?.steps.map(({ station }) => station.replace(/chain \d+/, 'chain'))

    test(
      'the way of its packets is followed over DAP: queue, bridge and user network, and the answer back to the driver',
      () =>
        debugged('ready virtio-net0 1', async client => {
          await client.request('ringside/traceVirtqueue', { device: 'virtio-net0', queue: 1, on: true })
          // The second that is received answers DHCP too: nobody else speaks without having been asked.
          await stopAt(client, 'used virtio-net0 0')
          await goOn(client)
          await goOn(client)
          const { network } = await client.request<PacketsBody>('ringside/packets', { count: 64 })
          const packets = network?.packets ?? []
          const discover = packets.find(({ summary }) => summary.endsWith('DHCP discover'))
          expect(stationsOf(discover)).toEqual([
            'virtio-net0: chain posted by the driver',
            'virtio-net0: chain kicked',
            'virtio-net0: taken from transmitq',
            'virtio-net0: chain in the used ring',
            // Drivers of networks mostly don't ask for one when they send.
            ...(discover?.steps.some(({ station }) => station.includes('interrupts'))
              ? ['virtio-net0: chain interrupts the driver']
              : []),
            'bridge: in from virtio-net0',
            'bridge: out to user',
            'user network: received',
          ])
          const counts = discover?.steps.map(({ instructions }) => instructions) ?? []
          expect(counts.toSorted((a, b) => a - b)).toEqual(counts)
          const offer = packets.find(({ summary }) => summary.endsWith('DHCP offer'))
          expect(stationsOf(offer)).toEqual(
            expect.arrayContaining([
              'user network: sent',
              'bridge: in from user',
              'bridge: out to virtio-net0',
              'virtio-net0: arrived',
              'virtio-net0: buffer for it, chain, kicked',
              'virtio-net0: put into receiveq',
              'virtio-net0: buffer for it, chain, in the used ring',
            ]),
          )
          expect(network?.addresses).toContainEqual(
            expect.objectContaining({ mac: '02:52:53:00:00:01', port: 'virtio-net0' }),
          )
          const { result } = await client.request<{ result: string }>('evaluate', {
            ...{ expression: 'packets 64', context: 'repl' },
          })
          expect(result).toMatch(/^#\d+ UDP 0\.0\.0\.0:68 > 255\.255\.255\.255:67, DHCP discover \(\d+ bytes\)$/m)
        }),
      BOOT_LIMIT,
    )

    test(
      'a reset of the card is stopped at, and a ring that breaks, with the descriptor whose fault it is',
      () =>
        debugged('reset virtio-net0', async (client, text) => {
          expect(text).toBe('virtio-net0: reset')
          await stopAt(client, 'kick virtio-net0 1')
          expect(await goOn(client)).toBe('virtio-net0, queue 1: kick')
          const { devices } = await client.request<VirtqueuesBody>('ringside/virtqueues', {
            ...{ device: 'virtio-net0', queue: 1 },
          })
          const [{ areas, chains }] = devices[0].queues
          const { index } = chains[0].descriptors[0]
          const bad = Buffer.alloc(8)
          bad.writeBigUInt64LE(0x1_0000_0000_0000n)
          const memoryReference = `phys:0x${(BigInt(areas[0].address) + BigInt(16 * index)).toString(16)}`
          await client.request('writeMemory', { memoryReference, data: bad.toString('base64') })
          expect(await goOn(client)).toMatch(
            new RegExp(
              `^virtio-net0, queue 1: broken, the device needs a reset: queue 1 \\(transmitq\\): descriptor ${index}: ` +
                '[0-9]+ bytes at 0x1000000000000 are not all RAM$',
            ),
          )
        }),
      BOOT_LIMIT,
    )
  })
}
