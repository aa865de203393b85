import { beforeEach, describe, expect, test } from 'vitest'
import { decodeMsi } from '../../../src/devices/pci/msi-message.ts'
import { MSIX_MOST_VECTORS, Msix } from '../../../src/devices/pci/msix.ts'
import { SavedState } from '../../../src/devices/saved-state.ts'
import type { InterruptMessage } from '../../../src/engine/processor.ts'

describe('a message', () => {
  test('names vector, mode, destination and trigger as the manual says', () => {
    expect(decodeMsi(0xfee03000, 0, 0x41)).toEqual({
      mode: 'fixed',
      vector: 0x41,
      destination: 3,
      logical: false,
      level: false,
    })
    expect(decodeMsi(0xfee0100c, 0, 0xc131)).toEqual({
      mode: 'lowest-priority',
      vector: 0x31,
      destination: 1,
      logical: true,
      level: true,
    })
    expect([0, 1, 2, 4, 5, 7].map(mode => decodeMsi(0xfee00000, 0, mode << 8)?.mode)).toEqual([
      'fixed',
      'lowest-priority',
      'smi',
      'nmi',
      'init',
      'extint',
    ])
  })

  test('is none at another address, or with a reserved mode', () => {
    expect(decodeMsi(0xfed00000, 0, 0x41)).toBeUndefined()
    expect(decodeMsi(0xfee00000, 1, 0x41)).toBeUndefined()
    expect(decodeMsi(0xfee00000, 0, 0x341)).toBeUndefined()
  })
})

describe('MSI-X', () => {
  const ENABLE = 0x8000
  const MASK_ALL = 0x4000
  let sent: InterruptMessage[]
  let msix: Msix

  beforeEach(() => {
    sent = []
    msix = new Msix(3, message => sent.push(message))
  })

  function setUp(vector: number, data: number, masked = false): void {
    msix.writeMmio(16 * vector, 4, 0xfee00000)
    msix.writeMmio(16 * vector + 4, 4, 0)
    msix.writeMmio(16 * vector + 8, 4, data)
    msix.writeMmio(16 * vector + 12, 4, masked ? 1 : 0)
  }

  test('sends the message of a vector while it is enabled', () => {
    setUp(1, 0x55)
    msix.signal(1)
    expect(sent).toEqual([])
    msix.setControl(ENABLE)
    msix.signal(1)
    msix.signal(2)
    msix.signal(3)
    msix.signal(0xffff)
    expect(sent.map(({ vector }) => vector)).toEqual([0x55])
  })

  test('keeps what is masked pending, and sends it once when it is unmasked', () => {
    setUp(0, 0x40, true)
    setUp(2, 0x42)
    msix.setControl(ENABLE)
    msix.signal(0)
    msix.signal(0)
    expect(sent).toEqual([])
    expect(msix.readMmio(0x800, 1)).toBe(1)
    msix.writeMmio(12, 4, 0)
    expect(sent.map(({ vector }) => vector)).toEqual([0x40])
    expect(msix.readMmio(0x800, 4)).toBe(0)
    msix.setControl(ENABLE | MASK_ALL)
    msix.signal(2)
    expect(sent).toHaveLength(1)
    msix.setControl(ENABLE)
    expect(sent.map(({ vector }) => vector)).toEqual([0x40, 0x42])
  })

  test('starts masked, and bears accesses of any size anywhere', () => {
    expect(msix.readMmio(12, 4)).toBe(1)
    for (const size of [1, 2, 4] as const)
      for (let offset = 0; offset <= 0x1000 - size; offset++) {
        msix.writeMmio(offset, size, 0xffffffff)
        expect(msix.readMmio(offset, size)).toBeLessThan(2 ** (8 * size))
      }
    expect(msix.readMmio(12, 4)).toBe(1)
    expect(msix.readMmio(0x800, 4)).toBe(0)
  })

  test('goes on the same after it was saved and restored', () => {
    setUp(0, 0x40, true)
    msix.setControl(ENABLE)
    msix.signal(0)
    const other = new Msix(3, message => sent.push(message))
    other.restore(new SavedState('msix', JSON.parse(JSON.stringify(msix.save()))), ENABLE)
    expect(sent).toEqual([])
    other.writeMmio(12, 4, 0)
    expect(sent.map(({ vector }) => vector)).toEqual([0x40])
    expect(other.registers()).toMatchObject([{ name: 'MSI-X 0', meaning: 'fixed, vector 0x40, to APIC 0' }])
  })

  test('has as many vectors as fit beside its pending bits', () => {
    expect(() => new Msix(0, () => undefined)).toThrow('vectors')
    expect(() => new Msix(MSIX_MOST_VECTORS + 1, () => undefined)).toThrow('vectors')
    const most = new Msix(MSIX_MOST_VECTORS, message => sent.push(message))
    most.setControl(ENABLE)
    most.signal(MSIX_MOST_VECTORS - 1)
    expect(most.readMmio(0x800 + 12, 4)).toBe(0x80000000)
  })
})
