/** A VGA as far as text goes: its memory, its registers as storage, and the screen as text for the host. */

import type { Json } from '../../util/json.ts'
import { type AccessSize, readByBytes, writeByBytes } from '../bus/byte-ports.ts'
import type { Device, DeviceBus, MmioHandler, PortHandler, RegisterView } from '../device.ts'
import { encodeBytes, SavedState } from '../saved-state.ts'
import { CODE_PAGE_437 } from './code-page-437.ts'
import { IndexedRegisters } from './indexed-registers.ts'
import { loadDefaultPalette, PALETTE_SIZE, textColors } from './palette.ts'
import type { CursorPicture, Picture } from './picture.ts'
import * as r from './registers.ts'

const FIRST_PORT = 0x3b0
const PORTS = 0x30
const MAX_COLUMNS = 256
const MAX_ROWS = 100

/** There are no bit planes: memory is 128 KiB in a row, whatever the registers say. */
export class VgaText implements Device, PortHandler, MmioHandler {
  readonly name = 'vga'
  readonly memoryWindow = { base: r.VGA_MEMORY_BASE, size: r.VGA_MEMORY_SIZE }
  readonly #memory = new Uint8Array(r.VGA_MEMORY_SIZE)
  readonly #crtc = new IndexedRegisters(32, r.MODE_3_CRTC)
  readonly #sequencer = new IndexedRegisters(8, r.MODE_3_SEQUENCER)
  readonly #graphics = new IndexedRegisters(16, r.MODE_3_GRAPHICS)
  readonly #attributes = new IndexedRegisters(32, r.MODE_3_ATTRIBUTES)
  readonly #palette = new Uint8Array(PALETTE_SIZE)
  #misc = r.MODE_3_MISC
  #feature = 0
  #enable = 1
  /** The next write to the attribute port is data, not an index. */
  #attributeData = false
  #dacMask = 0xff
  /** Byte of the palette that the next read or write of DAC data takes. */
  #dacRead = 0
  #dacWrite = 0
  #dacReading = false
  /** Bits of input status 1 that change at every read, so that no guest waits for a retrace for long. */
  #status1 = 0

  constructor() {
    this.#clear()
    loadDefaultPalette(this.#palette)
  }

  attach(bus: DeviceBus): void {
    bus.addPorts(FIRST_PORT, PORTS, this)
    bus.addMmio(r.VGA_MEMORY_BASE, r.VGA_MEMORY_SIZE, this)
  }

  /** What is to be seen; changes nothing. */
  picture(): Picture {
    if (this.#graphics.values[r.GRAPHICS_MISC] & r.GRAPHICS_MISC_GRAPHICS) return { kind: 'graphics' }
    const { columns, rows } = this.#size
    const codes = new Uint8Array(columns * rows)
    const attributes = new Uint8Array(columns * rows)
    for (let row = 0, cell = 0; row < rows; row++)
      for (let column = 0; column < columns; column++, cell++) {
        const offset = this.#cell(row, column)
        codes[cell] = this.#memory[offset]
        attributes[cell] = this.#memory[offset + 1]
      }
    return {
      kind: 'text',
      ...{ columns, rows, codes, attributes },
      blinks: (this.#attributes.values[r.ATTRIBUTE_MODE] & r.MODE_BLINK) !== 0,
      colors: textColors(this.#attributes.values, this.#palette, this.#dacMask),
      height: this.#cellHeight,
      cursor: this.#cursorPicture(columns, rows),
      off: (this.#sequencer.values[r.SEQUENCER_CLOCKING] & r.CLOCKING_SCREEN_OFF) !== 0,
    }
  }

  /** The screen, a string for each row, without trailing blanks, whatever the mode. */
  text(): string[] {
    const { columns, rows } = this.#size
    return Array.from({ length: rows }, (_, row) => {
      const cells = Array.from({ length: columns }, (_, column) => CODE_PAGE_437[this.#memory[this.#cell(row, column)]])
      return cells.join('').trimEnd()
    })
  }

  /** Where the cursor is on the screen; undefined when it is off or elsewhere. */
  cursor(): { readonly row: number; readonly column: number } | undefined {
    const crtc = this.#crtc.values
    if (crtc[r.CRTC_CURSOR_START] & r.CURSOR_OFF) return undefined
    const position = ((crtc[r.CRTC_CURSOR_HIGH] << 8) | crtc[r.CRTC_CURSOR_LOW]) - this.#start
    if (position < 0 || this.#pitch === 0) return undefined
    return { row: Math.floor(position / this.#pitch), column: position % this.#pitch }
  }

  /** With its shape; none where its first scan line lies behind its last one, as on a VGA. */
  #cursorPicture(columns: number, rows: number): CursorPicture | undefined {
    const place = this.cursor()
    const first = this.#crtc.values[r.CRTC_CURSOR_START] & 0x1f
    const last = Math.min(this.#crtc.values[r.CRTC_CURSOR_END] & 0x1f, this.#cellHeight - 1)
    if (place === undefined || place.row >= rows || place.column >= columns || first > last) return undefined
    return { ...place, first, last }
  }

  get #size(): { readonly columns: number; readonly rows: number } {
    return {
      columns: Math.min(MAX_COLUMNS, this.#crtc.values[r.CRTC_HORIZONTAL_DISPLAY_END] + 1),
      rows: Math.min(MAX_ROWS, Math.floor((this.#displayEnd + 1) / this.#cellHeight)),
    }
  }

  /** Scan lines of a row of characters. */
  get #cellHeight(): number {
    return (this.#crtc.values[r.CRTC_MAXIMUM_SCAN_LINE] & 0x1f) + 1
  }

  /** Cells of memory before the first one shown. */
  get #start(): number {
    return (this.#crtc.values[r.CRTC_START_HIGH] << 8) | this.#crtc.values[r.CRTC_START_LOW]
  }

  /** Cells of memory from one row to the next. */
  get #pitch(): number {
    return this.#crtc.values[r.CRTC_OFFSET] * 2
  }

  /** Where a cell is in memory: its character, and its attribute behind it. */
  #cell(row: number, column: number): number {
    return r.TEXT_OFFSET + (((this.#start + row * this.#pitch + column) * 2) % r.TEXT_SIZE)
  }

  /** Last scan line displayed; bits 8 and 9 are in the overflow register. */
  get #displayEnd(): number {
    const overflow = this.#crtc.values[r.CRTC_OVERFLOW]
    return this.#crtc.values[r.CRTC_VERTICAL_DISPLAY_END] | ((overflow & 0x02) << 7) | ((overflow & 0x40) << 3)
  }

  reset(): void {
    this.#clear()
    for (const group of [this.#crtc, this.#sequencer, this.#graphics, this.#attributes]) group.reset()
    loadDefaultPalette(this.#palette)
    this.#misc = r.MODE_3_MISC
    this.#feature = 0
    this.#enable = 1
    this.#attributeData = false
    this.#dacMask = 0xff
    this.#dacRead = 0
    this.#dacWrite = 0
    this.#dacReading = false
    this.#status1 = 0
  }

  /** Blanks, grey on black, as a VGA BIOS leaves the screen. */
  #clear(): void {
    this.#memory.fill(0)
    for (let offset = 0; offset < r.TEXT_SIZE; offset += 2) {
      this.#memory[r.TEXT_OFFSET + offset] = 0x20
      this.#memory[r.TEXT_OFFSET + offset + 1] = 0x07
    }
  }

  readMmio(offset: number, size: AccessSize): number {
    let value = 0
    for (let i = 0; i < size; i++) value |= this.#memory[offset + i] << (8 * i)
    return value >>> 0
  }

  writeMmio(offset: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) this.#memory[offset + i] = value >>> (8 * i)
  }

  readPort(port: number, size: AccessSize): number {
    return readByBytes(port, size, at => this.#read(at))
  }

  writePort(port: number, size: AccessSize, value: number): void {
    writeByBytes(port, size, value, (at, byte) => this.#write(at, byte))
  }

  /** The CRT controller answers at one of two places; at the other nothing does. */
  #isHidden(port: number): boolean {
    const mono = port < r.ATTRIBUTE_PORT
    const color = port >= 0x3d0
    return this.#misc & r.MISC_COLOR ? mono : color
  }

  #read(port: number): number {
    if (this.#isHidden(port)) return 0xff
    switch (port) {
      case r.CRTC_MONO_PORT:
      case r.CRTC_COLOR_PORT:
        return this.#crtc.index
      case r.CRTC_MONO_PORT + 1:
      case r.CRTC_COLOR_PORT + 1:
        return this.#crtc.value
      case r.STATUS_1_MONO_PORT:
      case r.STATUS_1_COLOR_PORT:
        this.#attributeData = false
        this.#status1 ^= r.STATUS_1_DISPLAY_OFF | r.STATUS_1_VERTICAL_RETRACE
        return this.#status1
      case r.ATTRIBUTE_PORT:
        return this.#attributes.index
      case r.ATTRIBUTE_READ_PORT:
        return this.#attributes.value
      case r.MISC_WRITE_PORT:
        // Input status 0: no interrupt, no switch.
        return 0
      case r.ENABLE_PORT:
        return this.#enable
      case r.SEQUENCER_PORT:
        return this.#sequencer.index
      case r.SEQUENCER_PORT + 1:
        return this.#sequencer.value
      case r.DAC_MASK_PORT:
        return this.#dacMask
      case r.DAC_READ_ADDRESS_PORT:
        return this.#dacReading ? 3 : 0
      case r.DAC_WRITE_ADDRESS_PORT:
        return Math.floor(this.#dacWrite / 3)
      case r.DAC_DATA_PORT: {
        const value = this.#palette[this.#dacRead]
        this.#dacRead = (this.#dacRead + 1) % PALETTE_SIZE
        return value
      }
      case r.FEATURE_READ_PORT:
        return this.#feature
      case r.MISC_READ_PORT:
        return this.#misc
      case r.GRAPHICS_PORT:
        return this.#graphics.index
      case r.GRAPHICS_PORT + 1:
        return this.#graphics.value
      default:
        return 0xff
    }
  }

  #write(port: number, value: number): void {
    if (this.#isHidden(port)) return
    switch (port) {
      case r.CRTC_MONO_PORT:
      case r.CRTC_COLOR_PORT:
        this.#crtc.select(value)
        break
      case r.CRTC_MONO_PORT + 1:
      case r.CRTC_COLOR_PORT + 1:
        this.#writeCrtc(value)
        break
      case r.STATUS_1_MONO_PORT:
      case r.STATUS_1_COLOR_PORT:
        this.#feature = value
        break
      case r.ATTRIBUTE_PORT:
        if (this.#attributeData) this.#attributes.value = value
        else this.#attributes.select(value)
        this.#attributeData = !this.#attributeData
        break
      case r.MISC_WRITE_PORT:
        this.#misc = value
        break
      case r.ENABLE_PORT:
        this.#enable = value & 1
        break
      case r.SEQUENCER_PORT:
        this.#sequencer.select(value)
        break
      case r.SEQUENCER_PORT + 1:
        this.#sequencer.value = value
        break
      case r.DAC_MASK_PORT:
        this.#dacMask = value
        break
      case r.DAC_READ_ADDRESS_PORT:
        this.#dacRead = value * 3
        this.#dacReading = true
        break
      case r.DAC_WRITE_ADDRESS_PORT:
        this.#dacWrite = value * 3
        this.#dacReading = false
        break
      case r.DAC_DATA_PORT:
        this.#palette[this.#dacWrite] = value & 0x3f
        this.#dacWrite = (this.#dacWrite + 1) % PALETTE_SIZE
        break
      case r.GRAPHICS_PORT:
        this.#graphics.select(value)
        break
      case r.GRAPHICS_PORT + 1:
        this.#graphics.value = value
        break
    }
  }

  /** Bit 7 of register 0x11 protects registers 0 to 7, all but bit 4 of the overflow register. */
  #writeCrtc(value: number): void {
    const crtc = this.#crtc
    if (crtc.index > r.CRTC_OVERFLOW || !(crtc.values[r.CRTC_PROTECT] & 0x80)) crtc.value = value
    else if (crtc.index === r.CRTC_OVERFLOW) crtc.value = (crtc.value & ~0x10) | (value & 0x10)
  }

  save(): Json {
    return {
      memory: encodeBytes(this.#memory),
      crtc: this.#crtc.save(),
      sequencer: this.#sequencer.save(),
      graphics: this.#graphics.save(),
      attributes: this.#attributes.save(),
      palette: encodeBytes(this.#palette),
      misc: this.#misc,
      feature: this.#feature,
      enable: this.#enable,
      attributeData: this.#attributeData,
      dacMask: this.#dacMask,
      dacRead: this.#dacRead,
      dacWrite: this.#dacWrite,
      dacReading: this.#dacReading,
      status1: this.#status1,
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#memory.set(saved.bytes('memory', r.VGA_MEMORY_SIZE))
    this.#crtc.restore(saved.part('crtc'))
    this.#sequencer.restore(saved.part('sequencer'))
    this.#graphics.restore(saved.part('graphics'))
    this.#attributes.restore(saved.part('attributes'))
    this.#palette.set(saved.bytes('palette', PALETTE_SIZE))
    this.#misc = saved.number('misc')
    this.#feature = saved.number('feature')
    this.#enable = saved.number('enable')
    this.#attributeData = saved.boolean('attributeData')
    this.#dacMask = saved.number('dacMask')
    this.#dacRead = saved.number('dacRead')
    this.#dacWrite = saved.number('dacWrite')
    this.#dacReading = saved.boolean('dacReading')
    this.#status1 = saved.number('status1')
  }

  registers(): readonly RegisterView[] {
    const group = (name: string, registers: IndexedRegisters): RegisterView[] =>
      Array.from(registers.values, (value, index) => ({ name: `${name}${hex(index)}`, value, width: 8 }))
    const cursor = this.cursor()
    return [
      { name: 'MISC', value: this.#misc, width: 8 },
      {
        name: 'cursor',
        value: (this.#crtc.values[r.CRTC_CURSOR_HIGH] << 8) | this.#crtc.values[r.CRTC_CURSOR_LOW],
        width: 16,
        meaning: cursor === undefined ? 'not shown' : `row ${cursor.row}, column ${cursor.column}`,
      },
      ...group('CR', this.#crtc),
      ...group('SR', this.#sequencer),
      ...group('GR', this.#graphics),
      ...group('AR', this.#attributes),
    ]
  }
}

function hex(index: number): string {
  return index.toString(16).padStart(2, '0').toUpperCase()
}
