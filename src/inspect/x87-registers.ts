/** The x87 unit (SDM vol. 1, 8.1): control, status and tags decoded, and its stack. */

import type { VcpuView } from './machine-view.ts'
import { hex, padded, type RegisterNode } from './register-node.ts'

const EXCEPTIONS = ['I', 'D', 'Z', 'O', 'U', 'P']
const PRECISIONS = ['24 bits', 'reserved', '53 bits', '64 bits']
const ROUNDINGS = ['to nearest', 'down', 'up', 'toward zero']
const BIAS = 16383
const FRACTION_BITS = 63

export function x87Nodes(vcpu: VcpuView): RegisterNode[] {
  const control = Number(vcpu.register('x87_control'))
  const status = Number(vcpu.register('x87_status'))
  const top = (status >> 11) & 7
  return [
    {
      name: 'FCW',
      value: `${hex(BigInt(control))} [${PRECISIONS[(control >> 8) & 3]}, rounds ${ROUNDINGS[(control >> 10) & 3]}, masked ${flagNames(control)}]`,
    },
    { name: 'FSW', value: `${hex(BigInt(status))} [TOP=${top}, raised ${flagNames(status)}]` },
    ...Array.from({ length: 8 }, (_, i) => stackNode(vcpu, i, top)),
    { name: 'FIP', value: hex(vcpu.register('x87_ip')) },
    { name: 'FDP', value: hex(vcpu.register('x87_dp')) },
    { name: 'FOP', value: hex(vcpu.register('x87_opcode')) },
  ]
}

function flagNames(word: number): string {
  const names = EXCEPTIONS.filter((_, bit) => (word & (1 << bit)) !== 0)
  return names.length === 0 ? 'none' : names.join('')
}

function stackNode(vcpu: VcpuView, index: number, top: number): RegisterNode {
  const bits = vcpu.register(`st${index}`)
  const physical = (top + index) & 7
  const used = (Number(vcpu.register('x87_tags')) & (1 << physical)) !== 0
  return {
    name: `st${index}`,
    value: `${padded(bits, 20)} ${used ? extendedText(bits) : '(empty)'}`,
    meaning: `R${physical}; mm${physical} is its low half`,
  }
}

/** An 80-bit number in decimal, as near as a double comes; where none does, with its power of two. */
export function extendedText(bits: bigint): string {
  const sign = bits >> 79n !== 0n ? '-' : ''
  const exponent = Number((bits >> 64n) & 0x7fffn)
  const significand = BigInt.asUintN(64, bits)
  if (exponent === 0x7fff) return BigInt.asUintN(63, bits) === 0n ? `${sign}inf` : `${sign}nan`
  if (significand === 0n) return `${sign}0`
  const power = Math.max(exponent, 1) - BIAS - FRACTION_BITS
  // Two factors: one alone may leave what a double can hold where the product does not.
  const half = Math.trunc(power / 2)
  const value = Number(significand) * 2 ** half * 2 ** (power - half)
  if (Number.isFinite(value) && value !== 0) return `${sign}${value}`
  return `${sign}${Number(significand)} * 2^${power}`
}
