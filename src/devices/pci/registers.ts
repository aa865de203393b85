/** Configuration space (PCI Local Bus Specification 3.0, chapter 6) and the ports of mechanism 1 (3.2.2.3.2). */

export const PCI_CONFIG_ADDRESS = 0xcf8
export const PCI_CONFIG_DATA = 0xcfc
/** Bit 31 of the address enables access to configuration space. */
export const PCI_CONFIG_ENABLE = 0x80000000
/** Bits of the address that are not hardwired to 0. */
export const PCI_CONFIG_ADDRESS_MASK = 0x80fffffc

export const PCI_CONFIG_SIZE = 256

export const PCI_VENDOR_ID = 0x00
export const PCI_DEVICE_ID = 0x02
export const PCI_COMMAND = 0x04
export const PCI_STATUS = 0x06
export const PCI_REVISION = 0x08
export const PCI_CLASS = 0x09
export const PCI_HEADER_TYPE = 0x0e
export const PCI_BAR0 = 0x10
export const PCI_BARS = 6
export const PCI_SUBSYSTEM_VENDOR_ID = 0x2c
export const PCI_SUBSYSTEM_ID = 0x2e
export const PCI_CAPABILITIES = 0x34
export const PCI_INTERRUPT_LINE = 0x3c
export const PCI_INTERRUPT_PIN = 0x3d
/** First byte that the device defines. */
export const PCI_DEVICE_SPECIFIC = 0x40

export const PCI_COMMAND_IO = 0x0001
export const PCI_COMMAND_MEMORY = 0x0002
export const PCI_COMMAND_MASTER = 0x0004
export const PCI_COMMAND_SERR = 0x0100
export const PCI_COMMAND_INTX_DISABLE = 0x0400

export const PCI_STATUS_INTERRUPT = 0x0008
export const PCI_STATUS_CAPABILITIES = 0x0010
export const PCI_STATUS_FAST_BACK_TO_BACK = 0x0080
export const PCI_STATUS_DEVSEL_MEDIUM = 0x0200

export const PCI_BAR_IO = 0x1
export const PCI_BAR_MEMORY_64 = 0x4
export const PCI_BAR_PREFETCHABLE = 0x8
