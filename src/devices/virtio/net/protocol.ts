/** The network device's header, features, configuration space and commands (Virtio 1.2, 5.1). */

/** Queues (5.1.2), of one pair. */
export const RECEIVE_QUEUE = 0
export const TRANSMIT_QUEUE = 1
export const CONTROL_QUEUE = 2

/** Feature bits (5.1.3). */
export const VIRTIO_NET_F_CSUM = 0
export const VIRTIO_NET_F_GUEST_CSUM = 1
export const VIRTIO_NET_F_MTU = 3
export const VIRTIO_NET_F_MAC = 5
export const VIRTIO_NET_F_GUEST_TSO4 = 7
export const VIRTIO_NET_F_HOST_TSO4 = 11
export const VIRTIO_NET_F_MRG_RXBUF = 15
export const VIRTIO_NET_F_STATUS = 16
export const VIRTIO_NET_F_CTRL_VQ = 17
export const VIRTIO_NET_F_CTRL_RX = 18
export const VIRTIO_NET_F_CTRL_RX_EXTRA = 20

export const FEATURE_NAMES: Readonly<Record<number, string>> = {
  [VIRTIO_NET_F_CSUM]: 'CSUM',
  [VIRTIO_NET_F_GUEST_CSUM]: 'GUEST_CSUM',
  [VIRTIO_NET_F_MTU]: 'MTU',
  [VIRTIO_NET_F_MAC]: 'MAC',
  [VIRTIO_NET_F_GUEST_TSO4]: 'GUEST_TSO4',
  [VIRTIO_NET_F_HOST_TSO4]: 'HOST_TSO4',
  [VIRTIO_NET_F_MRG_RXBUF]: 'MRG_RXBUF',
  [VIRTIO_NET_F_STATUS]: 'STATUS',
  [VIRTIO_NET_F_CTRL_VQ]: 'CTRL_VQ',
  [VIRTIO_NET_F_CTRL_RX]: 'CTRL_RX',
  [VIRTIO_NET_F_CTRL_RX_EXTRA]: 'CTRL_RX_EXTRA',
}

/** Configuration space (5.1.4). */
export const CONFIG_MAC = 0
export const CONFIG_STATUS = 6
export const CONFIG_QUEUE_PAIRS = 8
export const CONFIG_MTU = 10
export const CONFIG_SIZE = 12

export const VIRTIO_NET_S_LINK_UP = 1

/** struct virtio_net_hdr (5.1.6); little-endian, also for legacy drivers on x86. */
export const HEADER_FLAGS = 0
export const HEADER_GSO_TYPE = 1
export const HEADER_HDR_LEN = 2
export const HEADER_GSO_SIZE = 4
export const HEADER_CSUM_START = 6
export const HEADER_CSUM_OFFSET = 8
export const HEADER_NUM_BUFFERS = 10
/** 5.1.6.1: legacy drivers have no `num_buffers` unless they have negotiated MRG_RXBUF. */
export const HEADER_SIZE = 12
export const SHORT_HEADER_SIZE = 10

export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1
export const VIRTIO_NET_HDR_F_DATA_VALID = 2

export const VIRTIO_NET_HDR_GSO_NONE = 0
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1
/** Beside a type: the segment may have ECN set. */
export const VIRTIO_NET_HDR_GSO_ECN = 0x80

/** The control queue (5.1.6.5). */
export const VIRTIO_NET_CTRL_RX = 0
export const VIRTIO_NET_CTRL_RX_PROMISC = 0
export const VIRTIO_NET_CTRL_RX_ALLMULTI = 1
export const VIRTIO_NET_CTRL_RX_ALLUNI = 2
export const VIRTIO_NET_CTRL_RX_NOMULTI = 3
export const VIRTIO_NET_CTRL_RX_NOUNI = 4
export const VIRTIO_NET_CTRL_RX_NOBCAST = 5
export const VIRTIO_NET_CTRL_MAC = 1
export const VIRTIO_NET_CTRL_MAC_TABLE_SET = 0
export const VIRTIO_NET_OK = 0
export const VIRTIO_NET_ERR = 1

export interface NetHeader {
  readonly flags: number
  readonly gsoType: number
  /** Bytes of all headers of the frame; a hint. */
  readonly headersLength: number
  readonly gsoSize: number
  readonly checksumStart: number
  readonly checksumOffset: number
  /** Of a received frame; 0 where the header has no such field. */
  readonly buffers: number
}

/** Undefined if the bytes are no whole header. */
export function readNetHeader(bytes: Uint8Array, size: number): NetHeader | undefined {
  if (bytes.length < size) return undefined
  const word = (at: number) => bytes[at] | (bytes[at + 1] << 8)
  return {
    flags: bytes[HEADER_FLAGS],
    gsoType: bytes[HEADER_GSO_TYPE],
    headersLength: word(HEADER_HDR_LEN),
    gsoSize: word(HEADER_GSO_SIZE),
    checksumStart: word(HEADER_CSUM_START),
    checksumOffset: word(HEADER_CSUM_OFFSET),
    buffers: size === HEADER_SIZE ? word(HEADER_NUM_BUFFERS) : 0,
  }
}

/** @param buffers that the frame takes. @param header what it says beside; without offloads nothing. */
export function writeNetHeader(size: number, buffers: number, header: Partial<NetHeader>): Uint8Array {
  const bytes = new Uint8Array(size)
  const word = (at: number, value = 0) => {
    bytes[at] = value & 0xff
    bytes[at + 1] = value >>> 8
  }
  bytes[HEADER_FLAGS] = header.flags ?? 0
  bytes[HEADER_GSO_TYPE] = header.gsoType ?? VIRTIO_NET_HDR_GSO_NONE
  word(HEADER_HDR_LEN, header.headersLength)
  word(HEADER_GSO_SIZE, header.gsoSize)
  word(HEADER_CSUM_START, header.checksumStart)
  word(HEADER_CSUM_OFFSET, header.checksumOffset)
  if (size === HEADER_SIZE) word(HEADER_NUM_BUFFERS, buffers)
  return bytes
}
