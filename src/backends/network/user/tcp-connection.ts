/**
 * One TCP connection of a guest (RFC 9293): its other end is here, and what it carries goes on over a stream of the
 * host. Time is the guest's virtual time. Nothing is promised to the host before the guest has it, nor the other way
 * round: who is slow slows the other down, by the window towards the guest and by pausing the stream towards the host.
 */

import type { Ipv4Address } from '../frame/ipv4-address.ts'
import {
  sequenceAfter,
  sequenceDistance,
  TCP_ACK,
  TCP_FIN,
  TCP_PSH,
  TCP_RST,
  TCP_SYN,
  type TcpSegment,
} from '../frame/tcp.ts'
import { ByteRing } from './byte-ring.ts'
import { EarlySegments } from './early-segments.ts'
import type { HostStream, HostStreamListener } from './host-stream.ts'

/** Data in a segment: Ethernet's 1500 bytes less both headers. */
const SEGMENT_SIZE = 1460
/** What a peer takes that names no size (RFC 9293, 3.7.1), and the least that is believed. */
const DEFAULT_SEGMENT_SIZE = 536
const SMALLEST_SEGMENT_SIZE = 48
/** Bytes from the host that wait for the guest before the stream is paused. */
const SEND_LIMIT = 512 * 1024
/** Bytes from the guest that may wait for the host. */
const RECEIVE_LIMIT = 256 * 1024
const WINDOW_SHIFT = 3
const LARGEST_UNSCALED = 0xffff
/** Segments in flight at the beginning (RFC 6928). */
const INITIAL_SEGMENTS = 10
const DUPLICATES_OF_A_LOSS = 3

/** Virtual nanoseconds. */
const FIRST_TIMEOUT = 200e6
const LONGEST_TIMEOUT = 5e9
/** Time-outs in a row after which the guest is taken for gone. */
const MOST_TIMEOUTS = 10
const DELAYED_ACKNOWLEDGMENT = 200e3
/** Unacknowledged data that are acknowledged without delay. */
const ACKNOWLEDGE_AFTER = 4 * SEGMENT_SIZE
const TIME_WAIT = 1e9
/** The host has ended and the guest says nothing more. */
const LINGER = 60e9

export interface TcpEnds {
  readonly guest: Ipv4Address
  readonly guestPort: number
  /** As the guest sees the other end. */
  readonly peer: Ipv4Address
  readonly peerPort: number
}

/** A segment to the guest without its data: `length` bytes from `offset` on in `source`. */
export interface OutgoingSegment {
  readonly sequence: number
  readonly acknowledgment: number
  readonly flags: number
  readonly window: number
  readonly segmentSize?: number
  readonly windowScale?: number
}

export interface TcpSurroundings {
  /** Virtual nanoseconds. */
  now(): number
  /** Bytes of data that one frame to the guest can take. */
  mostData(guest: Ipv4Address): number
  send(ends: TcpEnds, segment: OutgoingSegment, source: ByteRing, offset: number, length: number): void
  /** {@link TcpConnection.tick} is due then; earlier is no harm. */
  wakeAt(time: number): void
  closed(connection: TcpConnection): void
}

/**
 * `connecting`: the guest has asked, the host has not answered yet. `syn-received`: the guest was told that it is
 * connected. `syn-sent`: the host has asked, the guest has not answered yet. Who has sent FIN is noted apart.
 */
export type TcpState = 'connecting' | 'syn-received' | 'syn-sent' | 'open' | 'time-wait' | 'closed'

export class TcpConnection implements HostStreamListener {
  readonly ends: TcpEnds
  readonly #around: TcpSurroundings
  readonly #stream: HostStream
  #state: TcpState

  /** What the guest has not acknowledged yet begins here; what was not sent yet, again or at all; the end of all sent. */
  #unacknowledged: number
  #next: number
  #sent: number
  readonly #queue = new ByteRing()
  #segmentSize = DEFAULT_SEGMENT_SIZE
  /** The guest's. */
  #window = 0
  #scale = 0
  /** The segment that the window is from (RFC 9293, 3.10.7.4: SND.WL1 and SND.WL2). */
  #windowSequence = 0
  #windowAcknowledgment = 0
  #congestionWindow = INITIAL_SEGMENTS * SEGMENT_SIZE
  #threshold = SEND_LIMIT
  #duplicates = 0
  /** While what was lost is sent again: the end of all that was sent when the loss was noticed. */
  #recoverTo: number | undefined
  /** The stream was told to stop. */
  #paused = false
  #finWanted = false
  #finAcknowledged = false
  #timeouts = 0

  #expected = 0
  /** End of the window that the guest was told. */
  #advertised = 0
  #scaled = false
  readonly #early = new EarlySegments()
  #finAt: number | undefined
  #finReceived = false
  #finReceivedFirst = false
  #unanswered = 0

  #retransmitAt: number | undefined
  #acknowledgeAt: number | undefined
  #endAt: number | undefined

  /** The guest asks: `syn` is its segment. The stream is being connected. */
  static fromGuest(
    ends: TcpEnds,
    syn: TcpSegment,
    initialSequence: number,
    stream: HostStream,
    around: TcpSurroundings,
  ): TcpConnection {
    const connection = new TcpConnection('connecting', ends, initialSequence, stream, around)
    connection.#takeSyn(syn)
    return connection
  }

  /** The host asks: the stream is connected. {@link start} says so to the guest. */
  static fromHost(ends: TcpEnds, initialSequence: number, stream: HostStream, around: TcpSurroundings): TcpConnection {
    return new TcpConnection('syn-sent', ends, initialSequence, stream, around)
  }

  private constructor(
    state: TcpState,
    ends: TcpEnds,
    initialSequence: number,
    stream: HostStream,
    around: TcpSurroundings,
  ) {
    this.#state = state
    this.ends = ends
    this.#around = around
    this.#stream = stream
    this.#unacknowledged = initialSequence
    this.#next = initialSequence
    this.#sent = initialSequence
    stream.listener = this
  }

  get state(): TcpState {
    return this.#state
  }

  /** When {@link tick} is due; undefined if never. */
  get deadline(): number | undefined {
    const times = [this.#retransmitAt, this.#acknowledgeAt, this.#endAt].filter(time => time !== undefined)
    return times.length === 0 ? undefined : Math.min(...times)
  }

  /** What a segment needs so that the guest believes a reset. */
  get sequences(): { readonly sequence: number; readonly acknowledgment: number } {
    return { sequence: this.#sent, acknowledgment: this.#expected }
  }

  start(): void {
    this.#sendSyn()
  }

  // From the host.

  connected(): void {
    if (this.#state !== 'connecting') return
    this.#state = 'syn-received'
    this.#sendSyn()
  }

  data(bytes: Uint8Array): void {
    if (this.#state === 'closed' || this.#finWanted) return
    this.#queue.push(bytes)
    if (this.#queue.length >= SEND_LIMIT) {
      this.#paused = true
      this.#stream.pause()
    }
    this.#transmit()
  }

  ended(): void {
    if (this.#state === 'closed' || this.#finWanted) return
    this.#finWanted = true
    this.#transmit()
  }

  drained(): void {
    if (this.#state !== 'open' || this.#finReceived) return
    const gained = sequenceDistance(this.#windowEnd(), this.#advertised)
    if (gained >= 2 * SEGMENT_SIZE) this.#acknowledge()
  }

  closed(failed: boolean): void {
    if (failed || !this.#finWanted) this.reset()
  }

  // From the guest.

  segment(segment: TcpSegment): void {
    if (this.#state === 'closed') return
    if ((segment.flags & TCP_RST) !== 0) this.#takeReset(segment)
    else if (this.#state === 'syn-sent') this.#takeAnswer(segment)
    else if (this.#state === 'syn-received') this.#takeConfirmation(segment)
    else if (this.#state === 'open' || this.#state === 'time-wait') this.#take(segment)
  }

  /** Breaks the connection off, towards both sides. */
  reset(): void {
    if (this.#state === 'closed') return
    const { sequence, acknowledgment } = this.sequences
    this.#send({ sequence, acknowledgment, flags: TCP_RST | TCP_ACK, window: 0 })
    this.#close()
  }

  /** Forgets the connection, without a word to the guest: its machine was reset. */
  abandon(): void {
    this.#close()
  }

  /** Does what is due. */
  tick(): void {
    const now = this.#around.now()
    if (this.#endAt !== undefined && this.#endAt <= now) {
      if (this.#state === 'time-wait') this.#close()
      else this.reset()
      return
    }
    if (this.#acknowledgeAt !== undefined && this.#acknowledgeAt <= now) this.#acknowledge()
    if (this.#retransmitAt !== undefined && this.#retransmitAt <= now) this.#timeOut()
  }

  #takeSyn({ sequence, segmentSize, windowScale, window }: TcpSegment): void {
    this.#expected = sequenceAfter(sequence, 1)
    this.#advertised = this.#expected
    this.#segmentSize = Math.max(SMALLEST_SEGMENT_SIZE, Math.min(segmentSize ?? DEFAULT_SEGMENT_SIZE, SEGMENT_SIZE))
    this.#scaled = windowScale !== undefined
    this.#scale = windowScale ?? 0
    this.#window = window
    this.#windowSequence = sequence
  }

  /** The guest's answer to our SYN. */
  #takeAnswer(segment: TcpSegment): void {
    const ours = sequenceAfter(this.#unacknowledged, 1)
    if ((segment.flags & TCP_ACK) === 0) return
    if (segment.acknowledgment !== ours) {
      this.#send({ sequence: segment.acknowledgment, acknowledgment: 0, flags: TCP_RST, window: 0 })
      return
    }
    if ((segment.flags & TCP_SYN) === 0) return
    this.#takeSyn(segment)
    this.#windowAcknowledgment = ours
    this.#open(ours)
    this.#acknowledge()
    this.#transmit()
  }

  /** The guest's answer to our answer to its SYN. */
  #takeConfirmation(segment: TcpSegment): void {
    const ours = sequenceAfter(this.#unacknowledged, 1)
    if ((segment.flags & TCP_SYN) !== 0) {
      if (sequenceAfter(segment.sequence, 1) === this.#expected) this.#sendSyn()
      return
    }
    if ((segment.flags & TCP_ACK) === 0 || segment.acknowledgment !== ours) return
    this.#windowAcknowledgment = ours
    this.#window = segment.window << this.#scale
    this.#open(ours)
    this.#take(segment)
    this.#transmit()
  }

  #open(sequence: number): void {
    this.#state = 'open'
    this.#unacknowledged = sequence
    this.#next = sequence
    this.#sent = sequence
    this.#congestionWindow = INITIAL_SEGMENTS * this.#segmentSize
    this.#settle()
  }

  #takeReset({ sequence, acknowledgment, flags }: TcpSegment): void {
    const refused = this.#state === 'syn-sent' && (flags & TCP_ACK) !== 0 && acknowledgment === this.#sent
    const distance = sequenceDistance(sequence, this.#expected)
    const inWindow = this.#state !== 'syn-sent' && distance >= 0 && distance <= this.#receiveLimit
    if (refused || inWindow) this.#close()
  }

  #take(segment: TcpSegment): void {
    // A second SYN, or one without acknowledgment, is answered so that the guest finds out (RFC 5961, 4).
    if ((segment.flags & TCP_SYN) !== 0) this.#acknowledge()
    if ((segment.flags & (TCP_SYN | TCP_ACK)) !== TCP_ACK) return
    const distance = sequenceDistance(segment.sequence, this.#expected)
    if (distance > this.#receiveLimit || distance < -(2 ** 30)) {
      this.#acknowledge()
      return
    }
    if (!this.#takeAcknowledgment(segment)) return
    this.#takeData(segment)
    if (this.#ended()) return
    this.#transmit()
  }

  /** False if the segment acknowledges what was never sent. */
  #takeAcknowledgment({ sequence, acknowledgment, window, data, flags }: TcpSegment): boolean {
    if (sequenceDistance(acknowledgment, this.#sent) > 0) {
      this.#acknowledge()
      return false
    }
    const gained = sequenceDistance(acknowledgment, this.#unacknowledged)
    if (gained < 0) return true
    const scaled = window << this.#scale
    const isDuplicate =
      gained === 0 &&
      data.length === 0 &&
      (flags & TCP_FIN) === 0 &&
      scaled === this.#window &&
      this.#inFlight > 0 &&
      scaled > 0
    const newer =
      sequenceDistance(sequence, this.#windowSequence) > 0 ||
      (sequence === this.#windowSequence && sequenceDistance(acknowledgment, this.#windowAcknowledgment) >= 0)
    if (newer) {
      // What asked whether the window is open may have found it closed.
      if (this.#window === 0 && scaled > 0) this.#next = acknowledgment
      this.#window = scaled
      this.#windowSequence = sequence
      this.#windowAcknowledgment = acknowledgment
    }
    if (gained > 0) this.#advance(acknowledgment, gained)
    else if (isDuplicate && ++this.#duplicates === DUPLICATES_OF_A_LOSS && this.#recoverTo === undefined)
      this.#recover()
    // A guest that answers is there, also if its window stays closed.
    this.#timeouts = 0
    return true
  }

  #advance(acknowledgment: number, gained: number): void {
    const data = Math.min(gained, this.#queue.length)
    if (gained > data) this.#finAcknowledged = true
    this.#queue.drop(data)
    if (this.#paused && this.#queue.length < SEND_LIMIT / 2) {
      this.#paused = false
      this.#stream.resume()
    }
    this.#unacknowledged = acknowledgment
    if (sequenceDistance(this.#next, acknowledgment) < 0) this.#next = acknowledgment
    this.#duplicates = 0
    this.#retransmitAt = undefined
    if (this.#recoverTo !== undefined && sequenceDistance(acknowledgment, this.#recoverTo) < 0) {
      // More than one was lost (RFC 6582, 3.2: a partial acknowledgment).
      this.#repeatFirst()
      return
    }
    this.#recoverTo = undefined
    const slowStart = this.#congestionWindow < this.#threshold
    const growth = slowStart ? data : Math.ceil((this.#segmentSize * data) / this.#congestionWindow)
    this.#congestionWindow = Math.min(this.#congestionWindow + growth, SEND_LIMIT)
  }

  /** Three times the same acknowledgment: the segment behind it is lost (RFC 5681, 3.2). */
  #recover(): void {
    this.#threshold = Math.max(this.#inFlight / 2, 2 * this.#segmentSize)
    this.#congestionWindow = this.#threshold
    this.#recoverTo = this.#sent
    this.#repeatFirst()
  }

  #repeatFirst(): void {
    const length = Math.min(this.#segmentSize, this.#queue.length)
    if (length > 0) this.#sendData(this.#unacknowledged, length)
  }

  #takeData({ sequence, data, flags }: TcpSegment): void {
    const fin = (flags & TCP_FIN) !== 0
    if (data.length === 0 && !fin) return
    if (this.#finReceived) {
      this.#acknowledge()
      return
    }
    const known = Math.max(0, sequenceDistance(this.#expected, sequence))
    const begin = sequenceAfter(sequence, known)
    const room = Math.max(0, sequenceDistance(this.#advertised, begin))
    const fresh = data.subarray(known, known + room)
    const complete = known + fresh.length >= data.length
    if (fin && complete && known <= data.length) this.#finAt = sequenceAfter(sequence, data.length)
    const inOrder = begin === this.#expected && this.#early.size === 0
    // Also what closes a gap is acknowledged at once (RFC 5681, 4.2).
    if (begin === this.#expected) this.#deliver(fresh)
    else if (fresh.length > 0) this.#early.add(begin, fresh)
    for (let next = this.#early.take(this.#expected); next !== undefined; next = this.#early.take(this.#expected))
      this.#deliver(next)
    if (this.#finAt === this.#expected) this.#takeFin()
    const hurry = this.#finReceived || !inOrder || !complete || known > 0
    if (hurry || this.#unanswered >= ACKNOWLEDGE_AFTER) this.#acknowledge()
    else this.#acknowledgeAt ??= this.#around.now() + DELAYED_ACKNOWLEDGMENT
    this.#settle()
  }

  #deliver(data: Uint8Array): void {
    if (data.length === 0) return
    this.#expected = sequenceAfter(this.#expected, data.length)
    this.#unanswered += data.length
    this.#stream.write(data)
  }

  #takeFin(): void {
    this.#expected = sequenceAfter(this.#expected, 1)
    this.#finReceived = true
    this.#finReceivedFirst = !this.#finWanted
    this.#early.clear()
    this.#stream.end()
  }

  /** Has everything been said by both sides? */
  #ended(): boolean {
    if (!this.#finAcknowledged) return false
    if (!this.#finReceived) {
      this.#endAt = this.#around.now() + LINGER
      this.#settle()
      return false
    }
    if (this.#finReceivedFirst) this.#close()
    else if (this.#state === 'open') {
      // The guest may not have got our last acknowledgment, and will ask.
      this.#state = 'time-wait'
      this.#endAt = this.#around.now() + TIME_WAIT
      this.#retransmitAt = undefined
      this.#settle()
    }
    return true
  }

  get #inFlight(): number {
    return sequenceDistance(this.#next, this.#unacknowledged)
  }

  /** Sends what both windows let through. */
  #transmit(): void {
    if (this.#state !== 'open') return
    // Several segments as one, where the guest's card takes them so.
    const together = Math.max(1, Math.floor(this.#around.mostData(this.ends.guest) / this.#segmentSize))
    const most = together * this.#segmentSize
    for (;;) {
      const unsent = this.#queue.length - this.#inFlight
      if (unsent < 0 || (unsent === 0 && (!this.#finWanted || this.#finAcknowledged))) break
      if (unsent === 0) {
        this.#send(this.#segmentAt(this.#next, TCP_FIN | TCP_ACK))
        this.#moveNext(1)
        break
      }
      const room = Math.min(this.#window, this.#congestionWindow) - this.#inFlight
      const length = wholeSegments(Math.min(most, unsent, room), unsent, this.#segmentSize)
      // Little pieces wait until they are large ones, or nothing else is on its way (RFC 9293, 3.8.6.2.1).
      if (length <= 0 || (length < this.#segmentSize && length < unsent && this.#inFlight > 0)) break
      this.#sendData(this.#next, length)
      this.#moveNext(length)
    }
    const waiting = this.#inFlight > 0 || this.#queue.length > 0 || (this.#finWanted && !this.#finAcknowledged)
    if (!waiting) this.#retransmitAt = undefined
    else this.#retransmitAt ??= this.#around.now() + this.#timeout
    this.#settle()
  }

  #moveNext(bytes: number): void {
    this.#next = sequenceAfter(this.#next, bytes)
    if (sequenceDistance(this.#next, this.#sent) > 0) this.#sent = this.#next
  }

  /** Nobody has answered in time: something was lost, or the guest's window is closed. */
  #timeOut(): void {
    this.#retransmitAt = undefined
    if (++this.#timeouts > MOST_TIMEOUTS) {
      this.reset()
      return
    }
    if (this.#state === 'syn-sent' || this.#state === 'syn-received') {
      this.#sendSyn()
      return
    }
    if (this.#window === 0 && this.#queue.length > 0) {
      // One byte asks whether the window has opened (RFC 9293, 3.8.6.1).
      this.#sendData(this.#unacknowledged, 1)
      if (this.#inFlight === 0) this.#moveNext(1)
      this.#retransmitAt = this.#around.now() + this.#timeout
      this.#settle()
      return
    }
    this.#threshold = Math.max(this.#inFlight / 2, 2 * this.#segmentSize)
    this.#congestionWindow = this.#segmentSize
    this.#recoverTo = undefined
    this.#duplicates = 0
    this.#next = this.#unacknowledged
    this.#transmit()
  }

  /** Grows with every time-out in a row. */
  get #timeout(): number {
    return Math.min(FIRST_TIMEOUT * 2 ** this.#timeouts, LONGEST_TIMEOUT)
  }

  #sendSyn(): void {
    const answer = this.#state === 'syn-received'
    this.#advertised = this.#windowEnd()
    this.#send({
      sequence: this.#unacknowledged,
      acknowledgment: answer ? this.#expected : 0,
      flags: answer ? TCP_SYN | TCP_ACK : TCP_SYN,
      window: LARGEST_UNSCALED,
      segmentSize: SEGMENT_SIZE,
      ...(answer && !this.#scaled ? {} : { windowScale: WINDOW_SHIFT }),
    })
    this.#next = sequenceAfter(this.#unacknowledged, 1)
    this.#sent = this.#next
    this.#retransmitAt = this.#around.now() + this.#timeout
    this.#settle()
  }

  #sendData(sequence: number, length: number): void {
    const offset = sequenceDistance(sequence, this.#unacknowledged)
    const last = offset + length === this.#queue.length
    this.#send(this.#segmentAt(sequence, last ? TCP_ACK | TCP_PSH : TCP_ACK), offset, length)
  }

  #acknowledge(): void {
    this.#send(this.#segmentAt(this.#sent, TCP_ACK))
  }

  #segmentAt(sequence: number, flags: number): OutgoingSegment {
    // A window that was promised stays promised (RFC 9293, 3.8.6: do not shrink).
    const end = this.#windowEnd()
    if (sequenceDistance(end, this.#advertised) > 0) this.#advertised = end
    const window = sequenceDistance(this.#advertised, this.#expected) >>> (this.#scaled ? WINDOW_SHIFT : 0)
    this.#unanswered = 0
    this.#acknowledgeAt = undefined
    return { sequence, acknowledgment: this.#expected, flags, window: Math.min(window, LARGEST_UNSCALED) }
  }

  #windowEnd(): number {
    return sequenceAfter(this.#expected, Math.max(0, this.#receiveLimit - this.#stream.buffered))
  }

  get #receiveLimit(): number {
    return this.#scaled ? RECEIVE_LIMIT : LARGEST_UNSCALED
  }

  #send(segment: OutgoingSegment, offset = 0, length = 0): void {
    this.#around.send(this.ends, segment, this.#queue, offset, length)
  }

  #settle(): void {
    const { deadline } = this
    if (deadline !== undefined) this.#around.wakeAt(deadline)
  }

  #close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#retransmitAt = undefined
    this.#acknowledgeAt = undefined
    this.#endAt = undefined
    this.#stream.listener = undefined
    if (this.#finReceived && this.#finAcknowledged) this.#stream.end()
    else this.#stream.destroy()
    this.#around.closed(this)
  }
}

/** As much of `length` as makes whole segments, unless it is less than one or the end of the data. */
function wholeSegments(length: number, unsent: number, segmentSize: number): number {
  return length === unsent || length < segmentSize ? length : length - (length % segmentSize)
}
