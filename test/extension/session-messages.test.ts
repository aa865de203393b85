import { expect, test } from 'vitest'
import { addressIn, hexDump, listing } from '../../src/extension/memory-text.ts'
import { messageEffect } from '../../src/extension/session-messages.ts'

test.each([
  [
    { type: 'event', event: 'stopped', body: { threadId: 3 } },
    { kind: 'stopped', threadId: 3 },
  ],
  [
    { type: 'event', event: 'stopped' },
    { kind: 'stopped', threadId: 1 },
  ],
  [{ type: 'event', event: 'continued' }, { kind: 'running' }],
  [{ type: 'event', event: 'invalidated' }, { kind: 'changed' }],
  [{ type: 'event', event: 'memory' }, { kind: 'changed' }],
  [{ type: 'response', command: 'launch', success: true }, { kind: 'running' }],
  [{ type: 'response', command: 'launch', success: false }, { kind: 'none' }],
  [{ type: 'response', command: 'next', success: true }, { kind: 'running' }],
  [{ type: 'response', command: 'next', success: false }, { kind: 'none' }],
  [{ type: 'response', command: 'evaluate', success: true }, { kind: 'none' }],
  [{ type: 'event', event: 'output' }, { kind: 'none' }],
  [null, { kind: 'none' }],
  ['stopped', { kind: 'none' }],
])('%j has the effect %j', (message, effect) => {
  expect(messageEffect(message)).toEqual(effect)
})

test('memory as text, 16 bytes a row', () => {
  const bytes = Uint8Array.from([...Buffer.from('Ringside'), 0, 255, ...Array(7).fill(65)])
  expect(hexDump(bytes, 0xffn)).toBe(
    [
      '00000000000000ff  52 69 6e 67 73 69 64 65  00 ff 41 41 41 41 41 41  Ringside..AAAAAA',
      `000000000000010f  41${' '.repeat(46)}  A`,
      '',
    ].join('\n'),
  )
})

test.each([
  ['0x1000', 0x1000n],
  ['phys:0x20', 0x20n],
  ['cr3=0x5000:0xffff800000000000', 0xffff_8000_0000_0000n],
  ['nothing', 0n],
])('the address in %s', (reference, address) => {
  expect(addressIn(reference)).toBe(address)
})

test('code as text', () => {
  const instructions = [
    { address: '0x1000', instructionBytes: '90', instruction: 'nop', symbol: 'start' },
    { address: '0x1001', instruction: 'ret' },
  ]
  const rows = listing(instructions).split('\n')
  expect(rows[0]).toBe('start:')
  expect(rows[1]).toMatch(/^ {2}0x1000 +90 +nop$/)
  expect(rows[2]).toMatch(/^ {2}0x1001 +ret$/)
})
