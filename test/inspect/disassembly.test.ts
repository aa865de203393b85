import { describe, expect, test } from 'vitest'
import { type CodeSource, disassemble, stepsOver } from '../../src/inspect/disassembly.ts'

interface Options {
  readonly at?: bigint
  readonly codeBase?: bigint
  readonly symbols?: readonly (readonly [string, bigint])[]
}

/** Code at an address, and nothing around it. */
function source(bits: 16 | 32 | 64, code: readonly number[], options: Options = {}): CodeSource {
  const start = options.at ?? 0x1000n
  const bytes = Uint8Array.from(code)
  const symbols = options.symbols?.map(([name, address]) => ({ name, address }))
  return {
    bits,
    codeBase: options.codeBase ?? 0n,
    read: (address, length) => {
      const offset = Number(address - start)
      return offset < 0 ? new Uint8Array(0) : bytes.slice(offset, offset + length)
    },
    ...(symbols === undefined
      ? {}
      : { symbols: { containing: address => symbols.findLast(symbol => symbol.address <= address) } }),
  }
}

// push rbp; mov rbp, rsp; call 0x1010; xor eax, eax; pop rbp; ret; then padding
const FUNCTION = [0x55, 0x48, 0x89, 0xe5, 0xe8, 7, 0, 0, 0, 0x31, 0xc0, 0x5d, 0xc3, 0xcc, 0xcc, 0xcc, 0xc3]

describe('disassembly', () => {
  test('gives Intel syntax with addresses and bytes', () => {
    expect(disassemble(source(64, FUNCTION), 0x1000n, 0, 3).map(i => [i.address, i.bytes.length, i.text])).toEqual([
      [0x1000n, 1, 'push rbp'],
      [0x1001n, 3, 'mov rbp, rsp'],
      [0x1004n, 5, 'call 0x1010'],
    ])
  })

  test('gives far branches as selector and offset', () => {
    const text = (bits: 16 | 32, code: readonly number[]) => disassemble(source(bits, code), 0x1000n, 0, 1)[0].text
    expect(text(16, [0xea, 0x05, 0x7c, 0, 0])).toBe('jmp 0x0:0x7c05')
    expect(text(16, [0x66, 0xea, 0x31, 0, 0x10, 0, 0x30, 0])).toBe('jmp 0x30:0x100031')
    expect(text(32, [0x9a, 0, 0x80, 0, 0, 0x38, 0])).toBe('call 0x38:0x8000')
  })

  test('names the targets of branches and the functions that begin', () => {
    const named = source(64, FUNCTION, {
      symbols: [
        ['main', 0x1000n],
        ['callee', 0x1010n],
      ],
    })
    const code = disassemble(named, 0x1001n, 0, 10)
    expect(code.map(i => i.symbol).filter(Boolean)).toEqual(['main+0x1', 'callee'])
    expect(code[1].text).toBe('call 0x1010 <callee>')
  })

  test('decodes the same bytes as the mode of the code says', () => {
    const bytes = [0x48, 0xb8, 1, 0, 0, 0, 0, 0, 0, 0]
    expect(disassemble(source(64, bytes), 0x1000n, 0, 1)[0].text).toBe('mov rax, 1')
    expect(disassemble(source(32, bytes), 0x1000n, 0, 2).map(i => i.text)).toEqual(['dec eax', 'mov eax, 1'])
    expect(disassemble(source(16, bytes), 0x1000n, 0, 2).map(i => i.text)).toEqual(['dec ax', 'mov ax, 1'])
  })

  test('takes real-mode branches within their segment', () => {
    const jump = source(16, [0xe9, 0xed, 0xff], { at: 0xffff0n, codeBase: 0xf0000n, symbols: [['start', 0xfffe0n]] })
    expect(disassemble(jump, 0xffff0n, 0, 1)[0].text).toBe('jmp 0xffe0 <start>')
  })

  test('shows RIP-relative operands with the symbol they mean', () => {
    const load = source(64, [0x48, 0x8b, 0x05, 0xf9, 0, 0, 0], { symbols: [['counter', 0x1100n]] })
    expect(disassemble(load, 0x1000n, 0, 1)[0].text).toMatch(/^mov rax, .*<counter>$/)
  })

  test('marks bytes that are no instruction and memory that is not there, and always gives the count', () => {
    const code = disassemble(source(64, [0x06, 0x90]), 0x1000n, 0, 4)
    expect(code.map(i => [i.address, i.text, i.valid])).toEqual([
      [0x1000n, '(bad)', false],
      [0x1001n, 'nop', true],
      [0x1002n, '??', false],
      [0x1003n, '??', false],
    ])
  })

  test('goes backwards to the instructions that end at the address', () => {
    const code = source(64, FUNCTION, { symbols: [['main', 0x1000n]] })
    expect(disassemble(code, 0x100bn, -4, 5).map(i => i.text)).toEqual([
      'push rbp',
      'mov rbp, rsp',
      'call 0x1010 <main+0x10>',
      'xor eax, eax',
      'pop rbp',
    ])
  })

  test('fills what lies before readable memory', () => {
    const code = disassemble(source(64, FUNCTION), 0x1001n, -3, 4)
    expect(code.map(i => [i.address, i.text])).toEqual([
      [0xffen, '??'],
      [0xfffn, '??'],
      [0x1000n, 'push rbp'],
      [0x1001n, 'mov rbp, rsp'],
    ])
  })

  test('is the same however far back it begins, also without symbols', () => {
    const code = source(64, Array.from({ length: 40 }, () => FUNCTION).flat())
    const at = 0x1000n + 17n * 30n
    const far = disassemble(code, at, -100, 100)
    for (const back of [1, 5, 20, 60]) expect(disassemble(code, at, -back, back)).toEqual(far.slice(-back))
    expect(far.every(instruction => instruction.valid)).toBe(true)
  })

  test('begins later when the offset is positive', () => {
    expect(disassemble(source(64, FUNCTION), 0x1000n, 3, 2).map(i => i.text)).toEqual(['xor eax, eax', 'pop rbp'])
  })
})

describe('what a person steps over', () => {
  test.each([
    ['a call', [0xe8, 0, 0, 0, 0], 5],
    ['an indirect call', [0xff, 0xd0], 2],
    ['a system call', [0x0f, 0x05], 2],
    ['a repeated string instruction', [0xf3, 0xa4], 2],
    ['not a plain string instruction', [0xa4], undefined],
    ['not a jump', [0xeb, 0xfe], undefined],
    ['not a return', [0xc3], undefined],
    ['not what can not be read', [], undefined],
  ])('%s', (_what, code, length) => {
    expect(stepsOver(source(64, code), 0x1000n)).toBe(length)
  })
})
