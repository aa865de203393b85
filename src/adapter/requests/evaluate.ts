/** Expressions in a frame, assignments, and the commands of the debug console. */

import { assign, evaluate } from '../../debugger/expression/evaluate.ts'
import { hasFields } from '../../debugger/write-register.ts'
import { Fields } from '../../protocol/fields.ts'
import { FRAME_IDS, type FrameId, frameOf } from '../frame-ids.ts'
import { type FrameView, frameView } from '../frame-view.ts'
import { assignRegister } from '../register-variables.ts'
import { runCommand } from '../repl/repl.ts'
import { RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'
import { expressionNode, valueNode } from '../typed-variables.ts'
import { wantsHex } from '../value-format.ts'
import { variableBody } from './variables.ts'

const REGISTER_FIELD = /^\$(\w+)\.(\w+)$/

export const evaluateRequests: RequestFamily = {
  evaluate(session, args, afterResponse) {
    const fields = new Fields('evaluate', args)
    const id = frameIn(session, fields)
    const expression = fields.string('expression')
    const hex = wantsHex(fields)
    const typed = fields.optionalString('context') === 'repl'
    const text = typed ? runCommand(session, id, expression) : undefined
    if (text !== undefined) return { result: text, variablesReference: 0 }
    const view = frameView(session, id)
    if (!typed) return resultBody(session, view, expression, hex)
    // What a person types may assign; what is shown by itself, as on hover, never does.
    let assigned = false
    const writer = {
      writeRegister(name: string, value: bigint) {
        assigned = true
        view.writer.writeRegister(name, value)
      },
      writeMemory(...[address, bytes]: Parameters<FrameView['writer']['writeMemory']>) {
        assigned = true
        view.writer.writeMemory(address, bytes)
      },
    }
    const value = assign(expression, view.scope, view.subject, writer)
    if (assigned) afterResponse(() => session.invalidated(['stacks', 'variables']))
    return bodyOf(session, view, expression, value, hex)
  },

  setExpression(session, args, afterResponse) {
    const fields = new Fields('setExpression', args)
    const id = frameIn(session, fields)
    const expression = fields.string('expression').trim()
    const value = fields.string('value')
    const [, register = '', field] = REGISTER_FIELD.exec(expression) ?? []
    // As in the Variables view: what a field has no room for is refused, and CR3 has fields that depend on the mode.
    if (id.depth === 0 && hasFields(register)) assignRegister(session, id, register, field, value)
    else {
      const node = expressionNode(frameView(session, id), expression)
      if (node.assign === undefined) throw new RequestError(`"${expression}" is no place that can be set`)
      node.assign(value)
    }
    afterResponse(() => session.invalidated(['stacks', 'variables']))
    const { result, ...body } = resultBody(session, frameView(session, id), expression, wantsHex(fields))
    return { ...body, value: result }
  },
}

function frameIn(session: Session, fields: Fields): FrameId {
  const frameId = fields.optionalInteger('frameId', FRAME_IDS)
  return frameId === undefined ? { vcpu: session.debugger.focus, depth: 0 } : frameOf(frameId)
}

const resultBody = (session: Session, view: FrameView, expression: string, hex: boolean) =>
  bodyOf(session, view, expression, evaluate(expression, view.scope, view.subject), hex)

function bodyOf(
  session: Session,
  view: FrameView,
  expression: string,
  value: ReturnType<typeof evaluate>,
  hex: boolean,
) {
  const node = valueNode(view, expression, value, expression)
  const path = `evaluate/${view.id.vcpu}/${view.id.depth}`
  const { name: _name, evaluateName: _itself, value: result, ...body } = variableBody(session, path, node, hex)
  return { result, ...body }
}
