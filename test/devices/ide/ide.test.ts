import { describe, expect, test } from 'vitest'
import { DiskError } from '../../../src/backends/disk/disk.ts'
import * as r from '../../../src/devices/ide/registers.ts'
import { BUS_MASTER_BASE, IdeBench, numbered, SECTORS } from './ata-driver.ts'

const READY = r.STATUS_DRDY | r.STATUS_DSC
const DATA = READY | r.STATUS_DRQ
const FAILED = READY | r.STATUS_ERR
const WAITING = DATA | r.STATUS_BSY
const MASTER_DONE = r.BM_STATUS_INTERRUPT

const sectorsIn = (data: Uint8Array) =>
  Array.from({ length: data.length / 512 }, (_, i) => new DataView(data.buffer).getUint32(i * 512, true))

function words(bench: IdeBench): (index: number) => number {
  expect(bench.command(0xec)).toBe(DATA)
  const view = new DataView(bench.receive(512).buffer)
  return index => view.getUint16(2 * index, true)
}

describe('a drive', () => {
  test('identifies itself, with a checksum that is right', () => {
    const bench = new IdeBench()
    expect(bench.command(0xec)).toBe(DATA)
    expect(bench.lines[0].level).toBe(true)
    const data = bench.receive(512)
    expect(data.reduce((sum, byte) => sum + byte, 0) & 0xff).toBe(0)
    const view = new DataView(data.buffer)
    expect(view.getUint32(120, true)).toBe(SECTORS)
    const text = Array.from({ length: 40 }, (_, i) => String.fromCharCode(data[54 + (i ^ 1)])).join('')
    expect(text.trim()).toBe('RINGSIDE DISK 34 MIB')
    expect(bench.register(r.REG_STATUS)).toBe(READY)
    expect(bench.lines[0].level).toBe(false)
  })

  test('is busy for a moment of virtual time after a command, and interrupts then', () => {
    const bench = new IdeBench()
    bench.out(0x1f7, 0xec)
    expect(bench.in(0x3f6) & r.STATUS_BSY).toBe(r.STATUS_BSY)
    expect(bench.lines[0].edges).toBe(0)
    bench.advance(100_000)
    expect([bench.in(0x3f6), bench.lines[0].edges]).toEqual([DATA, 1])
  })

  test('reads sectors by 28 and 48 bits and by cylinder, head and sector, an interrupt each', () => {
    for (const [code, extended] of [
      [0x20, false],
      [0x24, true],
    ] as const) {
      const bench = new IdeBench()
      bench.taskFile({ lba: 65_600, count: 3 }, extended)
      expect(bench.command(code)).toBe(DATA)
      const seen: number[] = []
      for (let sector = 0; sector < 3; sector++) {
        expect(bench.register(r.REG_STATUS)).toBe(DATA)
        seen.push(...sectorsIn(bench.receive(512)))
        bench.advance(100_000)
      }
      expect(seen).toEqual([65_600, 65_601, 65_602])
      expect([bench.register(r.REG_STATUS), bench.lines[0].edges]).toEqual([READY, 3])
    }
    const bench = new IdeBench()
    // Cylinder 2, head 3, sector 4 of 16 heads and 63 sectors.
    bench.taskFile({ device: 3, lba: 4 + (2 << 8) })
    bench.command(0x20)
    expect(sectorsIn(bench.receive(512))).toEqual([(2 * 16 + 3) * 63 + 3])
  })

  test('count 0 is the most: 256 sectors, or 65536', () => {
    const bench = new IdeBench()
    bench.taskFile({ count: 0 })
    bench.command(0x20)
    for (let sector = 0; sector < 256; sector++) {
      expect(sectorsIn(bench.receive(512))).toEqual([sector])
      bench.advance(100_000)
    }
    expect(bench.register(r.REG_STATUS)).toBe(READY)
    bench.taskFile({ count: 0 }, true)
    expect(bench.command(0x42)).toBe(READY)
    bench.taskFile({ count: 0, lba: SECTORS - 65_535 }, true)
    expect(bench.command(0x42)).toBe(FAILED)
  })

  test('writes sectors: the first block without an interrupt', () => {
    const bench = new IdeBench()
    bench.taskFile({ lba: 10, count: 2 })
    expect(bench.command(0x30)).toBe(DATA)
    expect(bench.lines[0].edges).toBe(0)
    bench.send(new Uint8Array(512).fill(1))
    expect(bench.in(0x3f6) & r.STATUS_BSY).toBe(r.STATUS_BSY)
    bench.advance(100_000)
    expect([bench.register(r.REG_STATUS), bench.lines[0].edges]).toEqual([DATA, 1])
    bench.send(new Uint8Array(512).fill(2))
    bench.advance(100_000)
    expect([bench.register(r.REG_STATUS), bench.lines[0].edges]).toEqual([READY, 2])
    const expected = numbered(SECTORS).fill(1, 5120, 5632).fill(2, 5632, 6144)
    expect(Buffer.compare(bench.disk.bytes, expected)).toBe(0)
  })

  test('moves several sectors between two interrupts in MULTIPLE mode, and not before it is set', () => {
    const bench = new IdeBench()
    bench.taskFile({ count: 5 })
    expect([bench.command(0xc4), bench.register(r.REG_ERROR)]).toEqual([FAILED, r.ERROR_ABRT])
    bench.taskFile({ count: 3 })
    expect(bench.command(0xc6)).toBe(FAILED)
    bench.taskFile({ count: 4 })
    expect(bench.command(0xc6)).toBe(READY)
    expect(words(bench)(59)).toBe(0x104)
    bench.register(r.REG_STATUS)
    const before = bench.lines[0].edges
    bench.taskFile({ count: 5 })
    expect(bench.command(0xc4)).toBe(DATA)
    bench.register(r.REG_STATUS)
    expect(sectorsIn(bench.receive(4 * 512))).toEqual([0, 1, 2, 3])
    bench.advance(100_000)
    expect(sectorsIn(bench.receive(512))).toEqual([4])
    expect([bench.register(r.REG_STATUS), bench.lines[0].edges - before]).toEqual([READY, 2])
    bench.taskFile({ count: 4, lba: 20 })
    expect(bench.command(0xc5)).toBe(DATA)
    bench.send(new Uint8Array(4 * 512).fill(9))
    bench.advance(100_000)
    expect([bench.register(r.REG_STATUS), bench.disk.bytes[20 * 512], bench.disk.bytes[23 * 512]]).toEqual([
      READY,
      9,
      9,
    ])
  })

  test('refuses sectors that it does not have, and says which', () => {
    const bench = new IdeBench()
    const before = bench.disk.bytes.slice()
    for (const code of [0x20, 0x30, 0x40, 0xc8, 0xca]) {
      bench.taskFile({ lba: SECTORS - 1, count: 2 })
      expect([bench.command(code), bench.register(r.REG_ERROR)]).toEqual([FAILED, r.ERROR_IDNF])
    }
    bench.taskFile({ lba: 2 ** 47, count: 1 }, true)
    expect([bench.command(0x24), bench.register(r.REG_ERROR)]).toEqual([FAILED, r.ERROR_IDNF])
    // Sector 0 of a track, and a head beyond the geometry.
    bench.taskFile({ device: 0, lba: 0 })
    expect(bench.command(0x20)).toBe(FAILED)
    expect(Buffer.compare(bench.disk.bytes, before)).toBe(0)
  })

  test('aborts what it does not know, and commands of packet devices', () => {
    const bench = new IdeBench()
    for (const code of [0x00, 0xa0, 0xa1, 0xb0, 0xff])
      expect([bench.command(code), bench.register(r.REG_ERROR)]).toEqual([FAILED, r.ERROR_ABRT])
  })

  test('takes features, geometry and the other settings', () => {
    const bench = new IdeBench()
    const feature = (features: number, count = 0) => {
      bench.taskFile({ features, count })
      return bench.command(0xef)
    }
    expect(feature(0x82)).toBe(READY)
    expect(words(bench)(85) & 0x20).toBe(0)
    expect([feature(0x02), feature(0xaa), feature(0x55), feature(0x66)]).toEqual([READY, READY, READY, READY])
    expect([feature(0x03, 0x0c), feature(0x03, 0x22), feature(0x03, 0x21)]).toEqual([READY, READY, READY])
    expect(words(bench)(63)).toBe(0x207)
    // Ultra DMA, and a mode that there is not.
    expect([feature(0x03, 0x45), feature(0x03, 0x27), feature(0x99)]).toEqual([FAILED, FAILED, FAILED])
    bench.taskFile({ device: 7, count: 32 })
    expect(bench.command(0x91)).toBe(READY)
    expect([words(bench)(54), words(bench)(55), words(bench)(56)]).toEqual([Math.floor(SECTORS / 256), 8, 32])
    for (const code of [0x10, 0x70, 0xe0, 0xe1, 0xe2, 0xe3, 0xe6]) expect(bench.command(code)).toBe(READY)
    expect([bench.command(0xe5), bench.register(r.REG_COUNT)]).toEqual([READY, 0xff])
    expect(bench.command(0xf8)).toBe(READY)
    expect([3, 4, 5].map(at => bench.register(at))).toEqual([0x6f, 0x11, 0x01])
  })

  test('flushes, also after each write where its cache is off', () => {
    const bench = new IdeBench()
    const write = () => {
      bench.taskFile({ lba: 1 })
      bench.command(0x30)
      bench.send(new Uint8Array(512))
      bench.advance(100_000)
    }
    write()
    expect(bench.disk.flushes).toBe(0)
    expect([bench.command(0xe7), bench.command(0xea), bench.disk.flushes]).toEqual([READY, READY, 2])
    bench.taskFile({ features: 0x82 })
    bench.command(0xef)
    write()
    expect(bench.disk.flushes).toBe(4)
  })

  test('that is read-only aborts writes', () => {
    const bench = new IdeBench({ readOnly: true })
    for (const code of [0x30, 0xca, 0xc5]) {
      bench.taskFile({})
      expect([bench.command(code), bench.register(r.REG_ERROR)]).toEqual([FAILED, r.ERROR_ABRT])
    }
  })

  test('tells the guest of a failing host: of data that can not be had, and of a fault', () => {
    const bench = new IdeBench()
    bench.disk.read = bench.disk.write = () => {
      throw new DiskError('the host is full')
    }
    bench.taskFile({ lba: 300 })
    expect([bench.command(0x20), bench.register(r.REG_ERROR)]).toEqual([FAILED, r.ERROR_UNC])
    expect([bench.register(r.REG_LBA_LOW), bench.register(r.REG_LBA_MID)]).toEqual([44, 1])
    bench.taskFile({})
    bench.command(0x30)
    bench.send(new Uint8Array(512))
    bench.advance(100_000)
    expect(bench.register(r.REG_STATUS)).toBe(FAILED | r.STATUS_DF)
    expect(bench.failures).toEqual(Array(2).fill('ide0.0: the host is full; the guest is told of an I/O error'))
  })
})

describe('a channel', () => {
  test('shows the signature of an ATA drive after a software reset, and stays busy during it', () => {
    const bench = new IdeBench()
    bench.taskFile({ count: 5, lba: 99 })
    bench.command(0x20)
    bench.control(r.CONTROL_SRST)
    expect([bench.in(0x3f6), bench.lines[0].level]).toEqual([r.STATUS_BSY, false])
    bench.advance(1_000_000)
    expect(bench.in(0x3f6)).toBe(r.STATUS_BSY)
    bench.control(0)
    bench.advance(1_000_000)
    expect([1, 2, 3, 4, 5].map(at => bench.register(at))).toEqual([1, 1, 1, 0, 0])
    expect([bench.register(r.REG_STATUS), bench.lines[0].level]).toEqual([READY, false])
  })

  test('keeps interrupts to itself with nIEN', () => {
    const bench = new IdeBench()
    bench.control(r.CONTROL_NIEN)
    bench.command(0xec)
    expect(bench.lines[0].level).toBe(false)
    bench.control(0)
    expect(bench.lines[0].level).toBe(true)
    bench.register(r.REG_STATUS)
    expect(bench.lines[0].level).toBe(false)
  })

  test('answers for a second drive that is not there: ready for nothing', () => {
    const bench = new IdeBench()
    bench.taskFile({ count: 0x55, lba: 0xaa, device: r.DEVICE_SELECT })
    expect([bench.register(r.REG_COUNT), bench.register(r.REG_LBA_LOW)]).toEqual([0x55, 0xaa])
    expect([bench.register(r.REG_STATUS), bench.in(0x3f6)]).toEqual([0, 0])
    bench.out(0x1f7, 0xec)
    bench.advance(1_000_000)
    expect([bench.in(0x3f6), bench.lines[0].edges]).toEqual([0, 0])
    // And for a first one.
    const slave = new IdeBench({ position: 1 })
    expect(slave.in(0x1f7)).toBe(0)
    slave.out(0x1f6, 0xb0)
    expect([slave.in(0x1f7), slave.command(0xec)]).toEqual([READY, DATA])
  })

  test('without drives reads as a bus that nobody drives', () => {
    const bench = new IdeBench()
    for (let port = 0x170; port < 0x178; port++) expect(bench.in(port)).toBe(0xff)
    expect(bench.in(0x376)).toBe(0xff)
    bench.out(0x376, r.CONTROL_SRST)
    expect(bench.in(0x376)).toBe(0xff)
  })

  test('is not there while its ports are not decoded', () => {
    const bench = new IdeBench()
    bench.ide.writeConfig(r.IDETIM, 2, 0)
    expect(bench.in(0x1f7)).toBe(0xff)
    bench.ide.writeConfig(r.IDETIM, 2, r.IDETIM_DECODE)
    expect(bench.in(0x1f7)).toBe(READY)
    bench.ide.writeConfig(4, 2, 0)
    expect([bench.in(0x1f7), bench.in(BUS_MASTER_BASE + 2)]).toEqual([0xff, 0xff])
  })

  test('runs diagnostics of both drives', () => {
    const bench = new IdeBench()
    bench.out(0x1f6, 0xb0)
    expect(bench.command(0x90)).toBe(READY)
    expect([1, 2, 3, 4, 5].map(at => bench.register(at))).toEqual([1, 1, 1, 0, 0])
  })
})

describe('the bus master', () => {
  test('moves what a drive reads to where the table says', () => {
    const bench = new IdeBench()
    bench.taskFile({ lba: 65_536, count: 3 }, true)
    expect(bench.command(0x25)).toBe(WAITING)
    bench.startDma(
      [
        [0x2_0000, 100],
        [0x3_0000, 924],
        [0x4_0000, 512],
      ],
      true,
    )
    expect([bench.busMasterStatus, bench.in(0x3f6), bench.lines[0].edges]).toEqual([MASTER_DONE, READY, 1])
    const { bytes } = bench.memory
    const whole = Buffer.concat([
      bytes.slice(0x2_0000, 0x2_0064),
      bytes.slice(0x3_0000, 0x3_039c),
      bytes.slice(0x4_0000, 0x4_0200),
    ])
    expect(sectorsIn(new Uint8Array(whole))).toEqual([65_536, 65_537, 65_538])
    bench.out(BUS_MASTER_BASE + r.BM_STATUS, r.BM_STATUS_INTERRUPT)
    expect(bench.busMasterStatus).toBe(0)
  })

  test('moves memory to the drive; a count of 0 is 64 KiB', () => {
    const bench = new IdeBench()
    bench.memory.bytes.fill(0x77, 0x2_0000, 0x3_0000)
    bench.taskFile({ lba: 7, count: 128 })
    bench.command(0xca)
    bench.startDma([[0x2_0000, 0]], false)
    expect([bench.busMasterStatus, bench.in(0x3f6)]).toEqual([MASTER_DONE, READY])
    const expected = numbered(SECTORS).fill(0x77, 7 * 512, 135 * 512)
    expect(Buffer.compare(bench.disk.bytes, expected)).toBe(0)
  })

  test('may be started before the command, and stays active when the table has more than the drive', () => {
    const bench = new IdeBench()
    bench.startDma([[0x2_0000, 1024]], true)
    expect(bench.busMasterStatus).toBe(r.BM_STATUS_ACTIVE)
    bench.taskFile({ lba: 5 })
    expect(bench.command(0xc8)).toBe(READY)
    expect(bench.busMasterStatus).toBe(r.BM_STATUS_ACTIVE | r.BM_STATUS_INTERRUPT)
    bench.stopDma()
    expect(bench.busMasterStatus).toBe(r.BM_STATUS_INTERRUPT)
  })

  test.each([
    ['a table that ends too early', [[0x2_0000, 512]], true, 0],
    ['memory that is not there', [[0xffff_fffe, 1024]], true, r.BM_STATUS_ERROR],
    ['memory that ends in the middle', [[2 ** 21 - 512, 1024]], true, r.BM_STATUS_ERROR],
    ['the wrong direction', [[0x2_0000, 1024]], false, r.BM_STATUS_ACTIVE],
  ] as const)('%s leaves the drive waiting until it is reset', (_name, regions, toMemory, status) => {
    const bench = new IdeBench()
    bench.taskFile({ count: 2 })
    bench.command(0xc8)
    bench.startDma(regions, toMemory)
    expect([bench.busMasterStatus, bench.in(0x3f6), bench.lines[0].edges]).toEqual([status, WAITING, 0])
    // No command gets through to a busy drive.
    bench.out(0x1f7, 0xec)
    bench.advance(1_000_000)
    expect(bench.in(0x3f6)).toBe(WAITING)
    bench.stopDma()
    bench.control(r.CONTROL_SRST)
    bench.control(0)
    bench.advance(1_000_000)
    expect([bench.register(r.REG_STATUS), bench.command(0xec)]).toEqual([READY, DATA])
  })

  test('ends a table without an end after 64 KiB of it', () => {
    const bench = new IdeBench()
    bench.taskFile({ count: 0 }, true)
    bench.command(0x25)
    // 8192 entries of 2 bytes are less than the 32 MiB that the drive has.
    bench.startDma(
      Array.from({ length: 8192 }, () => [0x8_0000, 2] as const),
      true,
      false,
    )
    expect([bench.busMasterStatus, bench.in(0x3f6)]).toEqual([0, WAITING])
  })

  test('does nothing without the right to master the bus', () => {
    const bench = new IdeBench()
    bench.ide.writeConfig(4, 2, 1)
    bench.taskFile({})
    bench.command(0xc8)
    bench.startDma([[0x2_0000, 512]], true)
    expect([bench.busMasterStatus, bench.in(0x3f6)]).toEqual([0, WAITING])
  })

  test('a reset in the middle of a transfer leaves no trace of it', () => {
    const bench = new IdeBench()
    bench.taskFile({ lba: 9 })
    bench.command(0xca)
    bench.out(BUS_MASTER_BASE, r.BM_COMMAND_START)
    bench.control(r.CONTROL_SRST)
    bench.control(0)
    bench.advance(1_000_000)
    expect(Buffer.compare(bench.disk.bytes, numbered(SECTORS))).toBe(0)
    expect(bench.lines[0].edges).toBe(0)
  })
})
