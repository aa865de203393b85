/** Values of expressions in the state of one vCPU. */

import { type DecodedRegister, decodeRegister } from '../inspect/control-bits.ts'
import type { VcpuView } from '../inspect/machine-view.ts'
import {
  type BinaryOperator,
  type Expression,
  ExpressionError,
  type MemorySize,
  parseExpression,
} from './expression.ts'

export interface EvaluationContext {
  readonly vcpu: VcpuView
  symbol(name: string): bigint | undefined
  /** Linear memory in the current address space, little-endian; undefined where nothing is mapped. */
  memory(address: bigint, size: MemorySize): bigint | undefined
}

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const
const SEGMENT_FIELDS = ['base', 'limit', 'rights', 'selector'] as const
const DECODED: readonly DecodedRegister[] = ['cr0', 'cr3', 'cr4', 'efer', 'rflags', 'dr6', 'dr7']
const FULL_REGISTER =
  /^(r(?:ax|bx|cx|dx|si|di|bp|sp|ip|flags)|r(?:[89]|1[0-5])|cr[02348]|dr[0-367]|efer|mxcsr|[fg]s_base|msr_[a-z0-9_]+)$/
const LEGACY_PARTS = /^(?:e?(ax|bx|cx|dx|si|di|bp|sp|ip|flags)|([abcd])([lh])|(si|di|bp|sp)l)$/
const NUMBERED_PARTS = /^(r(?:[89]|1[0-5]))([dwb])$/
const PART_BITS = { d: 32, w: 16, b: 8 } as const

/** An unsigned 64-bit value. Throws {@link ExpressionError}. */
export function evaluate(text: string, context: EvaluationContext): bigint {
  return compute(parseExpression(text), context)
}

function compute(expression: Expression, context: EvaluationContext): bigint {
  switch (expression.kind) {
    case 'number':
      return expression.value
    case 'register':
      return registerValue(expression.name, expression.field, context.vcpu)
    case 'symbol': {
      const address = context.symbol(expression.name)
      if (address === undefined)
        throw new ExpressionError(`no symbol "${expression.name}" is known; registers are written with $, as $rax`)
      return address
    }
    case 'unary': {
      const operand = compute(expression.operand, context)
      if (expression.operator === '+') return operand
      return BigInt.asUintN(64, expression.operator === '-' ? -operand : ~operand)
    }
    case 'memory': {
      const address = compute(expression.address, context)
      const value = context.memory(address, expression.size)
      if (value === undefined)
        throw new ExpressionError(`no memory can be read at 0x${address.toString(16)}, ${expression.size} bytes`)
      return value
    }
    case 'binary':
      return BigInt.asUintN(
        64,
        combine(expression.operator, compute(expression.left, context), compute(expression.right, context)),
      )
  }
}

function combine(operator: BinaryOperator, left: bigint, right: bigint): bigint {
  switch (operator) {
    case '+':
      return left + right
    case '-':
      return left - right
    case '*':
      return left * right
    case '/':
    case '%':
      if (right === 0n) throw new ExpressionError('division by zero')
      return operator === '/' ? left / right : left % right
    case '&':
      return left & right
    case '|':
      return left | right
    case '^':
      return left ^ right
    case '<<':
      return right > 63n ? 0n : left << right
    case '>>':
      return right > 63n ? 0n : left >> right
  }
}

function registerValue(name: string, field: string | undefined, vcpu: VcpuView): bigint {
  const segment = SEGMENTS.find(candidate => candidate === name)
  if (segment !== undefined) {
    const register = vcpu.segment(segment)
    const part = field === undefined ? 'selector' : SEGMENT_FIELDS.find(candidate => candidate === field)
    if (part === undefined) throw new ExpressionError(`$${name} has the fields ${SEGMENT_FIELDS.join(', ')}`)
    return BigInt(register[part])
  }
  const value = plainRegister(name, vcpu)
  if (value === undefined) throw new ExpressionError(`there is no register $${name}`)
  return field === undefined ? value : fieldOf(name, field, value, vcpu)
}

function fieldOf(name: string, field: string, value: bigint, vcpu: VcpuView): bigint {
  const decoded = DECODED.find(candidate => candidate === name || (name === 'eflags' && candidate === 'rflags'))
  if (decoded === undefined) throw new ExpressionError(`$${name} has no fields`)
  const fields = decodeRegister(decoded, value, { cr4: vcpu.register('cr4'), efer: vcpu.register('efer') })
  const found = fields.find(candidate => candidate.name.toLowerCase() === field.toLowerCase())
  if (found !== undefined) return found.value
  throw new ExpressionError(`$${name} has no field "${field}"; it has ${fields.map(f => f.name).join(', ')}`)
}

function plainRegister(name: string, vcpu: VcpuView): bigint | undefined {
  if (name === 'cpl') return BigInt(vcpu.cpl)
  if (name === 'gdtr' || name === 'idtr') return vcpu.table(name).base
  if (name === 'pc') return vcpu.register('rip')
  if (FULL_REGISTER.test(name)) return vcpu.register(name)
  const numbered = NUMBERED_PARTS.exec(name)
  if (numbered !== null) {
    const bits = Object.entries(PART_BITS).find(([suffix]) => suffix === numbered[2])?.[1] ?? 64
    return BigInt.asUintN(bits, vcpu.register(numbered[1]))
  }
  const legacy = LEGACY_PARTS.exec(name)
  if (legacy === null) return undefined
  const [, whole, letter, half, low] = legacy
  if (whole !== undefined) return BigInt.asUintN(name.startsWith('e') ? 32 : 16, vcpu.register(`r${whole}`))
  if (letter !== undefined) {
    const value = vcpu.register(`r${letter}x`)
    return BigInt.asUintN(8, half === 'h' ? value >> 8n : value)
  }
  return BigInt.asUintN(8, vcpu.register(`r${low}`))
}
