/**
 * A learning bridge (IEEE 802.1D, 7.7 to 7.9): it joins virtual machines and the ports of their host. A frame goes
 * where its destination was last seen as a sender, to everybody else if that is not known, and never back. Its table
 * is bounded, and ages by the count of frames, so that equal runs stay equal.
 */

import { ORDINARY_FRAME, parseEthernet } from './frame/ethernet.ts'
import { isGroup, type MacAddress } from './frame/mac-address.ts'
import type { EthernetFrame, NetworkPort } from './network-port.ts'
import type { PacketTrace, Station } from './packet-trace.ts'

/** Addresses that are remembered; the one that was learned first gives way. */
const MOST_ADDRESSES = 1024
/** Frames of others after which an address is forgotten whose owner has not sent again. */
const AGEING_FRAMES = 100_000
/** Frames that cause frames that cause frames: deeper than that somebody has built a loop. */
const DEEPEST_NESTING = 16

export interface PortCounters {
  /** From the port into the bridge. */
  readonly framesIn: number
  readonly bytesIn: number
  /** From the bridge out of the port. */
  readonly framesOut: number
  readonly bytesOut: number
  /** Came in and went nowhere: malformed, meant for somebody at the same port, in a loop, or nobody else is there. */
  readonly dropped: number
  /** Came in and went to all, because nobody knew where to. */
  readonly flooded: number
}

export interface LearnedAddress {
  readonly mac: MacAddress
  /** Name of the port where it was last seen. */
  readonly port: string
  /** Frames that the bridge has taken since it was learned anew; no more than there may be before it is forgotten. */
  readonly age: number
}

/** Sees every frame that passes, for captures. */
export interface BridgeObserver {
  /** @param direction seen from the one who is plugged in there: `sent` came into the bridge. */
  frame(port: BridgePort, direction: 'sent' | 'received', frame: EthernetFrame, number: number): void
}

interface Learned {
  readonly port: BridgePort
  readonly at: number
}

type Forward = (frame: EthernetFrame, number: number) => void

export interface BridgeOptions {
  readonly trace?: PacketTrace
  readonly mostAddresses?: number
  readonly ageingFrames?: number
}

export class Bridge {
  readonly trace: PacketTrace | undefined
  observer: BridgeObserver | undefined
  readonly #mostAddresses: number
  readonly #ageingFrames: number
  readonly #ports: BridgePort[] = []
  readonly #table = new Map<MacAddress, Learned>()
  #frames = 0
  #connected = 0
  #nesting = 0

  constructor(options: BridgeOptions = {}) {
    this.trace = options.trace
    this.#mostAddresses = options.mostAddresses ?? MOST_ADDRESSES
    this.#ageingFrames = options.ageingFrames ?? AGEING_FRAMES
  }

  get ports(): readonly BridgePort[] {
    return this.#ports
  }

  /** Plugs one in. What it sends it gives to the port that is returned. */
  connect(device: NetworkPort): BridgePort {
    const name = this.portName(device.name)
    const port: BridgePort = new BridgePort(this, device, name, this.#connected++, (frame, number) =>
      this.#forward(port, frame, number),
    )
    this.#ports.push(port)
    return port
  }

  /** What the port of a device will be called: as the device, with a number if another port is called so already. */
  portName(device: string): string {
    const taken = new Set(this.#ports.map(({ name }) => name))
    let name = device
    for (let number = 2; taken.has(name); number++) name = `${device}.${number}`
    return name
  }

  /** Unplugs one; its addresses are forgotten. */
  disconnect(port: BridgePort): void {
    const index = this.#ports.indexOf(port)
    if (index < 0) return
    this.#ports.splice(index, 1)
    for (const [mac, learned] of this.#table) if (learned.port === port) this.#table.delete(mac)
  }

  /** Where an address was last seen; undefined if that is not known, or too long ago. */
  portOf(mac: MacAddress): BridgePort | undefined {
    const learned = this.#table.get(mac)
    return learned === undefined || this.#frames - learned.at > this.#ageingFrames ? undefined : learned.port
  }

  /** Addresses in the table. */
  get addresses(): number {
    return this.#table.size
  }

  /** What is in the table and not too old, in order of learning; for inspection. */
  get learned(): readonly LearnedAddress[] {
    return Array.from(this.#table, ([mac, { port, at }]) => ({ mac, port: port.name, age: this.#frames - at })).filter(
      ({ age }) => age <= this.#ageingFrames,
    )
  }

  #forward(from: BridgePort, frame: EthernetFrame, number: number): void {
    this.#frames++
    from.counters.framesIn++
    from.counters.bytesIn += frame.length
    this.trace?.note(number, from.stationIn, frame.length)
    this.observer?.frame(from, 'sent', frame, number)
    const header = parseEthernet(frame)
    if (header === undefined || isGroup(header.source) || this.#nesting >= DEEPEST_NESTING) {
      this.#drop(from, frame, number)
      return
    }
    this.#learn(header.source, from)
    const to = isGroup(header.destination) ? undefined : this.portOf(header.destination)
    this.#nesting++
    try {
      if (to === from) this.#drop(from, frame, number)
      else if (to !== undefined) this.#deliver(to, frame, number)
      else this.#flood(from, frame, number)
    } finally {
      this.#nesting--
    }
  }

  #flood(from: BridgePort, frame: EthernetFrame, number: number): void {
    if (this.#ports.length < 2) {
      this.#drop(from, frame, number)
      return
    }
    from.counters.flooded++
    // Who receives may plug or unplug somebody.
    for (const port of [...this.#ports]) if (port !== from) this.#deliver(port, frame, number)
  }

  #deliver(to: BridgePort, frame: EthernetFrame, number: number): void {
    to.counters.framesOut++
    to.counters.bytesOut += frame.length
    this.trace?.note(number, to.stationOut, frame.length)
    this.observer?.frame(to, 'received', frame, number)
    to.device.receive(frame, number)
  }

  #drop(from: BridgePort, frame: EthernetFrame, number: number): void {
    from.counters.dropped++
    this.trace?.note(number, from.stationDropped, frame.length)
  }

  #learn(mac: MacAddress, port: BridgePort): void {
    const known = this.#table.get(mac)
    // A busy sender need not be written down anew with every frame.
    if (known !== undefined && known.port === port && this.#frames - known.at < this.#ageingFrames / 2) return
    this.#table.delete(mac)
    if (this.#table.size >= this.#mostAddresses) {
      const oldest = this.#table.keys().next().value
      if (oldest !== undefined) this.#table.delete(oldest)
    }
    this.#table.set(mac, { port, at: this.#frames })
  }
}

/** A port of a bridge, from the side of the one who is plugged in: what it receives goes into the bridge. */
export class BridgePort implements NetworkPort {
  /** That of the device; with a number if another is called so, too. */
  readonly name: string
  /** Who is plugged in. */
  readonly device: NetworkPort
  /** In order of connection; captures call it the interface. */
  readonly index: number
  readonly counters = { framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0, dropped: 0, flooded: 0 }
  readonly stationIn: Station
  readonly stationOut: Station
  readonly stationDropped: Station
  readonly #bridge: Bridge
  readonly #forward: Forward

  constructor(bridge: Bridge, device: NetworkPort, name: string, index: number, forward: Forward) {
    this.#bridge = bridge
    this.device = device
    this.name = name
    this.index = index
    this.#forward = forward
    const station = (text: string) => bridge.trace?.station(`bridge: ${text} ${name}`) ?? 0
    this.stationIn = station('in from')
    this.stationOut = station('out to')
    this.stationDropped = station('dropped, from')
  }

  largestFrame(destination: MacAddress): number {
    return this.#bridge.portOf(destination)?.device.largestFrame?.(destination) ?? ORDINARY_FRAME
  }

  receive(frame: EthernetFrame, number = this.#bridge.trace?.number(frame) ?? 0): void {
    this.#forward(frame, number)
  }
}
