import { describe, expect, it } from 'vitest'
import { type BootRequest, ImageError } from '../../src/boot/boot-target.ts'
import { elfDirect } from '../../src/boot/elf-direct.ts'
import { FakeRam, MIB } from './fake-ram.ts'
import { buildElf } from './image-builders.ts'

const code = Uint8Array.of(0xfa, 0xf4, 0xeb, 0xfd)
const request = (image: Uint8Array, more: Partial<BootRequest> = {}): BootRequest => ({
  name: 'kernel.elf',
  image,
  cmdline: '',
  ...more,
})

const scratch = new FakeRam(16)

function refusal(image: Uint8Array, more: Partial<BootRequest> = {}): string {
  try {
    elfDirect.load(request(image, more), scratch)
  } catch (error) {
    if (error instanceof ImageError) return error.message
    throw error
  }
  return 'loaded'
}

describe('the loader of plain ELF files', () => {
  it('puts an ELF64 at its physical address, zero-fills it and enters it in long mode with a stack', () => {
    const ram = new FakeRam(16)
    ram.bytes.fill(0x55, MIB, 2 * MIB)
    const image = buildElf({
      bits: 64,
      entry: 0x100000n,
      segments: [{ physical: 0x100000, bytes: code, memorySize: 0x3000 }],
    })
    const { registers, segments } = elfDirect.load(request(image), ram)
    expect(registers.rip).toBe(0x100000n)
    expect(segments?.cs?.rights).toBe(0xa09b)
    expect(registers.rsp).toBeGreaterThan(0x4000n)
    expect(ram.bytes.subarray(0x100000, 0x100004)).toEqual(code)
    expect(ram.bytes.subarray(0x100004, 0x103000).every(byte => byte === 0)).toBe(true)
    expect(ram.bytes[0x103000]).toBe(0x55)
  })

  it('enters an ELF32 in flat protected mode', () => {
    const image = buildElf({ bits: 32, entry: 0x100001n, segments: [{ physical: 0x100000, bytes: code }] })
    const { registers, segments } = elfDirect.load(request(image), new FakeRam(16))
    expect(registers.rip).toBe(0x100001n)
    expect(registers.cr0).toBe(0x11n)
    expect(segments?.cs?.rights).toBe(0xc09b)
  })

  it('translates a virtual entry point into a physical one', () => {
    const image = buildElf({
      bits: 64,
      entry: 0xffffffff80100002n,
      segments: [{ physical: 0x100000, virtual: 0xffffffff80100000n, bytes: code }],
    })
    expect(elfDirect.load(request(image), new FakeRam(16)).registers.rip).toBe(0x100002n)
  })

  it('loads segments that share a page', () => {
    const image = buildElf({
      bits: 32,
      entry: 0x100000n,
      segments: [
        { physical: 0x100800, bytes: code },
        { physical: 0x100000, bytes: code, memorySize: 0x900 },
      ],
    })
    expect(elfDirect.load(request(image), new FakeRam(16)).registers.rip).toBe(0x100000n)
  })

  const at = (physical: number, more = {}) =>
    buildElf({ bits: 64, entry: BigInt(physical), segments: [{ physical, bytes: code, ...more }] })
  it.each([
    ['beyond RAM', at(32 * MIB), /not all RAM/],
    ['that grow beyond RAM', at(MIB, { memorySize: 2 ** 32 - MIB }), /not all RAM/],
    ['above 4 GiB', at(2 ** 33), /above 4 GiB/],
    ['over the interrupt vectors', at(0), /interrupt vectors/],
    ['over the firmware area', at(0xb8000), /firmware area/],
    ['smaller than their file part', at(MIB, { memorySize: 2 }), /4 bytes for 2 bytes/],
  ])('refuses segments %s', (_, image, message) => {
    expect(refusal(image)).toMatch(message)
  })

  it.each([
    ['for another machine', { machine: 183 }, /machine 183/],
    ['that is an object file', { type: 1 }, /not yet linked/],
    ['without segments', { segments: [] }, /nothing to load/],
    ['whose entry point is elsewhere', { entry: 0x500000n }, /entry point 0x500000/],
    ['that wants a dynamic linker', { segments: [{ type: 3, physical: MIB, bytes: code }] }, /dynamic linker/],
  ])('refuses a file %s', (_, more, message) => {
    const spec = { bits: 64, entry: 0x100000n, segments: [{ physical: MIB, bytes: code }], ...more } as const
    expect(refusal(buildElf(spec))).toMatch(message)
  })

  it('refuses a file of absurdly many segments', () => {
    const segments = new Array(2000).fill({ physical: MIB, bytes: new Uint8Array(0), memorySize: 1 })
    expect(refusal(buildElf({ bits: 64, entry: 0x100000n, segments }))).toMatch(/2000 segments/)
  })

  it('refuses an initrd, which it could not pass on', () => {
    expect(refusal(at(MIB), { initrd: code })).toMatch(/initrd/)
  })

  it('answers files cut off anywhere or with any byte of the headers damaged by an ImageError or a load', () => {
    const image = at(MIB)
    for (let length = 0; length < image.length; length++) refusal(image.subarray(0, length))
    for (let index = 0; index < 64 + 56; index++) {
      for (const value of [0, 1, 0x80, 0xff]) {
        const damaged = image.slice()
        damaged[index] = value
        refusal(damaged)
      }
    }
    expect(refusal(image.subarray(0, 100))).toMatch(/damaged ELF file/)
  })
})
