import { describe, expect, it } from 'vitest'
import { EPT_EXECUTE, EPT_READ } from '../../src/vmm/ept.ts'
import { FramePool } from '../../src/vmm/frame-pool.ts'
import { GuestPhysicalMemory } from '../../src/vmm/guest-memory.ts'
import { ScriptedProcessor } from './support/scripted-processor.ts'

const MIB = 2 ** 20

function makeMemory(size = 4 * MIB, lowEnd?: number) {
  const processor = new ScriptedProcessor()
  const pool = new FramePool(processor.memory, 65536)
  return { processor, pool, memory: new GuestPhysicalMemory(processor, pool, size, lowEnd) }
}

describe('guest memory', () => {
  it('reports RAM, firmware areas and holes of a PC', () => {
    const { memory } = makeMemory()
    expect(memory.map).toEqual([
      { start: 0, length: 0x9fc00, type: 1 },
      { start: 0x9fc00, length: 0x400, type: 2 },
      { start: 0xe0000, length: 0x20000, type: 2 },
      { start: MIB, length: 3 * MIB, type: 1 },
    ])
    expect(memory.isRam(0xa0000)).toBe(false)
    expect(memory.isRam(0xdffff)).toBe(false)
    expect(memory.isRam(0xe0000)).toBe(true)
    expect(memory.isRam(4 * MIB - 1)).toBe(true)
    expect(memory.isRam(4 * MIB)).toBe(false)
  })

  it('continues above 4 GiB where RAM below ends', () => {
    const { memory } = makeMemory(4 * MIB, 2 * MIB)
    expect(memory.map.at(-1)).toEqual({ start: 2 ** 32, length: 2 * MIB, type: 1 })
    memory.write(2 ** 32 + 5, Uint8Array.of(7))
    expect(memory.read(2 ** 32 + 5, 1)).toEqual(Uint8Array.of(7))
  })

  it('reads zeros from untouched pages without allocating them', () => {
    const { memory, pool } = makeMemory()
    const before = pool.allocated
    expect(memory.read(MIB - 2, 4)).toEqual(new Uint8Array(4))
    expect(pool.allocated).toBe(before)
  })

  it('writes across pages, maps their frames and tells the processor', () => {
    const { memory, processor } = makeMemory()
    memory.write(0x1ffe, Uint8Array.of(1, 2, 3, 4))
    expect(memory.read(0x1ffe, 4)).toEqual(Uint8Array.of(1, 2, 3, 4))
    const first = memory.ept.translate(0x1ffe)
    const second = memory.ept.translate(0x2000)
    expect(processor.written).toEqual([
      { hpa: first, length: 2 },
      { hpa: second, length: 2 },
    ])
    expect([...memory.touchedPages()]).toEqual([0x1000, 0x2000])
  })

  it('gives its bytes themselves, in as few pieces as they have in host memory; pages never touched are zeroes', () => {
    const { memory, pool } = makeMemory()
    // Tables of the EPT take frames too.
    memory.write(0, Uint8Array.of(1))
    memory.write(0x1000, new Uint8Array(0x2000).fill(1))
    memory.write(0x5000, new Uint8Array(0x1000).fill(2))
    const before = pool.allocated
    const pieces: Uint8Array[] = []
    memory.pieces(0x1800, 0x4000, pieces)
    expect(pieces.map(({ length }) => length)).toEqual([0x1800, 0x1000, 0x1000, 0x800])
    expect(Buffer.concat(pieces)).toEqual(Buffer.from(memory.read(0x1800, 0x4000)))
    expect(pool.allocated).toBe(before)
    expect(() => memory.pieces(0x9f000, 0x1001, [])).toThrow(RangeError)
  })

  it('gives its bytes to be written in place, with frames of their own, and tells the processor of the writing', () => {
    const { memory, processor } = makeMemory()
    const pieces: Uint8Array[] = []
    memory.piecesToWrite(0x1ffe, 4, pieces)
    let value = 1
    for (const piece of pieces) for (let i = 0; i < piece.length; i++) piece[i] = value++
    memory.written(0x1ffe, 4)
    expect(memory.read(0x1ffe, 4)).toEqual(Uint8Array.of(1, 2, 3, 4))
    expect(memory.read(0x2002, 4)).toEqual(new Uint8Array(4))
    expect(processor.written).toEqual([
      { hpa: memory.ept.translate(0x1ffe), length: 2 },
      { hpa: memory.ept.translate(0x2000), length: 2 },
    ])
    expect(() => memory.piecesToWrite(0x9f000, 0x1001, [])).toThrow(RangeError)
    expect([...memory.touchedPages()]).toEqual([0x1000, 0x2000])
  })

  it('throws a RangeError outside of RAM, also where only the end is outside', () => {
    const { memory } = makeMemory()
    expect(() => memory.read(0xa0000, 1)).toThrow(RangeError)
    expect(() => memory.write(4 * MIB - 1, new Uint8Array(2))).toThrow(RangeError)
    expect(() => memory.read(-1, 1)).toThrow(RangeError)
  })

  it('gives VMs frames of their own', () => {
    const { memory, pool, processor } = makeMemory()
    const other = new GuestPhysicalMemory(processor, pool, 2 * MIB)
    memory.write(0, Uint8Array.of(1))
    other.write(0, Uint8Array.of(2))
    expect(memory.read(0, 1)).toEqual(Uint8Array.of(1))
    expect(pool.ownerOf(memory.frame(0))).not.toBe(pool.ownerOf(other.frame(0)))
  })

  it('refuses more RAM than host memory can promise', () => {
    const { processor, pool } = makeMemory(8 * MIB)
    expect(() => new GuestPhysicalMemory(processor, pool, 8 * MIB)).toThrow('a guest with 8 MiB of RAM needs')
  })

  it('is empty again after clear, and drops code decoded from its frames', () => {
    const { memory, pool, processor } = makeMemory()
    const before = pool.allocated
    memory.write(0x5000, Uint8Array.of(1))
    const hpa = memory.frame(0x5000)
    memory.clear()
    expect(memory.read(0x5000, 1)).toEqual(Uint8Array.of(0))
    expect(pool.allocated).toBe(before)
    expect(processor.written).toContainEqual({ hpa, length: 4096 })
    expect(processor.invalidated).toContain(memory.ept.root)
  })

  it('backs a hole by ones for fetches and page walks, with no more rights than asked for', () => {
    const { memory, processor } = makeMemory()
    expect(memory.mapOpenBus(0xd0123, EPT_EXECUTE)).toBe(true)
    expect(memory.ept.rights(0xd0000)).toBe(EPT_EXECUTE)
    const hpa = memory.ept.translate(0xd0123) ?? 0
    expect(processor.memory.u8[hpa]).toBe(0xff)
    expect(memory.mapOpenBus(0xd0123, EPT_EXECUTE)).toBe(false)
    expect(memory.mapOpenBus(0xd0123, EPT_READ)).toBe(true)
    expect(memory.ept.rights(0xd0000)).toBe(EPT_READ | EPT_EXECUTE)
  })

  it('is not exhausted by a guest that wanders through holes', () => {
    const { memory, pool } = makeMemory()
    for (let i = 0; i < 500; i++) memory.mapOpenBus(0x10_0000_0000 + i * 2 ** 30, EPT_EXECUTE)
    expect(pool.allocated).toBeLessThan(64)
  })
})
