import { describe, expect, test } from 'vitest'
import { decodeInterruptTable, decodeSegmentTable } from '../../src/inspect/descriptor-tables.ts'

function table(...entries: bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(entries).buffer)
}

describe('a global descriptor table', () => {
  test('of a 64-bit kernel has 64-bit code, data and a 16-byte TSS', () => {
    const gdt = decodeSegmentTable(
      table(0n, 0x00af9b000000ffffn, 0x00cf93000000ffffn, 0x00008b0030004087n, 0xfffffe00n),
      true,
    )
    expect(gdt.map(d => [d.selector, d.kind, d.type, d.bits, d.dpl])).toEqual([
      [0, 'null', 'null', 16, 0],
      [8, 'code', 'code, execute/read, accessed', 64, 0],
      [16, 'data', 'data, read/write, accessed', 32, 0],
      [24, 'system', 'TSS (busy)', 16, 0],
    ])
    expect(gdt[3].base).toBe(0xfffffe0000003000n)
    expect(gdt[3].limit).toBe(0x4087)
    expect(gdt[1].limit).toBe(0xffffffff)
  })

  test('may end in the middle of a descriptor', () => {
    expect(decodeSegmentTable(table(0n, 0x00cffa000000ffffn).subarray(0, 12), false)).toHaveLength(1)
    expect(decodeSegmentTable(table(0n, 0x00cffa000000ffffn), false)[1]).toMatchObject({
      dpl: 3,
      kind: 'code',
      bits: 32,
    })
  })
})

describe('an interrupt descriptor table', () => {
  test('of long mode has 64-bit offsets and stack table indices', () => {
    const [gate, unused] = decodeInterruptTable(table(0x81808e0300100abcn, 0xffffffffn, 0n, 0n), 'long')
    expect(gate).toEqual({
      vector: 0,
      type: 'interrupt gate',
      selector: 0x10,
      offset: 0xffffffff81800abcn,
      dpl: 0,
      present: true,
      ist: 3,
    })
    expect(unused).toMatchObject({ vector: 1, type: 'unused', present: false })
  })

  test('of protected mode has interrupt, trap and task gates', () => {
    const gates = decodeInterruptTable(
      table(0x00108e0000081234n, 0x0010ef0000085678n, 0x0000e50000280000n),
      'protected',
    )
    expect(gates.map(gate => [gate.type, gate.dpl, gate.selector, gate.offset])).toEqual([
      ['interrupt gate', 0, 8, 0x101234n],
      ['trap gate', 3, 8, 0x105678n],
      ['task gate', 3, 0x28, 0n],
    ])
  })

  test('of real mode is a list of far pointers', () => {
    expect(decodeInterruptTable(table(0xf000fea5_f000e987n), 'real').map(gate => [gate.selector, gate.offset])).toEqual(
      [
        [0xf000, 0xe987n],
        [0xf000, 0xfea5n],
      ],
    )
  })
})
