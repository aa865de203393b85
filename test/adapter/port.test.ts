/** `ringside dap --port`: at the loopback address only, and for those who speak the protocol. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const TOUR = fileURLToPath(new URL('../../guests/prebuilt/tour.elf', import.meta.url))

test('an adapter at a port debugs a guest for each connection, and cuts off what is no client', async () => {
  const adapter = spawn(process.execPath, [MAIN, 'dap', '--port', '0'], { stdio: ['ignore', 'inherit', 'pipe'] })
  try {
    const [line] = (await once(adapter.stderr, 'data')) as [Buffer]
    const port = Number(/listening at 127\.0\.0\.1:(\d+)/.exec(line.toString())?.[1])
    const clients = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')].map(
      socket => new DapClient(socket, socket),
    )
    for (const client of clients) {
      await client.launch({ program: TOUR, memory: '16M', stopOnEntry: true })
      await client.request('configurationDone')
      expect(await client.event('stopped')).toMatchObject({ reason: 'entry' })
    }
    await clients[0].request('disconnect')
    expect(await clients[1].request('threads')).toEqual({ threads: [{ id: 1, name: 'vCPU 0' }] })

    const browser = connect(port, '127.0.0.1')
    browser.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}')
    await once(browser.resume(), 'close')
    const elsewhere = Object.values(networkInterfaces())
      .flatMap(list => list ?? [])
      .find(({ internal }) => !internal)
    if (elsewhere !== undefined)
      await expect(once(connect(port, elsewhere.address), 'connect')).rejects.toThrow('ECONNREFUSED')
    expect(await clients[1].request('threads')).toBeDefined()
    await clients[1].request('disconnect')
  } finally {
    adapter.kill()
  }
}, 60_000)
