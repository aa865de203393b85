import { describe, expect, test } from 'vitest'
import { evaluate, integerIn, numberOf } from '../../../src/debugger/expression/evaluate.ts'
import { ExpressionError } from '../../../src/debugger/expression/expression-error.ts'
import { NO_NAMES, type Scope } from '../../../src/debugger/expression/scope.ts'
import { VcpuSubject } from '../../../src/debugger/expression/subject.ts'
import { FakeMachine } from '../../support/fake-machine.ts'

const machine = new FakeMachine()
const vcpu = machine.vcpu
  .protectedMode()
  .set({ rax: 0x1122_3344_5566_7788n, rbx: 0xff00n, r9: 0xffff_ffff_ffff_ff80n, rip: 0x1000n, efer: 0x800n })
  .set({ cr3: 0x1ab_4000n, xmm0: 0x4000_0000_3f80_0000n, st0: (0x4000n << 64n) | 0xc000_0000_0000_0000n })
machine.write(0x10, [1, 2, 3, 4, 5, 6, 7, 8])
machine.write(0x2000, Buffer.from('init\0', 'latin1'))

const scope: Scope = {
  ...NO_NAMES,
  symbol: name =>
    name === 'start_kernel'
      ? { address: 0xffff_ffff_8304_ee41n, kind: 'function' }
      : name === 'jiffies'
        ? { address: 0x10n, kind: 'object' }
        : undefined,
}
const subject = new VcpuSubject(vcpu, machine)
const value = (text: string) => numberOf(evaluate(text, scope, subject), subject)
const signed = (text: string) => integerIn(evaluate(text, scope, subject), subject)
const typeOf = (text: string) => evaluate(text, scope, subject).type?.name

describe('an expression', () => {
  test.each([
    ['1 + 2 * 3', 7n],
    ['(1 + 2) * 3', 9n],
    ['10 - 3 - 2', 5n],
    ['0x10 | 0b11 << 1', 0x16n],
    ['0xff & ~0xf', 0xf0n],
    ['100 / 7 % 4', 2n],
    ['010', 8n],
    ['-1', 0xffff_ffff_ffff_ffffn],
    ['0xffffffffffffffff + 1', 0n],
    ['start_kernel + 0x10', 0xffff_ffff_8304_ee51n],
    ['&start_kernel', 0xffff_ffff_8304_ee41n],
    ['1 == 1 && 2 > 1', 1n],
    ['1 ? 5 : 6', 5n],
    ['0 || !1', 0n],
    ["'a' + 1", 98n],
    ["'\\x41'", 65n],
    ['sizeof(u32)', 4n],
    ['sizeof 1ll', 8n],
    ['sizeof(unsigned long *[3])', 24n],
    ['(u8)0x1ff', 0xffn],
    ['(long)7.9', 7n],
    ['(bool)256', 1n],
  ])('%s', (text, expected) => {
    expect(value(text)).toBe(expected)
  })

  test.each([
    ['-1 < 0u', 0n],
    ['-1 < 0', 1n],
    ['(i8)0x80', -128n],
    ['(u8)255 + (u8)1', 256n],
    ['0xffffffff + 1', 0n],
    ['2147483647 + 1', -2147483648n],
    ['2147483648 + 1', 2147483649n],
    ['-7 / 2', -3n],
    ['-7 % 2', -1n],
    ['-8 >> 1', -4n],
    ['1.5 * 2 == 3', 1n],
    ['(u64)1 << 40', 1n << 40n],
    ['1 ? -1 : 0u', 4294967295n],
  ])("%s follows C's conversions", (text, expected) => {
    expect(signed(text)).toBe(expected)
  })

  test.each([
    ['1', 'int'],
    ['1u', 'unsigned int'],
    ['0xffffffff', 'unsigned int'],
    ['4294967295', 'long'],
    ['1.0', 'double'],
    ['(u32 *)phys(0x10)', 'u32 *'],
    ['&*(u8 *)1', 'u8 *'],
  ])('%s is of type %s', (text, expected) => {
    expect(typeOf(text)).toBe(expected)
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
    ['$cr0.pe', 1n],
    ['$cr3.BASE', 0x1ab_4000n],
    ['$rflags.IOPL', 0n],
    ['$xmm0.u32[1]', 0x4000_0000n],
    ['$xmm0.f32[1] == 2', 1n],
    ['$st0 == 3', 1n],
  ])('register %s', (text, expected) => {
    expect(value(text)).toBe(expected)
  })

  test('reads memory by the type of a pointer, and 8 bytes behind a bare number', () => {
    expect(value('*0x10')).toBe(0x0807_0605_0403_0201n)
    expect(value('*(u8*)0x10')).toBe(1n)
    expect(value('*(u16*)(0x10 + 1)')).toBe(0x0302n)
    expect(value('*(u32*)phys(0x10) + 1')).toBe(0x0403_0202n)
    expect(value('((u16*)0x10)[1]')).toBe(0x0403n)
    expect(value('*((u8*)0x10 + 3)')).toBe(4n)
    expect(value('(u32*)0x20 - (u32*)0x10')).toBe(4n)
    expect(value('*(u8*)hpa(0x11)')).toBe(2n)
    expect(value('*(u64 *)&jiffies')).toBe(0x0807_0605_0403_0201n)
  })

  test('compares strings in memory', () => {
    expect(value('(char *)0x2000 == "init"')).toBe(1n)
    expect(value('(char *)0x2000 == "ini"')).toBe(0n)
    expect(value('"swapper" != (char *)0x2000')).toBe(1n)
    expect(value('*(char *)0x2000@4 == "init"')).toBe(1n)
  })

  test.each([
    ['', 'the expression is empty'],
    ['1 +', '"1 +" ends where a value is expected'],
    ['(1', '"(1": ")" is missing at the end'],
    ['1 2', '"1 2": unexpected "2" at column 3'],
    ['1 = 2', '= at column 3 would assign; use == to compare'],
    ['1 += 2', 'would assign, which is not possible here'],
    ['rax', 'no symbol "rax" is known; registers are written with $, as $rax'],
    ['$rex', 'there is no register $rex'],
    ['$efer.XXX', '$efer has no field "XXX"; it has SCE, LME, LMA, NXE'],
    ['$rax.low', '$rax has no fields'],
    ['1 / 0', 'division by zero'],
    ['*0x200000', 'no memory can be read at 0x200000, 8 bytes'],
    ['*(u8*)phys(0x200000)', 'no memory can be read at guest-physical 0x200000, 1 byte'],
    ['*phys(0)', "a void * can't be followed; cast it first"],
    ['1 << 40', 'a shift by 40 does not fit 32 bits; widen the left side by (u64)'],
    ['jiffies + 1', 'the type of this symbol is not known; cast its address'],
    ['(struct nowhere *)1', 'no type "struct nowhere" is known'],
    ['f(1)', "functions of the guest can't be called"],
    ['1.field', '"1.f" at column 1 runs into'],
    ['0x', '"0x" at column 1 is no number'],
    ["'ab'", 'is exactly one'],
    ['"x" + 1', "a string can't be used with +"],
    ['&1', 'only what lies in memory has an address'],
    ['(u8[4])1', 'a cast to u8 [4] is not possible'],
  ])('%j is refused: %s', (text, message) => {
    expect(() => value(text)).toThrow(ExpressionError)
    expect(() => value(text)).toThrow(message)
  })

  test('nested too deeply is refused and not run out of stack', () => {
    expect(() => value('('.repeat(5000))).toThrow('nested too deeply')
    expect(() => value('-'.repeat(5000))).toThrow(ExpressionError)
    expect(() => value('- '.repeat(5000))).toThrow('nested too deeply')
    expect(value(`${'1+'.repeat(999)}1`)).toBe(1000n)
    expect(() => value(`${'1+'.repeat(4000)}1`)).toThrow('more than 1000 operators')
    expect(() => value('1+'.repeat(50_000))).toThrow('longer than 10000 characters')
    expect(() => value(`x${'.a'.repeat(4000)}`)).toThrow('nested too deeply')
  })
})

describe('random expressions', () => {
  test('end in a value or a typed error', () => {
    const pieces = [
      '1',
      '0x10',
      '1.5',
      "'a'",
      '"s"',
      '$rax',
      '$xmm0',
      '$efer',
      'start_kernel',
      'jiffies',
      'name',
      'u32',
      'struct',
      'sizeof',
      'phys',
      'unsigned',
      'long',
      '*',
      '&',
      '&&',
      '|',
      '(',
      ')',
      '[',
      ']',
      '.',
      '->',
      '@',
      '?',
      ':',
      '+',
      '-',
      '~',
      '!',
      '<<',
      '>>',
      '==',
      '=',
      '<',
      ',',
      '`',
      ' ',
      '$',
      '\\',
      '::',
      'NXE',
      '/',
      '%',
      '0',
    ]
    let seed = 12345
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
      return (seed >> 8) % below
    }
    let valued = 0
    for (let round = 0; round < 30_000; round++) {
      const text = Array.from({ length: 1 + random(9) }, () => pieces[random(pieces.length)]).join(random(2) ? ' ' : '')
      try {
        value(text)
        valued++
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw new Error(`"${text}"`, { cause: error })
      }
    }
    expect(valued).toBeGreaterThan(300)
  })
})
