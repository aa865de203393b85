/** Colours of text: from an attribute's four bits through the palette registers and the DAC to red, green and blue. */

import { ATTRIBUTE_COLOR_SELECT, ATTRIBUTE_MODE, MODE_PALETTE_BITS } from './registers.ts'

/** Bytes of the DAC's 256 colours: red, green and blue of 6 bits each. */
export const PALETTE_SIZE = 768

/** Red, green and blue, of 6 bits each. */
export type Color = readonly [red: number, green: number, blue: number]

/** Colours of text: what four bits of an attribute can say. */
export const TEXT_COLORS = 16

/**
 * What a VGA BIOS loads in mode 3: the 64 colours of an EGA, in whose numbers bits 2 to 0 are two thirds of red, green
 * and blue, and bits 5 to 3 the last thirds.
 */
export function loadDefaultPalette(palette: Uint8Array): void {
  palette.fill(0)
  for (let color = 0; color < 64; color++)
    for (let part = 0; part < 3; part++) {
      const bit = 2 - part
      palette[color * 3 + part] = ((color >> bit) & 1) * 0x2a + ((color >> (bit + 3)) & 1) * 0x15
    }
}

/**
 * The 16 colours of text, as attribute controller and DAC make them (IBM PS/2 Hardware Interface Technical Reference,
 * video subsystem: palette registers, color select register, PEL mask).
 */
export function textColors(attributes: Uint8Array, palette: Uint8Array, mask: number): Color[] {
  const select = attributes[ATTRIBUTE_COLOR_SELECT]
  return Array.from({ length: TEXT_COLORS }, (_, color) => {
    const register = attributes[color] & 0x3f
    const low = attributes[ATTRIBUTE_MODE] & MODE_PALETTE_BITS ? (register & 0x0f) | ((select & 3) << 4) : register
    const at = ((low | ((select & 0x0c) << 4)) & mask) * 3
    return [palette[at], palette[at + 1], palette[at + 2]]
  })
}
