import { describe, expect, it } from 'vitest'
import { chooseLoader, loadImage } from '../../src/boot/boot.ts'
import { type BootRequest, ImageError } from '../../src/boot/boot-target.ts'
import { flatLoader } from '../../src/boot/flat.ts'
import { FakeRam, MIB } from './fake-ram.ts'
import {
  buildBzImage,
  buildElf,
  concatenate,
  multiboot1Header,
  multiboot2Header,
  note,
  words,
} from './image-builders.ts'

const code = Uint8Array.of(0xfa, 0xf4, 0xeb, 0xfd)
const text = (content: string) => new TextEncoder().encode(content)
const request = (image: Uint8Array): BootRequest => ({ name: 'image', image, cmdline: '' })
const bootSector = () => {
  const sector = new Uint8Array(512)
  sector.set(code)
  sector.set([0x55, 0xaa], 510)
  return sector
}
const segment = { physical: MIB, bytes: code }
const pvhNote = { type: 4, physical: 0, bytes: note('Xen', 18, words(MIB)) }

describe('choosing a loader', () => {
  it.each([
    ['linux', buildBzImage()],
    ['linux', buildBzImage().fill(0, 0, 4)],
    ['multiboot', concatenate(multiboot1Header(0x10000, MIB, MIB, 0, 0, MIB), code)],
    ['multiboot', concatenate(multiboot1Header(0), new Uint8Array(4), multiboot2Header())],
    ['multiboot2', concatenate(multiboot2Header(), code)],
    ['pvh', buildElf({ bits: 64, entry: 0n, segments: [segment, pvhNote] })],
    ['flat', bootSector()],
    ['elf', buildElf({ bits: 32, entry: 0n, segments: [segment] })],
  ])('takes %s for what looks like it', (protocol, image) => {
    expect(chooseLoader(request(image)).protocol).toBe(protocol)
  })

  it('obeys an explicit choice, whatever the image looks like', () => {
    for (const protocol of ['linux', 'linux32', 'multiboot', 'multiboot2', 'pvh', 'flat', 'elf']) {
      expect(chooseLoader(request(code), protocol).protocol).toBe(protocol)
    }
    expect(() => chooseLoader(request(code), 'uefi')).toThrow(/unknown boot protocol "uefi"; there are linux, /)
  })

  const pe = (section: string) => {
    const bytes = new Uint8Array(512)
    bytes.set(text('MZ'))
    bytes.set(words(0x80), 0x3c)
    bytes.set(concatenate(text('PE\0\0'), Uint8Array.of(0x64, 0x86, 1, 0)), 0x80)
    bytes.set(text(section), 0x80 + 24)
    return bytes
  }
  it.each([
    [new Uint8Array(0), /empty/],
    [Uint8Array.of(0x1f, 0x8b, 8, 0), /gzip.*gunzip/],
    [text('070701000'), /initramfs.*--initrd/],
    [text('hello, world\n'), /text/],
    [new Uint8Array(2000), /zeroes/],
    [concatenate(bootSector(), new Uint8Array(512)), /disk image with a boot sector/],
    [pe('.text'), /PE\/COFF.*UEFI only/],
    [pe('.linux'), /unified kernel image.*objcopy/],
    [text('MZ'), /cut off/],
    [buildElf({ bits: 64, machine: 183, entry: 0n, segments: [segment] }), /ELF file for AArch64/],
    [Uint8Array.of(0x7f, 0x45, 0x4c, 0x46), /truncated ELF/],
    [Uint8Array.of(1, 2, 3, 4, 5), /begins with 01 02 03 04/],
  ])('says what an image that nothing accepts looks like (%#)', (image, message) => {
    expect(() => chooseLoader(request(image))).toThrow(ImageError)
    expect(() => chooseLoader(request(image))).toThrow(message)
    expect(() => chooseLoader(request(image))).toThrow(/Accepted are a Linux bzImage/)
  })
})

describe('flat images', () => {
  it('start a boot sector as a BIOS does', () => {
    const ram = new FakeRam(2)
    const { registers, segments } = loadImage(request(bootSector()), ram)
    expect([registers.rip, registers.rdx, registers.cr0]).toEqual([0x7c00n, 0x80n, 0x10n])
    expect(segments?.cs).toEqual({ selector: 0, base: 0n, limit: 0xffff, rights: 0x9b })
    expect(segments?.ss).toEqual({ selector: 0, base: 0n, limit: 0xffff, rights: 0x93 })
    expect(ram.bytes[0x7c00]).toBe(0xfa)
  })

  it('are entered at 1 MiB in protected mode otherwise', () => {
    const ram = new FakeRam(2)
    const { registers } = loadImage(request(code), ram, 'flat')
    expect([registers.rip, registers.cr0]).toEqual([0x100000n, 0x11n])
    expect(ram.bytes[MIB]).toBe(0xfa)
  })

  it('go where they are told to', () => {
    const load = (options: { address?: number; mode?: 'real' | 'protected' }) =>
      flatLoader(options).load(request(code), new FakeRam(2))
    expect(load({ mode: 'real' }).registers.rip).toBe(0x7c00n)
    const high = load({ mode: 'real', address: 0x20004 })
    expect([high.registers.rip, high.segments?.cs?.selector, high.segments?.cs?.base]).toEqual([4n, 0x2000, 0x20000n])
    expect(load({ address: 0x7c00 }).registers.cr0).toBe(0x11n)
    expect(() => load({ mode: 'real', address: MIB })).toThrow(/real mode can't reach/)
    expect(() => load({ address: 0 })).toThrow(/interrupt vectors/)
    expect(() => load({ address: 0xb8000 })).toThrow(ImageError)
  })

  it('that are empty, too big, or come with an initrd are refused', () => {
    expect(() => loadImage(request(new Uint8Array(0)), new FakeRam(2), 'flat')).toThrow(/empty/)
    expect(() => loadImage(request(new Uint8Array(2 * MIB)), new FakeRam(2), 'flat')).toThrow(/not all RAM/)
    expect(() => loadImage({ ...request(code), initrd: code }, new FakeRam(2), 'flat')).toThrow(/initrd/)
  })

  it('are not mistaken for a boot sector when they are the stub of a truncated EFI image', () => {
    const stub = bootSector()
    stub.set(text('MZ'))
    expect(() => chooseLoader(request(stub))).toThrow(/cut off/)
  })
})
