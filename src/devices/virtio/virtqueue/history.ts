/** Chains that a queue has completed, for the inspector: what they were, and when each step happened. */

import type { Json } from '../../../util/json.ts'
import { encodeBytes, type SavedState } from '../../saved-state.ts'
import type { ChainBuffer, ChainContent } from '../virtio-device.ts'
import type { DescriptorChain } from './chain.ts'

/** Entries that a queue remembers. */
export const HISTORY_LENGTH = 128
/** Bytes kept of either direction: a block request's header, or Ethernet, IP and TCP headers behind a virtio one. */
const HEAD_BYTES = 128
/** And of the end of what the device may write: there is the status of a block request. */
const TAIL_BYTES = 16
/** A hostile chain has thousands. */
const MOST_BUFFERS = 64

/** When something happened: instructions that the machine had retired, and virtual nanoseconds. */
export interface Moment {
  readonly count: number
  readonly time: number
}

/** Of each step of a chain: instruction counts of the machine, or virtual nanoseconds. */
export interface ChainTimes {
  /** The driver's last kick before the chain was taken; undefined if there was none. */
  readonly kicked: number | undefined
  readonly taken: number
  readonly used: number
  /** The driver was interrupted because of it; undefined while it was not, or if it did not want that. */
  readonly interrupted: number | undefined
}

/** Content beyond the bytes that were kept reads as nothing. */
export interface HistoryEntry extends ChainContent {
  /** Counts the chains of the queue, from 0. */
  readonly number: number
  /** Index of its first descriptor, or buffer id. */
  readonly id: number
  /** How many buffers there were; the first 64 are in `buffers`. */
  readonly bufferCount: number
  /** Bytes that the device said it wrote. */
  readonly written: number
  /** Instruction counts. */
  readonly times: ChainTimes
  /** Virtual nanoseconds. */
  readonly clock: ChainTimes
}

interface Piece {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** What is kept of a chain while the device has it. */
export class TakenRecord {
  readonly kicked: Moment | undefined
  readonly taken: Moment
  /** Copied before the driver can change it. */
  readonly head: Uint8Array

  private constructor(kicked: Moment | undefined, taken: Moment, head: Uint8Array) {
    this.kicked = kicked
    this.taken = taken
    this.head = head
  }

  static of(chain: DescriptorChain, kicked: Moment | undefined, taken: Moment): TakenRecord {
    return new TakenRecord(kicked, taken, chain.read(0, HEAD_BYTES))
  }

  static restore(saved: SavedState): TakenRecord {
    const kicked = saved.optionalPart('kicked')
    return new TakenRecord(kicked && restoreMoment(kicked), restoreMoment(saved.part('taken')), saved.bytes('head'))
  }

  save(): Json {
    const { kicked, taken, head } = this
    return { kicked: kicked === undefined ? null : { ...kicked }, taken: { ...taken }, head: encodeBytes(head) }
  }
}

export function restoreMoment(saved: SavedState): Moment {
  return { count: saved.number('count'), time: saved.number('time') }
}

function timesOf(record: TakenRecord, used: Moment, unit: keyof Moment): ChainTimes {
  return { kicked: record.kicked?.[unit], taken: record.taken[unit], used: used[unit], interrupted: undefined }
}

class CompletedChain implements HistoryEntry {
  readonly number: number
  readonly id: number
  readonly buffers: readonly ChainBuffer[]
  readonly bufferCount: number
  readonly readableLength: number
  readonly writableLength: number
  readonly written: number
  times: ChainTimes
  clock: ChainTimes
  readonly #readable: readonly Piece[]
  readonly #writable: readonly Piece[]

  constructor(number: number, chain: DescriptorChain, record: TakenRecord, written: number, used: Moment) {
    this.number = number
    this.id = chain.id
    this.buffers = chain.buffers.slice(0, MOST_BUFFERS)
    this.bufferCount = chain.buffers.length
    this.readableLength = chain.readableLength
    this.writableLength = chain.writableLength
    this.written = written
    this.times = timesOf(record, used, 'count')
    this.clock = timesOf(record, used, 'time')
    this.#readable = [{ offset: 0, bytes: record.head }]
    const tail = Math.max(HEAD_BYTES, chain.writableLength - TAIL_BYTES)
    this.#writable = [
      { offset: 0, bytes: chain.readWritable(0, HEAD_BYTES) },
      { offset: tail, bytes: chain.readWritable(tail, TAIL_BYTES) },
    ]
  }

  read(offset: number, length: number): Uint8Array {
    return within(this.#readable, offset, length)
  }

  readWritable(offset: number, length: number): Uint8Array {
    return within(this.#writable, offset, length)
  }
}

function within(pieces: readonly Piece[], offset: number, length: number): Uint8Array {
  for (const piece of pieces) {
    const at = offset - piece.offset
    if (at >= 0 && at < piece.bytes.length) return piece.bytes.slice(at, at + length)
  }
  return new Uint8Array(0)
}

export class QueueHistory {
  readonly #entries: CompletedChain[] = []
  /** Number of the next chain. */
  #next = 0
  /** The first whose interrupt has not been decided yet. */
  #undecided = 0

  /** Oldest first. */
  get entries(): readonly HistoryEntry[] {
    const start = this.#entries.length < HISTORY_LENGTH ? 0 : this.#next % HISTORY_LENGTH
    return [...this.#entries.slice(start), ...this.#entries.slice(0, start)]
  }

  completed(chain: DescriptorChain, record: TakenRecord, written: number, now: Moment): HistoryEntry {
    const entry = new CompletedChain(this.#next, chain, record, written, now)
    this.#entries[this.#next++ % HISTORY_LENGTH] = entry
    return entry
  }

  /** What was completed since the last call did, or did not, lead to an interrupt. */
  decided(interrupted: boolean, now: Moment): void {
    for (let number = Math.max(this.#undecided, this.#next - HISTORY_LENGTH); number < this.#next; number++) {
      const entry = this.#entries[number % HISTORY_LENGTH]
      if (!interrupted) continue
      entry.times = { ...entry.times, interrupted: now.count }
      entry.clock = { ...entry.clock, interrupted: now.time }
    }
    this.#undecided = this.#next
  }
}
