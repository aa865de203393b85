/** Balloon and virtio console of a debugged guest, over DAP. */

import { expect, test } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'
import { serve } from '../../src/adapter/server.ts'
import { launch } from '../../src/debugger/launch.ts'
import { GUESTS } from '../support/markers.ts'

const TOUR = `${GUESTS}prebuilt/tour.elf`

async function start(devices: object): Promise<DapClient> {
  const client = DapClient.connect((input, output) => void serve(input, output, launch))
  await client.launch({ program: TOUR, stopOnEntry: true, ...devices })
  await client.request('configurationDone')
  await client.event('stopped')
  return client
}
const typed = async (client: DapClient, expression: string): Promise<unknown> =>
  (await client.request('evaluate', { expression, context: 'repl' })).result

test('the balloon is asked for memory by request and by command', async () => {
  const client = await start({ balloon: 'size=1M' })
  expect(await client.request('ringside/balloon')).toEqual({ size: 0, target: 2 ** 20 })
  expect(await client.request('ringside/balloon', { size: 2 ** 21 })).toEqual({ size: 0, target: 2 ** 21 })
  expect(await typed(client, 'balloon 4M')).toBe('0K in the balloon, 4M asked for')
  expect(await typed(client, 'balloon')).toBe('0K in the balloon, 4M asked for')
  await expect(client.request('ringside/balloon', { size: 2 ** 40 })).rejects.toThrow(/the guest has 268435456/)
  await expect(typed(client, 'balloon much')).rejects.toThrow('usage: balloon [SIZE]')
  await client.close()
})

test('a guest without a balloon or virtio console says so', async () => {
  const client = await start({})
  await expect(client.request('ringside/balloon')).rejects.toThrow('the guest has no balloon')
  const text = { text: 'x', console: 'virtio' }
  await expect(client.request('ringside/consoleInput', text)).rejects.toThrow('the virtio console does not take all')
  await client.close()
})

test('a virtio console keeps what is typed for its guest, up to its limit', async () => {
  const client = await start({ virtioConsole: true })
  await client.request('ringside/consoleInput', { text: 'hello\n', console: 'virtio' })
  const long = { text: 'x'.repeat(70_000), console: 'virtio' }
  await expect(client.request('ringside/consoleInput', long)).rejects.toThrow('its guest does not read')
  await client.close()
})

test('what can not be launched is said', async () => {
  const client = DapClient.connect((input, output) => void serve(input, output, launch))
  const refused = (devices: object) => client.launch({ program: TOUR, ...devices })
  await expect(refused({ shares: ['/nowhere'] })).rejects.toThrow(/shared folder "\/nowhere" can't be opened/)
  await expect(refused({ shares: [',writable'] })).rejects.toThrow('shares: which folder?')
  await expect(refused({ balloon: 'size=1T' })).rejects.toThrow('balloon: size "1T" is not a size')
  await expect(refused({ balloon: 'size=1G' })).rejects.toThrow('a balloon of 1073741824 bytes')
  await expect(refused({ virtioConsole: 'port=a b' })).rejects.toThrow('virtioConsole: port=a b is not a name')
  await client.close()
})
