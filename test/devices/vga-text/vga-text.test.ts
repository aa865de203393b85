import { beforeEach, describe, expect, test } from 'vitest'
import type { TextPicture } from '../../../src/devices/vga-text/picture.ts'
import { VgaText } from '../../../src/devices/vga-text/vga-text.ts'
import { Bench } from '../bench.ts'

let bench: Bench
let vga: VgaText

beforeEach(() => {
  bench = new Bench()
  vga = new VgaText()
  vga.attach(bench.bus)
})

function print(row: number, column: number, codes: readonly number[]): void {
  for (const [index, code] of codes.entries())
    bench.bus.writeMmio(0xb8000 + (row * 80 + column + index) * 2, 2, BigInt(0x0700 | code))
}

const text = (): TextPicture => {
  const picture = vga.picture()
  if (picture.kind !== 'text') throw new Error('no text mode')
  return picture
}

function attribute(register: number, value: number): void {
  bench.in(0x3da)
  bench.out(0x3c0, register)
  bench.out(0x3c0, value)
}

function crtc(register: number, value: number): void {
  bench.bus.writePort(0x3d4, 2, register | (value << 8))
}

describe('the screen', () => {
  test('is 25 rows of 80 blanks at first', () => {
    expect(vga.text()).toEqual(Array.from({ length: 25 }, () => ''))
    expect(bench.bus.readMmio(0xb8000, 4)).toBe(0x07200720n)
  })

  test('reads as text, code page 437 included', () => {
    print(
      0,
      0,
      [...'Hello'].map(character => character.charCodeAt(0)),
    )
    print(24, 76, [0xc9, 0xcd, 0xbb, 0xe1])
    const rows = vga.text()
    expect([rows[0], rows[24]]).toEqual(['Hello', `${' '.repeat(76)}╔═╗ß`])
  })

  test('scrolls with the start address', () => {
    print(1, 0, [0x41])
    crtc(0x0d, 80)
    expect(vga.text()[0]).toBe('A')
  })

  test('has a cursor', () => {
    crtc(0x0e, 0x01)
    crtc(0x0f, 0x45)
    expect(vga.cursor()).toEqual({ row: 4, column: 5 })
    crtc(0x0a, 0x20)
    expect(vga.cursor()).toBeUndefined()
  })

  test('stays readable whatever the registers hold', () => {
    crtc(0x11, 0)
    for (let register = 0; register < 32; register++) crtc(register, 0xff)
    expect(vga.text().length).toBeLessThanOrEqual(100)
    crtc(0x11, 0)
    for (let register = 0; register < 32; register++) crtc(register, 0)
    expect(vga.text()).toEqual([''])
    expect(vga.cursor()).toBeUndefined()
  })
})

describe('registers', () => {
  test('read back through their index', () => {
    for (const [port, register] of [
      [0x3c4, 2],
      [0x3ce, 8],
      [0x3d4, 0x0e],
    ]) {
      bench.out(port, register)
      bench.out(port + 1, 0xa5)
      expect([bench.in(port), bench.in(port + 1)]).toEqual([register, 0xa5])
    }
  })

  test('of the attribute controller share a port, which input status 1 resets to index', () => {
    bench.in(0x3da)
    for (const value of [0x31, 0x99]) bench.out(0x3c0, value)
    bench.out(0x3c0, 0x11)
    expect([bench.in(0x3c0), bench.in(0x3c1)]).toEqual([0x11, 0x99])
    bench.in(0x3da)
    bench.out(0x3c0, 0x01)
    expect(bench.in(0x3c1)).toBe(0x01)
  })

  test('0 to 7 of the CRT controller are protected, the line compare bit aside', () => {
    crtc(0x00, 0x11)
    crtc(0x07, 0x00)
    expect(bench.in(0x3d5)).toBe(0x0f)
    crtc(0x11, 0x0e)
    crtc(0x00, 0x11)
    expect(bench.in(0x3d5)).toBe(0x11)
  })

  test('input status 1 never keeps a guest waiting', () => {
    expect([bench.in(0x3da), bench.in(0x3da), bench.in(0x3da)]).toEqual([9, 0, 9])
  })

  test('the palette is written and read three bytes a colour', () => {
    bench.out(0x3c8, 255)
    for (const value of [0x3f, 0xff, 0x10, 0x01]) bench.out(0x3c9, value)
    bench.out(0x3c7, 255)
    expect([bench.in(0x3c7), bench.in(0x3c9), bench.in(0x3c9), bench.in(0x3c9), bench.in(0x3c9)]).toEqual([
      3, 0x3f, 0x3f, 0x10, 0x01,
    ])
  })

  test('the CRT controller moves for a monochrome display', () => {
    expect([bench.in(0x3cc), bench.in(0x3b4)]).toEqual([0x67, 0xff])
    bench.out(0x3c2, 0x66)
    bench.out(0x3b4, 0x0e)
    expect([bench.in(0x3b4), bench.in(0x3d4), bench.in(0x3ba)]).toEqual([0x0e, 0xff, 9])
  })
})

describe('the picture', () => {
  test('has the colours of a VGA BIOS at first, and those that the guest chooses', () => {
    const { colors } = text()
    expect([colors[0], colors[1], colors[6], colors[7], colors[8], colors[12], colors[15]]).toEqual([
      ...[
        [0, 0, 0],
        [0, 0, 0x2a],
        [0x2a, 0x15, 0],
        [0x2a, 0x2a, 0x2a],
        [0x15, 0x15, 0x15],
        [0x3f, 0x15, 0x15],
      ],
      [0x3f, 0x3f, 0x3f],
    ])
    bench.out(0x3c8, 0x3c)
    for (const part of [1, 2, 3]) bench.out(0x3c9, part)
    expect(text().colors[12]).toEqual([1, 2, 3])
    attribute(0x01, 0x3c)
    expect(text().colors[1]).toEqual([1, 2, 3])
    bench.out(0x3c6, 0)
    expect(text().colors[1]).toEqual([0, 0, 0])
  })

  test('takes bits of colours from the color select register when told to', () => {
    bench.out(0x3c8, 0xf1)
    for (const part of [4, 5, 6]) bench.out(0x3c9, part)
    attribute(0x10, 0x8c)
    attribute(0x14, 0x0f)
    expect(text().colors[1]).toEqual([4, 5, 6])
  })

  test('has codes and attributes of cells, and says whether they blink', () => {
    bench.bus.writeMmio(0xb8000 + 2 * 81, 2, 0x9e41n)
    expect([text().codes[81], text().attributes[81], text().blinks]).toEqual([0x41, 0x9e, true])
    attribute(0x10, 0x04)
    expect(text().blinks).toBe(false)
  })

  test('has a cursor with its shape, where it is to be seen', () => {
    crtc(0x0f, 81)
    expect(text()).toMatchObject({ height: 16, cursor: { row: 1, column: 1, first: 13, last: 14 } })
    crtc(0x0a, 0x0f)
    expect(text().cursor).toBeUndefined()
    crtc(0x0a, 0x00)
    crtc(0x0e, 0x20)
    expect(text().cursor).toBeUndefined()
  })

  test('may be off, or of a mode that is not drawn', () => {
    bench.out(0x3c4, 0x01)
    bench.out(0x3c5, 0x20)
    expect(text().off).toBe(true)
    bench.out(0x3ce, 0x06)
    bench.out(0x3cf, 0x05)
    expect(vga.picture()).toEqual({ kind: 'graphics' })
  })

  test('is there whatever the registers hold', () => {
    for (const value of [0xff, 0x00, 0x5a]) {
      crtc(0x11, 0)
      for (let register = 0; register < 32; register++) {
        crtc(register, value)
        attribute(register, value)
      }
      const { columns, rows, codes, attributes, colors } = text()
      expect([codes.length, attributes.length]).toEqual([columns * rows, columns * rows])
      expect(columns * rows).toBeLessThanOrEqual(25_600)
      expect(colors.flat().every(part => part >= 0 && part <= 0x3f)).toBe(true)
    }
  })
})
