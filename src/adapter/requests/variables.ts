/** Scopes of a frame are groups of registers; control registers and segments open into their fields. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import type { RegisterNode } from '../../inspect/register-node.ts'
import { formatAddress } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import { RequestError, type RequestFamily, THREAD_IDS, vcpuOf } from '../request.ts'
import type { Session } from '../session.ts'

const REFERENCES = { least: 1, most: 2 ** 31 - 1 }

export const variableRequests: RequestFamily = {
  scopes(session, args) {
    const frameId = new Fields('scopes', args).integer('frameId', THREAD_IDS)
    const groups = session.debugger.registers(vcpuOf(frameId))
    const scopes = groups.map(group => ({
      name: group.name,
      presentationHint: 'registers',
      variablesReference: session.variables.create(group.nodes()),
      namedVariables: group.nodes().length,
      expensive: false,
    }))
    return { scopes }
  },

  variables(session, args) {
    const fields = new Fields('variables', args)
    const nodes = session.variables.get(fields.integer('variablesReference', REFERENCES))
    if (nodes === undefined) throw new RequestError('these variables belong to an earlier stop')
    const start = fields.optionalInteger('start', { least: 0, most: REFERENCES.most }) ?? 0
    // DAP: a count that is missing or 0 asks for all.
    const count = fields.optionalInteger('count', { least: 0, most: REFERENCES.most }) || nodes.length
    return { variables: nodes.slice(start, start + count).map(node => variable(session, node)) }
  },
}

function variable(session: Session, node: RegisterNode): DebugProtocol.Variable {
  return {
    name: node.name,
    value: node.value,
    ...(node.meaning === undefined ? {} : { type: node.meaning }),
    variablesReference: node.children === undefined ? 0 : session.variables.create(node.children),
    ...(node.address === undefined ? {} : { memoryReference: formatAddress(node.address) }),
  }
}
