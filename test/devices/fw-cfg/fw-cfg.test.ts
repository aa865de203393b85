import { beforeEach, describe, expect, test } from 'vitest'
import { FwCfg } from '../../../src/devices/fw-cfg/fw-cfg.ts'
import { Bench, FlatMemory } from '../bench.ts'

const READ = 2
const SKIP = 4
const SELECT = 8
const WRITE = 16

let bench: Bench
let memory: FlatMemory
let written: Uint8Array[]
let device: FwCfg

beforeEach(() => {
  bench = new Bench()
  memory = new FlatMemory(0x10000)
  written = []
  device = new FwCfg(memory)
  device.attach(bench.bus)
  device.addFile('etc/one', Uint8Array.of(1, 2, 3, 4, 5))
  device.addFile('etc/two', new Uint8Array(4), bytes => written.push(bytes))
})

function select(key: number): void {
  bench.bus.writePort(0x510, 2, key)
}

function read(count: number): number[] {
  return Array.from({ length: count }, () => bench.in(0x511))
}

/** Runs a transfer whose control structure is at 0x100. @returns the control word afterwards. */
function dma(control: number, length: number, address: number): number {
  const view = new DataView(memory.bytes.buffer)
  view.setUint32(0x100, control)
  view.setUint32(0x104, length)
  view.setBigUint64(0x108, BigInt(address))
  bench.bus.writePort(0x514, 4, 0)
  bench.bus.writePort(0x518, 4, 0x00010000)
  return view.getUint32(0x100)
}

describe('by port', () => {
  test('the signature and features are there', () => {
    select(0)
    expect(String.fromCharCode(...read(4))).toBe('QEMU')
    select(1)
    expect(read(5)).toEqual([3, 0, 0, 0, 0])
  })

  test('the directory names the files, and their keys select them', () => {
    select(0x19)
    const directory = Uint8Array.from(read(4 + 128))
    const view = new DataView(directory.buffer)
    expect([view.getUint32(0), view.getUint32(4), view.getUint16(8)]).toEqual([2, 5, 0x20])
    expect(new TextDecoder().decode(directory.subarray(12, 20))).toBe('etc/one\0')
    expect([view.getUint32(68), view.getUint16(72)]).toEqual([4, 0x21])
    select(0x20)
    expect(read(7)).toEqual([1, 2, 3, 4, 5, 0, 0])
  })

  test('an unknown key reads as zeros, writes to data are ignored', () => {
    select(0x1234)
    bench.out(0x511, 7)
    expect(read(2)).toEqual([0, 0])
  })

  test('items have fixed keys', () => {
    device.addItem(0x05, Uint8Array.of(2, 0))
    select(5)
    expect(read(2)).toEqual([2, 0])
  })

  test('names must fit and be new', () => {
    expect(() => device.addFile('x'.repeat(56), new Uint8Array(1))).toThrow('at most 55 bytes')
    expect(() => device.addFile('etc/one', new Uint8Array(1))).toThrow('there is one already')
  })
})

describe('by DMA', () => {
  test('the register reads as its signature', () => {
    const bytes = Array.from({ length: 8 }, (_, index) => bench.in(0x514 + index))
    expect(String.fromCharCode(...bytes)).toBe('QEMU CFG')
  })

  test('selects, skips and reads, with zeros past the end', () => {
    memory.bytes.fill(0xee, 0x1000, 0x1008)
    expect(dma((0x20 << 16) | SELECT | SKIP, 2, 0)).toBe(0)
    expect(dma(READ, 5, 0x1000)).toBe(0)
    expect([...memory.bytes.subarray(0x1000, 0x1006)]).toEqual([3, 4, 5, 0, 0, 0xee])
  })

  test('writes files that can be written, whole or in part', () => {
    memory.bytes.set([9, 8], 0x1000)
    expect(dma((0x21 << 16) | SELECT | WRITE, 2, 0x1000)).toBe(0)
    expect(written).toEqual([Uint8Array.of(9, 8, 0, 0)])
    select(0x21)
    expect(read(4)).toEqual([9, 8, 0, 0])
    const state = device.save()
    dma((0x21 << 16) | SELECT | WRITE, 4, 0x1000)
    device.restore(state)
    select(0x21)
    expect(read(4)).toEqual([9, 8, 0, 0])
  })

  test('reports errors: no RAM there, read-only, too long', () => {
    expect(dma((0x20 << 16) | SELECT | READ, 4, 0xfffe)).toBe(1)
    expect(dma((0x20 << 16) | SELECT | WRITE, 4, 0x1000)).toBe(1)
    expect(dma((0x21 << 16) | SELECT | WRITE, 5, 0x1000)).toBe(1)
    expect(dma((0x20 << 16) | SELECT | READ, 0xffffffff, 0x1000)).toBe(1)
    expect(dma((0x20 << 16) | SELECT, 4, 0x1000)).toBe(0)
  })

  test('does nothing when its control structure is nowhere', () => {
    bench.bus.writePort(0x514, 4, 0xffffffff)
    bench.bus.writePort(0x518, 4, 0xffffffff)
  })
})
