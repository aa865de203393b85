import { describe, expect, it } from 'vitest'
import { buildMpTable, MP_TABLE_BASE } from '../../src/machine/mp-table.ts'

const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0)

describe('the MP tables', () => {
  const bytes = buildMpTable({ cpus: 2, base: MP_TABLE_BASE })
  const table = bytes.subarray(16)
  const data = new DataView(table.buffer, table.byteOffset)
  const entries: Uint8Array[] = []
  for (let at = 44; at < table.length; at += table[at] === 0 ? 20 : 8) {
    entries.push(table.subarray(at, at + (table[at] === 0 ? 20 : 8)))
  }

  it('begin with a floating pointer to the configuration table, both with right checksums', () => {
    expect(String.fromCharCode(...bytes.subarray(0, 4))).toBe('_MP_')
    expect(sum(bytes.subarray(0, 16))).toBe(0)
    expect(new DataView(bytes.buffer).getUint32(4, true)).toBe(MP_TABLE_BASE + 16)
    expect(String.fromCharCode(...table.subarray(0, 4))).toBe('PCMP')
    expect(data.getUint16(4, true)).toBe(table.length)
    expect(sum(table)).toBe(0)
  })

  it('count their entries and order them by type', () => {
    expect(data.getUint16(34, true)).toBe(entries.length)
    const types = entries.map(entry => entry[0])
    expect(types).toEqual(types.toSorted((a, b) => a - b))
  })

  it('name the processors, the first of which boots', () => {
    const processors = entries.filter(entry => entry[0] === 0)
    expect(processors.map(entry => [entry[1], entry[3]])).toEqual([
      [0, 3],
      [1, 1],
    ])
  })

  it('wire ISA requests to their inputs, the timer to input 2, and PCI pins to inputs 10 and 11, which ISA then has not', () => {
    const interrupts = entries.filter(entry => entry[0] === 3 && entry[1] === 0)
    const isa = interrupts.filter(entry => entry[4] === 1).map(entry => [entry[5], entry[7]])
    expect(isa.slice(0, 3)).toEqual([
      [0, 2],
      [1, 1],
      [3, 3],
    ])
    const pci = interrupts.filter(entry => entry[4] === 0)
    expect(pci.length).toBe(31 * 4)
    expect(pci.find(entry => entry[5] === 3 << 2)?.[7]).toBe(11)
    expect(pci.every(entry => entry[2] === 0x0d)).toBe(true)
    expect(isa.some(([irq]) => irq === 10 || irq === 11)).toBe(false)
    expect(interrupts.every(entry => entry[6] === 2)).toBe(true)
  })
})
