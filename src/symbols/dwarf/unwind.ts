/** From the registers of a function to those of its caller, by the rules of call frame information (DWARF 5, 6.4.4). */

import type { CallFrames, FrameRules, RegisterRule } from './call-frames.ts'
import type { DwarfRegisters, ReadMemory, UnwoundFrame } from './debug-info.ts'
import { type ExpressionScope, evaluateNumber, toInteger } from './expression.ts'

/** What the tables leave to the psABI: where the stack pointer is, and which registers a callee preserves. */
export interface UnwindAbi {
  readonly addressSize: 4 | 8
  readonly stackPointer: number
  readonly programCounter: number
  readonly preserved: ReadonlySet<number>
  /** Registers that unwinding follows. */
  readonly count: number
}

/** x86-64 psABI, figures 3.4 and 3.36: rbx, rbp, r12 to r15. */
export const X86_64_ABI: UnwindAbi = {
  addressSize: 8,
  stackPointer: 7,
  programCounter: 16,
  preserved: new Set([3, 6, 12, 13, 14, 15]),
  count: 17,
}

/** i386 psABI, tables 2.4 and 2.14: ebx, ebp, esi, edi. */
export const I386_ABI: UnwindAbi = {
  addressSize: 4,
  stackPointer: 4,
  programCounter: 8,
  preserved: new Set([3, 5, 6, 7]),
  count: 9,
}

/** The frame's address; undefined when a register or memory it depends on is not known. */
export function canonicalFrameAddress(rules: FrameRules, scope: ExpressionScope): bigint | undefined {
  if (rules.cfa.kind === 'expression') return evaluateNumber(rules.cfa.expression, scope)
  const value = scope.context.register(rules.cfa.register)
  return value === undefined ? undefined : BigInt.asUintN(scope.addressSize * 8, value + BigInt(rules.cfa.offset))
}

export function frameScope(abi: UnwindAbi, registers: DwarfRegisters, read: ReadMemory): ExpressionScope {
  return {
    addressSize: abi.addressSize,
    context: { register: number => registers[number], read },
    cfa: () => undefined,
    frameBase: () => undefined,
    relocate: address => address,
    unit: undefined,
  }
}

/** `pc` is the address, of the file, whose rules count. undefined when the tables don't tell, or the stack ends. */
export function unwindByTable(
  frames: CallFrames,
  abi: UnwindAbi,
  pc: bigint,
  registers: DwarfRegisters,
  read: ReadMemory,
): UnwoundFrame | undefined {
  const rules = frames.rulesAt(pc)
  if (rules === undefined) return undefined
  const scope = frameScope(abi, registers, read)
  const cfa = canonicalFrameAddress(rules, scope)
  if (cfa === undefined) return undefined
  const caller = Array.from({ length: abi.count }, (_, register) => {
    const rule = rules.registers.get(register) ?? defaultRule(register, abi, rules.signal)
    if (register === abi.stackPointer && !rules.registers.has(register)) return cfa
    return callerValue(rule, register, cfa, registers, scope)
  })
  const returnAddress = caller[rules.returnRegister] ?? undefined
  if (returnAddress === undefined) return undefined
  caller[abi.programCounter] = returnAddress
  return {
    registers: caller,
    pc: returnAddress,
    cfa,
    interrupted: rules.signal,
    by: frames.name === '.eh_frame' ? 'eh_frame' : 'debug_frame',
  }
}

/** What a table doesn't mention is kept if the callee has to keep it, and lost otherwise. */
function defaultRule(register: number, abi: UnwindAbi, signal: boolean): RegisterRule {
  return { kind: signal || abi.preserved.has(register) ? 'same' : 'undefined' }
}

function callerValue(
  rule: RegisterRule,
  register: number,
  cfa: bigint,
  registers: DwarfRegisters,
  scope: ExpressionScope,
): bigint | undefined {
  const { addressSize } = scope
  const load = (address: bigint | undefined) => {
    if (address === undefined) return undefined
    const bytes = scope.context.read(BigInt.asUintN(addressSize * 8, address), addressSize)
    return bytes && toInteger(bytes)
  }
  switch (rule.kind) {
    case 'undefined':
      return undefined
    case 'same':
      return registers[register]
    case 'offset':
      return load(cfa + BigInt(rule.offset))
    case 'value-offset':
      return BigInt.asUintN(addressSize * 8, cfa + BigInt(rule.offset))
    case 'register':
      return registers[rule.register]
    case 'expression':
      return load(evaluateNumber(rule.expression, scope, cfa))
    case 'value-expression':
      return evaluateNumber(rule.expression, scope, cfa)
  }
}
