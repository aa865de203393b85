/** A reader of captures for tests, apart from their writer: pcapng as draft-ietf-opsawg-pcapng has it, little-endian. */

export interface CapturedPacket {
  /** Index of the interface. */
  readonly interface: number
  /** Nanoseconds since 1970. */
  readonly time: bigint
  readonly frame: Uint8Array
  readonly direction: 'inbound' | 'outbound' | undefined
  readonly comment: string | undefined
}

export interface CaptureFile {
  readonly interfaces: readonly { readonly name: string; readonly linkType: number }[]
  readonly packets: readonly CapturedPacket[]
}

/** Throws for what is no whole, well-formed capture. */
export function readCapture(bytes: Uint8Array): CaptureFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const interfaces: { name: string; linkType: number; resolution: number }[] = []
  const packets: CapturedPacket[] = []
  let at = 0
  for (let index = 0; at < bytes.length; index++) {
    const type = view.getUint32(at, true)
    const length = view.getUint32(at + 4, true)
    if (length % 4 !== 0 || length < 12 || view.getUint32(at + length - 4, true) !== length)
      throw new Error(`block ${index} at ${at}: lengths disagree`)
    if ((index === 0) !== (type === 0x0a0d0d0a)) throw new Error(`block ${index} is of type ${type}`)
    if (index === 0 && view.getUint32(at + 8, true) !== 0x1a2b3c4d) throw new Error('wrong byte order')
    if (type === 1) {
      const options = readOptions(bytes.subarray(at + 16, at + length - 4))
      interfaces.push({
        name: textOf(options.get(2)) ?? '',
        linkType: view.getUint16(at + 8, true),
        resolution: options.get(9)?.[0] ?? 6,
      })
    }
    if (type === 6) {
      const captured = view.getUint32(at + 20, true)
      const number = view.getUint32(at + 8, true)
      const units = (BigInt(view.getUint32(at + 12, true)) << 32n) | BigInt(view.getUint32(at + 16, true))
      const options = readOptions(bytes.subarray(at + 28 + Math.ceil(captured / 4) * 4, at + length - 4))
      packets.push({
        interface: number,
        time: units * 10n ** BigInt(9 - interfaces[number].resolution),
        frame: Uint8Array.from(bytes.subarray(at + 28, at + 28 + captured)),
        direction: (['inbound', 'outbound'] as const)[(options.get(2)?.[0] ?? 0) - 1],
        comment: textOf(options.get(1)),
      })
    }
    at += length
  }
  return { interfaces: interfaces.map(({ name, linkType }) => ({ name, linkType })), packets }
}

function readOptions(bytes: Uint8Array): Map<number, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const options = new Map<number, Uint8Array>()
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = view.getUint16(at + 2, true)
    if (view.getUint16(at, true) === 0) break
    options.set(view.getUint16(at, true), bytes.slice(at + 4, at + 4 + length))
    at += 4 + Math.ceil(length / 4) * 4
  }
  return options
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes)
}
