import { describe, expect, test } from 'vitest'
import { advance, formatAddress, parseAddress } from '../../src/protocol/address.ts'

describe('addresses on the wire', () => {
  test.each([
    ['0xffffffff81000000', { space: 'linear', address: 0xffff_ffff_8100_0000n }],
    ['4096', { space: 'linear', address: 4096n }, '0x1000'],
    ['phys:0x1000000', { space: 'physical', address: 0x100_0000n }],
    ['hpa:0x2345000', { space: 'host', address: 0x234_5000n }],
    ['cr3=0x1ab4000:0x401000', { space: 'linear', address: 0x40_1000n, cr3: 0x1ab_4000n }],
    ['PHYS:0xABC', { space: 'physical', address: 0xabcn }, 'phys:0xabc'],
  ])('%s says its address space', (text, address, written = text) => {
    const parsed = parseAddress(text)
    expect(parsed).toEqual(address)
    expect(formatAddress(parsed)).toBe(written)
  })

  test.each([
    '',
    '0x',
    'rax',
    '-1',
    '0x11111222233334444',
    '99999999999999999999',
    'cr3=0x1000',
    'cr3=x:0x1',
    'gpa:0x1',
  ])('%j is refused with what is possible', text => {
    expect(() => parseAddress(text)).toThrow(`address "${text}": expected 0x…, phys:0x…, hpa:0x… or cr3=0x…:0x…`)
  })

  test('wrap at the end of the address space', () => {
    expect(advance(parseAddress('0xfffffffffffffff0'), 0x20).address).toBe(0x10n)
    expect(advance(parseAddress('phys:0x10'), -8)).toEqual({ space: 'physical', address: 8n })
  })
})
