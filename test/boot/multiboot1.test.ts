import { describe, expect, it } from 'vitest'
import { type BootRequest, ImageError } from '../../src/boot/boot-target.ts'
import { multiboot1 } from '../../src/boot/multiboot/multiboot1.ts'
import { FakeRam, MIB } from './fake-ram.ts'
import { buildElf, concatenate, multiboot1Header } from './image-builders.ts'

const scratch = new FakeRam(16)
const code = Uint8Array.of(0xfa, 0xf4, 0xeb, 0xfd)
const elf = (bits: 32 | 64, flags = 3) => {
  const bytes = concatenate(multiboot1Header(flags), code)
  return buildElf({ bits, entry: 0x10000cn, segments: [{ physical: MIB, bytes, memorySize: 0x2000 }] })
}
/** An image without a format, whose header at offset 4 says what goes where. */
const flat = (load: number, loadEnd: number, bssEnd: number, entry = load, header = load + 4) =>
  concatenate(code, multiboot1Header(0x10000, header, load, loadEnd, bssEnd, entry), new Uint8Array(100).fill(0x90))

const request = (image: Uint8Array, more: Partial<BootRequest> = {}): BootRequest => ({
  name: 'kernel.bin',
  image,
  cmdline: 'a=b',
  ...more,
})

function refusal(image: Uint8Array, more: Partial<BootRequest> = {}): string {
  try {
    multiboot1.load(request(image, more), scratch)
  } catch (error) {
    if (error instanceof ImageError) return error.message
    throw error
  }
  return 'loaded'
}

describe('the multiboot 1 loader', () => {
  it.each([32, 64] as const)('enters an ELF%i with the magic in EAX and the information in EBX', bits => {
    const { registers, segments } = multiboot1.load(request(elf(bits)), new FakeRam(16))
    expect(registers.rip).toBe(0x10000cn)
    expect(registers.rax).toBe(0x2badb002n)
    expect(registers.cr0).toBe(0x11n)
    expect(registers.rflags).toBe(2n)
    for (const name of ['ds', 'es', 'fs', 'gs', 'ss'] as const) expect(segments?.[name]?.limit).toBe(0xffffffff)
  })

  it('tells of memory, command line, module and loader', () => {
    const ram = new FakeRam(16)
    const initrd = new Uint8Array(5000).fill(9)
    const { registers } = multiboot1.load(request(elf(32), { initrd, initrdName: 'disk.img' }), ram)
    const info = Number(registers.rbx)
    expect(ram.u32(info)).toBe((1 << 0) | (1 << 2) | (1 << 3) | (1 << 6) | (1 << 9))
    expect([ram.u32(info + 4), ram.u32(info + 8)]).toEqual([639, 15 * 1024])
    expect(ram.string(ram.u32(info + 16))).toBe('kernel.bin a=b')
    expect(ram.string(ram.u32(info + 64))).toBe('Ringside')
    const module = ram.u32(info + 24)
    const [start, end] = [ram.u32(module), ram.u32(module + 4)]
    expect(ram.u32(info + 20)).toBe(1)
    expect(start % 4096).toBe(0)
    expect(start).toBeGreaterThanOrEqual(MIB + 0x2000)
    expect(ram.bytes.subarray(start, end)).toEqual(initrd)
    expect(ram.string(ram.u32(module + 8))).toBe('disk.img')
    const entries: number[][] = []
    const map = ram.u32(info + 48)
    for (let at = map; at < map + ram.u32(info + 44); at += ram.u32(at) + 4) {
      entries.push([ram.u64(at + 4), ram.u64(at + 12), ram.u32(at + 20)])
    }
    expect(entries).toEqual(ram.map.map(({ start, length, type }) => [start, length, type]))
  })

  it('tells of the text screen when a video mode is asked for', () => {
    const ram = new FakeRam(16)
    const info = Number(multiboot1.load(request(elf(32, 7)), ram).registers.rbx)
    expect(ram.u32(info) & (1 << 12)).not.toBe(0)
    expect([ram.u64(info + 88), ram.u32(info + 100), ram.bytes[info + 109]]).toEqual([0xb8000, 80, 2])
  })

  it('loads an image by the addresses in its header, and zeroes its bss', () => {
    const ram = new FakeRam(16)
    ram.bytes.fill(0x55, MIB, 2 * MIB)
    const image = flat(MIB, MIB + 40, MIB + 60, MIB + 2)
    expect(multiboot1.load(request(image), ram).registers.rip).toBe(0x100002n)
    expect(ram.bytes.subarray(MIB, MIB + 40)).toEqual(image.subarray(0, 40))
    expect([...ram.bytes.subarray(MIB + 40, MIB + 61)]).toEqual([...new Array(20).fill(0), 0x55])
  })

  it('loads the whole file when the header gives no load end', () => {
    const ram = new FakeRam(16)
    const image = flat(MIB, 0, 0)
    multiboot1.load(request(image), ram)
    expect(ram.bytes.subarray(MIB, MIB + image.length)).toEqual(image)
  })

  it('recognizes a header with a right checksum in the first 8 KiB only', () => {
    const header = multiboot1Header(0)
    expect(multiboot1.recognizes(concatenate(new Uint8Array(8180), header))).toBe(true)
    expect(multiboot1.recognizes(concatenate(new Uint8Array(8184), header))).toBe(false)
    expect(multiboot1.recognizes(concatenate(new Uint8Array(2), header))).toBe(false)
    header[8] ^= 1
    expect(multiboot1.recognizes(header)).toBe(false)
    expect(multiboot1.recognizes(new Uint8Array(0))).toBe(false)
  })

  it.each([
    ['an unknown requirement', concatenate(multiboot1Header(0x20), code), /unknown features \(flags 0x20\)/],
    ['neither ELF nor addresses', concatenate(multiboot1Header(0), code), /not an ELF file/],
    ['a load address before the file', flat(MIB, 0, 0, MIB, MIB + 8), /before the beginning/],
    ['a load address above the header', flat(MIB, 0, 0, MIB, MIB - 4), /above the header/],
    ['a load end below the load address', flat(MIB, MIB - 1, 0), /not above load address/],
    ['more to load than there is', flat(MIB, MIB + 10000, 0), /truncated/],
    ['a bss end inside what is loaded', flat(MIB, MIB + 40, MIB + 20), /bss end/],
    ['an entry point outside', flat(MIB, 0, 0, 0x200000), /entry point 0x200000/],
    ['no room', flat(32 * MIB, 0, 0), /not all RAM/],
  ])('refuses an image with %s', (_, image, message) => {
    expect(refusal(image)).toMatch(message)
  })

  it('refuses a module that does not fit', () => {
    expect(refusal(elf(32), { initrd: new Uint8Array(15 * MIB) })).toMatch(/does not fit/)
  })

  it('answers images cut off or damaged anywhere by an ImageError or a load', () => {
    for (const image of [elf(32), flat(MIB, 0, 0)]) {
      for (let length = 0; length < image.length; length++) refusal(image.subarray(0, length))
      for (let index = 0; index < image.length; index++) {
        const damaged = image.slice()
        damaged[index] ^= 0xff
        refusal(damaged)
      }
    }
  })
})
