/** What chains of a network device's queues say, for the inspector. Nothing in them can be trusted. */

import { describeFrame } from '../../../backends/network/frame/describe-frame.ts'
import type { ChainContent, ChainDescription } from '../virtio-device.ts'
import * as p from './protocol.ts'

/** Enough for the headers of a frame. */
const SHOWN_BYTES = 2048

const COMMANDS: Readonly<Record<string, string>> = {
  '0,0': 'promiscuous',
  '0,1': 'all multicast',
  '0,2': 'all unicast',
  '0,3': 'no multicast',
  '0,4': 'no unicast',
  '0,5': 'no broadcast',
  '1,0': 'set address tables',
  '1,1': 'set address',
}

/** @param headerSize of the header that driver and device have agreed on. */
export function describeNetChain(queue: number, chain: ChainContent, headerSize: number): ChainDescription {
  if (queue === p.CONTROL_QUEUE) return describeCommand(chain)
  const receives = queue === p.RECEIVE_QUEUE
  const length = receives ? chain.writableLength : chain.readableLength
  const read = (at: number, count: number) => (receives ? chain.readWritable(at, count) : chain.read(at, count))
  const header = p.readNetHeader(read(0, headerSize), headerSize)
  if (header === undefined) return { summary: `no room for a header: ${length} bytes`, fields: [] }
  const bytes = read(headerSize, Math.min(length - headerSize, SHOWN_BYTES))
  // A buffer that nothing was received into yet: its header says no number of buffers, or its frame has no type.
  const empty = receives && bytes.subarray(0, 14).every(byte => byte === 0)
  const frame = describeFrame(bytes)
  return {
    summary: empty ? `room for ${length - headerSize} bytes` : frame.summary,
    fields: [
      { name: 'flags', value: flagNames(header.flags) },
      { name: 'gso_type', value: gsoName(header.gsoType) },
      { name: 'gso_size', value: String(header.gsoSize) },
      { name: 'csum_start', value: String(header.checksumStart) },
      { name: 'csum_offset', value: String(header.checksumOffset) },
      ...(headerSize === p.HEADER_SIZE ? [{ name: 'num_buffers', value: String(header.buffers) }] : []),
      ...(empty ? [] : frame.fields),
    ],
  }
}

function describeCommand(chain: ChainContent): ChainDescription {
  const [kind, command, value] = chain.read(0, 3)
  if (command === undefined) return { summary: `no command: ${chain.readableLength} bytes`, fields: [] }
  const name = COMMANDS[`${kind},${command}`] ?? `class ${kind} command ${command}`
  const [status] = chain.readWritable(0, 1)
  const isMode = kind === p.VIRTIO_NET_CTRL_RX && value !== undefined
  return {
    summary: isMode ? `${name}: ${value === 0 ? 'off' : 'on'}` : name,
    fields: [
      { name: 'class', value: String(kind) },
      { name: 'command', value: String(command) },
      { name: 'ack', value: status === undefined ? 'no room' : String(status) },
    ],
  }
}

function flagNames(flags: number): string {
  const names = []
  if ((flags & p.VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0) names.push('NEEDS_CSUM')
  if ((flags & p.VIRTIO_NET_HDR_F_DATA_VALID) !== 0) names.push('DATA_VALID')
  const rest = flags & ~(p.VIRTIO_NET_HDR_F_NEEDS_CSUM | p.VIRTIO_NET_HDR_F_DATA_VALID)
  if (rest !== 0 || names.length === 0) names.push(String(rest))
  return names.join(' ')
}

function gsoName(type: number): string {
  if (type === p.VIRTIO_NET_HDR_GSO_NONE) return 'none'
  return (type & ~p.VIRTIO_NET_HDR_GSO_ECN) === p.VIRTIO_NET_HDR_GSO_TCPV4 ? 'TCPV4' : String(type)
}
