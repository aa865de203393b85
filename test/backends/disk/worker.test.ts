import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DiskAnswer, DiskCommand } from '../../../src/backends/disk/disk-backend.ts'
import { MAXIMUM_REQUEST_SECTORS } from '../../../src/backends/disk/disk-range.ts'
import { createSharedRing, RequestRing, ServedRing } from '../../../src/backends/disk/worker/request-ring.ts'
import { WorkerBackend } from '../../../src/backends/disk/worker/worker-backend.ts'
import { random } from '../../devices/bench.ts'

const SECTORS = 400
let scratch: string
let image: string
const open: WorkerBackend[] = []

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ringside-worker-'))
  image = join(scratch, 'a.img')
  writeFileSync(
    image,
    Uint8Array.from({ length: SECTORS * 512 }, (_, i) => (i >> 9) + 1),
  )
})
afterEach(() => {
  for (const backend of open.splice(0)) backend.close()
  rmSync(scratch, { recursive: true })
})

function start(options: { readOnly?: boolean; entry?: URL } = {}): WorkerBackend {
  const backend = new WorkerBackend(image, options)
  open.push(backend)
  return backend
}

/** Submits, and waits until it has been answered. Bytes are copied: they are the ring's. */
function ask(backend: WorkerBackend, command: DiskCommand): DiskAnswer | undefined {
  let result: DiskAnswer | undefined
  const answer = (given: DiskAnswer) => {
    result = given.ok ? { ok: true, bytes: given.bytes.slice() } : given
  }
  expect(backend.submit(command, answer)).toBe(true)
  expect(result).toBeUndefined()
  backend.drain()
  return result
}

const DONE = { ok: true, bytes: new Uint8Array(0) }

describe('a worker', () => {
  test('reads, writes, flushes and discards as the file does', () => {
    const backend = start()
    expect([backend.sectors, backend.readOnly, backend.name]).toEqual([SECTORS, false, image])
    const bytes = new Uint8Array(1024).fill(0xab)
    expect(ask(backend, { kind: 'write', sector: 3, pieces: [bytes] })).toEqual(DONE)
    expect(ask(backend, { kind: 'read', sector: 3, count: 2 })).toEqual({ ok: true, bytes })
    expect(ask(backend, { kind: 'flush' })).toEqual(DONE)
    expect(ask(backend, { kind: 'discard', sector: 3, count: 1 })).toEqual(DONE)
    expect(ask(backend, { kind: 'write-zeroes', sector: 9, count: 1 })).toEqual(DONE)
    const expected = Uint8Array.from({ length: SECTORS * 512 }, (_, i) => (i >> 9) + 1)
    expected
      .fill(0, 3 * 512, 4 * 512)
      .fill(0xab, 4 * 512, 5 * 512)
      .fill(0, 9 * 512, 10 * 512)
    expect(Buffer.compare(readFileSync(image), expected)).toBe(0)
  })

  test('answers in the order of the requests, of which more can not be under way than there is room for', () => {
    const backend = start()
    const answered: number[] = []
    let submitted = 0
    const submit = () => {
      const number = submitted
      const accepted = backend.submit({ kind: 'read', sector: number % SECTORS, count: 1 }, answer => {
        answered.push(number)
        expect(answer.ok && answer.bytes[0]).toBe((((number % SECTORS) & 0xff) + 1) & 0xff)
      })
      if (accepted) submitted++
      return accepted
    }
    while (submit()) expect(submitted).toBeLessThan(1000)
    expect(submitted).toBe(128)
    while (submitted < 2000) {
      backend.drain()
      while (submitted < 2000 && submit());
    }
    backend.drain()
    expect(answered).toEqual(Array.from({ length: 2000 }, (_, i) => i))
    expect([backend.live, backend.waiting]).toEqual([false, false])
  })

  test('tells when an answer has come, without anybody blocking', async () => {
    const backend = start()
    const arrived = new Promise<void>(resolve => {
      backend.onArrival = resolve
    })
    let answers = 0
    backend.submit({ kind: 'flush' }, () => answers++)
    expect([backend.live, answers]).toEqual([true, 0])
    await arrived
    // Nothing is handed over before somebody asks.
    expect([backend.waiting, answers]).toEqual([true, 0])
    backend.deliver()
    expect([backend.live, answers]).toEqual([false, 1])
  })

  test('tells of failures of the host, and goes on', () => {
    const backend = start()
    ask(backend, { kind: 'flush' })
    truncateSync(image, 512)
    const reason = `disk "${image}" has become shorter than it was: it ends at byte 512`
    expect(ask(backend, { kind: 'read', sector: 0, count: 2 })).toEqual({ ok: false, reason })
    expect(ask(backend, { kind: 'read', sector: 0, count: 1 })).toMatchObject({ ok: true })
    expect(ask(start({ readOnly: true }), { kind: 'write', sector: 0, pieces: [new Uint8Array(512)] })).toMatchObject({
      ok: false,
    })
  })

  test('has nothing to say any more to who has forgotten it, and does what comes after in order', () => {
    const backend = start()
    const heard: string[] = []
    for (let i = 0; i < 20; i++)
      backend.submit({ kind: 'write', sector: 0, pieces: [new Uint8Array(512).fill(1)] }, () => heard.push('old'))
    backend.cancel()
    backend.submit({ kind: 'write', sector: 0, pieces: [new Uint8Array(512).fill(2)] }, () => heard.push('new'))
    backend.drain()
    expect(heard).toEqual(['new'])
    expect(readFileSync(image)[0]).toBe(2)
  })

  test('carries out what was submitted before it is closed', () => {
    const backend = start()
    for (let sector = 0; sector < 100; sector++)
      backend.submit({ kind: 'write', sector, pieces: [new Uint8Array(512).fill(0x55)] }, () => {})
    backend.close()
    expect(
      readFileSync(image)
        .subarray(0, 100 * 512)
        .every(byte => byte === 0x55),
    ).toBe(true)
  })

  test('that dies is an error to every request, also to later ones', async () => {
    const entry = join(scratch, 'dies.mjs')
    writeFileSync(entry, 'await new Promise(resolve => setTimeout(resolve, 300))\nthrow new Error("out of luck")\n')
    const backend = start({ entry: pathToFileURL(entry) })
    const answers: DiskAnswer[] = []
    const died = new Promise<void>(resolve => {
      backend.onArrival = resolve
    })
    backend.submit({ kind: 'write', sector: 0, pieces: [new Uint8Array(512)] }, answer => answers.push(answer))
    backend.submit({ kind: 'flush' }, answer => answers.push(answer))
    await died
    backend.deliver()
    backend.submit({ kind: 'flush' }, answer => answers.push(answer))
    const reason = `the worker of disk "${image}" has failed: out of luck`
    expect(answers).toEqual(Array(3).fill({ ok: false, reason }))
    expect(backend.live).toBe(false)
  })

  test('of a file that is no disk does not begin', () => {
    truncateSync(image, 700)
    expect(() => new WorkerBackend(image)).toThrow(/700 bytes is not a multiple/)
  })
})

describe('the ring', () => {
  test('keeps what is under way apart, whatever sizes come and however late they are answered', () => {
    const shared = createSharedRing()
    const ring = new RequestRing(shared)
    const served = new ServedRing(shared)
    const next = random(5150)
    const expected: number[] = []
    let submitted = 0
    let refused = 0
    for (let step = 0; step < 4000; step++) {
      const action = next(4)
      if (action < 2) {
        const count = [1, 8, 1000, MAXIMUM_REQUEST_SECTORS, next(MAXIMUM_REQUEST_SECTORS)][next(5)]
        const bytes = new Uint8Array(next(3) === 0 ? 0 : count * 512)
        // Only the ends are looked at: what overlaps would show there.
        if (bytes.length > 0) bytes[0] = bytes[bytes.length - 1] = submitted & 0xff
        if (ring.submit(bytes.length > 0 ? { kind: 'write', sector: submitted, pieces: [bytes] } : { kind: 'flush' })) {
          expected.push(bytes.length > 0 ? submitted & 0xff : -1)
          submitted++
        } else {
          refused++
          expect(ring.underWay).toBeGreaterThan(0)
        }
      } else if (action === 2) {
        served.serve(
          ({ kind, data }) => {
            const first = kind === 'write' ? data[0] : -1
            return `${first} ${kind === 'write' ? data[data.length - 1] : -1}`
          },
          () => {},
        )
      } else
        ring.take(answer => {
          const value = expected.shift()
          expect(answer).toEqual({ ok: false, reason: `${value} ${value}` })
        })
    }
    expect([submitted > 500, refused > 10]).toEqual([true, true])
  })
})
