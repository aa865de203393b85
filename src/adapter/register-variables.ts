/** Registers as variables: a scope for each group, fields below what has any, assignments where something can be set. */

import type { Activation } from '../debugger/stack/frame.ts'
import { writeRegister } from '../debugger/write-register.ts'
import type { RegisterNode } from '../inspect/register-node.ts'
import type { FrameId } from './frame-ids.ts'
import type { Session } from './session.ts'
import { containerOf, type VariableContainer, type VariableNode } from './variable-handles.ts'

/** A number as it stands, of any width: expressions have 64 bits only. */
const LITERAL = /^(0x[0-9a-f]{1,64}|[0-9]{1,78})$/i

export interface RegisterScope {
  readonly name: string
  readonly rare: boolean
  readonly container: VariableContainer
}

/** What an outer frame knows of the registers that it will have again. */
export function savedRegisters({ registers, segments, bits }: Activation): VariableContainer {
  const selectors = Object.entries(segments === undefined ? {} : { cs: segments.cs, ss: segments.ss })
  const values = [...registers, ...selectors.map(([name, { selector }]) => [name, BigInt(selector)] as const)]
  // In 16-bit code they are offsets in a segment.
  const isAddress = bits !== 16 && segments === undefined
  const nodes = values.map(([name, value]) => ({
    name,
    value: value === undefined ? '<not known>' : hexText(value),
    ...(value === undefined || !isAddress ? {} : { address: { space: 'linear', address: value } as const }),
    evaluateName: `$${name}`,
  }))
  return containerOf(() => nodes, nodes.length)
}

export function registerScopes(session: Session, frame: FrameId): RegisterScope[] {
  return session.debugger.registers(frame.vcpu).map(group => {
    const extra = group.name === 'Virtualization' ? () => lastExits(session) : () => []
    const nodes = () => [...group.nodes(), ...extra()]
    return {
      name: group.name,
      rare: group.rare === true,
      container: containerOf(() => nodes().map(node => variable(session, frame, node))),
    }
  })
}

function variable(session: Session, frame: FrameId, node: RegisterNode): VariableNode {
  const { name, value, decimal, meaning, address, children, register, field } = node
  const settable = register !== undefined && session.debugger.target.capabilities.writes
  return {
    name,
    value,
    ...(decimal === undefined ? {} : { hexValue: () => hexText(decimal) }),
    ...(meaning === undefined ? {} : { type: meaning }),
    ...(address === undefined ? {} : { address }),
    ...(register === undefined ? {} : { evaluateName: `$${register}${field === undefined ? '' : `.${field}`}` }),
    ...(children === undefined || children.length === 0
      ? {}
      : { children: containerOf(() => children.map(child => variable(session, frame, child)), children.length) }),
    ...(settable ? { assign: text => assignRegister(session, frame, register, field, text) } : {}),
  }
}

const hexText = (value: bigint): string => (value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`)

/** Throws for what does not fit, or is no number. */
export function assignRegister(
  session: Session,
  frame: FrameId,
  register: string,
  field: string | undefined,
  text: string,
): void {
  const { target } = session.debugger
  const trimmed = text.trim()
  const value = LITERAL.test(trimmed) ? BigInt(trimmed) : session.debugger.evaluate(frame.vcpu, trimmed)
  writeRegister(target, session.debugger.vcpu(frame.vcpu), register, value, field)
  session.debugger.changed()
}

const EXITS_SHOWN = 10

function lastExits(session: Session): RegisterNode[] {
  if (!session.debugger.target.capabilities.exits) return []
  const { total, recent } = session.debugger.exits(EXITS_SHOWN, 0)
  const children = recent.toReversed().map(
    (exit): RegisterNode => ({
      name: `at ${exit.instructions}`,
      value: `${exit.reason}${exit.detail === '' ? '' : ` (${exit.detail})`}`,
      address: { space: 'linear', address: exit.rip },
    }),
  )
  return [{ name: 'last exits', value: `${total} in all`, children }]
}
