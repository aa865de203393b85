/** A driver of the IDE function at its legacy ports, on a bench with flat memory. */

import { MemoryDisk } from '../../../src/backends/disk/memory-disk.ts'
import { Piix3Ide } from '../../../src/devices/ide/piix3-ide.ts'
import * as r from '../../../src/devices/ide/registers.ts'
import { Bench, FlatMemory, ProbeLine } from '../bench.ts'

export const SECTORS = 70_000
export const BUS_MASTER_BASE = 0xc000
const PRIMARY = 0x1f0
const PRIMARY_CONTROL = 0x3f6
const TABLE = 0x1_0000
const LONG_ENOUGH_NS = 1_000_000

export class DmaFlatMemory extends FlatMemory {
  /** By devices. */
  accesses = 0

  containsRam(gpa: number, length: number): boolean {
    return gpa >= 0 && length >= 0 && gpa + length <= this.size
  }

  readInto(gpa: number, bytes: Uint8Array): void {
    bytes.set(this.read(gpa, bytes.length))
  }

  pieces(gpa: number, length: number, into: Uint8Array[]): void {
    into.push(this.bytes.subarray(gpa, gpa + length))
  }

  piecesToWrite(gpa: number, length: number, into: Uint8Array[]): void {
    this.pieces(gpa, length, into)
  }

  written(): void {}

  override read(gpa: number, length: number): Uint8Array {
    this.accesses++
    return super.read(gpa, length)
  }

  override write(gpa: number, bytes: Uint8Array): void {
    this.accesses++
    super.write(gpa, bytes)
  }
}

/** Contents of which every sector tells its number. */
export function numbered(sectors: number): Uint8Array {
  const bytes = new Uint8Array(sectors * 512)
  const view = new DataView(bytes.buffer)
  for (let sector = 0; sector < sectors; sector++) view.setUint32(sector * 512, sector, true)
  return bytes
}

export class IdeBench extends Bench {
  readonly memory = new DmaFlatMemory(2 ** 21)
  readonly lines = [new ProbeLine(), new ProbeLine()]
  readonly disk: MemoryDisk
  readonly ide: Piix3Ide
  readonly failures: string[] = []

  constructor(
    options: {
      sectors?: number
      readOnly?: boolean
      position?: number
      line?: (irq: number) => ProbeLine
      /** Instead of one of so many sectors. */
      disk?: MemoryDisk
    } = {},
  ) {
    super()
    const { sectors = SECTORS, readOnly = false } = options
    this.disk = options.disk ?? new MemoryDisk(numbered(sectors), { readOnly })
    this.ide = new Piix3Ide({
      clock: this.clock,
      memory: this.memory,
      interrupt: options.line ?? (irq => this.lines[irq - 14]),
      disks: Array.from({ length: (options.position ?? 0) + 1 }, (_, index) =>
        index === (options.position ?? 0) ? this.disk : undefined,
      ),
      onFailure: reason => this.failures.push(reason),
    })
    this.ide.attach(this.bus)
    this.ide.placeBars(() => BUS_MASTER_BASE)
    this.ide.plug({ bus: this.bus, interrupt: new ProbeLine(), remap: () => this.#remap() }, 0)
  }

  #remap(): void {
    this.ide.unmapBars()
    this.ide.mapBars()
  }

  /** Writes registers of the command block, high-order bytes first. */
  taskFile(values: { count?: number; lba?: number; device?: number; features?: number }, extended = false): void {
    const { count = 1, lba = 0, device = r.DEVICE_LBA, features = 0 } = values
    const write = (register: number, value: number) => this.out(PRIMARY + register, value & 0xff)
    write(r.REG_DEVICE, extended ? device : device | ((lba / 2 ** 24) & 0x0f))
    write(r.REG_FEATURES, features)
    if (extended) {
      write(r.REG_COUNT, count >>> 8)
      write(r.REG_LBA_LOW, Math.floor(lba / 2 ** 24))
      write(r.REG_LBA_MID, Math.floor(lba / 2 ** 32))
      write(r.REG_LBA_HIGH, Math.floor(lba / 2 ** 40))
    }
    write(r.REG_COUNT, count)
    write(r.REG_LBA_LOW, lba)
    write(r.REG_LBA_MID, lba >>> 8)
    write(r.REG_LBA_HIGH, lba >>> 16)
  }

  /** A command, and the time that it takes until the host is needed. @returns the alternate status then. */
  command(code: number): number {
    this.out(PRIMARY + r.REG_COMMAND, code)
    this.advance(LONG_ENOUGH_NS)
    return this.in(PRIMARY_CONTROL)
  }

  register(offset: number): number {
    return this.in(PRIMARY + offset)
  }

  control(value: number): void {
    this.out(PRIMARY_CONTROL, value)
  }

  /** What the data register gives, as words. */
  receive(bytes: number): Uint8Array {
    const data = new Uint8Array(bytes)
    const view = new DataView(data.buffer)
    for (let i = 0; i < bytes; i += 2) view.setUint16(i, this.bus.readPort(PRIMARY, 2), true)
    return data
  }

  send(data: Uint8Array): void {
    const view = new DataView(data.buffer, data.byteOffset, data.length)
    for (let i = 0; i < data.length; i += 4) this.bus.writePort(PRIMARY, 4, view.getUint32(i, true))
  }

  /** A table of regions of the bus master's, and its start; the last entry ends it unless told otherwise. */
  startDma(regions: readonly (readonly [gpa: number, bytes: number])[], toMemory: boolean, ends = true): void {
    const table = new DataView(this.memory.bytes.buffer, TABLE)
    for (const [index, [gpa, bytes]] of regions.entries()) {
      table.setUint32(8 * index, gpa, true)
      const last = ends && index === regions.length - 1
      table.setUint32(8 * index + 4, (bytes & 0xffff) | (last ? 0x8000_0000 : 0), true)
    }
    this.bus.writePort(BUS_MASTER_BASE + r.BM_TABLE, 4, TABLE)
    this.out(BUS_MASTER_BASE + r.BM_COMMAND, r.BM_COMMAND_START | (toMemory ? r.BM_COMMAND_TO_MEMORY : 0))
    this.advance(LONG_ENOUGH_NS)
  }

  stopDma(): void {
    this.out(BUS_MASTER_BASE + r.BM_COMMAND, 0)
  }

  get busMasterStatus(): number {
    return this.in(BUS_MASTER_BASE + r.BM_STATUS)
  }
}
