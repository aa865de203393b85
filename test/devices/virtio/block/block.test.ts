import { describe, expect, test } from 'vitest'
import { type DiskAnswer, type DiskBackend, InThreadBackend } from '../../../../src/backends/disk/disk-backend.ts'
import { MAXIMUM_REQUEST_BYTES } from '../../../../src/backends/disk/disk-range.ts'
import { MemoryDisk } from '../../../../src/backends/disk/memory-disk.ts'
import { BlockDevice } from '../../../../src/devices/virtio/block/device.ts'
import * as p from '../../../../src/devices/virtio/block/protocol.ts'
import { FakeChain, FakePort, featuresWithout } from '../../../support/virtio-port.ts'
import { random } from '../../bench.ts'

const SECTORS = 64

interface Setup {
  readonly disk: MemoryDisk
  readonly device: BlockDevice
  readonly port: FakePort
  readonly failures: string[]
}

function setUp(options: { readOnly?: boolean; without?: number[]; queues?: number; sectors?: number } = {}): Setup {
  const bytes = new Uint8Array((options.sectors ?? SECTORS) * 512)
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i >> 9) + 1
  const disk = new MemoryDisk(bytes, { readOnly: options.readOnly ?? false })
  const failures: string[] = []
  const device = new BlockDevice({
    name: 'virtio-blk0',
    backend: new InThreadBackend(disk),
    queues: options.queues ?? 1,
    serial: 'a serial number of 24 ch',
    onFailure: reason => failures.push(reason),
  })
  return { disk, device, port: new FakePort(device, featuresWithout(device, ...(options.without ?? []))), failures }
}

function header(type: number, sector: number | bigint, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(16 + data.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, type, true)
  view.setBigUint64(8, BigInt(sector), true)
  bytes.set(data, 16)
  return bytes
}

function range(sector: number, count: number, flags = 0): Uint8Array {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(sector), true)
  view.setUint32(8, count, true)
  view.setUint32(12, flags, true)
  return bytes
}

function ask({ device, port }: Setup, readable: Uint8Array, writable: number, queue = 0): FakeChain {
  const chain = new FakeChain(port.queues[queue].completed.length, readable, writable)
  port.queues[queue].available.push(chain)
  device.service(queue)
  return chain
}

const status = (chain: FakeChain) => chain.writable.at(-1)
const { VIRTIO_BLK_S_OK: OK, VIRTIO_BLK_S_IOERR: IOERR, VIRTIO_BLK_S_UNSUPP: UNSUPP } = p

describe('requests', () => {
  test('a read fills the data and ends with the status', () => {
    const setup = setUp()
    const chain = ask(setup, header(p.VIRTIO_BLK_T_IN, 3), 1024 + 1)
    expect([chain.writable[0], chain.writable[511], chain.writable[512], chain.writable[1023]]).toEqual([4, 4, 5, 5])
    expect([status(chain), chain.written]).toEqual([OK, 1025])
    expect(setup.port.queues[0].flushes).toBe(1)
  })

  test('a write reaches the disk, and nothing beside it', () => {
    const setup = setUp()
    const before = setup.disk.bytes.slice()
    const chain = ask(setup, header(p.VIRTIO_BLK_T_OUT, 5, new Uint8Array(512).fill(0xaa)), 1)
    expect([status(chain), chain.written]).toEqual([OK, 1])
    before.fill(0xaa, 5 * 512, 6 * 512)
    expect(setup.disk.bytes).toEqual(before)
  })

  test('a flush reaches the disk; a write does so by itself only where no flush can be asked for', () => {
    const setup = setUp()
    ask(setup, header(p.VIRTIO_BLK_T_OUT, 5, new Uint8Array(512)), 1)
    expect(setup.disk.flushes).toBe(0)
    expect(status(ask(setup, header(p.VIRTIO_BLK_T_FLUSH, 0), 1))).toBe(OK)
    expect(setup.disk.flushes).toBe(1)

    const simple = setUp({ without: [p.VIRTIO_BLK_F_FLUSH, p.VIRTIO_BLK_F_CONFIG_WCE] })
    expect(status(ask(simple, header(p.VIRTIO_BLK_T_OUT, 5, new Uint8Array(512)), 1))).toBe(OK)
    expect(simple.disk.flushes).toBe(1)
    expect(simple.port.queues[0].completed.length).toBe(1)
  })

  test('the driver chooses between the kinds of cache with CONFIG_WCE', () => {
    const setup = setUp()
    expect(setup.device.readConfiguration(p.CONFIG_WRITEBACK, 1)).toBe(1)
    setup.device.writeConfiguration(p.CONFIG_WRITEBACK, 1, 0)
    ask(setup, header(p.VIRTIO_BLK_T_OUT, 5, new Uint8Array(512)), 1)
    expect(setup.disk.flushes).toBe(1)
    setup.device.writeConfiguration(p.CONFIG_CAPACITY, 4, 0xffffffff)
    expect(setup.device.readConfiguration(p.CONFIG_CAPACITY, 4)).toBe(SECTORS)
  })

  test('the id is given as far as there is room', () => {
    const whole = ask(setUp(), header(p.VIRTIO_BLK_T_GET_ID, 0), 21)
    expect(Buffer.from(whole.writable.subarray(0, 20)).toString()).toBe('a serial number of 2')
    expect([status(whole), whole.written]).toEqual([OK, 21])
    const short = ask(setUp(), header(p.VIRTIO_BLK_T_GET_ID, 0), 6)
    expect(Buffer.from(short.writable.subarray(0, 5)).toString()).toBe('a ser')
    expect(status(short)).toBe(OK)
  })

  test('discarded sectors and those written with zeroes read as zeroes', () => {
    for (const type of [p.VIRTIO_BLK_T_DISCARD, p.VIRTIO_BLK_T_WRITE_ZEROES]) {
      const setup = setUp()
      const before = setup.disk.bytes.slice()
      expect(status(ask(setup, header(type, 0, range(8, 4)), 1))).toBe(OK)
      before.fill(0, 8 * 512, 12 * 512)
      expect(setup.disk.bytes).toEqual(before)
    }
  })

  test('several queues are served each for itself', () => {
    const setup = setUp({ queues: 4 })
    expect(setup.device.readConfiguration(p.CONFIG_NUM_QUEUES, 2)).toBe(4)
    expect(setup.device.features & (1n << BigInt(p.VIRTIO_BLK_F_MQ))).not.toBe(0n)
    for (let queue = 0; queue < 4; queue++)
      expect(ask(setup, header(p.VIRTIO_BLK_T_IN, queue), 513, queue).writable[0]).toBe(queue + 1)
    expect(setup.port.queues.map(({ completed }) => completed.length)).toEqual([1, 1, 1, 1])
  })
})

describe('what is wrong', () => {
  const wrong: readonly (readonly [string, Uint8Array, number, number])[] = [
    ['a read beyond the disk', header(p.VIRTIO_BLK_T_IN, SECTORS), 513, IOERR],
    ['a read that ends beyond it', header(p.VIRTIO_BLK_T_IN, SECTORS - 1), 1025, IOERR],
    ['a sector of 64 bits', header(p.VIRTIO_BLK_T_IN, 0xffff_ffff_ffff_ffffn), 513, IOERR],
    ['data of no whole sectors', header(p.VIRTIO_BLK_T_IN, 0), 512, IOERR],
    ['a write beyond the disk', header(p.VIRTIO_BLK_T_OUT, SECTORS, new Uint8Array(512)), 1, IOERR],
    ['a write of no whole sectors', header(p.VIRTIO_BLK_T_OUT, 0, new Uint8Array(511)), 1, IOERR],
    ['more than the limits allow', header(p.VIRTIO_BLK_T_IN, 0), MAXIMUM_REQUEST_BYTES + 513, IOERR],
    ['an unknown type', header(77, 0), 1, UNSUPP],
    ['a SCSI command', header(2, 0), 97, UNSUPP],
    ['a discard with a flag', header(p.VIRTIO_BLK_T_DISCARD, 0, range(0, 1, 1)), 1, UNSUPP],
    ['a reserved flag', header(p.VIRTIO_BLK_T_WRITE_ZEROES, 0, range(0, 1, 2)), 1, UNSUPP],
    ['a discard beyond the disk', header(p.VIRTIO_BLK_T_DISCARD, 0, range(SECTORS, 1)), 1, IOERR],
    ['a discard of 2^32 sectors', header(p.VIRTIO_BLK_T_DISCARD, 0, range(0, 0xffff_ffff)), 1, IOERR],
    ['a discard without a range', header(p.VIRTIO_BLK_T_DISCARD, 0), 1, IOERR],
  ]

  test.each(wrong)('%s is answered, and changes nothing', (_name, readable, writable, expected) => {
    const setup = setUp()
    const before = setup.disk.bytes.slice()
    const chain = ask(setup, readable, writable)
    expect([status(chain), chain.written]).toEqual([expected, writable === 1 ? 1 : 0])
    expect(setup.disk.bytes).toEqual(before)
    expect([setup.port.failures, setup.failures]).toEqual([[], []])
  })

  test('a chain without a header, or without a place for the status, needs a reset', () => {
    for (const [readable, writable] of [
      [new Uint8Array(15), 513],
      [header(p.VIRTIO_BLK_T_OUT, 0, new Uint8Array(512)), 0],
      [new Uint8Array(0), 1],
    ] as const) {
      const setup = setUp()
      ask(setup, readable, writable)
      expect(setup.port.failures.length).toBe(1)
      expect(setup.port.queues[0].completed.length).toBe(0)
    }
  })

  test('a read-only disk offers nothing that writes, and refuses it', () => {
    const setup = setUp({ readOnly: true })
    const has = (bit: number) => (setup.device.features & (1n << BigInt(bit))) !== 0n
    expect([has(p.VIRTIO_BLK_F_RO), has(p.VIRTIO_BLK_F_DISCARD), has(p.VIRTIO_BLK_F_WRITE_ZEROES)]).toEqual([
      true,
      false,
      false,
    ])
    expect(status(ask(setup, header(p.VIRTIO_BLK_T_OUT, 0, new Uint8Array(512)), 1))).toBe(IOERR)
    expect(status(ask(setup, header(p.VIRTIO_BLK_T_DISCARD, 0, range(0, 1)), 1))).toBe(UNSUPP)
    expect(status(ask(setup, header(p.VIRTIO_BLK_T_IN, 0), 513))).toBe(OK)
  })

  test('what the host refuses is an I/O error to the guest and a message to people', () => {
    const setup = setUp()
    // The host has less than it said.
    const chain = ask({ ...setup, device: failing(setup) }, header(p.VIRTIO_BLK_T_OUT, 0, new Uint8Array(512)), 1)
    expect(status(chain)).toBe(IOERR)
    expect(setup.failures).toEqual(['virtio-blk0: no space is left; the guest is told of an I/O error'])
  })

  function failing(setup: Setup): BlockDevice {
    const backend: DiskBackend = {
      ...{ name: 'full', sectors: SECTORS, readOnly: false },
      submit: (_command, answer) => {
        answer({ ok: false, reason: 'no space is left' })
        return true
      },
      cancel: () => {},
      close: () => {},
    }
    const onFailure = (reason: string) => setup.failures.push(reason)
    const device = new BlockDevice({ name: 'virtio-blk0', backend, onFailure })
    device.connect(setup.port)
    return device
  }

  test('no request of any kind throws, or changes sectors that it does not name', () => {
    const next = random(4711)
    const setup = setUp({ sectors: 8 })
    const wrong: string[] = []
    for (let i = 0; i < 100_000; i++) {
      const type = [p.VIRTIO_BLK_T_IN, p.VIRTIO_BLK_T_OUT, 4, 8, 11, 13, next(2 ** 32), next(20)][next(8)]
      const sector = [next(8), 8 - next(3), next(2 ** 32), 2 ** 53 - 1][next(4)]
      const data = new Uint8Array([0, 16, 512, 1024, next(2000)][next(5)]).fill(next(256))
      const readable = header(type, sector, data)
      const before = Buffer.from(setup.disk.bytes)
      const cut = next(20) === 0 ? next(17) : readable.length
      const chain = ask(setup, readable.subarray(0, cut), [1, 513, 0, next(3000)][next(4)])
      const failed = setup.port.failures.length > 0
      const answer = status(chain) ?? -1
      if (!failed && ![OK, IOERR, UNSUPP].includes(answer)) wrong.push(`type ${type}: status ${answer}`)
      const mayChange = !failed && answer === OK && [1, 11, 13].includes(type)
      if (!mayChange && before.compare(setup.disk.bytes) !== 0) wrong.push(`type ${type} changed the disk`)
      if (failed) setup.device.reset()
      setup.port.failures.length = 0
      setup.port.queues[0].completed.length = 0
    }
    expect(wrong).toEqual([])
    expect(setup.failures).toEqual([])
  })
})

describe('a back end that answers later', () => {
  class LateBackend implements DiskBackend {
    readonly name = 'late'
    readonly sectors = SECTORS
    readonly readOnly = false
    room = 2
    answers: ((answer: DiskAnswer) => void)[] = []

    submit(_command: unknown, answer: (answer: DiskAnswer) => void): boolean {
      if (this.answers.length === this.room) return false
      this.answers.push(answer)
      return true
    }

    cancel(): void {
      this.answers = []
    }

    close(): void {}
  }

  function late() {
    const backend = new LateBackend()
    const device = new BlockDevice({ name: 'virtio-blk0', backend })
    const port = new FakePort(device)
    const chains = Array.from({ length: 5 }, (_, id) => new FakeChain(id, header(p.VIRTIO_BLK_T_IN, id), 513))
    port.queues[0].available.push(...chains)
    device.service(0)
    return { backend, device, port, chains }
  }

  test('is given more when it has room again, in order, and every chain is completed once', () => {
    const { backend, device, port, chains } = late()
    expect(backend.answers.length).toBe(2)
    while (backend.answers.length > 0) {
      backend.answers.shift()?.({ ok: true, bytes: new Uint8Array(512).fill(9) })
      device.answersCame()
    }
    expect(port.queues[0].completed).toEqual(chains)
    expect(chains.every(chain => status(chain) === OK && chain.writable[0] === 9)).toBe(true)
  })

  test('has nothing to say any more after a reset', () => {
    const { backend, device, port } = late()
    expect(() => device.save()).toThrow('under way')
    device.reset()
    expect(backend.answers).toEqual([])
    expect(device.save()).toEqual({ writeback: true })
    expect(port.queues[0].completed).toEqual([])
  })
})

describe('to be seen', () => {
  test('requests in words', () => {
    const { device } = setUp()
    const read = new FakeChain(0, header(p.VIRTIO_BLK_T_IN, 2048), 4097)
    read.writable[4096] = 0
    expect(device.describe(0, read)).toEqual({
      summary: 'read, sector 2048, 4096 bytes',
      fields: [
        { name: 'type', value: '0 (read)' },
        { name: 'sector', value: '2048' },
        { name: 'data', value: '4096 bytes' },
        { name: 'status', value: '0 (OK)' },
      ],
    })
    const summary = (readable: Uint8Array, writable = 1) =>
      device.describe(0, new FakeChain(0, readable, writable)).summary
    expect(summary(header(p.VIRTIO_BLK_T_DISCARD, 0, range(8, 16)))).toBe('discard, sector 8, 8192 bytes')
    expect(summary(header(p.VIRTIO_BLK_T_FLUSH, 0))).toBe('flush')
    expect(summary(header(99, 0), 0)).toBe('unknown request 99, 0 bytes')
    expect(summary(new Uint8Array(3), 0)).toBe('3 bytes, too short for a request of 16')
    expect(device.describe(0, new FakeChain(0, header(0, 0), 513)).fields.at(-1)?.value).toBe(
      '238 (not written by the device)',
    )
  })

  test('configuration space by name, within its widths', () => {
    const { device } = setUp()
    const registers = Object.fromEntries(device.registers().map(({ name, value }) => [name, value]))
    expect(registers).toMatchObject({ capacity: SECTORS, blk_size: 512, seg_max: 254, num_queues: 1, writeback: 1 })
    for (const { name, value, width } of device.registers()) expect(value < 2 ** width, name).toBe(true)
    for (const size of [1, 2, 4] as const)
      for (let offset = 0; offset + size <= device.configurationSize; offset++) device.readConfiguration(offset, size)
  })

  test('saved and restored', () => {
    const first = setUp()
    first.device.writeConfiguration(p.CONFIG_WRITEBACK, 1, 0)
    const second = setUp()
    second.device.restore(JSON.parse(JSON.stringify(first.device.save())))
    expect(second.device.registers()).toEqual(first.device.registers())
    expect(() => second.device.restore({})).toThrow(/damaged/)
  })
})
