/**
 * The way of packets: every frame gets a number where it comes into being, and each station that it passes notes it,
 * with virtual time and instruction count. The trace is bounded: old notes make room for new ones, as do the beginnings
 * of frames, which are kept to say what they were.
 */

import type { EthernetFrame } from './network-port.ts'

const DEFAULT_NOTES = 8192
/** Frames whose beginning is kept. */
const HEADS = 1024
/** Of each: headers, and of a DHCP message the first options (RFC 2131 has them 282 bytes behind the frame's start). */
const HEAD_BYTES = 320

/** Where a station reads the time; a `VirtualClock` is one. */
export interface TraceClock {
  /** Virtual nanoseconds. */
  readonly now: number
  /** Retired instructions. */
  readonly count: number
}

/** A queue that a frame left or entered by a chain of descriptors. */
export interface StationQueue {
  /** What the bridge calls the device's port. */
  readonly port: string
  readonly queue: number
}

export interface PacketNote {
  /** Number of the frame, from 1. */
  readonly frame: number
  /** `virtio-net0: taken from transmitq`, `bridge: out to user`. */
  readonly station: string
  /** Virtual nanoseconds, of the station's own machine. */
  readonly time: number
  readonly count: number
  /** Bytes of the frame. */
  readonly length: number
  /** What the station knows beside: the chain's id in its queue; undefined if nothing. */
  readonly detail: number | undefined
  /** The station is a queue's: the detail is the id of a chain. */
  readonly queue: StationQueue | undefined
}

export interface TracedPacket {
  readonly number: number
  /** Its beginning; undefined when it was not kept, or not any more. */
  readonly head: Uint8Array | undefined
  /** In order; the first are missing if they are forgotten. */
  readonly notes: readonly PacketNote[]
}

/** A place where frames pass, from {@link PacketTrace.station}. */
export type Station = number

const NO_DETAIL = -1

export class PacketTrace {
  readonly #clock: TraceClock
  readonly #capacity: number
  readonly #stations: { readonly name: string; readonly queue: StationQueue | undefined }[] = []
  /** One column a field: a note must cost next to nothing. */
  readonly #frames: Float64Array
  readonly #times: Float64Array
  readonly #counts: Float64Array
  readonly #at: Uint16Array
  readonly #lengths: Uint32Array
  readonly #details: Int32Array
  readonly #heads = new Uint8Array(HEADS * HEAD_BYTES)
  /** Of which frame a head is, and its bytes. */
  readonly #headOf = new Float64Array(HEADS)
  readonly #headLengths = new Uint16Array(HEADS)
  #notes = 0
  #lastFrame = 0

  /** @param clock of the machine that the network belongs to; stations of another machine bring their own. */
  constructor(clock: TraceClock, capacity = DEFAULT_NOTES) {
    this.#clock = clock
    this.#capacity = capacity
    this.#frames = new Float64Array(capacity)
    this.#times = new Float64Array(capacity)
    this.#counts = new Float64Array(capacity)
    this.#at = new Uint16Array(capacity)
    this.#lengths = new Uint32Array(capacity)
    this.#details = new Int32Array(capacity)
  }

  /** @param name for people: who, and what happened there. The same name gives the same station. */
  station(name: string, queue?: StationQueue): Station {
    const known = this.#stations.findIndex(station => station.name === name)
    return known >= 0 ? known : this.#stations.push({ name, queue }) - 1
  }

  /** The number of a frame that comes into being. @param frame if there is one: its beginning is kept. */
  number(frame?: EthernetFrame): number {
    const number = ++this.#lastFrame
    if (frame !== undefined) {
      const slot = number % HEADS
      this.#heads.set(frame.length > HEAD_BYTES ? frame.subarray(0, HEAD_BYTES) : frame, slot * HEAD_BYTES)
      this.#headOf[slot] = number
      this.#headLengths[slot] = Math.min(frame.length, HEAD_BYTES)
    }
    return number
  }

  /** Frames that came into being. */
  get frames(): number {
    return this.#lastFrame
  }

  note(frame: number, station: Station, length: number, clock: TraceClock = this.#clock, detail = NO_DETAIL): void {
    const i = this.#notes++ % this.#capacity
    this.#frames[i] = frame
    this.#times[i] = clock.now
    this.#counts[i] = clock.count
    this.#at[i] = station
    this.#lengths[i] = length
    this.#details[i] = detail
  }

  /** Notes that were made, those that were forgotten among them. */
  get total(): number {
    return this.#notes
  }

  /** The newest notes, oldest first. */
  last(count: number): PacketNote[] {
    const kept = Math.min(this.#notes, this.#capacity, Math.max(0, count))
    return Array.from({ length: kept }, (_, i) => this.#read((this.#notes - kept + i) % this.#capacity))
  }

  /** All that is known of one frame, in order. */
  of(frame: number): PacketNote[] {
    return this.last(this.#capacity).filter(note => note.frame === frame)
  }

  /** The newest frames that are known of, oldest first. */
  packets(count: number): TracedPacket[] {
    const first = this.#lastFrame - Math.max(0, count) + 1
    const found = new Map<number, PacketNote[]>()
    for (const note of this.last(this.#capacity)) {
      if (note.frame < first) continue
      const notes = found.get(note.frame)
      if (notes === undefined) found.set(note.frame, [note])
      else notes.push(note)
    }
    return Array.from(found, ([number, notes]) => ({ number, head: this.#head(number), notes })).sort(
      (a, b) => a.number - b.number,
    )
  }

  #head(frame: number): Uint8Array | undefined {
    const slot = frame % HEADS
    const at = slot * HEAD_BYTES
    return this.#headOf[slot] === frame ? this.#heads.slice(at, at + this.#headLengths[slot]) : undefined
  }

  #read(i: number): PacketNote {
    const { name, queue } = this.#stations[this.#at[i]]
    return {
      ...{ frame: this.#frames[i], station: name, queue },
      time: this.#times[i],
      count: this.#counts[i],
      length: this.#lengths[i],
      detail: this.#details[i] === NO_DETAIL ? undefined : this.#details[i],
    }
  }
}
