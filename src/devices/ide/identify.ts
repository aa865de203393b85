/** What IDENTIFY DEVICE answers (ATA/ATAPI-6, 8.15). */

export interface DriveIdentity {
  readonly serial: string
  readonly firmware: string
  readonly model: string
}

/** Cylinders, heads and sectors by which a drive can be addressed. */
export interface Geometry {
  readonly cylinders: number
  readonly heads: number
  readonly sectors: number
}

export interface DriveSettings {
  readonly geometry: Geometry
  /** Sectors a block of the MULTIPLE commands; 0 when they are not enabled. */
  readonly multiple: number
  /** Multiword DMA mode that is selected. */
  readonly dmaMode: number
  readonly writeCache: boolean
  readonly lookAhead: boolean
}

export const MAXIMUM_MULTIPLE = 16
export const MAXIMUM_DMA_MODE = 2
export const MAXIMUM_PIO_MODE = 4
/** Sectors that 28 bits, and 48 bits, of address reach. */
export const LBA28_SECTORS = 0x0fff_ffff
export const LBA48_SECTORS = 2 ** 48

const HEADS = 16
const SECTORS_PER_TRACK = 63
const MOST_CYLINDERS = 16_383

/** What drives report, whatever they are like inside (ATA/ATAPI-6, annex C). */
export function defaultGeometry(sectors: number): Geometry {
  const cylinders = Math.min(MOST_CYLINDERS, Math.floor(sectors / (HEADS * SECTORS_PER_TRACK)))
  // A disk that is smaller than one such cylinder.
  return cylinders > 0
    ? { cylinders, heads: HEADS, sectors: SECTORS_PER_TRACK }
    : { cylinders: Math.min(sectors, MOST_CYLINDERS), heads: 1, sectors: 1 }
}

/** The 256 words, as they come from the data register. */
export function identifyDevice(identity: DriveIdentity, sectors: number, settings: DriveSettings): Uint8Array {
  const words = new DataView(new ArrayBuffer(512))
  const word = (index: number, value: number) => words.setUint16(2 * index, value, true)
  const double = (index: number, value: number) => words.setUint32(2 * index, value, true)
  const text = (index: number, count: number, value: string) => {
    // The first character of each pair is in the high byte.
    for (let i = 0; i < 2 * count; i++) words.setUint8(2 * index + (i ^ 1), (value.charCodeAt(i) || 0x20) & 0x7f)
  }
  const physical = defaultGeometry(sectors)
  const { geometry } = settings

  word(0, 0x0040) // a fixed ATA device
  word(1, physical.cylinders)
  word(3, physical.heads)
  word(6, physical.sectors)
  text(10, 10, identity.serial)
  text(23, 4, identity.firmware)
  text(27, 20, identity.model)
  word(47, 0x8000 | MAXIMUM_MULTIPLE)
  word(49, 0x0b00) // LBA, DMA, IORDY
  word(50, 0x4000)
  word(51, 0x0200)
  word(53, 0x0003) // words 54 to 58 and 64 to 70 are valid; no Ultra DMA, which the PIIX3 does not have
  word(54, geometry.cylinders)
  word(55, geometry.heads)
  word(56, geometry.sectors)
  double(57, geometry.cylinders * geometry.heads * geometry.sectors)
  word(59, settings.multiple === 0 ? 0 : 0x0100 | settings.multiple)
  double(60, Math.min(sectors, LBA28_SECTORS))
  word(63, ((1 << (MAXIMUM_DMA_MODE + 1)) - 1) | (0x100 << settings.dmaMode))
  word(64, 0x0003) // PIO modes 3 and 4
  for (const index of [65, 66, 67, 68]) word(index, 120) // nanoseconds a cycle
  word(80, 0x0070) // ATA/ATAPI-4 to 6
  word(82, 0x0068) // look-ahead, write cache, power management
  word(83, 0x7400) // FLUSH CACHE, FLUSH CACHE EXT, 48-bit addresses
  word(84, 0x4040) // WRITE DMA FUA EXT
  word(85, 0x0008 | (settings.writeCache ? 0x20 : 0) | (settings.lookAhead ? 0x40 : 0))
  word(86, 0x3400)
  word(87, 0x4040)
  word(93, 0x6001) // an 80-conductor cable
  double(100, Math.min(sectors, LBA48_SECTORS) >>> 0)
  double(102, Math.floor(Math.min(sectors, LBA48_SECTORS) / 2 ** 32))
  words.setUint8(510, 0xa5)
  const bytes = new Uint8Array(words.buffer)
  bytes[511] = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff
  return bytes
}
