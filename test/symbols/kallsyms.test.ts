import { describe, expect, test } from 'vitest'
import { parseKallsyms } from '../../src/symbols/kallsyms.ts'
import { kallsymsImage } from '../support/kallsyms-image.ts'

const BASE = 0xffff_ffff_8100_0000n

const find = (image: Uint8Array, name: string) => parseKallsyms(image)?.find(symbol => symbol.name === name)

describe("a Linux kernel's own symbols", () => {
  test('are found in the image of a kernel up to 6.3', () => {
    const image = kallsymsImage({ vfs_read: 0x34cc50n }, { base: BASE })
    expect(find(image, '_text')).toEqual({ name: '_text', address: BASE, type: 'T' })
    expect(find(image, 'vfs_read')).toEqual({ name: 'vfs_read', address: 0xffff_ffff_8134_cc50n, type: 'T' })
    expect(find(image, 'filler_599')?.type).toBe('t')
    expect(parseKallsyms(image)).toHaveLength(603)
  })

  test('are found where 6.4 and later put them', () => {
    const image = kallsymsImage({ vfs_read: 0x34cc50n }, { base: BASE, modern: true, absolutePercpu: false })
    expect(find(image, 'vfs_read')?.address).toBe(0xffff_ffff_8134_cc50n)
  })

  test('leave absolute per-CPU symbols as they are', () => {
    expect(find(kallsymsImage({}, { base: BASE }), 'percpu_offset')).toMatchObject({ address: 0x4000n, type: 'A' })
  })

  test('move with a randomised base', () => {
    const image = kallsymsImage({ vfs_read: 0x10n }, { base: BASE + 0x1a00_0000n })
    expect(find(image, 'vfs_read')?.address).toBe(BASE + 0x1a00_0010n)
  })

  test.each([false, true])('are found in a 32-bit kernel (6.4 and later: %s)', modern => {
    for (const name of ['vfs_read', 'vfs_readv', 'vfs_readvv', 'vfs_readvvv']) {
      const image = kallsymsImage({ [name]: 0x34cc50n }, { base: 0xc800_0000n, word: 4, modern })
      const symbols = parseKallsyms(image, 4)
      expect(symbols?.[0]).toEqual({ name: '_text', address: 0xc800_0000n, type: 'T' })
      expect(symbols?.find(symbol => symbol.name === name)?.address).toBe(0xc834_cc50n)
      expect(symbols?.every((symbol, i) => i === 0 || symbol.address >= symbols[i - 1].address)).toBe(true)
      expect(parseKallsyms(image, 8)).toBeUndefined()
    }
  })

  test('may have names longer than 127 bytes', () => {
    const name = 'x'.repeat(300)
    expect(find(kallsymsImage({ [name]: 0x10n }, { base: BASE }), name)?.address).toBe(BASE + 0x10n)
  })

  test('are not found in something else, nor in a kernel that is cut off', () => {
    expect(parseKallsyms(new Uint8Array(0))).toBeUndefined()
    expect(parseKallsyms(new Uint8Array(100_000).fill(0x30))).toBeUndefined()
    const image = kallsymsImage({ vfs_read: 0x10n }, { base: BASE })
    for (let length = 0; length < image.length; length += 97)
      expect(parseKallsyms(image.subarray(0, length))).toBeUndefined()
  })
})
