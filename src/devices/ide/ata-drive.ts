/**
 * An ATA disk drive: its registers, and the protocols by which commands move their sectors (ATA/ATAPI-6, chapter 9).
 * Nothing happens within the host's own access: a command, a block of data or a transfer sets an alarm of virtual time,
 * and the drive is busy until it goes off.
 */

import { type Disk, DiskError, SECTOR_SIZE } from '../../backends/disk/disk.ts'
import type { Json } from '../../util/json.ts'
import type { Timer, VirtualClock } from '../../util/virtual-clock.ts'
import type { RegisterView } from '../device.ts'
import { encodeBytes, type SavedState } from '../saved-state.ts'
import { type AtaCommand, decodeCommand } from './ata-command.ts'
import type { BusMaster } from './bus-master.ts'
import {
  type DriveIdentity,
  type DriveSettings,
  defaultGeometry,
  identifyDevice,
  MAXIMUM_DMA_MODE,
  MAXIMUM_MULTIPLE,
  MAXIMUM_PIO_MODE,
} from './identify.ts'
import * as r from './registers.ts'
import { TaskFile } from './task-file.ts'

/** Virtual nanoseconds that a drive is busy with a command, and with a block of data or a transfer: those of a cache. */
const COMMAND_NS = 10_000
const BLOCK_NS = 2_000
const TRANSFER_NS = 10_000
/** Sectors moved between disk and memory at once. */
const DMA_SECTORS = 256

/** What the drive is about to do, or waits for the host to do. */
type Phase =
  | 'idle'
  /** Alarms are set for these. */
  | 'reset'
  | 'command'
  | 'fetch'
  | 'store'
  | 'transfer'
  /** The host reads or writes the data register, or starts the bus master. */
  | 'data-in'
  | 'data-out'
  | 'dma-wait'

const PHASES: readonly Phase[] = [
  ...(['idle', 'reset', 'command', 'fetch', 'store', 'transfer', 'data-in', 'data-out', 'dma-wait'] as const),
]

export interface AtaDriveOptions {
  /** Unique in the machine. */
  readonly name: string
  readonly disk: Disk
  readonly clock: VirtualClock
  readonly busMaster: BusMaster
  readonly identity: DriveIdentity
  /** The state of {@link AtaDrive.interrupt} has changed. */
  readonly onInterrupt: () => void
  /** For people: a request failed on the host. */
  readonly onFailure: (reason: string) => void
}

export class AtaDrive {
  readonly name: string
  readonly disk: Disk
  readonly task = new TaskFile()
  /** The drive wants the host's attention. */
  interrupt = false

  readonly #busMaster: BusMaster
  readonly #identity: DriveIdentity
  readonly #onInterrupt: () => void
  readonly #onFailure: (reason: string) => void
  readonly #clock: VirtualClock
  readonly #alarm: Timer
  #status = r.STATUS_DRDY | r.STATUS_DSC
  #error = r.DIAGNOSTIC_PASSED
  #phase: Phase = 'idle'
  #code = 0
  /** Sectors of the command that are not moved yet, and where they are. */
  #sector = 0
  #remaining = 0
  /** Data of the block that the host reads or writes. */
  readonly #buffer = new Uint8Array(MAXIMUM_MULTIPLE * SECTOR_SIZE)
  #length = 0
  #position = 0
  /** Data on its way between disk and bus master. */
  readonly #transferred = new Uint8Array(DMA_SECTORS * SECTOR_SIZE)
  #settings: DriveSettings

  constructor(options: AtaDriveOptions) {
    this.name = options.name
    this.disk = options.disk
    this.#busMaster = options.busMaster
    this.#identity = options.identity
    this.#onInterrupt = options.onInterrupt
    this.#onFailure = options.onFailure
    this.#clock = options.clock
    this.#alarm = options.clock.timer(`${options.name} command`, () => this.#work())
    this.#settings = this.#defaults()
    this.task.setSignature()
  }

  #defaults(): DriveSettings {
    return {
      ...{ geometry: defaultGeometry(this.disk.sectors), multiple: 0, dmaMode: MAXIMUM_DMA_MODE },
      ...{ writeCache: true, lookAhead: true },
    }
  }

  get status(): number {
    return this.#status
  }

  get error(): number {
    return this.#error
  }

  get busy(): boolean {
    return (this.#status & r.STATUS_BSY) !== 0
  }

  /** The host reads the status register: that takes the interrupt back (7.15.6). */
  readStatus(): number {
    this.#setInterrupt(false)
    return this.#status
  }

  /** A command, unless the drive is busy. One in the middle of another's data ends that. */
  writeCommand(code: number): void {
    if (this.busy) return
    this.#setInterrupt(false)
    this.#code = code
    this.#error = 0
    this.#length = 0
    this.#position = 0
    this.#later('command', COMMAND_NS)
  }

  /** SRST is set: everything ends, and the drive is busy until some time after it is cleared. */
  holdReset(): void {
    this.#alarm.cancel()
    this.#setInterrupt(false)
    this.#phase = 'reset'
    this.#status = r.STATUS_BSY
  }

  releaseReset(): void {
    if (this.#phase === 'reset') this.#later('reset', COMMAND_NS)
  }

  /** EXECUTE DEVICE DIAGNOSTIC, which both drives of a channel do. */
  diagnose(): void {
    if (this.busy) return
    this.#setInterrupt(false)
    this.#code = r.EXECUTE_DEVICE_DIAGNOSTIC
    this.#later('command', COMMAND_NS)
  }

  /** Software has started the bus master. */
  busMasterStarted(): void {
    if (this.#phase === 'dma-wait') this.#later('transfer', TRANSFER_NS)
  }

  /** The data register; ones where the drive has no data to give. */
  readData(size: number): number {
    if (this.#phase !== 'data-in') return 0xffff_ffff >>> (32 - 8 * size)
    let value = 0
    for (let i = 0; i < size && this.#position < this.#length; i++) value |= this.#buffer[this.#position++] << (8 * i)
    if (this.#position === this.#length) {
      if (this.#remaining > 0) this.#later('fetch', BLOCK_NS)
      else this.#finish(false)
    }
    return value >>> 0
  }

  writeData(size: number, value: number): void {
    if (this.#phase !== 'data-out') return
    for (let i = 0; i < size && this.#position < this.#length; i++) this.#buffer[this.#position++] = value >>> (8 * i)
    if (this.#position === this.#length) this.#later('store', BLOCK_NS)
  }

  #later(phase: Phase, nanoseconds: number): void {
    this.#phase = phase
    this.#status = r.STATUS_BSY | r.STATUS_DRDY | r.STATUS_DSC
    this.#alarm.arm(this.#clock.now + nanoseconds)
  }

  #work(): void {
    try {
      switch (this.#phase) {
        case 'reset':
          this.task.setSignature()
          this.#error = r.DIAGNOSTIC_PASSED
          this.#phase = 'idle'
          this.#status = r.STATUS_DRDY | r.STATUS_DSC
          break
        case 'command':
          this.#begin()
          break
        case 'fetch':
          this.#fetchBlock()
          break
        case 'store':
          this.#storeBlock()
          break
        case 'transfer':
          this.#transfer()
          break
      }
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.#onFailure(`${this.name}: ${error.message}; the guest is told of an I/O error`)
      this.#failMedium()
    }
  }

  #begin(): void {
    if (this.#code === r.EXECUTE_DEVICE_DIAGNOSTIC) {
      this.task.setSignature()
      this.#error = r.DIAGNOSTIC_PASSED
      this.#finish()
      return
    }
    const command = decodeCommand(this.#code)
    if (command === undefined) this.#abort()
    else this.#execute(command)
  }

  #execute(command: AtaCommand): void {
    switch (command.kind) {
      case 'read':
      case 'write':
        this.#beginTransfer(command)
        break
      case 'verify':
        if (this.#locate(command.extended)) this.#verify()
        break
      case 'identify':
        this.#buffer.set(identifyDevice(this.#identity, this.disk.sectors, this.#settings))
        this.#remaining = 0
        this.#offer('data-in', SECTOR_SIZE)
        break
      case 'flush':
        this.disk.flush()
        this.#finish()
        break
      case 'set-features':
        this.#setFeatures()
        break
      case 'set-multiple':
        this.#setMultiple(this.task.rawCount)
        break
      case 'parameters':
        this.#setGeometry()
        break
      case 'native-maximum':
        this.#nativeMaximum(command.extended)
        break
      case 'power-mode':
        // Active or idle.
        this.task.setCount(0xff)
        this.#finish()
        break
      case 'nothing':
        this.#finish()
        break
    }
  }

  #beginTransfer(command: Extract<AtaCommand, { kind: 'read' | 'write' }>): void {
    const disabled = command.multiple && this.#settings.multiple === 0
    if (disabled || (command.kind === 'write' && this.disk.readOnly)) {
      this.#abort()
      return
    }
    if (!this.#locate(command.extended)) return
    if (command.transfer === 'dma') {
      this.#phase = 'dma-wait'
      this.#status = r.STATUS_BSY | r.STATUS_DRDY | r.STATUS_DSC | r.STATUS_DRQ
      if (this.#busMaster.active) this.busMasterStarted()
    } else if (command.kind === 'read') this.#fetchBlock()
    // 9.6: the first block of a write is asked for without an interrupt.
    else this.#offer('data-out', this.#blockSectors * SECTOR_SIZE, false)
  }

  /** Takes the command's sectors from the registers. @returns false when they aren't all on the disk, as the host was told. */
  #locate(extended: boolean): boolean {
    const sector = this.task.address(extended, this.#settings.geometry)
    const count = this.task.count(extended)
    if (sector === undefined || sector + count > this.disk.sectors) {
      this.#fail(r.ERROR_IDNF, 0)
      return false
    }
    this.#sector = sector
    this.#remaining = count
    return true
  }

  /** Sectors of the next block. */
  get #blockSectors(): number {
    const command = decodeCommand(this.#code)
    const multiple = (command?.kind === 'read' || command?.kind === 'write') && command.multiple
    return Math.min(this.#remaining, multiple ? Math.max(1, this.#settings.multiple) : 1)
  }

  #fetchBlock(): void {
    const count = this.#blockSectors
    this.#buffer.set(this.disk.read(this.#sector, count))
    this.#advance(count)
    this.#offer('data-in', count * SECTOR_SIZE)
  }

  #storeBlock(): void {
    this.disk.write(this.#sector, this.#buffer.subarray(0, this.#length))
    this.#advance(this.#length / SECTOR_SIZE)
    if (this.#remaining > 0) this.#offer('data-out', this.#blockSectors * SECTOR_SIZE)
    else this.#finishWrite()
  }

  #advance(sectors: number): void {
    this.#sector += sectors
    this.#remaining -= sectors
  }

  #offer(phase: 'data-in' | 'data-out', length: number, interrupt = true): void {
    this.#phase = phase
    this.#length = length
    this.#position = 0
    this.#status = r.STATUS_DRDY | r.STATUS_DSC | r.STATUS_DRQ
    if (interrupt) this.#setInterrupt(true)
  }

  /** Moves all sectors of a DMA command, if the bus master still wants to. */
  #transfer(): void {
    const toMemory = decodeCommand(this.#code)?.kind === 'read'
    while (this.#remaining > 0) {
      const count = Math.min(this.#remaining, DMA_SECTORS)
      if (!this.#busMaster.active || this.#busMaster.toMemory !== toMemory || !this.#move(toMemory, count)) {
        // The drive has more, and nobody takes it: the host gives up in time, and resets the channel.
        this.#phase = 'dma-wait'
        this.#status = r.STATUS_BSY | r.STATUS_DRDY | r.STATUS_DSC | r.STATUS_DRQ
        return
      }
      this.#advance(count)
    }
    this.#busMaster.finish()
    if (toMemory) this.#finish()
    else this.#finishWrite()
  }

  #move(toMemory: boolean, count: number): boolean {
    const bytes = this.#transferred.subarray(0, count * SECTOR_SIZE)
    if (toMemory) {
      this.disk.readInto(this.#sector, bytes)
      return this.#busMaster.store(bytes) === 'done'
    }
    if (this.#busMaster.load(bytes) !== 'done') return false
    this.disk.write(this.#sector, bytes)
    return true
  }

  #verify(): void {
    while (this.#remaining > 0) {
      const count = Math.min(this.#remaining, DMA_SECTORS)
      this.disk.read(this.#sector, count)
      this.#advance(count)
    }
    this.#finish()
  }

  #finishWrite(): void {
    const command = decodeCommand(this.#code)
    if (!this.#settings.writeCache || (command?.kind === 'write' && command.forceUnitAccess)) this.disk.flush()
    this.#finish()
  }

  #setMultiple(count: number): void {
    const power = count > 0 && (count & (count - 1)) === 0
    if (count === 0 || (power && count <= MAXIMUM_MULTIPLE)) this.#change({ multiple: count })
    else this.#abort()
  }

  /** INITIALIZE DEVICE PARAMETERS: sectors a track, and the highest head. */
  #setGeometry(): void {
    const sectors = this.task.rawCount
    const heads = (this.task.device & 0x0f) + 1
    const cylinders = Math.min(0xffff, Math.floor(this.disk.sectors / (heads * sectors)))
    if (sectors === 0) this.#abort()
    else this.#change({ geometry: { cylinders, heads, sectors } })
  }

  #nativeMaximum(extended: boolean): void {
    this.task.device |= r.DEVICE_LBA
    const last = this.disk.sectors - 1
    this.task.setAddress(extended ? last : Math.min(last, 0x0fff_ffff), extended, this.#settings.geometry)
    this.#finish()
  }

  /** SET FEATURES (8.46): the subcommand is in the features register. */
  #setFeatures(): void {
    switch (this.task.features) {
      case 0x02:
        this.#change({ writeCache: true })
        break
      case 0x82:
        // What the cache holds is written before it ends.
        this.disk.flush()
        this.#change({ writeCache: false })
        break
      case 0xaa:
        this.#change({ lookAhead: true })
        break
      case 0x55:
        this.#change({ lookAhead: false })
        break
      case 0x03:
        this.#setTransferMode(this.task.rawCount)
        break
      // Keep, or go back to, power-on defaults at a reset: settings are kept.
      case 0x66:
      case 0xcc:
        this.#change({})
        break
      default:
        this.#abort()
    }
  }

  /** Bits 7:3 are the kind of transfer, 2:0 the mode. */
  #setTransferMode(value: number): void {
    const kind = value >>> 3
    const mode = value & 7
    if (kind === 0 && mode <= 1) this.#change({})
    else if (kind === 1 && mode <= MAXIMUM_PIO_MODE) this.#change({})
    else if (kind === 4 && mode <= MAXIMUM_DMA_MODE) this.#change({ dmaMode: mode })
    else this.#abort()
  }

  #change(settings: Partial<DriveSettings>): void {
    this.#settings = { ...this.#settings, ...settings }
    this.#finish()
  }

  #abort(): void {
    this.#fail(r.ERROR_ABRT, 0)
  }

  /** The host's file failed: at a write the drive is at fault, at a read the data can't be had. */
  #failMedium(): void {
    const reading = decodeCommand(this.#code)?.kind === 'read' || decodeCommand(this.#code)?.kind === 'verify'
    const command = decodeCommand(this.#code)
    const extended = command !== undefined && 'extended' in command && command.extended
    this.task.setAddress(this.#sector, extended, this.#settings.geometry)
    if (reading) this.#fail(r.ERROR_UNC, 0)
    else this.#fail(r.ERROR_ABRT, r.STATUS_DF)
  }

  #fail(error: number, status: number): void {
    this.#error = error
    this.#finish()
    this.#status |= r.STATUS_ERR | status
  }

  #finish(interrupt = true): void {
    this.#phase = 'idle'
    this.#remaining = 0
    this.#length = 0
    this.#position = 0
    this.#status = r.STATUS_DRDY | r.STATUS_DSC
    if (interrupt) this.#setInterrupt(true)
  }

  #setInterrupt(asserted: boolean): void {
    if (this.interrupt === asserted) return
    this.interrupt = asserted
    this.#onInterrupt()
  }

  /** Power-on. */
  reset(): void {
    this.#alarm.cancel()
    this.task.setSignature()
    this.#settings = this.#defaults()
    this.#code = 0
    this.#sector = 0
    this.#buffer.fill(0)
    this.#finish(false)
    this.#error = r.DIAGNOSTIC_PASSED
    this.interrupt = false
  }

  save(): Json {
    const { geometry, multiple, dmaMode, writeCache, lookAhead } = this.#settings
    return {
      ...{ task: this.task.save(), interrupt: this.interrupt, status: this.#status, error: this.#error },
      ...{ phase: this.#phase, code: this.#code, sector: this.#sector, remaining: this.#remaining },
      ...{ buffer: encodeBytes(this.#buffer), length: this.#length, position: this.#position },
      geometry: [geometry.cylinders, geometry.heads, geometry.sectors],
      ...{ multiple, dmaMode, writeCache, lookAhead },
    }
  }

  restore(saved: SavedState): void {
    this.task.restore(saved.part('task'))
    this.interrupt = saved.boolean('interrupt')
    this.#status = saved.number('status') & 0xff
    this.#error = saved.number('error') & 0xff
    this.#phase = readPhase(this.name, saved.text('phase'))
    this.#code = saved.number('code') & 0xff
    this.#sector = saved.number('sector')
    this.#remaining = saved.number('remaining')
    this.#buffer.set(saved.bytes('buffer', this.#buffer.length))
    this.#length = Math.max(0, Math.min(this.#buffer.length, saved.number('length')))
    this.#position = Math.max(0, Math.min(this.#length, saved.number('position')))
    const [cylinders, heads, sectors] = saved.numbers('geometry', 3)
    this.#settings = {
      geometry: { cylinders, heads, sectors },
      multiple: Math.max(0, Math.min(MAXIMUM_MULTIPLE, saved.number('multiple'))),
      dmaMode: saved.number('dmaMode') & 3,
      writeCache: saved.boolean('writeCache'),
      lookAhead: saved.boolean('lookAhead'),
    }
  }

  registers(): readonly RegisterView[] {
    const byte = (name: string, value: number, meaning?: string): RegisterView => ({
      ...{ name: `${this.name}.${name}`, value, width: 8 },
      ...(meaning === undefined ? {} : { meaning }),
    })
    const high = (register: number) => this.task.read(register, true) << 8
    const wide = (name: string, register: number): RegisterView => ({
      ...{ name: `${this.name}.${name}`, value: this.task.read(register, false) | high(register), width: 16 },
    })
    return [
      byte('status', this.#status, statusNames(this.#status)),
      byte('error', this.#error),
      byte('command', this.#code, r.COMMAND_NAMES[this.#code] ?? 'none that the drive knows'),
      byte('device', this.task.device, this.task.device & r.DEVICE_LBA ? 'LBA' : 'cylinder, head, sector'),
      wide('features', r.REG_FEATURES),
      wide('count', r.REG_COUNT),
      wide('LBA low', r.REG_LBA_LOW),
      wide('LBA mid', r.REG_LBA_MID),
      wide('LBA high', r.REG_LBA_HIGH),
      {
        ...{ name: `${this.name}.sectors left`, value: this.#remaining, width: 17 },
        meaning: `${this.#phase}, sector ${this.#sector} of ${this.disk.sectors}`,
      },
    ]
  }
}

function readPhase(drive: string, text: string): Phase {
  const phase = PHASES.find(name => name === text)
  if (phase === undefined) throw new Error(`saved state of ${drive}: no phase "${text}"; the snapshot is damaged`)
  return phase
}

function statusNames(status: number): string {
  const names = { BSY: r.STATUS_BSY, DRDY: r.STATUS_DRDY, DF: r.STATUS_DF, DRQ: r.STATUS_DRQ, ERR: r.STATUS_ERR }
  return Object.entries(names)
    .filter(([, bit]) => status & bit)
    .map(([name]) => name)
    .join(' ')
}
