/** PCI bus 0: every function with its configuration space decoded (PCI 3.0, chapter 6). */

import { decodeMsi } from '../../devices/pci/msi-message.ts'
import type { MsixEntry } from '../../devices/pci/msix.ts'
import * as r from '../../devices/pci/registers.ts'
import { VIRTIO_VENDOR } from '../../devices/virtio/pci-registers.ts'
import type { MachineView, PciFunctionView } from '../machine-view.ts'
import { type CapabilityModel, capabilitiesOf, msixControl } from './capabilities.ts'
import { className, deviceName, vendorName } from './names.ts'

export interface PciFunctionModel {
  /** `00:03.0`. */
  readonly place: string
  /** The device's in the machine: `virtio-blk0`. */
  readonly name: string
  readonly vendor: NamedId
  readonly device: NamedId
  readonly subsystem: { readonly vendor: number; readonly device: number }
  readonly revision: number
  readonly classCode: NamedId
  /** Bits that are set, by name. */
  readonly command: readonly string[]
  readonly status: readonly string[]
  readonly windows: readonly PciWindowModel[]
  readonly interruptLine: number
  /** `INTA`; absent without. */
  readonly interruptPin?: string
  readonly capabilities: readonly CapabilityModel[]
  readonly msix?: MsixModel
}

export interface NamedId {
  readonly id: number
  readonly name?: string
}

export interface PciWindowModel {
  readonly bar: number
  readonly kind: 'io' | 'memory' | 'memory64'
  readonly prefetchable: boolean
  /** What the register says. */
  readonly address: bigint
  /** Bytes, or ports. */
  readonly size: number
  /** Is it on the bus? Not while decoding is off, or something else lies there. */
  readonly mapped: boolean
}

export interface MsixModel {
  readonly enabled: boolean
  /** All of them. */
  readonly masked: boolean
  readonly entries: readonly MsixEntryModel[]
}

export interface MsixEntryModel {
  readonly index: number
  readonly address: bigint
  readonly data: number
  readonly masked: boolean
  readonly pending: boolean
  /** What the function uses it for: `requestq`. */
  readonly causes: readonly string[]
  /** As a message to local APICs; absent if it is none, or was not written. */
  readonly message?: MessageModel
}

export interface MessageModel {
  readonly vector: number
  /** `fixed`, `lowest-priority`, ... */
  readonly mode: string
  /** APIC id, or a set of processors if `logical`. */
  readonly destination: number
  readonly logical: boolean
}

const COMMAND_BITS = [
  'I/O',
  'memory',
  'bus master',
  'special cycles',
  'MWI',
  'VGA palette',
  'parity',
  '',
  'SERR',
  'fast back-to-back',
  'INTx off',
]
const STATUS_BITS = [
  ...['', '', '', 'INTx asserted', 'capabilities', '66 MHz', '', 'fast back-to-back', 'parity error', '', ''],
  ...['target abort signalled', 'target abort', 'master abort', 'system error', 'parity error seen'],
]
/** Bits of a register that say what kind of window it is. */
const IO_TYPE = 3n
const MEMORY_TYPE = 15n

export function pciFunctions({ pci }: MachineView): PciFunctionModel[] {
  return pci.map(pciFunction)
}

export const placeOf = ({ slot, number }: Pick<PciFunctionView, 'slot' | 'number'>): string =>
  `00:${slot.toString(16).padStart(2, '0')}.${number}`

export function pciFunction(view: PciFunctionView): PciFunctionModel {
  const bytes = view.configuration()
  const config = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = (offset: number): number => config.getUint16(offset, true)
  const vendor = word(r.PCI_VENDOR_ID)
  const device = word(r.PCI_DEVICE_ID)
  const classCode = config.getUint32(r.PCI_REVISION, true) >>> 8
  const capabilities = capabilitiesOf(config, vendor === VIRTIO_VENDOR)
  const pin = config.getUint8(r.PCI_INTERRUPT_PIN)
  const control = msixControl(config, capabilities)
  return {
    ...{ place: placeOf(view), name: view.name },
    vendor: named(vendor, vendorName(vendor)),
    device: named(device, deviceName(vendor, device)),
    subsystem: { vendor: word(r.PCI_SUBSYSTEM_VENDOR_ID), device: word(r.PCI_SUBSYSTEM_ID) },
    revision: config.getUint8(r.PCI_REVISION),
    classCode: named(classCode, className(classCode)),
    command: bitNames(word(r.PCI_COMMAND), COMMAND_BITS),
    status: bitNames(word(r.PCI_STATUS), STATUS_BITS),
    windows: view.windows.map(({ bar, kind, prefetchable, size, mapped }) => ({
      ...{ bar, kind, prefetchable, size, mapped: mapped !== undefined },
      address: addressOf(config, bar, kind),
    })),
    interruptLine: config.getUint8(r.PCI_INTERRUPT_LINE),
    ...(pin === 0 ? {} : { interruptPin: `INT${'?ABCD'[pin] ?? '?'}` }),
    capabilities,
    ...(control === undefined || view.messages === undefined
      ? {}
      : { msix: { ...control, entries: entriesOf(view, view.messages) } }),
  }
}

function addressOf(config: DataView, bar: number, kind: PciWindowModel['kind']): bigint {
  const offset = r.PCI_BAR0 + 4 * bar
  const low = BigInt(config.getUint32(offset, true))
  if (kind === 'io') return low & ~IO_TYPE
  const high = kind === 'memory64' ? BigInt(config.getUint32(offset + 4, true)) : 0n
  return (high << 32n) | (low & ~MEMORY_TYPE)
}

function entriesOf({ messageUses }: PciFunctionView, messages: readonly MsixEntry[]): MsixEntryModel[] {
  return messages.map(({ addressLow, addressHigh, data, masked, pending }, index) => {
    const message = decodeMsi(addressLow, addressHigh, data)
    return {
      ...{ index, data, masked, pending },
      address: (BigInt(addressHigh) << 32n) | BigInt(addressLow),
      causes: messageUses.filter(({ entry }) => entry === index).map(({ cause }) => cause),
      ...(message === undefined ? {} : { message: messageOf(message) }),
    }
  })
}

const messageOf = ({ vector, mode, destination, logical }: MessageModel): MessageModel => ({
  ...{ vector, mode, destination, logical },
})

const named = (id: number, name: string | undefined): NamedId => (name === undefined ? { id } : { id, name })

function bitNames(value: number, names: readonly string[]): string[] {
  return names.filter((name, bit) => name !== '' && (value & (1 << bit)) !== 0)
}
