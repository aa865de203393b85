/**
 * The bridge that a machine's network card is plugged into, and the way of each packet through it: what each station
 * noted, and beside it what the chain of descriptors went through that the packet left or entered the machine by.
 */

import type { PortCounters } from '../backends/network/bridge.ts'
import { describeFrame, type FrameField } from '../backends/network/frame/describe-frame.ts'
import { formatMac } from '../backends/network/frame/mac-address.ts'
import type { PacketNote, TracedPacket } from '../backends/network/packet-trace.ts'
import { RECEIVE_QUEUE } from '../devices/virtio/net/protocol.ts'
import type { MachineView, NetworkView } from './machine-view.ts'
import { type CompletedChainModel, type PostedAt, virtqueues } from './virtio/virtqueues.ts'

export interface NetworkModel {
  /** Where this machine's card is plugged in. */
  readonly card: string
  readonly ports: readonly (PortCounters & { readonly name: string })[]
  /** What the bridge has learned: who was last seen where, the last learned last. */
  readonly addresses: readonly LearnedAddressModel[]
  /** All that it knows, those that were not asked for among them. */
  readonly learned: number
  /** Frames that came into being, those that are forgotten among them. */
  readonly frames: number
  /** Oldest first. */
  readonly packets: readonly PacketModel[]
}

export interface LearnedAddressModel {
  /** `02:52:53:00:00:01`. */
  readonly mac: string
  readonly port: string
  /** Frames that the bridge has taken since. */
  readonly age: number
}

export interface PacketModel {
  /** Counts the frames of the bridge, from 1. */
  readonly number: number
  /** Bytes, with the Ethernet header. */
  readonly length: number
  /** `TCP 10.0.2.15:40000 > 10.0.2.2:80, SYN, 0 bytes`. */
  readonly summary: string
  readonly fields: readonly FrameField[]
  /** As they happened; the first are missing if they are forgotten. */
  readonly steps: readonly PacketStep[]
}

export interface PacketStep {
  /** `bridge: in from virtio-net0`, `virtio-net0: chain 3 kicked`. */
  readonly station: string
  /** Retired by the machine whose station it is. */
  readonly instructions: number
  /** Virtual, of that machine; not known of what the driver does without telling the device. */
  readonly nanoseconds?: number
  /** The chain of descriptors that it is about: of this machine's card. */
  readonly chain?: { readonly device: string; readonly queue: number; readonly id: number }
}

export interface NetworkLook {
  /** Packets, the last. */
  readonly packets: number
  /** Learned addresses, the last. */
  readonly addresses: number
  readonly postedAt?: PostedAt
}

/** All that a queue remembers. */
const WHOLE_HISTORY = 128

/** Undefined for a machine without a network, or one that can't be seen. */
export function networkModel(machine: MachineView, look: NetworkLook): NetworkModel | undefined {
  const { network } = machine
  if (network === undefined) return undefined
  const { ports, learned, trace } = network.bridge
  const packets = trace?.packets(look.packets) ?? []
  const chains = packets.length === 0 ? [] : cardQueues(machine, network, look.postedAt)
  return {
    card: network.port.name,
    ports: ports.map(({ name, counters }) => ({ name, ...counters })),
    addresses: (look.addresses === 0 ? [] : learned.slice(-look.addresses)).map(({ mac, port, age }) => ({
      ...{ mac: formatMac(mac), port, age },
    })),
    learned: learned.length,
    frames: trace?.frames ?? 0,
    packets: packets.map(packet => packetModel(packet, network, chains)),
  }
}

interface QueueChains {
  readonly queue: number
  readonly history: readonly CompletedChainModel[]
}

function cardQueues(machine: MachineView, { card }: NetworkView, postedAt?: PostedAt): QueueChains[] {
  const look = { device: card.name, chains: { start: 0, count: 0 }, history: WHOLE_HISTORY }
  const [device] = virtqueues(machine, postedAt === undefined ? look : { ...look, postedAt })
  return device?.queues.map(({ index, history }) => ({ queue: index, history })) ?? []
}

function packetModel(
  { number, head, notes }: TracedPacket,
  network: NetworkView,
  chains: readonly QueueChains[],
): PacketModel {
  const { length } = notes[0]
  return {
    ...{ number, length, ...descriptionOf(head, length) },
    steps: notes.flatMap(note => stepsOf(note, network, chains)),
  }
}

/** What is not kept of a frame counts as zeroes: nothing of it is shown but its length. */
function descriptionOf(
  head: Uint8Array | undefined,
  length: number,
): { summary: string; fields: readonly FrameField[] } {
  if (head === undefined) return { summary: `${length} bytes, not kept`, fields: [] }
  const frame = new Uint8Array(Math.max(length, head.length))
  frame.set(head)
  return describeFrame(frame)
}

/** A note, and around it what else is known of the chain that it is about. */
function stepsOf(note: PacketNote, { card, port }: NetworkView, chains: readonly QueueChains[]): PacketStep[] {
  const own = { station: note.station, instructions: note.count, nanoseconds: note.time }
  const { queue, detail: id } = note
  if (queue === undefined || queue.port !== port.name || id === undefined) return [own]
  const chain = { device: card.name, queue: queue.queue, id }
  const found = chains.find(each => each.queue === queue.queue)?.history.findLast(each => isOf(each, id, note.count))
  // What comes in goes into room that the driver offered before there was a packet.
  const subject = queue.queue === RECEIVE_QUEUE ? `buffer for it, chain ${id},` : `chain ${id}`
  const around = (steps: readonly string[]): PacketStep[] =>
    (found?.steps ?? [])
      .filter(({ step }) => steps.includes(step))
      .map(({ step, instructions }) => ({
        ...{ station: `${port.name}: ${subject} ${SAID[step] ?? step}`, instructions, chain },
      }))
  return [...around(['posted', 'kicked']), { ...own, chain }, ...around(['used', 'interrupt'])]
}

const SAID: Readonly<Record<string, string>> = {
  posted: 'posted by the driver',
  kicked: 'kicked',
  used: 'in the used ring',
  interrupt: 'interrupts the driver',
}

/** The device completes a chain at the instruction at which it notes the packet. */
const isOf = ({ id, steps }: CompletedChainModel, wanted: number, count: number): boolean =>
  id === wanted && steps.some(({ step, instructions }) => step === 'used' && instructions === count)
