/** Names and numbers of Virtio 1.2, 5.3: console device. */

export const VIRTIO_CONSOLE_F_SIZE = 0
export const VIRTIO_CONSOLE_F_MULTIPORT = 1
export const VIRTIO_CONSOLE_F_EMERG_WRITE = 2

/** 5.3.4: `cols`, `rows`, `max_nr_ports`, `emerg_wr`. */
export const CONFIG_COLUMNS = 0
export const CONFIG_ROWS = 2
export const CONFIG_MAX_NR_PORTS = 4
export const CONFIG_EMERG_WR = 8
export const CONFIG_SIZE = 12

/** 5.3.2: queues of the control channel, and of a port. */
export const CONTROL_RECEIVE = 2
export const CONTROL_TRANSMIT = 3
export const receiveQueue = (port: number): number => (port === 0 ? 0 : 2 + 2 * port)
export const transmitQueue = (port: number): number => receiveQueue(port) + 1

/** 5.3.6.2, `struct virtio_console_control`: port as 32 bits, event and value as 16. */
export const CONTROL_SIZE = 8
export const CONTROL_EVENTS = [
  'DEVICE_READY',
  'PORT_ADD',
  'PORT_REMOVE',
  'PORT_READY',
  'CONSOLE_PORT',
  'RESIZE',
  'PORT_OPEN',
  'PORT_NAME',
] as const
export type ControlEvent = (typeof CONTROL_EVENTS)[number]

export interface ControlMessage {
  readonly port: number
  readonly event: ControlEvent
  readonly value: number
  /** What follows: a size, a name. */
  readonly rest?: Uint8Array
}

export function encodeControl({ port, event, value, rest = new Uint8Array(0) }: ControlMessage): Uint8Array {
  const bytes = new Uint8Array(CONTROL_SIZE + rest.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, port, true)
  view.setUint16(4, CONTROL_EVENTS.indexOf(event), true)
  view.setUint16(6, value, true)
  bytes.set(rest, CONTROL_SIZE)
  return bytes
}

/** undefined for a message that is too short, or of an event that there isn't. */
export function decodeControl(bytes: Uint8Array): ControlMessage | undefined {
  if (bytes.length < CONTROL_SIZE) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const event = CONTROL_EVENTS[view.getUint16(4, true)]
  return event === undefined ? undefined : { port: view.getUint32(0, true), event, value: view.getUint16(6, true) }
}
