import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type BootRequest, ImageError } from '../../src/boot/boot-target.ts'
import { linux, linux32 } from '../../src/boot/linux/linux-loader.ts'
import { FakeRam, MIB } from './fake-ram.ts'
import { buildBzImage } from './image-builders.ts'

const request = (image: Uint8Array, more: Partial<BootRequest> = {}): BootRequest => ({
  name: 'vmlinuz',
  image,
  cmdline: 'console=ttyS0',
  ...more,
})

const scratch = new FakeRam(64)

function refusal(more: Partial<BootRequest>, image = buildBzImage(), megabytes = 64): string {
  try {
    linux.load(request(image, more), megabytes === 64 ? scratch : new FakeRam(megabytes))
  } catch (error) {
    if (error instanceof ImageError) return error.message
    throw error
  }
  return 'loaded'
}

describe('the Linux loader', () => {
  it('enters a 64-bit kernel in long mode at its load address plus 0x200, with the zero page in RSI', () => {
    const ram = new FakeRam(64)
    const { registers, segments } = linux.load(request(buildBzImage()), ram)
    expect(registers.rip).toBe(0x1000200n)
    expect(registers.rflags).toBe(2n)
    expect(registers.cr0 & 0x80000001n).toBe(0x80000001n)
    expect(registers.cr4 & 0x20n).toBe(0x20n)
    expect(registers.efer).toBe(0x500n)
    expect(segments?.cs).toEqual({ selector: 0x10, base: 0n, limit: 0xffffffff, rights: 0xa09b })
    expect(segments?.ds).toEqual({ selector: 0x18, base: 0n, limit: 0xffffffff, rights: 0xc093 })
    expect(ram.bytes[0x1000000]).toBe(0xaa)
    expect(ram.u32(Number(registers.rsi) + 0x202)).toBe(0x53726448)
  })

  it('fills the zero page as boot.rst says', () => {
    const ram = new FakeRam(64)
    const initrd = new Uint8Array(5000).fill(0x42)
    const { registers } = linux.load(request(buildBzImage(), { initrd, rsdp: 0xe0000 }), ram)
    const zeroPage = Number(registers.rsi)
    expect(ram.bytes[zeroPage + 0x210]).toBe(0xff)
    expect(ram.u32(zeroPage + 0x214)).toBe(0x1000000)
    expect(ram.string(ram.u32(zeroPage + 0x228))).toBe('console=ttyS0')
    expect(ram.u64(zeroPage + 0x70)).toBe(0xe0000)
    const initrdAt = ram.u32(zeroPage + 0x218)
    expect(initrdAt).toBe(64 * MIB - 0x2000)
    expect(ram.u32(zeroPage + 0x21c)).toBe(5000)
    expect(ram.bytes.subarray(initrdAt, initrdAt + 5000)).toEqual(initrd)
    expect(ram.bytes[zeroPage + 0x1e8]).toBe(4)
    expect(ram.u64(zeroPage + 0x2d0 + 60)).toBe(MIB)
    expect(ram.u64(zeroPage + 0x2d0 + 68)).toBe(63 * MIB)
    expect(ram.u32(zeroPage + 0x2d0 + 76)).toBe(1)
    expect([ram.bytes[zeroPage + 7], ram.bytes[zeroPage + 14]]).toEqual([80, 25])
  })

  it('maps the first 4 GiB to itself', () => {
    const ram = new FakeRam(64)
    const { registers } = linux.load(request(buildBzImage()), ram)
    const translate = (address: number) => {
      const directory = ram.u64(ram.u64(Number(registers.cr3)) - 3 + Math.floor(address / 0x40000000) * 8) - 3
      return ram.u64(directory + (Math.floor(address / 0x200000) % 512) * 8)
    }
    expect(translate(0)).toBe(0x83)
    expect(translate(0x1000000)).toBe(0x1000083)
    expect(translate(0xffe00000)).toBe(0xffe00083)
  })

  it('writes a GDT that matches the segments, and no structure over another', () => {
    const ram = new FakeRam(64)
    const { gdtr } = linux.load(request(buildBzImage(), { initrd: new Uint8Array(1000) }), ram)
    const gdt = Number(gdtr?.base)
    expect(gdtr?.limit).toBe(31)
    expect([ram.u32(gdt + 0x10), ram.u32(gdt + 0x14)]).toEqual([0x0000ffff, 0x00af9b00])
    expect([ram.u32(gdt + 0x18), ram.u32(gdt + 0x1c)]).toEqual([0x0000ffff, 0x00cf9300])
    const written = ram.written.toSorted((a, b) => a.start - b.start)
    for (let index = 1; index < written.length; index++) {
      expect(written[index].start).toBeGreaterThanOrEqual(written[index - 1].end)
    }
    expect(written[0].start).toBeGreaterThanOrEqual(0x500)
    expect(written.some(({ start, end }) => start < MIB && end > 0x9fc00)).toBe(false)
  })

  it('enters a kernel without XLF_KERNEL_64, or when told to, in flat 32-bit mode', () => {
    for (const [loader, image] of [
      [linux, buildBzImage({ xloadflags: 0 })],
      [linux32, buildBzImage()],
    ] as const) {
      const { registers, segments } = loader.load(request(image), new FakeRam(64))
      expect(registers.rip).toBe(0x1000000n)
      expect(registers.cr0).toBe(0x11n)
      expect([registers.rbx, registers.rbp, registers.rdi]).toEqual([0n, 0n, 0n])
      expect(segments?.cs?.rights).toBe(0xc09b)
    }
  })

  it('loads a kernel of a protocol before 2.10 at 1 MiB', () => {
    const { registers } = linux.load(request(buildBzImage({ version: 0x206 })), new FakeRam(16))
    expect(registers.rip).toBe(0x100000n)
  })

  it('moves a relocatable kernel up when its preferred address is not free', () => {
    const image = buildBzImage({ preferredAddress: 0x80000 })
    expect(linux.load(request(image), new FakeRam(64)).registers.rip).toBe(0x200200n)
  })

  it.each([
    ['a kernel that does not fit', {}, buildBzImage({ initSize: 60 * MIB }), /needs 76 MiB of RAM.*has 64 MiB/],
    ['an old protocol', {}, buildBzImage({ version: 0x205 }), /2\.05 is too old/],
    ['a zImage', {}, buildBzImage({ loadflags: 0 }), /bzImage/],
    ['a UEFI-only kernel', {}, buildBzImage({ xloadflags: 0, code32Start: 0 }), /UEFI only/],
    ['a long command line', { cmdline: 'x'.repeat(2048) }, buildBzImage(), /2048 bytes.*at most 2047/],
    ['a command line with a NUL', { cmdline: 'a\0b' }, buildBzImage(), /NUL/],
    ['a big initrd', { initrd: new Uint8Array(60 * MIB), initrdName: 'big.gz' }, buildBzImage(), /^big\.gz.*not fit/],
    ['an initrd limit', { initrd: new Uint8Array(MIB) }, buildBzImage({ initrdMax: 0x5ffff }), /below 0x60000/],
    ['a bad preferred address', {}, buildBzImage({ preferredAddress: 2 ** 40 }), /above 4 GiB/],
    ['a kernel of no bytes', {}, buildBzImage({ kernelSize: 0 }), /holds no kernel/],
  ])('refuses %s', (_, more, image, message) => {
    expect(refusal(more, image)).toMatch(message)
  })

  it('refuses an image cut off anywhere', () => {
    const image = buildBzImage()
    for (let length = 0; length < image.length; length += length < 0x300 ? 1 : 61) {
      expect(refusal({}, image.subarray(0, length))).toMatch(/truncated|not a Linux bzImage/)
    }
  })

  it('answers damaged headers with an error or a load, never anything else', () => {
    for (let at = 0x1f1; at < 0x268; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const image = buildBzImage()
        image[at] = value
        refusal({ initrd: new Uint8Array(100) }, image)
      }
    }
  })

  const cache = process.env.RINGSIDE_CACHE ?? join(homedir(), '.cache', 'ringside')
  const folder = join(cache, 'k', 'boot')
  const kernel = existsSync(folder) ? readdirSync(folder).find(name => name.startsWith('vmlinuz-')) : undefined
  it.skipIf(!kernel)(`loads Debian's kernel (skipped when there is none under ${folder})`, () => {
    const image = readFileSync(join(folder, kernel ?? ''))
    const ram = new FakeRam(128)
    expect(linux.load(request(image), ram).registers.rip).toBe(0x1000200n)
    expect(linux32.load(request(image), ram).registers.rip).toBe(0x1000000n)
    expect(refusal({}, image, 32)).toMatch(/MiB of RAM to unpack itself, the machine has 32 MiB/)
    expect(refusal({}, image.subarray(0, 10_000_000), 128)).toMatch(/truncated/)
  })
})
