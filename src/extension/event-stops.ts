/** Stops at events of the machine, set from views, by filter: at VM exits of a reason, at steps of a virtqueue. */

import type { GuestSession } from './adapter-line/adapter-lines.ts'
import type { ViewStops } from './view-stops.ts'

/** A stop by a filter of the adapter's: `exit` with `hlt`, `virtqueue` with `kick virtio-blk0 0`. */
export interface EventStop {
  readonly filterId: string
  readonly condition: string
}

export class EventStops {
  readonly #stops: ViewStops

  constructor(stops: ViewStops) {
    this.#stops = stops
  }

  /** Conditions of the stops by a filter of the adapter's, such as the reasons of `exit`. */
  of(session: GuestSession, filterId: string): ReadonlySet<string> {
    const stops = this.#stops.of(session).map(({ stop }) => stop)
    return new Set(stops.flatMap(stop => (stop.kind === 'event' && stop.filterId === filterId ? [stop.condition] : [])))
  }

  /** Sets or removes a stop; rejects with the adapter's message. */
  toggle(session: GuestSession, stop: EventStop): Promise<void> {
    return this.#stops.toggle(session, { kind: 'event', ...stop })
  }
}
