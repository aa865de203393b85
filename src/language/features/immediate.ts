/** Where the value of an immediate operand goes: to a control register, to EFER, or into a descriptor table. */

import { type BitRegister, bitTexts, descriptorText } from '../facts/bit-names.ts'
import { isQuadwordData } from '../facts/directives.ts'
import { instructionName } from '../facts/mnemonics.ts'
import { isRegister, wholeRegister } from '../facts/registers.ts'
import type { SourceDocument } from '../index/source-document.ts'
import type { Workspace } from '../index/workspace.ts'
import type { Statement, Token } from '../syntax/source-line.ts'
import { constantValue } from './constants.ts'

/** A value is followed over so many lines, through straight code only. */
const FARTHEST = 12
const EFER = 0xc000_0080n
const ENDS = /^(j|call|ret|iret|int|loop|sys|hlt|ud)/

/** What the bits of the operand at a place mean, as Markdown; undefined when nobody can tell. */
export function immediateMeaning(
  workspace: Workspace,
  document: SourceDocument,
  line: number,
  column: number,
): string | undefined {
  const statement = statementAt(document, line, column)
  const operand = statement?.operands.find(tokens => tokens.some(token => token.start <= column && column <= token.end))
  if (statement?.operation === undefined || operand === undefined) return undefined
  const value = constantValue(
    workspace,
    document,
    operand.filter(({ text }) => text !== '$' || document.dialect !== 'gas'),
  )
  if (value === undefined) return undefined
  if (isQuadwordData(statement.operation.text)) {
    const text = value > 0xffff_ffffn ? descriptorText(value) : undefined
    return text === undefined ? undefined : `As a descriptor: ${text}.`
  }
  const register = destination(statement, operand)
  const target = register === undefined ? undefined : controlTarget(workspace, document, line, register)
  if (target === undefined) return undefined
  const name = instructionName(statement.operation.text, document.dialect)
  const bits = name === 'and' ? ~value & 0xffff_ffffn : value
  const texts = bitTexts(target, bits)
  const heading = name === 'and' ? `Clears in ${target.toUpperCase()}:` : `Bits of ${target.toUpperCase()}:`
  return [heading, '', ...(texts.length === 0 ? ['- none'] : texts.map(text => `- ${text}`))].join('\n')
}

function statementAt(document: SourceDocument, line: number, column: number): Statement | undefined {
  return document.lines[line]?.statements.find(({ operation, operands }) => {
    const last = operands.at(-1)?.at(-1)
    return operation !== undefined && last !== undefined && operation.start <= column && column <= last.end
  })
}

/** The register that a statement changes by the immediate `operand`, as the whole register's name. */
function destination({ operands }: Statement, operand: readonly Token[]): string | undefined {
  const other = operands.filter(tokens => tokens !== operand)
  const register = other.length === 1 ? registerOf(other[0]) : undefined
  return register === undefined ? undefined : wholeRegister(register)
}

function registerOf(operand: readonly Token[]): string | undefined {
  const named = operand.filter(({ text }) => text !== '%')
  return named.length === 1 && isRegister(named[0].text) ? named[0].text.toLowerCase() : undefined
}

/** Follows a register downwards to the control register that it is moved to. */
function controlTarget(
  workspace: Workspace,
  document: SourceDocument,
  from: number,
  register: string,
): BitRegister | undefined {
  for (let line = from + 1; line <= from + FARTHEST && line < document.lines.length; line++) {
    // Whatever jumps here brings its own value.
    if (document.lines[line].definitions.some(({ kind }) => kind === 'label')) return undefined
    for (const { operation, operands } of document.lines[line].statements) {
      if (operation === undefined) continue
      const name = instructionName(operation.text, document.dialect)
      if (name === undefined || ENDS.test(name)) return undefined
      const registers = operands.map(registerOf)
      if (name === 'wrmsr') return register === 'rax' && selects(workspace, document, line) ? 'efer' : undefined
      if (name !== 'mov' || registers.length !== 2) continue
      const atAndT = operands[0].some(({ text }) => text === '%')
      const [to, source] = atAndT ? [registers[1], registers[0]] : registers
      if (source !== undefined && wholeRegister(source) === register && (to === 'cr0' || to === 'cr4')) return to
      if (to !== undefined && wholeRegister(to) === register) return undefined
    }
  }
  return undefined
}

/** Whether ECX is EFER's number at a WRMSR: the last value moved there above it. */
function selects(workspace: Workspace, document: SourceDocument, at: number): boolean {
  for (let line = at - 1; line >= 0 && line >= at - FARTHEST; line--)
    for (const { operation, operands } of document.lines[line].statements) {
      if (operation === undefined || instructionName(operation.text, document.dialect) !== 'mov') continue
      const into = operands.findIndex(tokens => registerOf(tokens) === 'ecx' || registerOf(tokens) === 'rcx')
      if (into < 0 || operands.length !== 2) continue
      const value = operands[1 - into].filter(({ text }) => text !== '$')
      return constantValue(workspace, document, value) === EFER
    }
  return false
}
