/**
 * Writes what passes a bridge to a file in the format pcapng (draft-ietf-opsawg-pcapng), which Wireshark and tcpdump
 * read. Every virtual machine's port is an interface; time is the machines' virtual time, counted from the date that
 * they began with. What can't be written ends the capture, not the machine.
 */

import { closeSync, openSync, writeSync } from 'node:fs'
import type { BridgeObserver, BridgePort } from './bridge.ts'
import type { EthernetFrame } from './network-port.ts'
import type { TraceClock } from './packet-trace.ts'

const SECTION_HEADER_BLOCK = 0x0a0d_0d0a
const INTERFACE_DESCRIPTION_BLOCK = 1
const ENHANCED_PACKET_BLOCK = 6
const BYTE_ORDER_MAGIC = 0x1a2b_3c4d
const LINKTYPE_ETHERNET = 1

const OPT_END = 0
const OPT_COMMENT = 1
const SHB_USERAPPL = 4
const IF_NAME = 2
const IF_TSRESOL = 9
const EPB_FLAGS = 2
/** Nanoseconds: a power of ten. */
const RESOLUTION = 9

const FLAG_INBOUND = 1
const FLAG_OUTBOUND = 2

/** Bytes that are gathered before the file is written to. */
const BUFFER_BYTES = 64 * 1024

/** A capture that can't begin; the message says why. */
export class CaptureError extends Error {}

export interface CaptureOptions {
  readonly path: string
  readonly clock: TraceClock
  /** What virtual time 0 was called, in milliseconds since 1970. */
  readonly start: number
  /** Which ports are captured. Frames that pass two of them are there twice. */
  readonly wants?: (port: BridgePort) => boolean
  /** Told once, if the file can't be written any more. */
  readonly onFailure: (message: string) => void
}

export class Capture implements BridgeObserver {
  /** Frames that were captured. */
  frames = 0
  readonly #options: CaptureOptions
  readonly #interfaces = new Map<BridgePort, number>()
  #file: number | undefined
  #buffer: Uint8Array[] = []
  #bytes = 0

  /** Throws {@link CaptureError} if the file can't be made. */
  constructor(options: CaptureOptions) {
    this.#options = options
    try {
      this.#file = openSync(options.path, 'w')
    } catch (error) {
      throw new CaptureError(`capture "${options.path}" can't be written: ${messageOf(error)}`, { cause: error })
    }
    this.#write(sectionHeader())
    this.flush()
  }

  frame(port: BridgePort, direction: 'sent' | 'received', frame: EthernetFrame, number: number): void {
    if (this.#file === undefined || this.#options.wants?.(port) === false) return
    let index = this.#interfaces.get(port)
    if (index === undefined) {
      index = this.#interfaces.size
      this.#interfaces.set(port, index)
      this.#write(interfaceDescription(port.name))
    }
    const time = BigInt(Math.round(this.#options.start)) * 1_000_000n + BigInt(Math.round(this.#options.clock.now))
    this.frames++
    this.#write(enhancedPacket(index, time, frame, direction === 'sent' ? FLAG_OUTBOUND : FLAG_INBOUND, number))
  }

  /** Writes what was gathered. */
  flush(): void {
    if (this.#file === undefined || this.#bytes === 0) return
    const bytes = Buffer.concat(this.#buffer)
    this.#buffer = []
    this.#bytes = 0
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at)
    } catch (error) {
      this.#give()
      this.#options.onFailure(`the capture "${this.#options.path}" has ended: ${messageOf(error)}`)
    }
  }

  close(): void {
    this.flush()
    this.#give()
  }

  #write(block: Uint8Array): void {
    this.#buffer.push(block)
    this.#bytes += block.length
    if (this.#bytes >= BUFFER_BYTES) this.flush()
  }

  #give(): void {
    const file = this.#file
    this.#file = undefined
    if (file !== undefined) closeSync(file)
  }
}

function sectionHeader(): Uint8Array {
  const body = new DataView(new ArrayBuffer(16))
  body.setUint32(0, BYTE_ORDER_MAGIC, true)
  body.setUint16(4, 1, true)
  // The section's length is not known beforehand.
  body.setBigInt64(8, -1n, true)
  return block(SECTION_HEADER_BLOCK, [bytesOf(body), textOption(SHB_USERAPPL, 'Ringside'), endOfOptions()])
}

function interfaceDescription(name: string): Uint8Array {
  const body = new DataView(new ArrayBuffer(8))
  body.setUint16(0, LINKTYPE_ETHERNET, true)
  const options = [textOption(IF_NAME, name), option(IF_TSRESOL, Uint8Array.of(RESOLUTION)), endOfOptions()]
  return block(INTERFACE_DESCRIPTION_BLOCK, [bytesOf(body), ...options])
}

/** @param time nanoseconds since 1970. @param number of the frame in the packet trace; 0 if it has none. */
function enhancedPacket(index: number, time: bigint, frame: EthernetFrame, flags: number, number: number): Uint8Array {
  const body = new DataView(new ArrayBuffer(20))
  body.setUint32(0, index, true)
  body.setUint32(4, Number(time >> 32n), true)
  body.setUint32(8, Number(time & 0xffff_ffffn), true)
  body.setUint32(12, frame.length, true)
  body.setUint32(16, frame.length, true)
  const flagBytes = new DataView(new ArrayBuffer(4))
  flagBytes.setUint32(0, flags, true)
  const comment = number === 0 ? [] : [textOption(OPT_COMMENT, `frame ${number}`)]
  return block(ENHANCED_PACKET_BLOCK, [
    bytesOf(body),
    padded(frame),
    ...comment,
    option(EPB_FLAGS, bytesOf(flagBytes)),
    endOfOptions(),
  ])
}

/** Type, length, body, length again. @param parts multiples of 4 bytes. */
function block(type: number, parts: readonly Uint8Array[]): Uint8Array {
  const length = 12 + parts.reduce((sum, part) => sum + part.length, 0)
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, type, true)
  view.setUint32(4, length, true)
  let at = 8
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  view.setUint32(at, length, true)
  return bytes
}

function option(code: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + Math.ceil(value.length / 4) * 4)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, code, true)
  view.setUint16(2, value.length, true)
  bytes.set(value, 4)
  return bytes
}

function textOption(code: number, text: string): Uint8Array {
  return option(code, new TextEncoder().encode(text))
}

function endOfOptions(): Uint8Array {
  return option(OPT_END, new Uint8Array())
}

function padded(bytes: Uint8Array): Uint8Array {
  if (bytes.length % 4 === 0) return bytes
  const longer = new Uint8Array(Math.ceil(bytes.length / 4) * 4)
  longer.set(bytes)
  return longer
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
