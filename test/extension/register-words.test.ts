import { expect, test } from 'vitest'
import { registerWords } from '../../src/extension/register-words.ts'

const expressions = (line: string, language: string): string[] =>
  registerWords(line, language).map(({ expression }) => expression)

test('registers of both syntaxes are expressions for the debugger', () => {
  expect(expressions('  mov RAX, [rbx+r12*8]', 'nasm')).toEqual(['$rax', '$rbx', '$r12'])
  expect(expressions('  movq %cr3, %rdi', 'gas')).toEqual(['$cr3', '$rdi'])
})

test('comments, strings and parts of names are no registers', () => {
  expect(expressions('al_label: db "rax", 1 ; rbx', 'nasm')).toEqual([])
  expect(expressions('  nop # rax', 'gas')).toEqual([])
})
