/** Going on elsewhere: the next instruction is set, nothing in between is executed. */

import { writeRegister } from '../../debugger/write-register.ts'
import { codeBase } from '../../inspect/cpu-mode.ts'
import { hex } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import { THREAD_IDS, vcpuOf } from '../frame-ids.ts'
import { COUNTS, RequestError, type RequestFamily } from '../request.ts'

export const gotoRequests: RequestFamily = {
  gotoTargets(session, args) {
    const fields = new Fields('gotoTargets', args)
    const path = new Fields('gotoTargets: "source"', fields.raw('source') ?? {}).optionalString('path')
    const line = fields.integer('line', COUNTS)
    if (path === undefined) return { targets: [] }
    const found = session.debugger.symbols.breakpointsAt(session.sources.compiled(path), line)
    const targets = (found?.places ?? []).map(place => ({
      id: session.targetId(place.address),
      label: session.debugger.symbols.describe(place.address) ?? hex(place.address),
      line: place.line,
      ...(place.column === 0 ? {} : { column: place.column }),
      instructionPointerReference: hex(place.address),
    }))
    return { targets }
  },

  goto(session, args, afterResponse) {
    const fields = new Fields('goto', args)
    const vcpu = session.debugger.vcpu(vcpuOf(fields.integer('threadId', THREAD_IDS)))
    const address = session.targetAddress(fields.integer('targetId', COUNTS))
    if (address === undefined) throw new RequestError('goto: this target belongs to an earlier stop')
    writeRegister(session.debugger.target, vcpu, 'rip', BigInt.asUintN(64, address - codeBase(vcpu)))
    session.debugger.changed()
    session.resumed()
    afterResponse(() =>
      session.event('stopped', {
        reason: 'goto',
        description: 'Set to another instruction',
        threadId: vcpu.index + 1,
        allThreadsStopped: true,
      }),
    )
    return undefined
  },
}
