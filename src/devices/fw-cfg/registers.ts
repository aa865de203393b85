/** QEMU's firmware configuration device (QEMU documentation, specs/fw_cfg). */

/** Selector, 16 bits, written; data, 8 bits, read at the port after it. */
export const FW_CFG_SELECTOR_PORT = 0x510
/** DMA address, 64 bits, big endian; its low half starts the transfer. */
export const FW_CFG_DMA_PORT = 0x514

export const FW_CFG_SIGNATURE = 0x0000
export const FW_CFG_ID = 0x0001
export const FW_CFG_FILE_DIRECTORY = 0x0019
export const FW_CFG_FIRST_FILE = 0x0020

/** Interface is there; DMA is there. */
export const FW_CFG_FEATURES = 0x01 | 0x02

/** What reading the DMA register gives: "QEMU CFG". */
export const FW_CFG_DMA_SIGNATURE: readonly number[] = [...'QEMU CFG'].map(character => character.charCodeAt(0))

export const FW_CFG_DMA_ERROR = 0x01
export const FW_CFG_DMA_READ = 0x02
export const FW_CFG_DMA_SKIP = 0x04
export const FW_CFG_DMA_SELECT = 0x08
export const FW_CFG_DMA_WRITE = 0x10
/** The control structure in guest memory: control, length, address. */
export const FW_CFG_DMA_CONTROL_SIZE = 16

export const FW_CFG_FILE_NAME_SIZE = 56
export const FW_CFG_FILE_ENTRY_SIZE = 64
