/** Stops that views set: a group of their own, so that those of the client and these replace nothing of each other. */

import type { BreakpointWish } from '../../debugger/breakpoints.ts'
import {
  type ParsedViewStop,
  parseSetViewStopsArguments,
  SET_VIEW_STOPS,
  type SetViewStopsBody,
} from '../../protocol/view-stops.ts'
import { filteredEvent } from '../event-filters.ts'
import type { RequestFamily } from '../request.ts'

export const viewStopRequests: RequestFamily = {
  [SET_VIEW_STOPS](session, args): SetViewStopsBody {
    const wishes = parseSetViewStopsArguments(args).map(wishOf)
    return {
      stops: session.debugger.setBreakpoints('views', wishes).map(({ id, resolved, message }) => ({
        ...{ id, verified: resolved },
        ...(message === undefined ? {} : { message }),
      })),
    }
  },
}

function wishOf(stop: ParsedViewStop): BreakpointWish {
  switch (stop.kind) {
    case 'event': {
      const { event, expression } = filteredEvent(stop.filterId, stop.condition)
      return { place: { kind: 'event', event }, ...(expression === undefined ? {} : { condition: expression }) }
    }
    case 'change': {
      const { address, length, name } = stop
      return { name, place: { kind: 'data', address, length, access: 'change' } }
    }
    case 'code':
      return { name: stop.name, place: { kind: 'address', address: stop.address } }
  }
}
