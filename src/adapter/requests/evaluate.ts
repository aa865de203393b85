/** Expressions over registers, symbols and memory, and the commands of the debug console. */

import { writeMemory } from '../../debugger/write-memory.ts'
import { writeRegister } from '../../debugger/write-register.ts'
import { hex } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import { FRAME_IDS, type FrameId, frameOf } from '../frame-ids.ts'
import { runCommand } from '../repl/repl.ts'
import { RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'
import { wantsHex } from '../value-format.ts'

const REGISTER = /^\$([a-z_][a-z0-9_]*)(?:\.(\w+))?$/i
const MEMORY = /^\*\s*(?:\(\s*(u8|u16|u32|u64)\s*\*\s*\))?(.+)$/s
const MEMORY_BYTES: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, u64: 8 }

export const evaluateRequests: RequestFamily = {
  evaluate(session, args) {
    const fields = new Fields('evaluate', args)
    const frame = frameIn(session, fields)
    const expression = fields.string('expression')
    wantsHex(fields)
    if (fields.optionalString('context') === 'repl') {
      const text = runCommand(session, frame, expression)
      if (text !== undefined) return { result: text, variablesReference: 0 }
    }
    return valueBody(session, session.debugger.evaluate(frame.vcpu, expression))
  },

  setExpression(session, args, afterResponse) {
    const fields = new Fields('setExpression', args)
    const frame = frameIn(session, fields)
    const expression = fields.string('expression').trim()
    const value = session.debugger.evaluate(frame.vcpu, fields.string('value'))
    const vcpu = session.debugger.vcpu(frame.vcpu)
    const register = REGISTER.exec(expression)
    const memory = MEMORY.exec(expression)
    if (register !== null) {
      writeRegister(session.debugger.target, vcpu, register[1].toLowerCase(), value, register[2])
      afterResponse(() => session.invalidated(['stacks', 'variables']))
    } else if (memory !== null) {
      const length = MEMORY_BYTES[memory[1] ?? 'u64']
      const address = { space: 'linear', address: session.debugger.evaluate(frame.vcpu, memory[2]) } as const
      const bytes = Uint8Array.from({ length }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn))
      writeMemory(session.debugger.target, vcpu, address, bytes)
      afterResponse(() => session.memoryChanged(address, length))
    } else throw new RequestError(`"${expression}" can't be set: name a register ($rax) or memory (*(u32*)address)`)
    const { result, ...body } = valueBody(session, session.debugger.evaluate(frame.vcpu, expression))
    return { ...body, value: result }
  },
}

function frameIn(session: Session, fields: Fields): FrameId {
  const frameId = fields.optionalInteger('frameId', FRAME_IDS)
  return frameId === undefined ? { vcpu: session.debugger.focus, depth: 0 } : frameOf(frameId)
}

function valueBody(session: Session, value: bigint) {
  const symbol = session.debugger.symbols.describe(value)
  return {
    result: symbol === undefined ? hex(value) : `${hex(value)} <${symbol}>`,
    type: 'u64',
    variablesReference: 0,
    memoryReference: hex(value),
  }
}
