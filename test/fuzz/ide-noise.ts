/**
 * A driver of the IDE function that knows its registers and respects nothing: commands that make sense with parameters
 * that don't, accesses of any size, tables of the bus master's that lead anywhere, resets and time, in random order;
 * and a host whose disk fails now and then. The same seed plays the same.
 */

import { DiskError } from '../../src/backends/disk/disk.ts'
import { MemoryDisk } from '../../src/backends/disk/memory-disk.ts'
import * as r from '../../src/devices/ide/registers.ts'
import { random } from '../devices/bench.ts'
import { BUS_MASTER_BASE, IdeBench, numbered } from '../devices/ide/ata-driver.ts'
import type { Random } from './virtio-subjects.ts'

const SECTORS = 300
const TABLE = 0x1_0000
const COMMAND_BLOCK = 0x1f0
const MEMORY_END = 2 ** 21
/** Work for one operation of the driver, at most: a longest command, in pieces of a byte. */
const MOST_ACCESSES = 200_000
const MOST_SECTORS = 65_536

const COMMANDS = [
  ...[0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xec, 0xef, 0x90, 0x91, 0xe7, 0xea],
]

export interface IdeReport {
  operations: number
  commands: number
  sectorsRead: number
  sectorsWritten: number
  hostFailures: number
}

export class IdeNoise {
  readonly report: IdeReport = { operations: 0, commands: 0, sectorsRead: 0, sectorsWritten: 0, hostFailures: 0 }
  readonly bench: IdeBench
  readonly #next: Random
  readonly #disk: WatchedDisk
  readonly #table: DataView
  /** What the disk must hold: the beginning, and what was written to it without a failure. */
  readonly #contents: Uint8Array

  constructor(seed: number) {
    this.#next = random(Math.imul(seed, 0x9e3779b1) ^ 0x1de0)
    this.#disk = new WatchedDisk(this.#next, this.report)
    this.#contents = this.#disk.bytes.slice()
    this.#disk.onWrite = (sector, bytes) => this.#contents.set(bytes, sector * 512)
    this.bench = new IdeBench({ disk: this.#disk })
    this.#table = new DataView(this.bench.memory.bytes.buffer, TABLE)
  }

  /** Throws what a device must never throw, and Error for what it must never do. */
  play(operations: number): void {
    for (let i = 0; i < operations; i++) {
      const { memory } = this.bench
      const accesses = memory.accesses
      const sectors = this.#sectors
      this.#operate()
      this.report.operations++
      if (memory.accesses - accesses > MOST_ACCESSES || this.#sectors - sectors > MOST_SECTORS)
        throw new Error(`${memory.accesses - accesses} accesses, ${this.#sectors - sectors} sectors in one operation`)
      if (i % 256 === 0) this.#check()
    }
    this.#check()
  }

  #operate(): void {
    const { bench } = this
    const next = this.#next
    const size = ([1, 2, 4] as const)[next(3)]
    switch (next(16)) {
      case 14:
      case 15:
        this.#request()
        break
      case 0:
        this.report.commands++
        bench.bus.writePort(COMMAND_BLOCK + r.REG_COMMAND, 1, next(3) === 0 ? next(256) : this.#oneOf(COMMANDS))
        break
      case 1:
        bench.bus.writePort(COMMAND_BLOCK + next(8), size, next(2 ** 32))
        break
      case 2:
        bench.out(COMMAND_BLOCK + r.REG_COUNT + next(4), next(4))
        break
      case 3:
        bench.out(COMMAND_BLOCK + r.REG_DEVICE, this.#oneOf([0x40, 0xe0, 0x50, next(256)]))
        break
      case 4:
        bench.control(next(20) === 0 ? next(256) : 0)
        break
      case 5:
        bench.bus.writePort(BUS_MASTER_BASE + next(16), size, next(2 ** 32))
        break
      case 6:
        bench.bus.writePort(BUS_MASTER_BASE + 4, 4, this.#oneOf([TABLE, 0x1_fff8, MEMORY_END - 8, next(2 ** 32)]))
        break
      case 7:
        bench.out(BUS_MASTER_BASE, this.#oneOf([1, 9, 0, next(256)]))
        break
      case 8:
        this.#table.setUint32(4 * next(16), this.#oneOf([0x2_0000, 0x8000_0200, next(2 ** 32), 0xffff_fffe]), true)
        break
      case 9:
      case 10:
        bench.advance(next(50_000))
        break
      case 11:
        this.#rarely()
        break
      default:
        this.#moveData(size)
    }
  }

  /** A command as a driver would give it, for sectors that mostly are there; and sometimes the bus master's start. */
  #request(): void {
    const { bench } = this
    const next = this.#next
    this.report.commands++
    bench.control(next(2) * r.CONTROL_NIEN)
    bench.taskFile({ count: next(20), lba: next(SECTORS + 10) }, next(3) === 0)
    if (next(2) === 0) bench.bus.writePort(BUS_MASTER_BASE + 4, 4, TABLE)
    if (next(2) === 0) bench.out(BUS_MASTER_BASE, next(2) === 0 ? 1 : 9)
    bench.out(COMMAND_BLOCK + r.REG_COMMAND, this.#oneOf(COMMANDS))
    if (next(4) !== 0) bench.advance(200_000)
  }

  /** What drivers do for a whole block at once, with a register between. */
  #moveData(size: 1 | 2 | 4): void {
    const next = this.#next
    const writes = next(3) === 0
    for (let i = next(300); i >= 0; i--) {
      const port = COMMAND_BLOCK + (i & 7 ? 0 : next(8))
      if (writes && port === COMMAND_BLOCK) this.bench.bus.writePort(port, size, next(2 ** 32))
      else this.#expectRange(this.bench.bus.readPort(port, size), size)
    }
  }

  #rarely(): void {
    const { ide, bus } = this.bench
    const next = this.#next
    const choice = next(40)
    if (choice === 0) {
      const before = JSON.stringify(ide.save())
      ide.restore(JSON.parse(before))
      if (JSON.stringify(ide.save()) !== before) throw new Error('restored state differs')
    } else if (choice === 1) ide.reset()
    else if (choice < 6) {
      // Ports and the right to master the bus go away for a moment; windows move with the command register.
      ide.writeConfig(next(64) * 4, 4, next(2 ** 32))
      bus.readPort(COMMAND_BLOCK, 4)
      ide.reset()
    } else this.#expectRange(ide.readConfig(4 * next(64), 4), 4)
  }

  #check(): void {
    for (const { name, value, width } of this.bench.ide.registers())
      if (!Number.isInteger(value) || value < 0 || value >= 2 ** width) throw new Error(`${name} is ${value}`)
    if (this.#disk.bytes.length !== SECTORS * 512) throw new Error('the disk has grown')
    if (Buffer.compare(this.#disk.bytes, this.#contents) !== 0) throw new Error('the disk changed by something else')
    // An error of the host is the user's to know, each of them.
    const told = this.bench.failures.length
    if (told !== this.report.hostFailures) throw new Error(`${this.report.hostFailures} failures, ${told} told`)
  }

  get #sectors(): number {
    return this.report.sectorsRead + this.report.sectorsWritten
  }

  #oneOf(values: readonly number[]): number {
    return values[this.#next(values.length)]
  }

  #expectRange(value: number, size: number): void {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size))
      throw new Error(`a port of ${size} bytes reads as ${value}`)
  }
}

/** Of every so many accesses, one fails. */
const FAILS = 50

class WatchedDisk extends MemoryDisk {
  onWrite: ((sector: number, bytes: Uint8Array) => void) | undefined
  readonly #next: Random
  readonly #report: IdeReport

  constructor(next: Random, report: IdeReport) {
    super(numbered(SECTORS))
    this.#next = next
    this.#report = report
  }

  override read(sector: number, count: number): Uint8Array {
    this.#perhapsFail()
    this.#report.sectorsRead += count
    return super.read(sector, count)
  }

  override readInto(sector: number, bytes: Uint8Array): void {
    bytes.set(this.read(sector, bytes.length / 512))
  }

  override write(sector: number, bytes: Uint8Array): void {
    this.#perhapsFail()
    super.write(sector, bytes)
    this.#report.sectorsWritten += bytes.length / 512
    this.onWrite?.(sector, bytes)
  }

  override flush(): void {
    this.#perhapsFail()
    super.flush()
  }

  #perhapsFail(): void {
    if (this.#next(FAILS) !== 0) return
    this.#report.hostFailures++
    throw new DiskError('the host failed')
  }
}
