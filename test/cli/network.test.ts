/** `ringside run` with a network: what is refused, and what a snapshot minds. */

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { readCapture } from '../support/pcapng.ts'
import { ringside } from '../support/ringside-command.ts'

const TOUR = fileURLToPath(new URL('../../guests/prebuilt/tour.elf', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'ringside-net-'))

afterAll(() => rmSync(scratch, { recursive: true }))

const run = (...options: string[]) => ringside(['run', TOUR, '--memory', '64M', ...options])

describe('ringside run with a network', () => {
  test('ends as without one, and leaves a capture', async () => {
    const pcap = join(scratch, 'tour.pcapng')
    const [without, with_] = [await run(), await run('--net', 'user', '--pcap', pcap)]
    expect(with_.status).toBe(without.status)
    expect(readCapture(readFileSync(pcap)).packets).toEqual([])
  })

  test('refuses a port of the host that is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const { status, stderr } = await run('--net', `user,forward=tcp:${port}:22`)
    server.close()
    expect(status).toBe(64)
    expect(stderr).toContain(`127.0.0.1:${port}: another program uses that port`)
  })

  test.each([
    [['--net', 'tap=tap0'], 'macvtap'],
    [['--net', 'tap=/dev/tap999999'], 'there is no such device'],
    [['--net', 'user', '--net', 'user'], 'at most one'],
    [['--pcap', join(scratch, 'x')], 'add --net user'],
    [['--net', 'user', '--pcap', '/nowhere/x'], 'capture "/nowhere/x" can'],
  ])('%j is refused with a reason', async (options, message) => {
    const { status, stderr } = await run(...options)
    expect(status).toBe(64)
    expect(stderr).toContain(message)
  })

  test('a snapshot continues with other rules of access, and not without the network', async () => {
    const saved = join(scratch, 'saved')
    expect((await run('--net', 'user', '--save', saved, '--save-at', '1000000')).status).toBe(0)
    const whole = await run('--net', 'user')
    const other = await run('--net', 'user,host=on', '--restore', saved)
    expect(other.status).toBe(whole.status)
    const without = await run('--restore', saved)
    expect(without.status).toBe(65)
    expect(without.stderr).toContain('made of another machine')
  })
})
