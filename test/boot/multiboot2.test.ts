import { describe, expect, it } from 'vitest'
import { type BootRequest, ImageError } from '../../src/boot/boot-target.ts'
import { multiboot2 } from '../../src/boot/multiboot/multiboot2.ts'
import { FakeRam, MIB } from './fake-ram.ts'
import { buildElf, concatenate, multiboot2Header, symbolSections } from './image-builders.ts'

const OPTIONAL = 1
const scratch = new FakeRam(16)
const code = Uint8Array.of(0xfa, 0xf4, 0xeb, 0xfd)

function elf(bits: 32 | 64, tags: readonly (readonly number[])[] = [], physical = MIB): Uint8Array {
  const bytes = concatenate(multiboot2Header(...tags), code)
  return buildElf({
    bits,
    entry: BigInt(physical + 4),
    segments: [{ physical, bytes, memorySize: 0x2000 }],
    sections: symbolSections(bits, [{ name: 'start', value: 0x100000n }], 1),
  })
}

const request = (image: Uint8Array, more: Partial<BootRequest> = {}): BootRequest => ({
  name: 'kernel.bin',
  image,
  cmdline: 'a=b',
  ...more,
})

function refusal(image: Uint8Array): string {
  try {
    multiboot2.load(request(image), scratch)
  } catch (error) {
    if (error instanceof ImageError) return error.message
    throw error
  }
  return 'loaded'
}

/** Address of each tag's contents by type. */
function tags(ram: FakeRam, info: number): Map<number, number> {
  const found = new Map<number, number>()
  const end = info + ram.u32(info)
  for (let at = info + 8; at < end; at += Math.ceil(ram.u32(at + 4) / 8) * 8) found.set(ram.u32(at), at + 8)
  return found
}

describe('the multiboot2 loader', () => {
  it.each([32, 64] as const)('enters an ELF%i in 32-bit mode with the magic in EAX', bits => {
    const { registers, segments } = multiboot2.load(request(elf(bits)), new FakeRam(16))
    expect(registers.rip).toBe(0x100004n)
    expect(registers.rax).toBe(0x36d76289n)
    expect(registers.cr0).toBe(0x11n)
    expect(segments?.cs?.rights).toBe(0xc09b)
  })

  it('tells all it knows in tags, and ends them', () => {
    const ram = new FakeRam(16)
    ram.bytes.set(new TextEncoder().encode('RSD PTR '), 0xe0000)
    const initrd = new Uint8Array(10).fill(3)
    const { registers } = multiboot2.load(request(elf(32), { initrd, initrdName: 'm arg', rsdp: 0xe0000 }), ram)
    const info = Number(registers.rbx)
    expect(info % 8).toBe(0)
    const found = tags(ram, info)
    const at = (type: number) => found.get(type) ?? 0
    expect([...found.keys()].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 6, 8, 9, 14, 15])
    expect(ram.string(at(1))).toBe('a=b')
    expect(ram.string(at(2))).toBe('Ringside')
    expect(ram.bytes.subarray(ram.u32(at(3)), ram.u32(at(3) + 4))).toEqual(initrd)
    expect(ram.string(at(3) + 8)).toBe('m arg')
    expect([ram.u32(at(4)), ram.u32(at(4) + 4)]).toEqual([639, 15 * 1024])
    expect([ram.u32(at(6)), ram.u64(at(6) + 8), ram.u64(at(6) + 16)]).toEqual([24, 0, 0x9fc00])
    expect(ram.string(at(15)).slice(0, 8)).toBe('RSD PTR ')
  })

  it.each([32, 64] as const)('loads the symbol table of an ELF%i and says in the section headers where', bits => {
    const ram = new FakeRam(16)
    const at = tags(ram, Number(multiboot2.load(request(elf(bits)), ram).registers.rbx)).get(9) ?? 0
    const [count, entrySize, names] = [ram.u32(at), ram.u32(at + 4), ram.u32(at + 8)]
    expect([count, entrySize, names]).toEqual([4, bits === 64 ? 64 : 40, 3])
    const addressOf = (section: number) => {
      const header = at + 12 + section * entrySize
      return bits === 64 ? ram.u64(header + 16) : ram.u32(header + 12)
    }
    expect(ram.string(addressOf(2) + 1)).toBe('start')
    expect(ram.string(addressOf(3) + 1)).toBe('.symtab')
  })

  it('loads an image by address tags', () => {
    const ram = new FakeRam(16)
    const header = multiboot2Header([2, 0, MIB, MIB, 0, 0], [3, 0, MIB + 2])
    const image = concatenate(header, code)
    expect(multiboot2.load(request(image), ram).registers.rip).toBe(0x100002n)
    expect(ram.bytes.subarray(MIB, MIB + image.length)).toEqual(image)
  })

  it('enters at the entry address tag', () => {
    expect(multiboot2.load(request(elf(64, [[3, 0, MIB + 8]])), new FakeRam(16)).registers.rip).toBe(0x100008n)
  })

  it('moves a relocatable image that cannot stay, and says where to', () => {
    const ram = new FakeRam(16)
    const image = elf(64, [[10, 0, 0x400000, 0xffffff, 0x200000, 1]], 0)
    const { registers } = multiboot2.load(request(image), ram)
    expect(registers.rip).toBe(0x400004n)
    expect(ram.u32(tags(ram, Number(registers.rbx)).get(21) ?? 0)).toBe(0x400000)
    const highest = elf(64, [[10, 0, 0, 0xffffffff, 0x200000, 2]], 0)
    expect(multiboot2.load(request(highest), new FakeRam(16)).registers.rip).toBe(0xe00004n)
  })

  it('ignores EFI tags, which count on EFI platforms only, and optional ones that it does not know', () => {
    const image = elf(64, [
      [7, 0],
      [9, 0, MIB],
      [99, OPTIONAL, 1],
      [1, OPTIONAL, 500],
      [1, 0, 6, 8],
      [4, 0, 3],
    ])
    expect(refusal(image)).toBe('loaded')
  })

  it.each([
    ['requires an unknown tag', elf(64, [[99, 0, 1]]), /unknown tag 99 is required/],
    ['requires unknown information', elf(64, [[1, 0, 6, 500]]), /unknown information 500/],
    ['requires a graphical console', elf(64, [[4, 0, 1]]), /console other than text/],
    ['has a tag that is too short', elf(64, [[3, 0]]), /tag 3 has 0 bytes/],
    ['has addresses without an entry', concatenate(multiboot2Header([2, 0, MIB, MIB, 0, 0])), /entry address tag/],
    ['is neither ELF nor has addresses', concatenate(multiboot2Header(), code), /neither an ELF file/],
    ['has its entry outside', elf(64, [[3, 0, 0x300000]]), /entry point 0x300000/],
    ['cannot be relocated', elf(64, [[10, 0, 0x4000000, 0x5000000, 4096, 0]]), /no room/],
    ['is relocatable by no power of two', elf(64, [[10, 0, 0, 0x5000000, 3, 0]]), /no power of two/],
  ])('refuses an image that %s', (_, image, message) => {
    expect(refusal(image)).toMatch(message)
  })

  it('answers images cut off or damaged anywhere by an ImageError or a load', () => {
    const image = elf(64, [
      [1, 0, 6],
      [3, 0, MIB + 8],
    ])
    for (let length = 0; length < image.length; length++) refusal(image.subarray(0, length))
    for (let index = 0; index < image.length; index++) {
      for (const flip of [0xff, 0x80, 1]) {
        const damaged = image.slice()
        damaged[index] ^= flip
        refusal(damaged)
      }
    }
  })
})
