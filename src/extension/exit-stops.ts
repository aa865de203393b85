/** Stops at VM exits by reason, as the views of exits set them. */

import type * as vscode from 'vscode'
import type { EventStops } from './event-stops.ts'

const FILTER = 'exit'

export class ExitStops {
  readonly #stops: EventStops

  constructor(stops: EventStops) {
    this.#stops = stops
  }

  of(session: vscode.DebugSession): ReadonlySet<string> {
    return this.#stops.of(session, FILTER)
  }

  /** Sets or removes a stop; rejects with the adapter's message. */
  toggle(session: vscode.DebugSession, reason: string): Promise<void> {
    return this.#stops.toggle(session, { filterId: FILTER, condition: reason })
  }
}
