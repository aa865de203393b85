import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { ConsoleInput } from '../../src/cli/console-input.ts'

function makeInput(isTTY: boolean) {
  const modes: boolean[] = []
  const stream = Object.assign(new PassThrough(), { isTTY, setRawMode: (raw: boolean) => modes.push(raw) })
  const input = new ConsoleInput(stream)
  const delivered: number[] = []
  const deliver = (limit = Infinity) => {
    input.deliver(byte => delivered.length < limit && delivered.push(byte) > 0)
    return String.fromCharCode(...delivered)
  }
  const type = async (text: string) => {
    stream.write(Buffer.from(text, 'latin1'))
    await new Promise(resolve => setImmediate(resolve))
  }
  return { input, stream, type, deliver, modes }
}

describe('console input', () => {
  it('keeps what the guest does not take yet', async () => {
    const { type, deliver } = makeInput(false)
    await type('hello')
    expect(deliver(2)).toBe('he')
    expect(deliver()).toBe('hello')
  })

  it('is raw on a terminal, where Ctrl-A X quits and Ctrl-A Ctrl-A is Ctrl-A', async () => {
    const { input, type, deliver, modes } = makeInput(true)
    expect(modes).toEqual([true])
    await type('a\x01\x01b\x03')
    expect(deliver()).toBe('a\x01b\x03')
    await type('\x01')
    expect(input.quit).toBe(false)
    await type('x')
    expect(input.quit).toBe(true)
    input.close()
    expect(modes).toEqual([true, false])
  })

  it('passes every byte on when it is no terminal', async () => {
    const { input, type, deliver } = makeInput(false)
    await type('\x01x')
    expect(deliver()).toBe('\x01x')
    expect(input.quit).toBe(false)
  })

  it('is live until it ended and everything was taken', async () => {
    const { input, stream, type, deliver } = makeInput(false)
    await type('x')
    stream.end()
    await new Promise(resolve => setImmediate(resolve))
    expect(input.live).toBe(true)
    deliver()
    expect(input.live).toBe(false)
  })

  it('wakes who waits for it', async () => {
    const { input, stream } = makeInput(false)
    const waiting = input.wait(60_000)
    stream.write('k')
    await waiting
    await input.wait(60_000)
  })
})
