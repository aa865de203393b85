/** Virtio over PCI: ids, capabilities and register layouts (Virtio 1.2, 4.1). */

export const VIRTIO_VENDOR = 0x1af4
/** Plus the device's type (4.1.2.1). */
export const MODERN_DEVICE_ID = 0x1040
/** PCI device ids of transitional devices (4.1.2.1), by type. */
export const TRANSITIONAL_DEVICE_IDS: Readonly<Record<number, number>> = {
  1: 0x1000,
  2: 0x1001,
  5: 0x1002,
  3: 0x1003,
  8: 0x1004,
  4: 0x1005,
  9: 0x1009,
}
/** Subsystem of a modern device: 0x40 or more (4.1.2.1). */
export const MODERN_SUBSYSTEM = 0x1100

export const VENDOR_CAPABILITY = 0x09
export const CFG_TYPE_COMMON = 1
export const CFG_TYPE_NOTIFY = 2
export const CFG_TYPE_ISR = 3
export const CFG_TYPE_DEVICE = 4
export const CFG_TYPE_PCI = 5

/** Offsets in `virtio_pci_cap`, from the capability's id. */
export const CAP_BAR = 4
export const CAP_OFFSET = 8
export const CAP_LENGTH = 12
export const CAP_SIZE = 16
/** `pci_cfg_data` of the capability for access through configuration space (4.1.4.9). */
export const CAP_PCI_DATA = 16

/** BARs, and where the structures lie in the modern one. */
export const LEGACY_BAR = 0
export const MSIX_BAR = 1
export const MODERN_BAR = 4
export const MODERN_WINDOW = 0x4000
export const COMMON_AT = 0x0000
export const ISR_AT = 0x1000
export const DEVICE_AT = 0x2000
export const NOTIFY_AT = 0x3000
export const STRUCTURE_SIZE = 0x1000
/** Each queue is notified at an address of its own. */
export const NOTIFY_MULTIPLIER = 4

/** `virtio_pci_common_cfg` (4.1.4.3): offset and width. */
export const COMMON_SIZE = 0x38

export const ISR_QUEUE = 1
export const ISR_CONFIGURATION = 2

export const NO_VECTOR = 0xffff

/** The legacy interface (4.1.4.10). */
export const LEGACY_DEVICE_FEATURES = 0
export const LEGACY_DRIVER_FEATURES = 4
export const LEGACY_QUEUE_ADDRESS = 8
export const LEGACY_QUEUE_SIZE = 12
export const LEGACY_QUEUE_SELECT = 14
export const LEGACY_QUEUE_NOTIFY = 16
export const LEGACY_STATUS = 18
export const LEGACY_ISR = 19
/** Only while MSI-X is enabled; the device's configuration follows then, and comes here otherwise. */
export const LEGACY_CONFIGURATION_VECTOR = 20
export const LEGACY_QUEUE_VECTOR = 22
export const LEGACY_DEVICE_AT = 20
export const LEGACY_DEVICE_AT_MSIX = 24
export const LEGACY_PAGE = 4096
