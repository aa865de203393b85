/** Registers and commands of ATA devices (ATA/ATAPI-6, chapters 7 and 8) and of the PIIX3's bus master (82371SB, 2.7). */

/** Offsets in the command block; some mean another register when written. */
export const REG_DATA = 0
export const REG_ERROR = 1
export const REG_FEATURES = 1
export const REG_COUNT = 2
export const REG_LBA_LOW = 3
export const REG_LBA_MID = 4
export const REG_LBA_HIGH = 5
export const REG_DEVICE = 6
export const REG_STATUS = 7
export const REG_COMMAND = 7
export const COMMAND_BLOCK_PORTS = 8

export const STATUS_ERR = 0x01
export const STATUS_DRQ = 0x08
/** Seek complete, in older revisions. */
export const STATUS_DSC = 0x10
/** Device fault. */
export const STATUS_DF = 0x20
export const STATUS_DRDY = 0x40
export const STATUS_BSY = 0x80

export const ERROR_ABRT = 0x04
/** The address is not one of the device's. */
export const ERROR_IDNF = 0x10
/** The data can't be read. */
export const ERROR_UNC = 0x40
/** As diagnostic code: the device passed. */
export const DIAGNOSTIC_PASSED = 0x01

export const DEVICE_SELECT = 0x10
export const DEVICE_LBA = 0x40
/** Bits that always read 1, from the days of other sector sizes. */
export const DEVICE_OBSOLETE = 0xa0

/** Device control, in the control block. */
export const CONTROL_NIEN = 0x02
export const CONTROL_SRST = 0x04
/** High-order byte: reads give what the registers held before. */
export const CONTROL_HOB = 0x80

export const COMMAND_NAMES: Readonly<Record<number, string>> = {
  0: 'NOP',
  32: 'READ SECTOR(S)',
  33: 'READ SECTOR(S)',
  36: 'READ SECTOR(S) EXT',
  37: 'READ DMA EXT',
  39: 'READ NATIVE MAX ADDRESS EXT',
  41: 'READ MULTIPLE EXT',
  48: 'WRITE SECTOR(S)',
  49: 'WRITE SECTOR(S)',
  52: 'WRITE SECTOR(S) EXT',
  53: 'WRITE DMA EXT',
  57: 'WRITE MULTIPLE EXT',
  61: 'WRITE DMA FUA EXT',
  64: 'READ VERIFY SECTOR(S)',
  65: 'READ VERIFY SECTOR(S)',
  66: 'READ VERIFY SECTOR(S) EXT',
  144: 'EXECUTE DEVICE DIAGNOSTIC',
  145: 'INITIALIZE DEVICE PARAMETERS',
  196: 'READ MULTIPLE',
  197: 'WRITE MULTIPLE',
  198: 'SET MULTIPLE MODE',
  200: 'READ DMA',
  201: 'READ DMA',
  202: 'WRITE DMA',
  203: 'WRITE DMA',
  206: 'WRITE MULTIPLE FUA EXT',
  224: 'STANDBY IMMEDIATE',
  225: 'IDLE IMMEDIATE',
  226: 'STANDBY',
  227: 'IDLE',
  229: 'CHECK POWER MODE',
  230: 'SLEEP',
  231: 'FLUSH CACHE',
  234: 'FLUSH CACHE EXT',
  236: 'IDENTIFY DEVICE',
  239: 'SET FEATURES',
  248: 'READ NATIVE MAX ADDRESS',
}

/** A command that acts on both devices of a channel. */
export const EXECUTE_DEVICE_DIAGNOSTIC = 0x90

/** Offsets of a channel's bus master registers. */
export const BM_COMMAND = 0
export const BM_STATUS = 2
export const BM_TABLE = 4
export const BM_CHANNEL_PORTS = 8

export const BM_COMMAND_START = 0x01
/** The device is read, memory is written. */
export const BM_COMMAND_TO_MEMORY = 0x08

export const BM_STATUS_ACTIVE = 0x01
export const BM_STATUS_ERROR = 0x02
export const BM_STATUS_INTERRUPT = 0x04
/** Notes that software leaves about what the drives can do. */
export const BM_STATUS_CAPABLE = 0x60

/** IDE timing register of each channel in configuration space, and the bit that its ports are decoded (2.3.13). */
export const IDETIM = 0x40
export const IDETIM_DECODE = 0x8000
