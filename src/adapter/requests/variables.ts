/** Scopes of a frame and the variables in them, in portions, and their assignment. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import { formatAddress } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import { FRAME_IDS, frameOf } from '../frame-ids.ts'
import { frameView } from '../frame-view.ts'
import { registerScopes, savedRegisters } from '../register-variables.ts'
import { COUNTS, EarlierStopError, REFERENCES, RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'
import { localsOf } from '../typed-variables.ts'
import { wantsHex } from '../value-format.ts'
import type { VariableContainer, VariableNode } from '../variable-handles.ts'

export const variableRequests: RequestFamily = {
  scopes(session, args) {
    const frameId = new Fields('scopes', args).integer('frameId', FRAME_IDS)
    const view = frameView(session, frameOf(frameId))
    const scope = (name: string, container: VariableContainer, hint?: string, expensive = false) => ({
      name,
      ...(hint === undefined ? {} : { presentationHint: hint }),
      variablesReference: session.variables.reference(`${frameId}/${name}`, container),
      ...(container.named === undefined ? {} : { namedVariables: container.named }),
      expensive,
    })
    const locals = localsOf(view, 'local')
    const statics = localsOf(view, 'static')
    const registers =
      view.frame.activation.by === 'start'
        ? registerScopes(session, view.id).map(group => scope(group.name, group.container, 'registers', group.rare))
        : [scope('Registers of this frame', savedRegisters(view.frame.activation), 'registers')]
    return {
      scopes: [
        ...(locals === undefined ? [] : [scope('Locals', locals, 'locals')]),
        ...(statics === undefined ? [] : [scope('Statics', statics)]),
        ...registers,
      ],
    }
  },

  variables(session, args) {
    const fields = new Fields('variables', args)
    const reference = fields.integer('variablesReference', REFERENCES)
    const container = containerAt(session, reference)
    const start = fields.optionalInteger('start', COUNTS) ?? 0
    // DAP: a count that is missing or 0 asks for all.
    const count = fields.optionalInteger('count', COUNTS) || COUNTS.most
    const filter = fields.optionalString('filter')
    if (filter === 'indexed' && container.indexed === undefined) return { variables: [] }
    const hex = wantsHex(fields)
    return {
      variables: container.nodes(start, count).map(node => variableBody(session, `${reference}`, node, hex)),
    }
  },

  setVariable(session, args, afterResponse) {
    const fields = new Fields('setVariable', args)
    const reference = fields.integer('variablesReference', REFERENCES)
    const name = fields.string('name')
    const container = containerAt(session, reference)
    const find = () => container.nodes(0, COUNTS.most).find(node => node.name === name)
    const node = find()
    if (node === undefined) throw new RequestError(`there is no variable "${name}" here`)
    if (node.assign === undefined) throw new RequestError(`"${name}" can be looked at, not set`)
    node.assign(fields.string('value'))
    // Another register, or the stack, may follow from this one.
    afterResponse(() => session.invalidated(['stacks', 'variables']))
    const { variablesReference, value, type } = variableBody(session, `${reference}`, find() ?? node, wantsHex(fields))
    return { value, variablesReference, ...(type === undefined ? {} : { type }) }
  },
}

function containerAt(session: Session, reference: number): VariableContainer {
  const container = session.variables.get(reference)
  if (container === undefined) throw new EarlierStopError('these variables belong to an earlier stop')
  return container
}

/** @param path of the container that the node is in. */
export function variableBody(session: Session, path: string, node: VariableNode, hex: boolean): DebugProtocol.Variable {
  const { name, type, evaluateName, address, children } = node
  return {
    name,
    value: hex ? (node.hexValue?.() ?? node.value) : node.value,
    ...(type === undefined ? {} : { type }),
    ...(evaluateName === undefined ? {} : { evaluateName }),
    ...(node.assign === undefined ? { presentationHint: { attributes: ['readOnly'] } } : {}),
    variablesReference: children === undefined ? 0 : session.variables.reference(`${path}/${name}`, children),
    ...(children?.named === undefined ? {} : { namedVariables: children.named }),
    ...(children?.indexed === undefined ? {} : { indexedVariables: children.indexed }),
    ...(address === undefined ? {} : { memoryReference: formatAddress(address) }),
  }
}
