/** Going on, stopping, stepping. */

import type { SourceStepOptions } from '../../debugger/stepping.ts'
import { Fields } from '../../protocol/fields.ts'
import { FRAME_IDS, frameOf, THREAD_IDS, vcpuOf } from '../frame-ids.ts'
import { COUNTS, RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

/** Instructions of a line that are looked at for calls. */
const MOST_INSTRUCTIONS = 256

export const runControlRequests: RequestFamily = {
  continue(session, args) {
    new Fields('continue', args).integer('threadId', THREAD_IDS)
    session.debugger.resume()
    session.resumed()
    return { allThreadsContinued: true }
  },

  pause(session) {
    session.debugger.pause()
    return undefined
  },

  next: (session, args) => step(session, new Fields('next', args), 'over'),
  stepOut: (session, args) => step(session, new Fields('stepOut', args), 'out'),

  stepIn(session, args) {
    const fields = new Fields('stepIn', args)
    const targetId = fields.optionalInteger('targetId', COUNTS)
    if (targetId === undefined) return step(session, fields, 'into')
    const address = session.targetAddress(targetId)
    if (address === undefined) throw new RequestError('stepIn: this target belongs to an earlier stop')
    session.debugger.runTo(vcpuOf(fields.integer('threadId', THREAD_IDS)), address)
    session.resumed()
    return undefined
  },

  /** The calls that are left of the line, or the one at the instruction pointer. */
  stepInTargets(session, args) {
    const { vcpu, depth } = frameOf(new Fields('stepInTargets', args).integer('frameId', FRAME_IDS))
    const [frame] = session.debugger.stack(vcpu).frames(depth, 1)
    if (frame === undefined || depth > 0) return { targets: [] }
    const end = session.debugger.symbols.lineAt(frame.pc)?.high ?? frame.pc + 1n
    const code = session.debugger.disassemble(vcpu, { space: 'linear', address: frame.pc }, 0, MOST_INSTRUCTIONS)
    const called = code
      .filter(({ address }) => address < end)
      .map(({ text }) => /^call 0x([0-9a-f]+)(?![0-9a-f:])/.exec(text)?.[1])
      .filter(digits => digits !== undefined)
    const targets = [...new Set(called)].map(digits => {
      const address = BigInt(`0x${digits}`)
      return { id: session.targetId(address), label: session.debugger.symbols.describe(address) ?? `0x${digits}` }
    })
    return { targets }
  },
}

function step(session: Session, fields: Fields, kind: SourceStepOptions['kind']): undefined {
  const vcpu = vcpuOf(fields.integer('threadId', THREAD_IDS))
  // A step without granularity is one by statement (DAP), but whoever does not ask for statements means lines.
  const granularity = fields.oneOf('granularity', ['statement', 'line', 'instruction'], 'line')
  session.debugger.step({ vcpu, kind, granularity })
  session.resumed()
  return undefined
}
