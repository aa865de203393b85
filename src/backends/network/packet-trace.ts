/**
 * The way of packets: every frame gets a number where it comes into being, and each station that it passes notes it,
 * with virtual time and instruction count. The trace is bounded: old notes make room for new ones.
 */

const DEFAULT_NOTES = 8192

/** Where a station reads the time; a `VirtualClock` is one. */
export interface TraceClock {
  /** Virtual nanoseconds. */
  readonly now: number
  /** Retired instructions. */
  readonly count: number
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
}

/** A place where frames pass, from {@link PacketTrace.station}. */
export type Station = number

const NO_DETAIL = -1

export class PacketTrace {
  readonly #clock: TraceClock
  readonly #capacity: number
  readonly #stations: string[] = []
  /** One column a field: a note must cost next to nothing. */
  readonly #frames: Float64Array
  readonly #times: Float64Array
  readonly #counts: Float64Array
  readonly #at: Uint16Array
  readonly #lengths: Uint32Array
  readonly #details: Int32Array
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
  station(name: string): Station {
    const known = this.#stations.indexOf(name)
    return known >= 0 ? known : this.#stations.push(name) - 1
  }

  /** The number of a frame that comes into being. */
  number(): number {
    return ++this.#lastFrame
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

  #read(i: number): PacketNote {
    return {
      frame: this.#frames[i],
      station: this.#stations[this.#at[i]],
      time: this.#times[i],
      count: this.#counts[i],
      length: this.#lengths[i],
      detail: this.#details[i] === NO_DETAIL ? undefined : this.#details[i],
    }
  }
}
