import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { Bridge } from '../../../src/backends/network/bridge.ts'
import { Capture, CaptureError } from '../../../src/backends/network/capture.ts'
import { writeEthernet } from '../../../src/backends/network/frame/ethernet.ts'
import { PacketTrace } from '../../../src/backends/network/packet-trace.ts'
import { readCapture } from '../../support/pcapng.ts'
import { GuestStack } from './guest-stack.ts'

const scratch: string[] = []
const START = Date.parse('2026-01-01T00:00:00Z')

afterEach(() => {
  for (const directory of scratch.splice(0)) rmSync(directory, { recursive: true })
})

function file(): string {
  const directory = mkdtempSync(join(tmpdir(), 'ringside-capture-'))
  scratch.push(directory)
  return join(directory, 'capture.pcapng')
}

function frame(source: number, destination: number, length: number): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => i)
  writeEthernet(bytes, { source, destination, etherType: 0x88b5 })
  return bytes
}

function captured(path: string, wants: (name: string) => boolean = () => true) {
  const clock = { now: 0, count: 0 }
  const failures: string[] = []
  const capture = new Capture({
    path,
    clock,
    start: START,
    wants: port => wants(port.name),
    onFailure: message => failures.push(message),
  })
  const bridge = new Bridge({ trace: new PacketTrace(clock) })
  bridge.observer = capture
  const stations = ['a', 'b'].map(name => {
    const station = new GuestStack(name)
    station.wire = bridge.connect(station)
    return station
  })
  return { clock, capture, stations, failures }
}

describe('capture', () => {
  test('has an interface for each port, and every packet with time, direction and number', () => {
    const path = file()
    const { clock, capture, stations } = captured(path)
    clock.now = 1_234_567_891
    stations[0].send(frame(2, 4, 61))
    clock.now = 9_999_999_999
    stations[1].send(frame(4, 2, 1514))
    capture.close()
    const { interfaces, packets } = readCapture(readFileSync(path))
    expect(interfaces).toEqual([
      { name: 'a', linkType: 1 },
      { name: 'b', linkType: 1 },
    ])
    const start = BigInt(START) * 1_000_000n
    expect(packets).toEqual([
      { interface: 0, time: start + 1_234_567_891n, frame: frame(2, 4, 61), direction: 'outbound', comment: 'frame 1' },
      { interface: 1, time: start + 1_234_567_891n, frame: frame(2, 4, 61), direction: 'inbound', comment: 'frame 1' },
      {
        interface: 1,
        time: start + 9_999_999_999n,
        frame: frame(4, 2, 1514),
        direction: 'outbound',
        comment: 'frame 2',
      },
      {
        interface: 0,
        time: start + 9_999_999_999n,
        frame: frame(4, 2, 1514),
        direction: 'inbound',
        comment: 'frame 2',
      },
    ])
  })

  test('leaves out ports that nobody asked for', () => {
    const path = file()
    const { capture, stations } = captured(path, name => name === 'a')
    stations[0].send(frame(2, 4, 60))
    stations[1].send(frame(4, 2, 60))
    capture.close()
    const { interfaces, packets } = readCapture(readFileSync(path))
    expect(interfaces.map(({ name }) => name)).toEqual(['a'])
    expect(packets.map(({ direction }) => direction)).toEqual(['outbound', 'inbound'])
  })

  test('what was flushed can be read while the machine goes on', () => {
    const path = file()
    const { capture, stations } = captured(path)
    stations[0].send(frame(2, 4, 60))
    expect(readCapture(readFileSync(path)).packets.length).toBe(0)
    capture.flush()
    expect(readCapture(readFileSync(path)).packets.length).toBe(2)
    for (let i = 0; i < 200; i++) stations[0].send(frame(2, 4, 1514))
    expect(readFileSync(path).length).toBeGreaterThan(200 * 1514)
    capture.close()
  })

  test('a file that can’t be made is an error, one that fills up ends the capture alone', () => {
    expect(() => captured('/nowhere/capture.pcapng')).toThrow(CaptureError)
    const { capture, stations, failures } = captured('/dev/full')
    stations[0].send(frame(2, 4, 60))
    capture.flush()
    stations[0].send(frame(2, 4, 60))
    capture.close()
    expect(failures.length).toBe(1)
    expect(failures[0]).toContain('ENOSPC')
    expect(stations[1].take().length).toBe(2)
  })
})
