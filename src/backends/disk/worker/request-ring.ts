/**
 * Requests on their way to a worker and back: slots in shared memory, served in order, and a circle of bytes for their
 * data. The bytes are the ring's own: a worker never sees guest memory, and what it answers is taken from here when the
 * machine's thread wants it.
 */

import { SECTOR_SIZE } from '../disk.ts'
import type { DiskAnswer, DiskCommand } from '../disk-backend.ts'
import { MAXIMUM_REQUEST_BYTES } from '../disk-range.ts'
import { gather, lengthOf } from '../pieces.ts'

const SLOTS = 128
const SLOT_BYTES = 256
const DATA_BYTES = 2 * MAXIMUM_REQUEST_BYTES

/** Words of the header: requests ever submitted and ever answered, modulo 2^32, and what the worker is told and tells. */
const SUBMITTED = 0
const ANSWERED = 1
const STOP = 2
const STOPPED = 3
const HEADER_BYTES = 64

/** Offsets in a slot. */
const KIND = 0
const OK = 4
const SECTOR = 8
const COUNT = 16
const DATA = 24
const REASON_LENGTH = 28
const REASON = 32

const KINDS = ['read', 'write', 'flush', 'discard', 'write-zeroes'] as const

/** What both threads have of a ring. */
export interface SharedRing {
  readonly slots: SharedArrayBuffer
  readonly data: SharedArrayBuffer
}

export function createSharedRing(): SharedRing {
  return {
    slots: new SharedArrayBuffer(HEADER_BYTES + SLOTS * SLOT_BYTES),
    data: new SharedArrayBuffer(DATA_BYTES),
  }
}

/** A request as it stands in a slot. */
interface Entry {
  readonly kind: (typeof KINDS)[number]
  readonly sector: number
  readonly count: number
  /** Where its data is; empty where it has none. */
  readonly data: Uint8Array
}

class RingMemory {
  readonly words: Int32Array
  readonly #slots: DataView
  readonly #text: Uint8Array
  readonly data: Uint8Array

  constructor({ slots, data }: SharedRing) {
    this.words = new Int32Array(slots, 0, HEADER_BYTES / 4)
    this.#slots = new DataView(slots)
    this.#text = new Uint8Array(slots)
    this.data = new Uint8Array(data)
  }

  write(number: number, { kind, sector, count, data }: Entry): void {
    const at = this.#at(number)
    this.#slots.setUint32(at + KIND, KINDS.indexOf(kind), true)
    this.#slots.setFloat64(at + SECTOR, sector, true)
    this.#slots.setFloat64(at + COUNT, count, true)
    this.#slots.setUint32(at + DATA, data.byteOffset, true)
  }

  read(number: number): Entry {
    const at = this.#at(number)
    const kind = KINDS[this.#slots.getUint32(at + KIND, true)]
    const count = this.#slots.getFloat64(at + COUNT, true)
    const offset = this.#slots.getUint32(at + DATA, true)
    const length = kind === 'read' || kind === 'write' ? count * SECTOR_SIZE : 0
    return {
      ...{ kind, count, sector: this.#slots.getFloat64(at + SECTOR, true) },
      data: this.data.subarray(offset, offset + length),
    }
  }

  /** @param reason why it failed; undefined when it did not. */
  writeAnswer(number: number, reason: string | undefined): void {
    const at = this.#at(number)
    const text = new TextEncoder().encode(reason ?? '').subarray(0, SLOT_BYTES - REASON)
    this.#slots.setUint32(at + OK, reason === undefined ? 1 : 0, true)
    this.#slots.setUint32(at + REASON_LENGTH, text.length, true)
    this.#text.set(text, at + REASON)
  }

  readAnswer(number: number): DiskAnswer {
    const at = this.#at(number)
    const { kind, data } = this.read(number)
    if (this.#slots.getUint32(at + OK, true) === 1)
      return { ok: true, bytes: kind === 'read' ? data : data.subarray(0, 0) }
    const length = this.#slots.getUint32(at + REASON_LENGTH, true)
    // A copy: a decoder takes no shared memory.
    return { ok: false, reason: new TextDecoder().decode(this.#text.slice(at + REASON, at + REASON + length)) }
  }

  #at(number: number): number {
    return HEADER_BYTES + ((number >>> 0) % SLOTS) * SLOT_BYTES
  }
}

/** The machine's side. */
export class RequestRing {
  readonly #memory: RingMemory
  /** Modulo 2^32, as the words are. */
  #submitted = 0
  #taken = 0
  /** The circle of bytes: where the next request's begin, and for each request that is under way where its own end. */
  #free = 0
  readonly #ends: number[] = []
  /** Where the oldest request's bytes begin. */
  #oldest = 0

  constructor(shared: SharedRing) {
    this.#memory = new RingMemory(shared)
  }

  /** Requests whose answers were not taken yet. */
  get underWay(): number {
    return this.#ends.length
  }

  /** Is there an answer to take? */
  get answered(): boolean {
    return Atomics.load(this.#memory.words, ANSWERED) !== (this.#taken | 0)
  }

  /** @returns false when the ring is full. */
  submit(command: DiskCommand): boolean {
    if (this.underWay === SLOTS) return false
    const count =
      command.kind === 'write' ? lengthOf(command.pieces) / SECTOR_SIZE : command.kind === 'flush' ? 0 : command.count
    const length = command.kind === 'read' || command.kind === 'write' ? count * SECTOR_SIZE : 0
    const offset = this.#allocate(length)
    if (offset === undefined) return false
    const data = this.#memory.data.subarray(offset, offset + length)
    if (command.kind === 'write') gather(command.pieces, data)
    const sector = command.kind === 'flush' ? 0 : command.sector
    this.#memory.write(this.#submitted, { kind: command.kind, sector, count, data })
    this.#submitted = (this.#submitted + 1) | 0
    Atomics.store(this.#memory.words, SUBMITTED, this.#submitted)
    return true
  }

  /** Hands the oldest answer over and frees its room behind that; its bytes are the ring's. */
  take(use: (answer: DiskAnswer) => void): void {
    if (!this.answered) return
    const number = this.#taken
    try {
      use(this.#memory.readAnswer(number))
    } finally {
      this.#taken = (this.#taken + 1) | 0
      this.#oldest = this.#ends.shift() ?? 0
    }
  }

  /** The worker ends when it has answered everything. */
  stop(): void {
    Atomics.store(this.#memory.words, STOP, 1)
  }

  /** Waits until it has. @returns false after the time. */
  waitForEnd(milliseconds: number): boolean {
    return Atomics.wait(this.#memory.words, STOPPED, 0, milliseconds) !== 'timed-out'
  }

  /** Room in one piece behind the youngest request's, or at the beginning; undefined when there is none. */
  #allocate(length: number): number | undefined {
    if (this.#ends.length === 0) {
      this.#free = 0
      this.#oldest = 0
    }
    const wrapped = this.#ends.length > 0 && this.#free <= this.#oldest
    // A free place that meets the oldest one's would look like none that is taken.
    const behind = wrapped ? this.#oldest - 1 : DATA_BYTES
    let offset = this.#free
    if (offset + length > behind) {
      if (wrapped || length >= this.#oldest) return undefined
      offset = 0
    }
    this.#free = offset + length
    this.#ends.push(this.#free)
    return offset
  }
}

/** Carries out one request; what it throws that is no answer ends the worker. @returns why it failed, if it did. */
export type Serve = (request: Entry) => string | undefined

/** The worker's side. */
export class ServedRing {
  readonly #memory: RingMemory
  #answered = 0

  constructor(shared: SharedRing) {
    this.#memory = new RingMemory(shared)
  }

  /** Serves what has been submitted, in order. @param answered called behind each. */
  serve(serve: Serve, answered: () => void): void {
    while (this.#answered !== Atomics.load(this.#memory.words, SUBMITTED)) {
      this.#memory.writeAnswer(this.#answered, serve(this.#memory.read(this.#answered)))
      this.#answered = (this.#answered + 1) | 0
      Atomics.store(this.#memory.words, ANSWERED, this.#answered)
      answered()
    }
  }

  get stopWanted(): boolean {
    return Atomics.load(this.#memory.words, STOP) !== 0
  }

  stopped(): void {
    Atomics.store(this.#memory.words, STOPPED, 1)
    Atomics.notify(this.#memory.words, STOPPED)
  }
}
