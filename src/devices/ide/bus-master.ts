/**
 * The bus master of one channel (82371SB, 2.7): moves a drive's data to and from memory, where a table of physical
 * regions says. The guest writes the table, and may write anything: every entry is read once, its memory is checked
 * when it is used, and a table ends with its 64 KiB.
 */

import type { Json } from '../../util/json.ts'
import type { RegisterView } from '../device.ts'
import type { SavedState } from '../saved-state.ts'
import type { DmaMemory } from '../virtio/virtqueue/queue-memory.ts'
import * as r from './registers.ts'

const ENTRY_SIZE = 8
/** A table must not cross a multiple of this. */
const TABLE_LIMIT = 0x1_0000
const END_OF_TABLE = 0x8000_0000

/** Why data stopped: all of it moved, the table ended first, or there is no memory where an entry points. */
export type DmaResult = 'done' | 'table-ended' | 'no-memory'

export class BusMaster {
  readonly #memory: DmaMemory
  #command = 0
  #status = 0
  #table = 0
  /** Offset of the next entry from the table's 64 KiB; beyond them when there is none. */
  #next = 0
  #address = 0
  #left = 0
  #last = false
  /** Software has set the start bit. */
  onStart: (() => void) | undefined

  constructor(memory: DmaMemory) {
    this.#memory = memory
  }

  get active(): boolean {
    return (this.#status & r.BM_STATUS_ACTIVE) !== 0
  }

  get toMemory(): boolean {
    return (this.#command & r.BM_COMMAND_TO_MEMORY) !== 0
  }

  read(offset: number): number {
    if (offset === r.BM_COMMAND) return this.#command
    if (offset === r.BM_STATUS) return this.#status
    return offset >= r.BM_TABLE ? (this.#table >>> (8 * (offset - r.BM_TABLE))) & 0xff : 0
  }

  write(offset: number, value: number): void {
    if (offset === r.BM_COMMAND) this.#writeCommand(value)
    else if (offset === r.BM_STATUS) {
      this.#status &= ~(value & (r.BM_STATUS_ERROR | r.BM_STATUS_INTERRUPT))
      this.#status = (this.#status & ~r.BM_STATUS_CAPABLE) | (value & r.BM_STATUS_CAPABLE)
    } else if (offset >= r.BM_TABLE) {
      const shift = 8 * (offset - r.BM_TABLE)
      this.#table = ((this.#table & ~(0xff << shift)) | (value << shift)) & ~3
    }
  }

  #writeCommand(value: number): void {
    const before = this.#command
    this.#command = value & (r.BM_COMMAND_START | r.BM_COMMAND_TO_MEMORY)
    const started = (this.#command & r.BM_COMMAND_START) !== 0
    if (!started) this.#status &= ~r.BM_STATUS_ACTIVE
    else if ((before & r.BM_COMMAND_START) === 0) {
      this.#status |= r.BM_STATUS_ACTIVE
      this.#next = this.#table >>> 0
      this.#left = 0
      this.#last = false
      this.onStart?.()
    }
  }

  /** The drive's interrupt has risen. */
  interrupt(): void {
    this.#status |= r.BM_STATUS_INTERRUPT
  }

  /** Bytes of the drive's into memory. */
  store(bytes: Uint8Array): DmaResult {
    return this.#move(bytes.length, (gpa, offset, length) =>
      this.#memory.write(gpa, bytes.subarray(offset, offset + length)),
    )
  }

  /** Fills `bytes` from memory. */
  load(bytes: Uint8Array): DmaResult {
    return this.#move(bytes.length, (gpa, offset, length) =>
      this.#memory.readInto(gpa, bytes.subarray(offset, offset + length)),
    )
  }

  /** All of the drive's data has moved: with the table's end the bus master is done too. */
  finish(): void {
    if (this.#left === 0 && this.#last) this.#status &= ~r.BM_STATUS_ACTIVE
  }

  #move(total: number, move: (gpa: number, offset: number, length: number) => void): DmaResult {
    for (let done = 0; done < total; ) {
      const result = this.#left > 0 ? 'done' : this.#fetch()
      if (result !== 'done') return this.#stop(result)
      const length = Math.min(this.#left, total - done)
      if (!this.#memory.containsRam(this.#address, length)) return this.#stop('no-memory')
      move(this.#address, done, length)
      this.#address += length
      this.#left -= length
      done += length
    }
    return 'done'
  }

  #stop(result: DmaResult): DmaResult {
    this.#status &= ~r.BM_STATUS_ACTIVE
    if (result === 'no-memory') this.#status |= r.BM_STATUS_ERROR
    return result
  }

  /** The next entry: address, and count of bytes with 0 for 64 KiB; both are even. */
  #fetch(): DmaResult {
    const at = this.#next
    const table = this.#table >>> 0
    if (this.#last || at >= table - (table % TABLE_LIMIT) + TABLE_LIMIT) return 'table-ended'
    if (!this.#memory.containsRam(at, ENTRY_SIZE)) return 'no-memory'
    const bytes = this.#memory.read(at, ENTRY_SIZE)
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    const count = view.getUint32(4, true)
    this.#address = view.getUint32(0, true) & ~1
    if (this.#address < 0) this.#address += 2 ** 32
    this.#left = count & 0xfffe || 0x1_0000
    this.#last = (count & END_OF_TABLE) !== 0
    this.#next = at + ENTRY_SIZE
    return 'done'
  }

  reset(): void {
    this.#command = 0
    this.#status = 0
    this.#table = 0
    this.#next = 0
    this.#address = 0
    this.#left = 0
    this.#last = false
  }

  save(): Json {
    return {
      ...{ command: this.#command, status: this.#status, table: this.#table, next: this.#next },
      ...{ address: this.#address, left: this.#left, last: this.#last },
    }
  }

  restore(saved: SavedState): void {
    this.#command = saved.number('command') & 0xff
    this.#status = saved.number('status') & 0xff
    this.#table = saved.number('table') & ~3
    this.#next = saved.number('next')
    this.#address = saved.number('address')
    this.#left = Math.max(0, Math.min(0x1_0000, saved.number('left')))
    this.#last = saved.boolean('last')
  }

  registers(prefix: string): readonly RegisterView[] {
    return [
      { name: `${prefix}.BMIC`, value: this.#command, width: 8, meaning: this.toMemory ? 'to memory' : 'from memory' },
      { name: `${prefix}.BMIS`, value: this.#status, width: 8, meaning: this.active ? 'active' : 'not active' },
      { name: `${prefix}.BMIDTP`, value: this.#table >>> 0, width: 32 },
    ]
  }
}
