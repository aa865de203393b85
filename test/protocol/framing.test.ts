import { describe, expect, test } from 'vitest'
import { FramingError, LARGEST_MESSAGE, MessageReader } from '../../src/protocol/framing.ts'

const messages = (reader: MessageReader, ...chunks: (string | Uint8Array)[]): string[] =>
  chunks.flatMap(chunk => [...reader.push(Buffer.from(chunk))])

const framed = (text: string) => `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`

describe('messages on a stream', () => {
  test('come out whole however they are cut', () => {
    const bytes = Buffer.from(framed('{"a":"Grüße"}') + framed('') + framed('[2]'))
    for (let size = 1; size < bytes.length; size++) {
      const reader = new MessageReader()
      const pieces: Uint8Array[] = []
      for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size))
      expect(messages(reader, ...pieces)).toEqual(['{"a":"Grüße"}', '', '[2]'])
    }
  })

  test('may come by the thousand at once, in a time that grows with their number only', () => {
    // With each message copied along with all that follow it this would take minutes.
    const chunk = Buffer.from(framed('x'.repeat(1000)).repeat(20_000))
    expect([...new MessageReader().push(chunk)]).toHaveLength(20_000)
  }, 20_000)

  test('may say their type', () => {
    const text = 'Content-Type: application/vscode-jsonrpc; charset=utf-8\r\ncontent-length:2\r\n\r\n{}'
    expect(messages(new MessageReader(), text)).toEqual(['{}'])
  })

  test.each([
    ['GET / HTTP/1.1\r\n', 'no header of the Debug Adapter Protocol'],
    ['POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}', 'no header of the Debug Adapter Protocol'],
    ['\r\n\r\n', 'no header of the Debug Adapter Protocol'],
    ['Content-Type: x\r\n\r\n', 'without Content-Length'],
    ['Content-Length: -1\r\n\r\n', 'is no number'],
    ['Content-Length: 1e3\r\n\r\n', 'is no number'],
    [`Content-Length: ${LARGEST_MESSAGE + 1}\r\n\r\n`, 'is larger than'],
    ['Content-Length: 1'.padEnd(5000, '0'), 'longer than 1024 bytes'],
    ['x'.repeat(5000), 'longer than 1024 bytes'],
  ])('that are none are refused: %j', (text, why) => {
    const read = () => messages(new MessageReader(), text)
    expect(read).toThrow(FramingError)
    expect(read).toThrow(why)
  })
})
