import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readCapture } from '../support/pcapng.ts'
import { BOOT_LIMIT, SKIP_REASON, virtioLinux } from './guest.ts'
import { BRING_UP, NETWORK_FILES, NETWORK_MODULES } from './network-guest.ts'

const linux = virtioLinux()
const MEGABYTE = 1_000_000
const SIZE = 50 * MEGABYTE

/** The same bytes in every run, and no two pieces alike. */
function content(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  let state = 1
  for (let at = 0; at < size; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes.writeUInt32LE(state, at)
  }
  return bytes
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

if (linux === undefined) {
  test.skip(SKIP_REASON)
} else {
  describe('transfers between Debian and the host', () => {
    const data = content(SIZE)
    const scratch = mkdtempSync(join(tmpdir(), 'ringside-network-'))
    /** Sends {@link data} to whoever connects, and keeps what comes. */
    let server: Server
    let port = 0
    let uploaded: Buffer[] = []

    beforeAll(async () => {
      server = createServer({ allowHalfOpen: true }, socket => {
        socket.on('data', (bytes: Buffer) => uploaded.push(bytes))
        socket.on('error', () => undefined)
        socket.end(data)
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      port = (server.address() as AddressInfo).port
    })

    afterAll(() => {
      server.close()
      rmSync(scratch, { recursive: true })
    })

    test(
      '50 MB from a server on the host’s loopback arrive whole',
      async () => {
        const { results, status } = await linux.run({
          modules: NETWORK_MODULES,
          files: NETWORK_FILES,
          script: `${BRING_UP}
            nc 10.0.2.2 ${port} < /dev/null | sha256sum > /tmp/sum
            result sum $(cat /tmp/sum)
            result dropped $(cat /sys/class/net/eth0/statistics/rx_dropped) $(cat /sys/class/net/eth0/statistics/rx_errors)
            result closed $(nc -w 5 10.0.2.2 ${port === 65_535 ? 1 : port + 1} < /dev/null 2>&1)`,
          options: ['--net', `user,allow=tcp:${port}`],
        })
        expect(results).toContain(`sum ${digest(data)} -`)
        expect(results).toContain('dropped 0 0')
        expect(results.find(line => line.startsWith('closed'))).toContain('refused')
        expect(status).toBe(0)
      },
      BOOT_LIMIT,
    )

    test(
      '5 MB from the guest arrive whole, and the capture has every packet',
      async () => {
        uploaded = []
        const pcap = join(scratch, 'upload.pcapng')
        const { results } = await linux.run({
          modules: NETWORK_MODULES,
          files: NETWORK_FILES,
          script: `${BRING_UP}
            head -c ${5 * MEGABYTE} /dev/zero | tr '\\0' 'x' | nc 10.0.2.2 ${port} > /dev/null
            result sent`,
          options: ['--net', `user,host=on`, '--pcap', pcap],
        })
        expect(results).toContain('sent')
        expect(digest(Buffer.concat(uploaded))).toBe(digest(Buffer.alloc(5 * MEGABYTE, 'x')))
        const { interfaces, packets } = readCapture(readFileSync(pcap))
        expect(interfaces).toEqual([{ name: 'virtio-net0', linkType: 1 }])
        const sent = packets.filter(({ direction }) => direction === 'outbound')
        expect(sent.reduce((sum, { frame }) => sum + frame.length, 0)).toBeGreaterThan(5 * MEGABYTE)
        expect(packets.every(({ time }, i) => i === 0 || time >= packets[i - 1].time)).toBe(true)
      },
      BOOT_LIMIT,
    )

    test(
      'a port of the host that is forwarded reaches a server in the guest',
      async () => {
        const hostPort = await freePort()
        const answers: string[] = []
        const running = linux.run({
          modules: NETWORK_MODULES,
          files: NETWORK_FILES,
          script: `${BRING_UP}
            echo "hello from the guest" > /tmp/index.html
            httpd -p 80 -h /tmp
            for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /tmp/asked ] || nc -l -p 81 > /tmp/asked; done
            result asked $(cat /tmp/asked)`,
          options: ['--net', `user,forward=tcp:${hostPort}:80,forward=tcp:${hostPort + 1}:81`],
        })
        let over = false
        void running.finally(() => (over = true))
        // Until the guest has a server, connections are refused or reset.
        while (!over && !answers.some(answer => answer.includes('hello'))) {
          answers.push(await ask(hostPort, 'GET /index.html HTTP/1.0\r\n\r\n'))
          await new Promise(done => setTimeout(done, 500))
        }
        await ask(hostPort + 1, 'good bye')
        const { results } = await running
        expect(answers.at(-1)).toMatch(/^HTTP\/1\.[01] 200 OK[\s\S]*hello from the guest/)
        expect(results).toContain('asked good bye')
      },
      BOOT_LIMIT,
    )
  })
}

/** What a server says until it closes; nothing if it can't be reached. */
function ask(port: number, text: string): Promise<string> {
  return new Promise(resolve => {
    let answer = ''
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.end(text))
    socket.setTimeout(20_000, () => socket.destroy())
    socket.on('data', data => {
      answer += data
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(answer))
  })
}

/** One that nobody uses, and the one behind it, as far as can be told. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port === 65_535 ? freePort() : port
}
