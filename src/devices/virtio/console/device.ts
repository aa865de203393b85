/** A console by virtio (Virtio 1.2, 5.3): a second console, and further channels of bytes as ports with names. */

import type { Json } from '../../../util/json.ts'
import type { RegisterView } from '../../device.ts'
import { encodeBytes, SavedState } from '../../saved-state.ts'
import {
  type Chain,
  type ChainContent,
  type ChainDescription,
  type DeviceQueue,
  type QueueDescription,
  VIRTIO_ID_CONSOLE,
  type VirtioDevice,
  type VirtioPort,
} from '../virtio-device.ts'
import { ConsolePort, type PortDescription } from './port.ts'
import {
  CONFIG_COLUMNS,
  CONFIG_EMERG_WR,
  CONFIG_MAX_NR_PORTS,
  CONFIG_ROWS,
  CONFIG_SIZE,
  CONTROL_RECEIVE,
  CONTROL_SIZE,
  CONTROL_TRANSMIT,
  type ControlMessage,
  decodeControl,
  encodeControl,
  receiveQueue,
  transmitQueue,
  VIRTIO_CONSOLE_F_EMERG_WRITE,
  VIRTIO_CONSOLE_F_MULTIPORT,
  VIRTIO_CONSOLE_F_SIZE,
} from './protocol.ts'

const QUEUE_SIZE = 128
/** As many as Linux gets of one device without trouble, and more than anybody wants. */
const MOST_PORTS = 16
/** Messages to a driver that does not fetch them. */
const MOST_MESSAGES = 256
/** Bytes that are passed on at once, and of one chain: a hostile one names the same memory again and again. */
const PIECE = 65_536
const MOST_OUTPUT = 2 ** 20
/** Characters in a chain's description. */
const TEXT_SHOWN = 64

export class VirtioConsole implements VirtioDevice {
  readonly name: string
  readonly type = VIRTIO_ID_CONSOLE
  /** Simple communication controller, other (PCI Code and ID Assignment, 1.8). */
  readonly classCode = 0x078000
  readonly queues: readonly QueueDescription[]
  readonly features =
    (1n << BigInt(VIRTIO_CONSOLE_F_SIZE)) |
    (1n << BigInt(VIRTIO_CONSOLE_F_MULTIPORT)) |
    (1n << BigInt(VIRTIO_CONSOLE_F_EMERG_WRITE))
  readonly featureNames = {
    [VIRTIO_CONSOLE_F_SIZE]: 'SIZE',
    [VIRTIO_CONSOLE_F_MULTIPORT]: 'MULTIPORT',
    [VIRTIO_CONSOLE_F_EMERG_WRITE]: 'EMERG_WRITE',
  }
  readonly configurationSize = CONFIG_SIZE
  readonly ports: readonly ConsolePort[]

  #port: VirtioPort | undefined
  #columns = 80
  #rows = 25
  /** For the driver, in order. */
  #messages: Uint8Array[] = []

  /** @param ports the first is the one that drivers without MULTIPORT have. */
  constructor(name: string, ports: readonly PortDescription[]) {
    if (ports.length < 1 || ports.length > MOST_PORTS)
      throw new RangeError(`${name}: ${ports.length} ports; 1 to ${MOST_PORTS} are possible`)
    this.name = name
    this.ports = ports.map(description => new ConsolePort(description))
    this.queues = Array.from({ length: transmitQueue(ports.length - 1) + 1 }, (_, index) => queueNamed(index)).concat(
      // The control channel is there with one port, too.
      ports.length === 1 ? [queueNamed(CONTROL_RECEIVE), queueNamed(CONTROL_TRANSMIT)] : [],
    )
  }

  connect(port: VirtioPort): void {
    this.#port = port
  }

  /** Gives bytes to the guest. @returns how many fit; the others are for later. */
  input(port: number, bytes: Uint8Array): number {
    const taken = this.ports[port]?.offer(bytes) ?? 0
    this.#fillReceive(port)
    return taken
  }

  /** The terminal has another size. */
  resize(columns: number, rows: number): void {
    this.#columns = columns & 0xffff
    this.#rows = rows & 0xffff
    if (this.#multiport) {
      for (const [port, { description }] of this.ports.entries()) if (description.console) this.#sendSize(port)
      this.#sendMessages()
    } else this.#port?.configurationChanged()
  }

  get #multiport(): boolean {
    return ((this.#port?.features ?? 0n) & (1n << BigInt(VIRTIO_CONSOLE_F_MULTIPORT))) !== 0n
  }

  readConfiguration(offset: number, size: 1 | 2 | 4): number {
    const bytes = new DataView(new ArrayBuffer(CONFIG_SIZE))
    bytes.setUint16(CONFIG_COLUMNS, this.#columns, true)
    bytes.setUint16(CONFIG_ROWS, this.#rows, true)
    bytes.setUint32(CONFIG_MAX_NR_PORTS, this.ports.length, true)
    if (size === 4) return bytes.getUint32(offset, true)
    return size === 2 ? bytes.getUint16(offset, true) : bytes.getUint8(offset)
  }

  /** 5.3.5: a byte written to `emerg_wr` is shown, whatever state the device is in. */
  writeConfiguration(offset: number, _size: 1 | 2 | 4, value: number): void {
    if (offset === CONFIG_EMERG_WR) this.ports[0].transmit(Uint8Array.of(value & 0xff))
  }

  negotiated(): boolean {
    return true
  }

  service(index: number): void {
    const queue = this.#port?.queues[index]
    if (queue === undefined) return
    if (index === CONTROL_RECEIVE) this.#sendMessages()
    else if (index === CONTROL_TRANSMIT) this.#control(queue)
    else {
      const port = this.ports.findIndex((_, at) => receiveQueue(at) === index || transmitQueue(at) === index)
      if (port < 0) return
      if (index === receiveQueue(port)) this.#fillReceive(port)
      else this.#transmit(queue, this.ports[port])
    }
  }

  #transmit(queue: DeviceQueue, port: ConsolePort): void {
    for (let chain = queue.take(); chain !== undefined; chain = queue.take()) {
      const length = Math.min(chain.readableLength, MOST_OUTPUT)
      for (let at = 0; at < length; at += PIECE) port.transmit(chain.read(at, PIECE))
      queue.complete(chain, 0)
    }
    queue.flush()
  }

  /** Input goes to whoever has the port open; a console is always so, and so is everything without MULTIPORT. */
  #fillReceive(index: number): void {
    const port = this.ports[index]
    const queue = this.#port?.queues[receiveQueue(index)]
    if (port === undefined || queue === undefined) return
    const open = !this.#multiport || port.description.console || port.openInGuest
    while (open && port.waiting > 0) {
      const chain = queue.take()
      if (chain === undefined) break
      const bytes = port.next(chain.writableLength)
      chain.write(0, bytes)
      queue.complete(chain, bytes.length)
    }
    queue.flush()
  }

  #control(queue: DeviceQueue): void {
    for (let chain = queue.take(); chain !== undefined; chain = queue.take()) {
      const message = decodeControl(chain.read(0, CONTROL_SIZE))
      if (message !== undefined) this.#obey(message)
      queue.complete(chain, 0)
    }
    queue.flush()
    this.#sendMessages()
  }

  /** 5.3.6.2. Messages about ports that there aren't, and of the device's own kinds, are nothing. */
  #obey({ port: index, event, value }: ControlMessage): void {
    if (event === 'DEVICE_READY') {
      if (value !== 1) return
      for (const port of this.ports.keys()) this.#message({ port, event: 'PORT_ADD', value: 1 })
      return
    }
    const port = this.ports[index]
    if (port === undefined) return
    if (event === 'PORT_READY' && value === 1) {
      port.ready = true
      const { console, name } = port.description
      if (console) {
        this.#message({ port: index, event: 'CONSOLE_PORT', value: 1 })
        this.#sendSize(index)
      }
      if (name !== '')
        this.#message({ port: index, event: 'PORT_NAME', value: 1, rest: Buffer.from(`${name}\0`, 'latin1') })
      this.#message({ port: index, event: 'PORT_OPEN', value: 1 })
    } else if (event === 'PORT_OPEN') {
      port.openInGuest = value !== 0
      this.#fillReceive(index)
    }
  }

  #sendSize(port: number): void {
    if (!this.ports[port].ready) return
    const rest = new Uint8Array(Uint16Array.of(this.#columns, this.#rows).buffer)
    this.#message({ port, event: 'RESIZE', value: 0, rest })
  }

  #message(message: ControlMessage): void {
    // A driver that asks again and again and fetches nothing has lost its claim.
    if (this.#messages.length < MOST_MESSAGES) this.#messages.push(encodeControl(message))
  }

  #sendMessages(): void {
    const queue = this.#port?.queues[CONTROL_RECEIVE]
    if (queue === undefined) return
    while (this.#messages.length > 0) {
      const chain: Chain | undefined = queue.take()
      if (chain === undefined) break
      queue.complete(chain, chain.write(0, this.#messages[0]))
      this.#messages.shift()
    }
    queue.flush()
  }

  reset(): void {
    for (const port of this.ports) port.reset()
    this.#messages = []
  }

  save(): Json {
    return {
      columns: this.#columns,
      rows: this.#rows,
      messages: this.#messages.map(encodeBytes),
      ports: this.ports.map(port => port.save()),
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#columns = saved.number('columns') & 0xffff
    this.#rows = saved.number('rows') & 0xffff
    this.#messages = saved
      .values('messages')
      .slice(0, MOST_MESSAGES)
      .map(message => new SavedState(`${this.name}, message`, { message }).bytes('message'))
    for (const [index, port] of saved.parts('ports', this.ports.length).entries()) this.ports[index].restore(port)
  }

  registers(): readonly RegisterView[] {
    return [
      { name: 'cols', value: this.#columns, width: 16 },
      { name: 'rows', value: this.#rows, width: 16 },
      { name: 'max_nr_ports', value: this.ports.length, width: 32 },
      ...this.ports.flatMap(({ description, openInGuest, received, sent, waiting }, index) => [
        {
          ...{ name: `port ${index} open`, value: openInGuest ? 1 : 0, width: 1 },
          meaning: description.console ? 'console' : description.name,
        },
        { name: `port ${index} bytes from the guest`, value: received, width: 64 },
        { name: `port ${index} bytes to the guest`, value: sent, width: 64 },
        { name: `port ${index} bytes waiting`, value: waiting, width: 32 },
      ]),
    ]
  }

  describe(index: number, chain: ChainContent): ChainDescription {
    if (index === CONTROL_RECEIVE) return describeControl(chain.readWritable(0, CONTROL_SIZE + TEXT_SHOWN))
    if (index === CONTROL_TRANSMIT) return describeControl(chain.read(0, CONTROL_SIZE + TEXT_SHOWN))
    if (chain.readableLength === 0)
      return {
        summary: `room for ${chain.writableLength} bytes of input`,
        fields: textFields(chain.readWritable(0, TEXT_SHOWN)),
      }
    return { summary: `${chain.readableLength} bytes of output`, fields: textFields(chain.read(0, TEXT_SHOWN)) }
  }
}

function queueNamed(index: number): QueueDescription {
  const channel = index === CONTROL_RECEIVE || index === CONTROL_TRANSMIT ? 'control ' : ''
  const port = index < CONTROL_RECEIVE ? 0 : (index >> 1) - 1
  const name = `${channel}${index % 2 === 0 ? 'receiveq' : 'transmitq'}`
  return { name: channel === '' ? `${name}${port}` : name, maximumSize: QUEUE_SIZE }
}

function describeControl(bytes: Uint8Array): ChainDescription {
  const message = decodeControl(bytes)
  if (message === undefined) return { summary: 'no control message', fields: [] }
  const { port, event, value } = message
  const rest = bytes.subarray(CONTROL_SIZE)
  return {
    summary: `${event}, port ${port}, ${value}`,
    fields: event === 'PORT_NAME' ? textFields(rest) : [],
  }
}

/** As a string with escapes. */
function textFields(bytes: Uint8Array): { name: string; value: string }[] {
  return bytes.length === 0 ? [] : [{ name: 'text', value: JSON.stringify(Buffer.from(bytes).toString('latin1')) }]
}
