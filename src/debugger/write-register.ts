/** Registers changed by the user: whole ones, and fields of those that are decoded bit by bit. */

import { type DecodedRegister, decodeRegister } from '../inspect/control-bits.ts'
import type { VcpuView } from '../inspect/machine-view.ts'
import { type Target, TargetError } from './target.ts'

const DECODED: readonly DecodedRegister[] = ['cr0', 'cr3', 'cr4', 'efer', 'xcr0', 'rflags', 'dr6', 'dr7', 'mxcsr']
const WIDTHS: readonly (readonly [pattern: RegExp, bits: number])[] = [
  [/^xmm([0-9]|1[0-5])$/, 128],
  [/^ymm([0-9]|1[0-5])$/, 256],
  [/^(mxcsr|pkru|rflags)$/, 32],
]
/** 32-bit names; writing one clears the upper half, as instructions do (SDM vol. 1, 3.4.1.1). */
const HALF = /^e(ax|bx|cx|dx|si|di|bp|sp|ip|flags)$/

/**
 * @param name of a register as `VcpuView` has it, or `eax` and its like.
 * @param field of a decoded register, such as `IF` of `rflags`.
 * Throws {@link TargetError}.
 */
export function writeRegister(target: Target, vcpu: VcpuView, name: string, value: bigint, field?: string): void {
  if (!target.capabilities.writes) throw new TargetError('this target can be looked at, not changed')
  const half = HALF.exec(name)
  const register = half === null ? name : `r${half[1]}`
  const bits = half !== null ? 32 : (WIDTHS.find(([pattern]) => pattern.test(register))?.[1] ?? 64)
  const whole = field === undefined ? value : withField(vcpu, register, field, value)
  if (whole !== BigInt.asUintN(bits, whole) && whole !== BigInt.asIntN(bits, whole))
    throw new TargetError(`0x${whole.toString(16)} does not fit into the ${bits} bits of ${name}`)
  target.writeRegister(vcpu.index, register, BigInt.asUintN(bits, whole))
}

/** Does it have fields that {@link writeRegister} sets? */
export const hasFields = (register: string): boolean => DECODED.some(candidate => candidate === register)

function withField(vcpu: VcpuView, register: string, field: string, value: bigint): bigint {
  const decoded = DECODED.find(candidate => candidate === register)
  if (decoded === undefined) throw new TargetError(`${register} has no fields that can be set`)
  const old = vcpu.register(register)
  const fields = decodeRegister(decoded, old, { cr4: vcpu.register('cr4'), efer: vcpu.register('efer') })
  const found = fields.find(candidate => candidate.name.toLowerCase() === field.toLowerCase())
  if (found === undefined)
    throw new TargetError(`${register} has no field "${field}"; it has ${fields.map(({ name }) => name).join(', ')}`)
  const mask = (1n << BigInt(found.high - found.low + 1)) - 1n
  // The base in CR3 is shown as the address that it is.
  const bits = found.name === 'BASE' ? value >> BigInt(found.low) : value
  if (bits < 0n || bits > mask) throw new TargetError(`${field} of ${register} has room for 0 to ${mask}`)
  return (old & ~(mask << BigInt(found.low))) | (bits << BigInt(found.low))
}
