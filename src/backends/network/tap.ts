/**
 * A network of Linux by a character device of a macvtap or ipvtap interface, `/dev/tapN`. Opening it is all that it
 * takes. An ordinary tap interface is attached to `/dev/net/tun` by an ioctl (TUNSETIFF), which Node.js has no way to
 * make without native code; who asks for one is told what to do instead.
 *
 * Each read and write carries one frame behind a virtio-net header of 10 bytes, all zero as long as nobody has asked
 * the kernel for offloads (Linux, drivers/net/tap.c: IFF_VNET_HDR is set by default).
 */

import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, readSync, writeSync } from 'node:fs'
import type { HostInput } from '../../util/host-input.ts'
import { ETHERNET_HEADER, LARGEST_FRAME } from './frame/ethernet.ts'
import { type MacAddress, parseMac } from './frame/mac-address.ts'
import type { EthernetFrame, NetworkPort } from './network-port.ts'
import type { PacketTrace, Station } from './packet-trace.ts'

const HEADER = 10
const HEADER_GSO_TYPE = 1
/** Frames that are read at once. */
const MOST_FRAMES = 256
/** Milliseconds between two looks while the guest idles: Node.js can't wait for such a device. */
const POLL_MILLISECONDS = 1
const INTERFACES = '/sys/class/net'

/** A tap that can't be used; the message says what is needed. */
export class TapError extends Error {}

/** A device that frames are read from and written to, without waiting. */
export interface TapFile {
  /** The next frame; undefined if there is none now. */
  read(): EthernetFrame | undefined
  /** False if the kernel did not take it. */
  write(frame: EthernetFrame): boolean
  close(): void
}

const ADVICE =
  'give the device of a macvtap interface: ' +
  '"ip link add link eth0 name macvtap0 type macvtap mode bridge", "ip link set macvtap0 up", ' +
  'and then tap=/dev/tapN, where N stands in /sys/class/net/macvtap0/ifindex'

/** Throws {@link TapError}. */
export function openTapFile(path: string): TapFile {
  if (path === '/dev/net/tun' || !path.includes('/'))
    throw new TapError(
      `tap "${path}": a tap interface is attached by an ioctl, which Node.js can't make; ${ADVICE} instead`,
    )
  let file: number
  try {
    file = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  } catch (error) {
    throw new TapError(`tap "${path}" can't be opened: ${reasonOf(error)}`, { cause: error })
  }
  if (fstatSync(file).isCharacterDevice()) return new CharacterDevice(file)
  closeSync(file)
  throw new TapError(`tap "${path}" is no character device; ${ADVICE}`)
}

/** The address of the interface behind `/dev/tapN`, which its guest must have; undefined if it can't be found. */
export function tapAddress(path: string): MacAddress | undefined {
  const index = /^\/dev\/tap(\d+)$/.exec(path)?.[1]
  if (index === undefined) return undefined
  const read = (name: string, field: string) => readFileSync(`${INTERFACES}/${name}/${field}`, 'utf8').trim()
  try {
    const name = readdirSync(INTERFACES).find(candidate => read(candidate, 'ifindex') === index)
    return name === undefined ? undefined : parseMac(read(name, 'address'))
  } catch {
    return undefined
  }
}

class CharacterDevice implements TapFile {
  readonly #file: number
  readonly #buffer = new Uint8Array(HEADER + LARGEST_FRAME)

  constructor(file: number) {
    this.#file = file
  }

  read(): EthernetFrame | undefined {
    for (;;) {
      let length: number
      try {
        length = readSync(this.#file, this.#buffer, 0, this.#buffer.length, null)
      } catch {
        // EAGAIN: nothing there. Anything else: the interface is down or gone, as a cable that is out.
        return undefined
      }
      if (length === 0) return undefined
      // A frame that is left to be cut into segments was not asked for.
      if (length >= HEADER + ETHERNET_HEADER && this.#buffer[HEADER_GSO_TYPE] === 0)
        return this.#buffer.slice(HEADER, length)
    }
  }

  write(frame: EthernetFrame): boolean {
    const bytes = new Uint8Array(HEADER + frame.length)
    bytes.set(frame, HEADER)
    try {
      return writeSync(this.#file, bytes) === bytes.length
    } catch {
      return false
    }
  }

  close(): void {
    closeSync(this.#file)
  }
}

export class Tap implements NetworkPort, HostInput {
  readonly name = 'tap'
  /** Where frames of the host go. */
  port: NetworkPort | undefined
  onArrival: (() => void) | undefined
  readonly counters = { sent: 0, refused: 0, received: 0 }
  readonly #file: TapFile
  readonly #trace: PacketTrace | undefined
  readonly #stations: Readonly<Record<'sent' | 'refused' | 'received', Station>>
  readonly #timer: NodeJS.Timeout
  #waiting: EthernetFrame[] = []
  #closed = false

  constructor(file: TapFile, trace?: PacketTrace) {
    this.#file = file
    this.#trace = trace
    const station = (text: string) => trace?.station(`tap: ${text}`) ?? 0
    this.#stations = {
      sent: station('given to the host'),
      refused: station('refused by the host'),
      received: station('received from the host'),
    }
    this.#timer = setInterval(() => this.#look(), POLL_MILLISECONDS)
    this.#timer.unref()
  }

  receive(frame: EthernetFrame, number = 0): void {
    if (this.#closed) return
    const taken = this.#file.write(frame)
    if (taken) this.counters.sent++
    else this.counters.refused++
    if (number !== 0) this.#trace?.note(number, taken ? this.#stations.sent : this.#stations.refused, frame.length)
  }

  readonly live = true

  get waiting(): boolean {
    return this.#waiting.length > 0
  }

  deliver(): void {
    this.#read()
    const frames = this.#waiting
    this.#waiting = []
    for (const frame of frames) {
      this.counters.received++
      const number = this.#trace?.number(frame)
      if (number !== undefined) this.#trace?.note(number, this.#stations.received, frame.length)
      this.port?.receive(frame, number)
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#timer)
    this.#file.close()
  }

  #look(): void {
    this.#read()
    if (this.waiting) this.onArrival?.()
  }

  /** What does not fit is left to the kernel, which drops it in time. */
  #read(): void {
    while (!this.#closed && this.#waiting.length < MOST_FRAMES) {
      const frame = this.#file.read()
      if (frame === undefined) return
      this.#waiting.push(frame)
    }
  }
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return `there is no such device; ${ADVICE}`
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied: make it yours with chown, or run as root'
  if (code === 'EBUSY') return 'another program has it open'
  return error instanceof Error ? error.message : String(error)
}
