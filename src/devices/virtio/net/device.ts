/**
 * The network device (Virtio 1.2, 5.1), with one pair of queues and a control queue. What the driver transmits leaves
 * by the wire at once. What comes by the wire arrives a moment of virtual time later, so that several frames make one
 * interrupt; it waits, within bounds, until the driver has buffers for it.
 */

import {
  ETHERNET_HEADER,
  ETHERNET_MTU,
  LARGEST_FRAME,
  ORDINARY_FRAME,
  parseEthernet,
} from '../../../backends/network/frame/ethernet.ts'
import { formatMac, type MacAddress, readMac, writeMac } from '../../../backends/network/frame/mac-address.ts'
import type { EthernetFrame, NetworkPort } from '../../../backends/network/network-port.ts'
import type { PacketTrace, Station } from '../../../backends/network/packet-trace.ts'
import type { Json } from '../../../util/json.ts'
import type { Timer, VirtualClock } from '../../../util/virtual-clock.ts'
import type { RegisterView } from '../../device.ts'
import { encodeBytes, SavedState } from '../../saved-state.ts'
import { featureMask, hasFeature, VIRTIO_F_VERSION_1 } from '../features.ts'
import {
  type Chain,
  type ChainContent,
  type ChainDescription,
  type DeviceQueue,
  VIRTIO_ID_NET,
  type VirtioDevice,
  type VirtioPort,
} from '../virtio-device.ts'
import { describeNetChain } from './describe.ts'
import { checksumIsRight, finishTransmit, isTcp, receiveLarge, type TransmitOffloads } from './offload.ts'
import * as p from './protocol.ts'
import { ReceiveFilter } from './receive-filter.ts'

const QUEUE_SIZE = 256
const CONTROL_QUEUE_SIZE = 64
/** PCI 3.0, appendix D: Ethernet controller. */
const CLASS_CODE = 0x020000
/** Frames, and bytes of them, that wait for buffers of the driver; more are lost. */
const MOST_WAITING = 1024
const MOST_WAITING_BYTES = 4 * 2 ** 20
/** Virtual nanoseconds between a frame's arrival and its delivery: about that of a wire and a switch. */
const ARRIVAL_NS = 20_000
/** A command with all that may follow it. */
const LONGEST_COMMAND = 64 * 1024

export interface NetDeviceOptions {
  readonly name: string
  readonly mac: MacAddress
  readonly clock: VirtualClock
  /** Where the way of packets is noted. */
  readonly trace?: PacketTrace
  /** What the trace calls it, where several machines have a device of this name; its name if absent. */
  readonly label?: string
}

interface Arrived {
  readonly frame: EthernetFrame
  /** In the trace; 0 if it has none. */
  readonly number: number
}

/** What driver and device have agreed on. */
interface Agreement extends TransmitOffloads {
  readonly features: bigint
  /** Bytes before each frame. */
  readonly headerSize: number
  /** Several buffers may take one frame. */
  readonly mergeable: boolean
  /** The driver wants to know which checksums are right. */
  readonly vouches: boolean
  /** It takes TCP segments that are larger than Ethernet's frames. */
  readonly takesLarge: boolean
}

export interface NetCounters {
  transmitted: number
  received: number
  /** Chains that no frame could be made of. */
  transmitDropped: number
  /** The driver's filter did not want them. */
  filtered: number
  /** Too many waited, or the driver's buffers were too small. */
  receiveDropped: number
}

export class NetDevice implements VirtioDevice, NetworkPort {
  readonly name: string
  readonly mac: MacAddress
  readonly type = VIRTIO_ID_NET
  readonly classCode = CLASS_CODE
  readonly queues = [
    { name: 'receiveq', maximumSize: QUEUE_SIZE },
    { name: 'transmitq', maximumSize: QUEUE_SIZE },
    { name: 'controlq', maximumSize: CONTROL_QUEUE_SIZE },
  ]
  readonly features = featureMask(
    ...[p.VIRTIO_NET_F_CSUM, p.VIRTIO_NET_F_GUEST_CSUM, p.VIRTIO_NET_F_MTU, p.VIRTIO_NET_F_MAC],
    ...[p.VIRTIO_NET_F_GUEST_TSO4, p.VIRTIO_NET_F_HOST_TSO4, p.VIRTIO_NET_F_MRG_RXBUF, p.VIRTIO_NET_F_STATUS],
    ...[p.VIRTIO_NET_F_CTRL_VQ, p.VIRTIO_NET_F_CTRL_RX, p.VIRTIO_NET_F_CTRL_RX_EXTRA],
  )
  readonly featureNames = p.FEATURE_NAMES
  readonly configurationSize = p.CONFIG_SIZE
  /** The other end of the cable: what the driver transmits goes there. */
  wire: NetworkPort | undefined
  readonly counters: NetCounters = {
    transmitted: 0,
    received: 0,
    transmitDropped: 0,
    filtered: 0,
    receiveDropped: 0,
  }

  readonly #clock: VirtualClock
  readonly #trace: PacketTrace | undefined
  readonly #stations: Readonly<Record<'taken' | 'refused' | 'arrived' | 'filtered' | 'lost' | 'received', Station>>
  readonly #arrival: Timer
  readonly #filter: ReceiveFilter
  #port: VirtioPort | undefined
  #agreed: Agreement | undefined
  #linkUp = true
  #waiting: Arrived[] = []
  #waitingBytes = 0

  constructor(options: NetDeviceOptions) {
    this.name = options.name
    this.mac = options.mac
    this.#clock = options.clock
    this.#trace = options.trace
    const port = options.label ?? options.name
    const station = (text: string, queue?: number) =>
      options.trace?.station(`${port}: ${text}`, queue === undefined ? undefined : { port, queue }) ?? 0
    this.#stations = {
      taken: station('taken from transmitq', p.TRANSMIT_QUEUE),
      refused: station('refused, from transmitq', p.TRANSMIT_QUEUE),
      arrived: station('arrived'),
      filtered: station('not wanted by the driver'),
      lost: station('lost, no buffer'),
      received: station('put into receiveq', p.RECEIVE_QUEUE),
    }
    this.#arrival = options.clock.timer(`${options.name} arrival`, () => this.#deliver())
    this.#filter = new ReceiveFilter(options.mac)
  }

  connect(port: VirtioPort): void {
    this.#port = port
  }

  negotiated(): boolean {
    // 5.1.3.1: what needs which.
    const needs = [
      [p.VIRTIO_NET_F_GUEST_TSO4, p.VIRTIO_NET_F_GUEST_CSUM],
      [p.VIRTIO_NET_F_HOST_TSO4, p.VIRTIO_NET_F_CSUM],
      [p.VIRTIO_NET_F_CTRL_RX, p.VIRTIO_NET_F_CTRL_VQ],
      [p.VIRTIO_NET_F_CTRL_RX_EXTRA, p.VIRTIO_NET_F_CTRL_VQ],
    ]
    return needs.every(([feature, needed]) => !this.#has(feature) || this.#has(needed))
  }

  get linkUp(): boolean {
    return this.#linkUp
  }

  /** Plugs the cable in or out. The driver is told. */
  setLink(up: boolean): void {
    if (this.#linkUp === up) return
    this.#linkUp = up
    this.#port?.configurationChanged()
  }

  readConfiguration(offset: number, size: 1 | 2 | 4): number {
    const view = this.#configuration()
    return size === 4 ? view.getUint32(offset, true) : size === 2 ? view.getUint16(offset, true) : view.getUint8(offset)
  }

  /** 5.1.4: nothing can be written. Legacy drivers may write the address, and it stays what it is. */
  writeConfiguration(): void {}

  service(index: number): void {
    const queue = this.#port?.queues[index]
    if (queue === undefined) return
    if (index === p.RECEIVE_QUEUE) this.#deliver()
    else if (index === p.TRANSMIT_QUEUE) this.#transmit(queue)
    else this.#obey(queue)
  }

  /** From the wire. */
  receive(frame: EthernetFrame, number = 0): void {
    this.#note(number, this.#stations.arrived, frame)
    const header = parseEthernet(frame)
    if (header === undefined || !this.#takes(frame) || !this.#linkUp || !this.#port?.running) {
      this.#lose({ frame, number })
      return
    }
    if (!this.#filter.wants(header.destination)) {
      this.counters.filtered++
      this.#note(number, this.#stations.filtered, frame)
      return
    }
    if (this.#waiting.length >= MOST_WAITING || this.#waitingBytes + frame.length > MOST_WAITING_BYTES) {
      this.#lose({ frame, number })
      return
    }
    this.#waiting.push({ frame, number })
    this.#waitingBytes += frame.length
    if (this.#arrival.at === undefined) this.#arrival.arm(this.#clock.now + ARRIVAL_NS)
  }

  /** A driver that can take them wants segments uncut. */
  largestFrame(): number {
    return this.#agreement().takesLarge ? LARGEST_FRAME : ORDINARY_FRAME
  }

  reset(): void {
    this.#arrival.cancel()
    this.#waiting = []
    this.#waitingBytes = 0
    this.#filter.reset()
  }

  save(): Json {
    return {
      linkUp: this.#linkUp,
      filter: this.#filter.save(),
      waiting: this.#waiting.map(({ frame }) => ({ frame: encodeBytes(frame) })),
      counters: { ...this.counters },
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#linkUp = saved.boolean('linkUp')
    this.#filter.restore(saved.part('filter'))
    this.#waiting = saved
      .parts('waiting')
      .slice(0, MOST_WAITING)
      .map(part => ({ frame: part.bytes('frame'), number: 0 }))
    this.#waitingBytes = this.#waiting.reduce((sum, { frame }) => sum + frame.length, 0)
    const counters = saved.part('counters')
    this.counters.transmitted = counters.number('transmitted')
    this.counters.received = counters.number('received')
    this.counters.transmitDropped = counters.number('transmitDropped')
    this.counters.filtered = counters.number('filtered')
    this.counters.receiveDropped = counters.number('receiveDropped')
  }

  registers(): readonly RegisterView[] {
    const counter = (name: string, value: number): RegisterView => ({ name, value: value % 2 ** 32, width: 32 })
    const { counters } = this
    return [
      { name: 'status', value: this.#linkUp ? p.VIRTIO_NET_S_LINK_UP : 0, width: 16, meaning: this.#linkText() },
      { name: 'mac', value: this.mac, width: 48, meaning: formatMac(this.mac) },
      { name: 'mtu', value: ETHERNET_MTU, width: 16, meaning: `receives ${this.#filter.describe()}` },
      counter('frames waiting', this.#waiting.length),
      counter('frames transmitted', counters.transmitted),
      counter('frames received', counters.received),
      counter('transmit dropped', counters.transmitDropped),
      counter('receive filtered', counters.filtered),
      counter('receive dropped', counters.receiveDropped),
    ]
  }

  describe(queue: number, chain: ChainContent): ChainDescription {
    return describeNetChain(queue, chain, this.#agreement().headerSize)
  }

  #has(feature: number): boolean {
    return hasFeature(this.#port?.features ?? 0n, feature)
  }

  /** What the features in effect mean; looked up once for each set of them. */
  #agreement(): Agreement {
    const features = this.#port?.features ?? 0n
    if (this.#agreed?.features === features) return this.#agreed
    const mergeable = this.#has(p.VIRTIO_NET_F_MRG_RXBUF)
    this.#agreed = {
      features,
      mergeable,
      headerSize: this.#has(VIRTIO_F_VERSION_1) || mergeable ? p.HEADER_SIZE : p.SHORT_HEADER_SIZE,
      vouches: this.#has(p.VIRTIO_NET_F_GUEST_CSUM),
      takesLarge: this.#has(p.VIRTIO_NET_F_GUEST_TSO4),
      checksum: this.#has(p.VIRTIO_NET_F_CSUM),
      segmentation: this.#has(p.VIRTIO_NET_F_HOST_TSO4),
    }
    return this.#agreed
  }

  #configuration(): DataView {
    const bytes = new Uint8Array(p.CONFIG_SIZE)
    writeMac(bytes, p.CONFIG_MAC, this.mac)
    const view = new DataView(bytes.buffer)
    view.setUint16(p.CONFIG_STATUS, this.#linkUp ? p.VIRTIO_NET_S_LINK_UP : 0, true)
    view.setUint16(p.CONFIG_QUEUE_PAIRS, 1, true)
    view.setUint16(p.CONFIG_MTU, ETHERNET_MTU, true)
    return view
  }

  #linkText(): string {
    return this.#linkUp ? 'link up' : 'link down'
  }

  #transmit(queue: DeviceQueue): void {
    // A driver can't post more in the meantime than its queue has room for.
    for (let taken = 0; taken < queue.size; taken++) {
      const chain = queue.take()
      if (chain === undefined) break
      const frames = this.#framesOf(chain)
      queue.complete(chain, 0)
      if (typeof frames === 'string') this.#refuse(chain)
      else for (const frame of frames) this.#send(frame, chain)
    }
    queue.flush()
  }

  /** @returns why there are none, if so. */
  #framesOf(chain: Chain): readonly EthernetFrame[] | string {
    const { headerSize } = this.#agreement()
    const length = chain.readableLength - headerSize
    if (length < ETHERNET_HEADER || length > LARGEST_FRAME) return `a frame of ${length} bytes`
    const bytes = chain.read(0, headerSize + length)
    const header = p.readNetHeader(bytes, headerSize)
    if (header === undefined) return 'no header'
    return finishTransmit(bytes.subarray(headerSize), header, this.#agreement(), frame => this.#wireTakes(frame))
  }

  #wireTakes(frame: EthernetFrame): boolean {
    return frame.length <= (this.wire?.largestFrame?.(readMac(frame, 0)) ?? ORDINARY_FRAME)
  }

  #send(frame: EthernetFrame, chain: Chain): void {
    const number = this.#trace?.number(frame) ?? 0
    this.#note(number, this.#stations.taken, frame, chain)
    this.counters.transmitted++
    if (this.#linkUp) this.wire?.receive(frame, number)
  }

  #refuse(chain: Chain): void {
    this.counters.transmitDropped++
    this.#trace?.note(this.#trace.number(), this.#stations.refused, chain.readableLength, this.#clock, chain.id)
  }

  /** Hands what waits to the driver, as far as it has buffers. */
  #deliver(): void {
    const queue = this.#port?.queues[p.RECEIVE_QUEUE]
    if (queue === undefined || !this.#port?.running) return
    let done = 0
    for (const arrived of this.#waiting) {
      const result = this.#fill(queue, arrived)
      if (result === 'no buffer') break
      done++
      this.#waitingBytes -= arrived.frame.length
      if (result === 'too large') this.#lose(arrived)
    }
    if (done > 0) this.#waiting.splice(0, done)
    queue.flush()
  }

  #fill(queue: DeviceQueue, arrived: Arrived): 'filled' | 'no buffer' | 'too large' {
    const { frame } = arrived
    const { mergeable, headerSize } = this.#agreement()
    const needed = headerSize + frame.length
    const chains: Chain[] = []
    let room = 0
    while (room < needed) {
      // 5.1.6.3.1: without mergeable buffers one chain has to do. A chain that adds no room can't be part of a frame.
      const chain = chains.length > 0 && !mergeable ? undefined : queue.take()
      const useless = chain !== undefined && chain.writableLength < (chains.length === 0 ? headerSize : 1)
      if (chain !== undefined) chains.push(chain)
      if (chain === undefined || useless) {
        for (const taken of chains.reverse()) queue.putBack(taken)
        return useless || (!mergeable && chains.length > 0) ? 'too large' : 'no buffer'
      }
      room += chain.writableLength
    }
    this.#write(queue, chains, headerSize, arrived)
    return 'filled'
  }

  #write(queue: DeviceQueue, chains: readonly Chain[], headerSize: number, { frame, number }: Arrived): void {
    const large = frame.length > ORDINARY_FRAME ? receiveLarge(frame) : undefined
    const valid = large === undefined && this.#agreement().vouches && checksumIsRight(frame)
    const offloads = large?.header ?? { flags: valid ? p.VIRTIO_NET_HDR_F_DATA_VALID : 0 }
    const header = p.writeNetHeader(headerSize, chains.length, offloads)
    const bytes = large?.frame ?? frame
    let at = 0
    for (const [i, chain] of chains.entries()) {
      const begin = i === 0 ? chain.write(0, header) : 0
      const written = chain.write(begin, at === 0 ? bytes : bytes.subarray(at))
      at += written
      queue.complete(chain, begin + written)
    }
    this.counters.received++
    this.#note(number, this.#stations.received, frame, chains[0])
  }

  #takes(frame: EthernetFrame): boolean {
    return frame.length <= ORDINARY_FRAME || (this.#agreement().takesLarge && isTcp(frame))
  }

  #lose({ frame, number }: Arrived): void {
    this.counters.receiveDropped++
    this.#note(number, this.#stations.lost, frame)
  }

  #note(number: number, station: Station, frame: EthernetFrame, chain?: Chain): void {
    if (number !== 0) this.#trace?.note(number, station, frame.length, this.#clock, chain?.id)
  }

  /** Commands (5.1.6.5): class, command, data; the device answers with one byte. */
  #obey(queue: DeviceQueue): void {
    for (let taken = 0; taken < queue.size; taken++) {
      const chain = queue.take()
      if (chain === undefined) break
      const bytes = chain.read(0, LONGEST_COMMAND)
      const known = bytes.length >= 2 && this.#filter.command(bytes[0], bytes[1], bytes.subarray(2))
      queue.complete(chain, chain.write(0, Uint8Array.of(known ? p.VIRTIO_NET_OK : p.VIRTIO_NET_ERR)))
    }
    queue.flush()
  }
}
