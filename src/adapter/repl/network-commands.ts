/** The command about the network: packets. */

import type { NetworkModel, PacketModel } from '../../inspect/network.ts'
import { MOST_PACKETS, USUAL_ADDRESSES } from '../../protocol/network-requests.ts'
import { networkOf } from '../requests/network.ts'
import { columns } from './columns.ts'
import type { Command } from './command.ts'

const FEW_PACKETS = 8

const packetsCommand: Command = {
  name: 'packets',
  usage: '[COUNT]',
  summary: 'the last packets of the network, station by station, with the counters of the bridge',
  details: 'When the driver posted a chain is known of queues that are traced: trace virtio-net0 1 on.',
  run(call) {
    const count = call.words[0] === undefined ? FEW_PACKETS : call.count(call.words[0], MOST_PACKETS)
    const network = networkOf(call.session, { count, addresses: USUAL_ADDRESSES })
    return network === undefined ? 'the machine has no network' : networkText(network)
  },
}

function networkText({ ports, addresses, learned, frames, packets, card }: NetworkModel): string {
  return [
    columns([
      ['port', 'frames in', 'bytes in', 'frames out', 'bytes out', 'dropped', 'flooded', ''],
      ...ports.map(port => [
        ...[port.name, port.framesIn, port.bytesIn, port.framesOut, port.bytesOut, port.dropped, port.flooded].map(
          String,
        ),
        port.name === card ? 'this machine' : '',
      ]),
    ]),
    ...addresses.map(({ mac, port, age }) => `${mac} is at ${port}, learned ${age} frames ago`),
    ...(learned > addresses.length ? [`and ${learned - addresses.length} addresses more`] : []),
    `${frames} frames${packets.length === 0 ? '' : `, the last ${packets.length}:`}`,
    ...packets.map(packetText),
  ].join('\n')
}

function packetText({ number, length, summary, steps }: PacketModel): string {
  const rows = steps.map(({ station, instructions, nanoseconds, chain }) => [
    String(instructions),
    nanoseconds === undefined ? '' : `${nanoseconds} ns`,
    station + (chain === undefined || nanoseconds === undefined ? '' : `, queue ${chain.queue}, chain ${chain.id}`),
  ])
  return `#${number} ${summary} (${length} bytes)\n${columns(rows, '  ')}`
}

export const networkCommands: readonly Command[] = [packetsCommand]
