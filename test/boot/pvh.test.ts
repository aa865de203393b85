import { describe, expect, it } from 'vitest'
import { type BootRequest, ImageError } from '../../src/boot/boot-target.ts'
import { pvh } from '../../src/boot/pvh.ts'
import { FakeRam, MIB } from './fake-ram.ts'
import { buildElf, note, words } from './image-builders.ts'

const code = Uint8Array.of(0xfa, 0xf4)
const scratch = new FakeRam(16)

function build({ bits = 64, entry = 0x100001 }: { bits?: 32 | 64; entry?: number } = {}): Uint8Array {
  return buildElf({
    bits,
    entry: 0x12345n,
    segments: [
      { physical: MIB, bytes: code, memorySize: 0x1000 },
      { type: 4, physical: 0, bytes: note('Xen', 18, bits === 64 ? words(entry, 0) : words(entry)) },
    ],
  })
}

const request = (image: Uint8Array, more: Partial<BootRequest> = {}): BootRequest => ({
  name: 'vmlinux',
  image,
  cmdline: 'quiet',
  ...more,
})

function refusal(image: Uint8Array): string {
  try {
    pvh.load(request(image), scratch)
  } catch (error) {
    if (error instanceof ImageError) return error.message
    throw error
  }
  return 'loaded'
}

describe('the PVH loader', () => {
  it.each([32, 64] as const)('enters an ELF%i at the address of its Xen note, in flat 32-bit mode', bits => {
    const ram = new FakeRam(16)
    const { registers, segments } = pvh.load(request(build({ bits })), ram)
    expect(registers.rip).toBe(0x100001n)
    expect(registers.cr0).toBe(0x11n)
    expect(segments?.cs?.rights).toBe(0xc09b)
    expect(ram.bytes.subarray(MIB, MIB + 2)).toEqual(code)
  })

  it('passes command line, initrd, RSDP and memory map in hvm_start_info', () => {
    const ram = new FakeRam(16)
    const initrd = new Uint8Array(100).fill(7)
    const { registers } = pvh.load(request(build(), { initrd, rsdp: 0xe0000 }), ram)
    const info = Number(registers.rbx)
    expect([ram.u32(info), ram.u32(info + 4), ram.u32(info + 12)]).toEqual([0x336ec578, 1, 1])
    const initrdAt = ram.u64(ram.u64(info + 16))
    expect(ram.u64(ram.u64(info + 16) + 8)).toBe(100)
    expect(ram.bytes.subarray(initrdAt, initrdAt + 100)).toEqual(initrd)
    expect(ram.string(ram.u64(info + 24))).toBe('quiet')
    expect(ram.u64(info + 32)).toBe(0xe0000)
    expect(ram.u32(info + 48)).toBe(ram.map.length)
    const last = ram.u64(info + 40) + 3 * 24
    expect([ram.u64(last), ram.u64(last + 8), ram.u32(last + 16)]).toEqual([MIB, 15 * MIB, 1])
  })

  it('has no module list without an initrd', () => {
    const ram = new FakeRam(16)
    const info = Number(pvh.load(request(build()), ram).registers.rbx)
    expect([ram.u32(info + 12), ram.u64(info + 16)]).toEqual([0, 0])
  })

  it('recognizes nothing but the note', () => {
    expect(pvh.recognizes(build())).toBe(true)
    const plain = buildElf({ bits: 64, entry: 0x100000n, segments: [{ physical: MIB, bytes: code }] })
    expect(pvh.recognizes(plain)).toBe(false)
    expect(refusal(plain)).toMatch(/no PVH entry point/)
    expect(pvh.recognizes(code)).toBe(false)
  })

  it('refuses an entry point outside of what is loaded', () => {
    expect(refusal(build({ entry: 0x200000 }))).toMatch(/entry point 0x200000/)
  })

  it('answers a file cut off or damaged anywhere by an ImageError or a load', () => {
    const image = build()
    for (let length = 0; length < image.length; length++) {
      pvh.recognizes(image.subarray(0, length))
      expect(refusal(image.subarray(0, length))).toMatch(/damaged|PVH|loaded/)
    }
    for (let index = 0; index < image.length; index++) {
      for (const value of [0, 0x7f, 0xff]) {
        const damaged = image.slice()
        damaged[index] = value
        pvh.recognizes(damaged)
        refusal(damaged)
      }
    }
  })
})
