import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { EventDescriptor } from '../../src/util/event-descriptor.ts'

const MODULE = new URL('../../src/util/event-descriptor.ts', import.meta.url).href

describe('an event descriptor', () => {
  test('counts signals until they are taken', () => {
    const event = new EventDescriptor()
    event.signal()
    event.signal()
    expect(event.pending).toBe(true)
    expect(event.take()).toBe(2)
    expect(event.pending).toBe(false)
    expect(event.take()).toBe(0)
  })

  test('calls the listener of its own thread at once', () => {
    const event = new EventDescriptor()
    const taken: number[] = []
    event.listener = () => taken.push(event.take())
    event.signal()
    event.signal()
    expect(taken).toEqual([1, 1])
  })

  test('does not wait for what has been signalled already, and gives up after the time', () => {
    const event = new EventDescriptor()
    expect(event.wait(1)).toBe(false)
    event.signal()
    expect(event.wait(0)).toBe(true)
  })

  test('wakes a thread that waits, which answers by another', async () => {
    const [kick, call] = [new EventDescriptor(), new EventDescriptor()]
    const worker = new Worker(
      `import(${JSON.stringify(MODULE)}).then(({ EventDescriptor }) => {
        const { workerData } = require('node:worker_threads')
        const [kick, call] = workerData.map(shared => new EventDescriptor(shared))
        kick.wait()
        for (let left = kick.take(); left > 0; left--) call.signal()
      })`,
      { eval: true, workerData: [kick.shared, call.shared] },
    )
    kick.signal()
    expect(await call.waitAsync(10_000)).toBe(true)
    expect(call.take()).toBe(1)
    await worker.terminate()
  })
})
