/** VGA registers (IBM PS/2 Hardware Interface Technical Reference, video subsystem), as far as text mode needs them. */

export const VGA_MEMORY_BASE = 0xa0000
export const VGA_MEMORY_SIZE = 0x20000
/** Where colour text is in it. */
export const TEXT_OFFSET = 0x18000
export const TEXT_SIZE = 0x8000

/** CRT controller while a monochrome display is emulated; the colour one is at 0x3d4. */
export const CRTC_MONO_PORT = 0x3b4
export const CRTC_COLOR_PORT = 0x3d4
export const STATUS_1_MONO_PORT = 0x3ba
export const STATUS_1_COLOR_PORT = 0x3da
export const ATTRIBUTE_PORT = 0x3c0
export const ATTRIBUTE_READ_PORT = 0x3c1
/** Written: miscellaneous output; read: input status 0. */
export const MISC_WRITE_PORT = 0x3c2
export const ENABLE_PORT = 0x3c3
export const SEQUENCER_PORT = 0x3c4
export const DAC_MASK_PORT = 0x3c6
/** Written: address for reading; read: state. */
export const DAC_READ_ADDRESS_PORT = 0x3c7
export const DAC_WRITE_ADDRESS_PORT = 0x3c8
export const DAC_DATA_PORT = 0x3c9
export const FEATURE_READ_PORT = 0x3ca
export const MISC_READ_PORT = 0x3cc
export const GRAPHICS_PORT = 0x3ce

/** CRT controller at 0x3d4 instead of 0x3b4. */
export const MISC_COLOR = 0x01

export const STATUS_1_DISPLAY_OFF = 0x01
export const STATUS_1_VERTICAL_RETRACE = 0x08

export const CRTC_HORIZONTAL_DISPLAY_END = 0x01
export const CRTC_OVERFLOW = 0x07
export const CRTC_MAXIMUM_SCAN_LINE = 0x09
export const CRTC_CURSOR_START = 0x0a
export const CRTC_CURSOR_END = 0x0b
export const CRTC_START_HIGH = 0x0c
export const CRTC_START_LOW = 0x0d
export const CRTC_CURSOR_HIGH = 0x0e
export const CRTC_CURSOR_LOW = 0x0f
export const CRTC_PROTECT = 0x11
export const CRTC_VERTICAL_DISPLAY_END = 0x12
export const CRTC_OFFSET = 0x13
export const CURSOR_OFF = 0x20

export const SEQUENCER_CLOCKING = 0x01
export const CLOCKING_SCREEN_OFF = 0x20
export const GRAPHICS_MISC = 0x06
export const GRAPHICS_MISC_GRAPHICS = 0x01
export const ATTRIBUTE_MODE = 0x10
/** Bit 7 of a character's attribute makes it blink; else it is the background's. */
export const MODE_BLINK = 0x08
/** Bits 5 and 4 of the DAC's address come from the color select register. */
export const MODE_PALETTE_BITS = 0x80
export const ATTRIBUTE_COLOR_SELECT = 0x14

/** Register contents of mode 3, 80 × 25 characters of 9 × 16 dots, as a VGA BIOS sets them. */
export const MODE_3_MISC = 0x67
export const MODE_3_SEQUENCER: readonly number[] = [0x03, 0x00, 0x03, 0x00, 0x02]
export const MODE_3_CRTC: readonly number[] = [
  0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f,
  0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
]
export const MODE_3_GRAPHICS: readonly number[] = [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff]
export const MODE_3_ATTRIBUTES: readonly number[] = [
  0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f,
  0x08, 0x00,
]
