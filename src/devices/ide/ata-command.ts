/** ATA commands that this drive carries out (ATA/ATAPI-6, chapter 8), by what they do. */

/** How a command moves its sectors. */
export type Transfer = 'pio' | 'dma'

export type AtaCommand =
  | {
      readonly kind: 'read' | 'write'
      readonly transfer: Transfer
      readonly extended: boolean
      /** A block of the size of SET MULTIPLE MODE between two interrupts; else a sector. */
      readonly multiple: boolean
      /** On the medium before the command ends, whatever the cache. */
      readonly forceUnitAccess: boolean
    }
  | { readonly kind: 'verify'; readonly extended: boolean }
  | { readonly kind: 'native-maximum'; readonly extended: boolean }
  | { readonly kind: 'identify' | 'flush' | 'set-features' | 'set-multiple' | 'parameters' | 'power-mode' }
  /** There is nothing to move, spin or warm up. */
  | { readonly kind: 'nothing' }

const read = (transfer: Transfer, extended = false, multiple = false): AtaCommand => ({
  ...{ kind: 'read', transfer, extended, multiple, forceUnitAccess: false },
})
const write = (transfer: Transfer, extended = false, multiple = false, forceUnitAccess = false): AtaCommand => ({
  ...{ kind: 'write', transfer, extended, multiple, forceUnitAccess },
})

const COMMANDS: Readonly<Record<number, AtaCommand>> = {
  32: read('pio'),
  33: read('pio'),
  36: read('pio', true),
  37: read('dma', true),
  39: { kind: 'native-maximum', extended: true },
  41: read('pio', true, true),
  48: write('pio'),
  49: write('pio'),
  52: write('pio', true),
  53: write('dma', true),
  57: write('pio', true, true),
  61: write('dma', true, false, true),
  64: { kind: 'verify', extended: false },
  65: { kind: 'verify', extended: false },
  66: { kind: 'verify', extended: true },
  145: { kind: 'parameters' },
  196: read('pio', false, true),
  197: write('pio', false, true),
  198: { kind: 'set-multiple' },
  200: read('dma'),
  201: read('dma'),
  202: write('dma'),
  203: write('dma'),
  206: write('pio', true, true, true),
  224: { kind: 'nothing' },
  225: { kind: 'nothing' },
  226: { kind: 'nothing' },
  227: { kind: 'nothing' },
  229: { kind: 'power-mode' },
  230: { kind: 'nothing' },
  231: { kind: 'flush' },
  234: { kind: 'flush' },
  236: { kind: 'identify' },
  239: { kind: 'set-features' },
  248: { kind: 'native-maximum', extended: false },
}

/** Undefined for a command that the drive aborts. */
export function decodeCommand(code: number): AtaCommand | undefined {
  // RECALIBRATE and SEEK, obsolete since ATA-4 and still sent, take any low digit.
  if ((code & 0xf0) === 0x10 || (code & 0xf0) === 0x70) return { kind: 'nothing' }
  return COMMANDS[code]
}
