/** Which frames a driver wants (Virtio 1.2, 5.1.6.5.1 and 5.1.6.5.2). Until it says so, all of them. */

import { isGroup, MAC_BROADCAST, type MacAddress, readMac } from '../../../backends/network/frame/mac-address.ts'
import type { Json } from '../../../util/json.ts'
import type { SavedState } from '../../saved-state.ts'
import {
  VIRTIO_NET_CTRL_MAC,
  VIRTIO_NET_CTRL_MAC_TABLE_SET,
  VIRTIO_NET_CTRL_RX,
  VIRTIO_NET_CTRL_RX_ALLMULTI,
  VIRTIO_NET_CTRL_RX_ALLUNI,
  VIRTIO_NET_CTRL_RX_NOBCAST,
  VIRTIO_NET_CTRL_RX_NOMULTI,
  VIRTIO_NET_CTRL_RX_NOUNI,
  VIRTIO_NET_CTRL_RX_PROMISC,
} from './protocol.ts'

/** Addresses of a table; with more in one of them, all of that kind are received. */
export const MOST_TABLE_ENTRIES = 64
const MODES: readonly number[] = [
  VIRTIO_NET_CTRL_RX_PROMISC,
  VIRTIO_NET_CTRL_RX_ALLMULTI,
  VIRTIO_NET_CTRL_RX_ALLUNI,
  VIRTIO_NET_CTRL_RX_NOMULTI,
  VIRTIO_NET_CTRL_RX_NOUNI,
  VIRTIO_NET_CTRL_RX_NOBCAST,
]
/** Promiscuous: a driver without a control queue gets everything. */
const AT_RESET = 1 << VIRTIO_NET_CTRL_RX_PROMISC

/** Addresses, or undefined for all. */
type Table = readonly MacAddress[] | undefined

export class ReceiveFilter {
  readonly #own: MacAddress
  /** A bit for each of {@link MODES}. */
  #modes = AT_RESET
  #unicast: Table = []
  #multicast: Table = []

  constructor(own: MacAddress) {
    this.#own = own
  }

  reset(): void {
    this.#modes = AT_RESET
    this.#unicast = []
    this.#multicast = []
  }

  wants(destination: MacAddress): boolean {
    if (this.#on(VIRTIO_NET_CTRL_RX_PROMISC)) return true
    if (destination === MAC_BROADCAST) return !this.#on(VIRTIO_NET_CTRL_RX_NOBCAST)
    if (isGroup(destination)) {
      if (this.#on(VIRTIO_NET_CTRL_RX_NOMULTI)) return false
      return this.#on(VIRTIO_NET_CTRL_RX_ALLMULTI) || holds(this.#multicast, destination)
    }
    if (this.#on(VIRTIO_NET_CTRL_RX_NOUNI)) return false
    return destination === this.#own || this.#on(VIRTIO_NET_CTRL_RX_ALLUNI) || holds(this.#unicast, destination)
  }

  /** Does what a command says; false if it is malformed or not known. @param data behind class and command. */
  command(kind: number, command: number, data: Uint8Array): boolean {
    if (kind === VIRTIO_NET_CTRL_RX && MODES.includes(command) && data.length >= 1) {
      this.#modes = data[0] === 0 ? this.#modes & ~(1 << command) : this.#modes | (1 << command)
      return true
    }
    return kind === VIRTIO_NET_CTRL_MAC && command === VIRTIO_NET_CTRL_MAC_TABLE_SET && this.#setTables(data)
  }

  /** In words, for the inspector. */
  describe(): string {
    if (this.#on(VIRTIO_NET_CTRL_RX_PROMISC)) return 'everything'
    const count = (table: Table) => (table === undefined ? 'all' : String(table.length))
    return `own, ${count(this.#unicast)} unicast, ${count(this.#multicast)} multicast`
  }

  save(): Json {
    return {
      modes: this.#modes,
      unicast: [...(this.#unicast ?? [])],
      allUnicast: this.#unicast === undefined,
      multicast: [...(this.#multicast ?? [])],
      allMulticast: this.#multicast === undefined,
    }
  }

  restore(saved: SavedState): void {
    this.#modes = saved.number('modes')
    this.#unicast = saved.boolean('allUnicast') ? undefined : saved.numbers('unicast').slice(0, MOST_TABLE_ENTRIES)
    this.#multicast = saved.boolean('allMulticast')
      ? undefined
      : saved.numbers('multicast').slice(0, MOST_TABLE_ENTRIES)
  }

  #on(mode: number): boolean {
    return ((this.#modes >> mode) & 1) === 1
  }

  /** Two tables, each a count of 32 bits and so many addresses. */
  #setTables(data: Uint8Array): boolean {
    const tables: Table[] = []
    const view = new DataView(data.buffer, data.byteOffset, data.length)
    let at = 0
    for (let i = 0; i < 2; i++) {
      if (at + 4 > data.length) return false
      const count = view.getUint32(at, true)
      at += 4
      if (count * 6 > data.length - at) return false
      const begin = at
      tables.push(
        count > MOST_TABLE_ENTRIES
          ? undefined
          : Array.from({ length: count }, (_, entry) => readMac(data, begin + 6 * entry)),
      )
      at += 6 * count
    }
    this.#unicast = tables[0]
    this.#multicast = tables[1]
    return true
  }
}

function holds(table: Table, mac: MacAddress): boolean {
  return table === undefined || table.includes(mac)
}
