/** Values with types as variables: a frame's locals and statics, what expressions give, and the parts of both. */

import {
  childCount,
  childrenOf,
  type DisplayContext,
  displayText,
  memoryReferenceOf,
} from '../debugger/expression/display.ts'
import { evaluate, integerIn, setValue } from '../debugger/expression/evaluate.ts'
import type { Value } from '../debugger/expression/value.ts'
import type { Address } from '../inspect/address.ts'
import type { Variable } from '../symbols/dwarf/debug-info.ts'
import type { FrameView } from './frame-view.ts'
import { containerOf, type VariableContainer, type VariableNode } from './variable-handles.ts'

/** Our own names of numbers as the machine has them, which C's types never are: base types of these names. */
const MACHINE_TYPES = ['u8', 'u16', 'u32', 'u64']

/** @param evaluateName an expression that gives the value in the same frame. */
export function valueNode(view: FrameView, name: string, value: Value, evaluateName: string | undefined): VariableNode {
  const { scope, subject, writer } = view
  const raw = isMachineNumber(value, evaluateName)
  const display: DisplayContext = raw ? { ...view.display, hex: true } : view.display
  const pointer = raw && value.place.kind !== 'memory' ? integerIn(value, subject) : undefined
  const symbol = pointer === undefined ? undefined : display.describe(pointer)
  const address: Address | undefined =
    pointer === undefined ? memoryReferenceOf(value, display) : { space: 'linear', address: pointer }
  const { named, indexed } = childCount(value, display)
  const size = value.type?.size ?? 0
  const settable = value.place.kind === 'memory' || value.place.kind === 'register'
  return {
    name,
    value: displayText(value, display) + (symbol === undefined ? '' : ` <${symbol}>`),
    hexValue: () => displayText(value, { ...display, hex: true }),
    type: value.type?.name ?? 'void',
    ...(evaluateName === undefined ? {} : { evaluateName }),
    ...(address === undefined ? {} : { address }),
    ...(value.place.kind === 'memory' && size > 0 ? { place: { address: value.place.address, size } } : {}),
    ...(named + indexed === 0 ? {} : { children: partsOf(view, value, display, evaluateName, { named, indexed }) }),
    ...(settable ? { assign: (text: string) => setValue(value, text, scope, subject, writer) } : {}),
  }
}

/** Throws `ExpressionError`. */
export const expressionNode = (view: FrameView, expression: string): VariableNode =>
  valueNode(view, expression, evaluate(expression, view.scope, view.subject), expression)

/** Registers, what is computed from them, and memory read by our own types: shown in hexadecimal, as addresses. */
function isMachineNumber({ type, place }: Value, evaluateName = ''): boolean {
  if (type?.kind !== 'base') return false
  if (MACHINE_TYPES.includes(type.name)) return true
  return place.kind === 'constant' && evaluateName.includes('$') && type.encoding === 'unsigned'
}

function partsOf(
  view: FrameView,
  value: Value,
  display: DisplayContext,
  evaluateName: string | undefined,
  { named, indexed }: { named: number; indexed: number },
): VariableContainer {
  return {
    ...(named === 0 ? {} : { named }),
    ...(indexed === 0 ? {} : { indexed }),
    nodes: (start, count) =>
      childrenOf(value, display, { start, count }, evaluateName).map(child =>
        valueNode(view, child.name, child.value, child.evaluateName),
      ),
  }
}

/** Locals and arguments, or statics, of a frame; empty where nothing is known of it. */
export function localsOf(view: FrameView, which: 'local' | 'static'): VariableContainer | undefined {
  const wanted = view.scope.locals.filter(({ kind }) => (kind === 'static') === (which === 'static'))
  // Of several with a name the innermost is meant by it, and listed last.
  const names = [...new Map(wanted.map((variable): [string, Variable] => [variable.name, variable])).keys()]
  if (names.length === 0) return undefined
  return containerOf(() => names.map(name => variableNode(view, name)), names.length)
}

function variableNode(view: FrameView, name: string): VariableNode {
  try {
    return valueNode(view, name, evaluate(name, view.scope, view.subject), name)
  } catch (error) {
    return { name, value: `<${error instanceof Error ? error.message : String(error)}>` }
  }
}
