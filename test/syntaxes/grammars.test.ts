/** The grammars for assembly: what an editor colours as what. */

import { globSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { compile, expressions, readGrammar, Tokenizer } from './textmate.ts'

const NAMES = ['x86', 'nasm', 'gas', 'ld']
const grammars = NAMES.map(readGrammar)
const tokenizer = new Tokenizer(grammars)

/** `text scope` of each token of a line, the scope without its suffix. */
function tokens(scopeName: string, line: string): string[] {
  const [found] = tokenizer.tokenize(scopeName, line)
  return found.filter(({ scope }) => scope !== '').map(({ text, scope }) => `${text} ${scope.replace(/\.asm$/, '')}`)
}

const nasm = (line: string): string[] => tokens('source.asm.nasm', line)
const gas = (line: string): string[] => tokens('source.asm.gas', line)

describe('every grammar', () => {
  test.each(NAMES)('%s uses expressions that JavaScript and Oniguruma read alike', name => {
    const all = expressions(readGrammar(name))
    expect(all.length).toBeGreaterThan(5)
    for (const expression of all) {
      expect(() => compile(expression)).not.toThrow()
      // V8 takes (?i:...) and then overlooks matches.
      expect(expression.slice(4)).not.toContain('(?i')
    }
  })

  test('every scope ends in the language', () => {
    const names = (value: unknown): string[] =>
      typeof value !== 'object' || value === null
        ? []
        : Object.entries(value).flatMap(([key, inner]) => (key === 'name' ? [String(inner)] : names(inner)))
    for (const { patterns, repository } of grammars)
      for (const name of names({ patterns, repository })) expect(name).toMatch(/^[a-z.-]+\.(asm|ld)$/)
  })
})

describe('linker scripts', () => {
  const ld = (line: string): string[] => tokens('source.ld', line).map(token => token.replace(/\.ld$/, ''))

  test('tell commands, sections, functions, numbers and symbols apart', () => {
    expect(ld('.text ALIGN(4K) : { KEEP(*(.text.entry)) } /* code */')).toEqual([
      '.text entity.name.section',
      'ALIGN support.function',
      '4K constant.numeric',
      ': keyword.operator',
      'KEEP keyword.control',
      '* keyword.operator',
      '.text.entry entity.name.section',
      '/* comment.block',
      'code */ comment.block',
    ])
    expect(ld('kernel_end = .;')).toEqual(['kernel_end variable.other.constant', '= keyword.operator'])
    expect(ld('. = 1M;')).toEqual(['. variable.other.constant', '= keyword.operator', '1M constant.numeric'])
  })
})

describe('NASM', () => {
  test('tells label, prefix, instruction, size, register, symbol and comment apart', () => {
    expect(nasm('.next:  lock xadd dword [rel counter+r15*8], eax ; done')).toEqual([
      '.next entity.name.function.label',
      ': punctuation.separator.label',
      'lock keyword.other.prefix',
      'xadd keyword.mnemonic',
      'dword storage.modifier',
      'rel storage.modifier',
      'counter variable.other',
      '+ keyword.operator',
      'r15 variable.language.register',
      '* keyword.operator',
      '8 constant.numeric.decimal',
      ', punctuation.separator',
      'eax variable.language.register',
      '; done comment.line.semicolon',
    ])
  })

  test('does not care for case', () => {
    expect(nasm('  MOV CR3, EBP')).toEqual(nasm('  mov cr3, ebp').map(token => token.replace(/^\w+/, upper)))
  })

  test('knows data with and without a colon after its name', () => {
    expect(nasm('flags dd 1')).toEqual([
      'flags entity.name.function.label',
      'dd storage.type',
      '1 constant.numeric.decimal',
    ])
    expect(nasm('text: db "a;b", `\\n`, 0')[3]).toBe('"a;b" string.quoted.double')
  })

  test('reads numbers of every base', () => {
    expect(nasm('  dq 0x1F, 1Fh, 0b10, 10b, 17q, 1.5, 1_000').filter(token => token.includes('numeric'))).toEqual([
      '0x1F constant.numeric.hex',
      '1Fh constant.numeric.hex',
      '0b10 constant.numeric.binary',
      '10b constant.numeric.binary',
      '17q constant.numeric.octal',
      '1.5 constant.numeric.float',
      '1_000 constant.numeric.decimal',
    ])
  })

  test('knows the preprocessor, its definitions and the parameters of macros', () => {
    expect(nasm('%macro stub 1')).toEqual([
      '%macro keyword.control.preprocessor',
      'stub entity.name.function.preprocessor',
      '1 constant.numeric.decimal',
    ])
    expect(nasm('stub_%1:')).toEqual(['stub_%1 entity.name.function.label', ': punctuation.separator.label'])
    expect(nasm('        push qword %1')).toContain('%1 variable.parameter.macro')
    expect(nasm('%if a % 2')).toEqual([
      '%if keyword.control.preprocessor',
      'a variable.other',
      '% keyword.operator',
      '2 constant.numeric.decimal',
    ])
  })

  test('sees no register in a longer name, and no instruction behind a segment', () => {
    expect(nasm('  mov rdx, cr8_save')).toContain('cr8_save variable.other')
    expect(nasm('  jmp 0x08:long_mode')).toContain('long_mode variable.other')
    expect(nasm('  mov rax, [fs:rbx]')).toContain('fs variable.language.register')
  })

  test.each(globSync('guests/*/*.{asm,inc}'))('finds something in every line of %s', file => {
    for (const line of tokenizer.tokenize('source.asm.nasm', readFileSync(file, 'utf8')))
      for (const { text, scope } of line) if (scope === '') expect(text).toMatch(/^[[\](){}:\s]+$/)
  })
})

describe('GNU as', () => {
  test('reads AT&T syntax', () => {
    expect(gas('1:\tmovq $0x10, %rax\t# why')).toEqual([
      '1 entity.name.function.label',
      ': punctuation.separator.label',
      'movq keyword.mnemonic',
      '$ keyword.operator.immediate',
      '0x10 constant.numeric.hex',
      ', punctuation.separator',
      '%rax variable.language.register',
      '# why comment.line.number-sign',
    ])
    expect(gas('\tjne 1b; fld %st(1)')).toEqual([
      'jne keyword.mnemonic',
      '1b entity.name.function.label',
      '; punctuation.separator.statement',
      'fld keyword.mnemonic',
      '%st(1) variable.language.register',
    ])
  })

  test('reads Intel syntax', () => {
    expect(gas('  mov rax, QWORD PTR fs:[rbx-8]')).toEqual([
      'mov keyword.mnemonic',
      'rax variable.language.register',
      ', punctuation.separator',
      'QWORD PTR storage.modifier',
      'fs variable.language.register',
      'rbx variable.language.register',
      '- keyword.operator',
      '8 constant.numeric.decimal',
    ])
  })

  test('knows directives, section types and strings', () => {
    expect(gas('.section .text, "ax\\n", @progbits')).toEqual([
      '.section keyword.control.directive',
      '.text variable.other',
      ', punctuation.separator',
      '" string.quoted.double',
      'ax string.quoted.double',
      '\\n constant.character.escape',
      '" string.quoted.double',
      ', punctuation.separator',
      '@progbits storage.modifier',
    ])
  })

  test('tells the C preprocessor from a comment', () => {
    expect(gas('#include <asm/linkage.h>')[1]).toBe('<asm/linkage.h> string.quoted.other')
    expect(gas('# define SIZE 8')[1]).toBe('SIZE entity.name.function.preprocessor')
    expect(gas('# defined elsewhere')).toEqual(['# defined elsewhere comment.line.number-sign'])
  })

  test('goes on with a block comment on the next line', () => {
    const [, second] = tokenizer.tokenize('source.asm.gas', '/* mov\n mov */ nop')
    expect(second[0]).toEqual({ text: 'mov */', scope: 'comment.block.asm' })
  })

  test('knows the parameters of macros', () => {
    expect(gas('\tpush \\register')).toEqual(['push keyword.mnemonic', '\\register variable.parameter.macro'])
  })
})

const upper = (text: string): string => text.toUpperCase()
