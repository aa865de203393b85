import { describe, expect, test } from 'vitest'
import { type EvaluationContext, evaluate } from '../../src/debugger/evaluate.ts'
import { FakeVcpu } from '../support/fake-machine.ts'

const vcpu = new FakeVcpu()
  .longMode(0x1ab4000n)
  .set({ rax: 0x1122_3344_5566_7788n, rbx: 0xff00n, r9: 0xffff_ffff_ffff_ff80n, rip: 0x1000n })

const context: EvaluationContext = {
  vcpu,
  symbol: name => (name === 'start_kernel' ? 0xffff_ffff_8304_ee41n : undefined),
  memory: (address, size) => (address < 0x1000n ? (address << 8n) | BigInt(size) : undefined),
}

const value = (text: string) => evaluate(text, context)

describe('an expression', () => {
  test.each([
    ['1 + 2 * 3', 7n],
    ['(1 + 2) * 3', 9n],
    ['10 - 3 - 2', 5n],
    ['0x10 | 0b11 << 1', 0x16n],
    ['0xff & ~0xf', 0xf0n],
    ['100 / 7 % 4', 2n],
    ['-1', 0xffff_ffff_ffff_ffffn],
    ['1 << 64', 0n],
    ['0xffffffffffffffff + 1', 0n],
    ['start_kernel + 0x10', 0xffff_ffff_8304_ee51n],
  ])('%s', (text, expected) => {
    expect(value(text)).toBe(expected)
  })

  test.each([
    ['$rax', 0x1122_3344_5566_7788n],
    ['$eax', 0x5566_7788n],
    ['$ax', 0x7788n],
    ['$al', 0x88n],
    ['$ah', 0x77n],
    ['$r9d', 0xffff_ff80n],
    ['$r9w', 0xff80n],
    ['$r9b', 0x80n],
    ['$RIP', 0x1000n],
    ['$pc', 0x1000n],
    ['$cpl', 0n],
    ['$cs', 0x10n],
    ['$cs.limit', 0xffff_ffffn],
    ['$efer.NXE', 1n],
    ['$cr0.pg', 1n],
    ['$cr3.BASE', 0x1ab_4000n],
    ['$rflags.IOPL', 0n],
  ])('register %s', (text, expected) => {
    expect(value(text)).toBe(expected)
  })

  test('reads memory in four sizes', () => {
    expect(value('*0x10')).toBe(0x1008n)
    expect(value('*(u8*)0x10')).toBe(0x1001n)
    expect(value('*(u16*)(0x10 + 0x10)')).toBe(0x2002n)
    expect(value('*(u32*)0x10 + 1')).toBe(0x1005n)
  })

  test.each([
    ['', 'the expression is empty'],
    ['1 +', '"1 +" ends where a value is expected'],
    ['(1', '"(1": ")" is missing at the end'],
    ['1 2', '"1 2": unexpected "2" at column 3'],
    ['1 = 2', '"1 = 2": unexpected "=" at column 3'],
    ['rax', 'no symbol "rax" is known; registers are written with $, as $rax'],
    ['$rex', 'there is no register $rex'],
    ['$efer.XXX', '$efer has no field "XXX"; it has SCE, LME, LMA, NXE'],
    ['$rax.low', '$rax has no fields'],
    ['1 / 0', 'division by zero'],
    ['*0x2000', 'no memory can be read at 0x2000, 8 bytes'],
  ])('%j is refused: %s', (text, message) => {
    expect(() => value(text)).toThrow(message)
  })

  test('nested too deeply is refused and not run out of stack', () => {
    expect(() => value('('.repeat(5000))).toThrow('nested too deeply')
    expect(() => value('-'.repeat(5000))).toThrow('nested too deeply')
    expect(value(`${'1+'.repeat(4999)}1`)).toBe(5000n)
    expect(() => value('1+'.repeat(50_000))).toThrow('longer than 10000 characters')
  })
})
