/**
 * Messages on a stream: a header with `Content-Length`, an empty line, JSON (the protocol's base protocol). What comes
 * in is bounded: whoever is at the other end can make us keep one message of the largest size, and no more.
 */

export const LARGEST_MESSAGE = 64 * 2 ** 20
const LONGEST_HEADER = 1024
const SEPARATOR = '\r\n\r\n'

/** The stream is no conversation of this protocol: there is no way to find the next message. */
export class FramingError extends Error {}

/** A message as it goes over the stream. @param text JSON */
export const framed = (text: string): string => `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`

export class MessageReader {
  readonly #received: Buffer[] = []
  #length = 0
  /** Bytes of the message that is being received; undefined while its header is. */
  #expected: number | undefined;

  /** Texts of the messages that are complete now. Throws {@link FramingError}. */
  *push(chunk: Buffer): Generator<string> {
    this.#received.push(chunk)
    this.#length += chunk.length
    for (;;) {
      if (this.#expected === undefined && !this.#readHeader()) return
      if (this.#expected === undefined || this.#length < this.#expected) return
      const message = this.#take(this.#expected)
      this.#expected = undefined
      yield message.toString('utf8')
    }
  }

  #readHeader(): boolean {
    const bytes = this.#joined()
    const end = bytes.subarray(0, LONGEST_HEADER).indexOf(SEPARATOR)
    if (end < 0 && bytes.length < LONGEST_HEADER) {
      // Whoever speaks another protocol, such as a browser that was led here, is cut off at its first line.
      this.#checkHeader(bytes.toString('latin1').split('\r\n').slice(0, -1))
      return false
    }
    if (end < 0) throw new FramingError(`the header of a message is longer than ${LONGEST_HEADER} bytes`)
    const lines = this.#take(end + SEPARATOR.length)
      .toString('latin1')
      .trimEnd()
      .split('\r\n')
    this.#expected = this.#checkHeader(lines)
    if (this.#expected === undefined) throw new FramingError('a message came without Content-Length')
    return true
  }

  #checkHeader(lines: readonly string[]): number | undefined {
    let length: number | undefined
    for (const line of lines) {
      const match = /^(Content-Length|Content-Type) *: *(.*)$/i.exec(line)
      if (match === null) throw new FramingError(`"${line.slice(0, 60)}" is no header of the Debug Adapter Protocol`)
      if (match[1].toLowerCase() === 'content-length') length = contentLength(match[2])
    }
    return length
  }

  /** In one piece: copied only where a message is in several, so that each byte is once. */
  #joined(): Buffer {
    if (this.#received.length !== 1) this.#received.splice(0, this.#received.length, Buffer.concat(this.#received))
    return this.#received[0]
  }

  #take(count: number): Buffer {
    const bytes = this.#joined()
    this.#received.length = 0
    this.#length -= count
    if (this.#length > 0) this.#received.push(bytes.subarray(count))
    return bytes.subarray(0, count)
  }
}

function contentLength(text: string): number {
  const length = Number(text)
  if (!/^[0-9]{1,15}$/.test(text)) throw new FramingError(`Content-Length "${text.slice(0, 60)}" is no number`)
  if (length > LARGEST_MESSAGE)
    throw new FramingError(`a message of ${length} bytes is larger than the ${LARGEST_MESSAGE} that are taken`)
  return length
}
