/** Stops at events of the machine, which DAP calls exceptions, and what the last one was. */

import { hitText } from '../../debugger/hit-text.ts'
import { explainPageFault } from '../../debugger/page-fault.ts'
import type { StopHit } from '../../debugger/stop-request.ts'
import { Fields } from '../../protocol/fields.ts'
import { describeVector, EXCEPTIONS } from '../../x86/exceptions.ts'
import { breakpointWish } from '../breakpoint-wish.ts'
import { filteredEvent } from '../event-filters.ts'
import { THREAD_IDS } from '../frame-ids.ts'
import { RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'
import { breakpointBody } from './breakpoints.ts'

export const exceptionRequests: RequestFamily = {
  setExceptionBreakpoints(session, args) {
    const fields = new Fields('setExceptionBreakpoints', args)
    const wishOf = (id: string, condition: string, limits: Fields) => {
      const { event, expression } = filteredEvent(id, condition)
      const { condition: _list, ...wish } = breakpointWish(limits, { kind: 'event', event })
      return expression === undefined ? wish : { ...wish, condition: expression }
    }
    const wishes = [
      ...fields.strings('filters').map(id => wishOf(id, '', new Fields('filter', {}))),
      ...fields
        .list('filterOptions')
        .map(item => wishOf(item.string('filterId'), item.optionalString('condition') ?? '', item)),
    ]
    return { breakpoints: session.debugger.setBreakpoints('events', wishes).map(breakpointBody) }
  },

  exceptionInfo(session, args) {
    new Fields('exceptionInfo', args).integer('threadId', THREAD_IDS)
    const { state } = session.debugger.target
    if (state.kind !== 'stopped') throw new RequestError('the guest does not stand still')
    const { stop } = state
    const hit = stop.hits?.find(({ kind }) => kind !== 'code' && kind !== 'data' && kind !== 'host-change')
    if (hit === undefined) {
      if (stop.reason !== 'shutdown') throw new RequestError('the last stop was at no event')
      return { exceptionId: 'shutdown', description: stop.text, breakMode: 'unhandled' }
    }
    const { symbols } = session.debugger
    const text = hitText(hit, address => symbols.describe(address))
    const why = whyOf(session, hit, stop.vcpu)
    return {
      exceptionId: eventName(hit),
      description: why === undefined ? text : `${text}; ${why}`,
      breakMode: 'always',
      ...(hit.kind === 'exception'
        ? { details: { typeName: describeVector(hit.vector), ...(why === undefined ? {} : { message: why }) } }
        : {}),
    }
  },
}

/** Of a page fault: what the tables say. */
function whyOf(session: Session, hit: StopHit, vcpu: number): string | undefined {
  if (hit.kind !== 'exception' || hit.address === undefined || hit.errorCode === undefined) return undefined
  const { target } = session.debugger
  return explainPageFault(target.machine, session.debugger.vcpu(vcpu), hit.address, hit.errorCode)
}

function eventName(hit: StopHit): string {
  if (hit.kind !== 'exception') return hit.kind
  return EXCEPTIONS.find(({ vector }) => vector === hit.vector)?.mnemonic ?? `vector ${hit.vector}`
}
