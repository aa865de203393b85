/** What a client said in `initialize` that it understands. */

import { Fields } from '../protocol/fields.ts'

export interface ClientFeatures {
  /** `invalidated` events. */
  readonly invalidated: boolean
  /** `memory` events. */
  readonly memory: boolean
  /** Progress events. */
  readonly progress: boolean
}

export const NO_FEATURES: ClientFeatures = { invalidated: false, memory: false, progress: false }

/** Throws `ArgumentError`. */
export function clientFeatures(args: unknown): ClientFeatures {
  const fields = new Fields('initialize', args ?? {})
  return {
    invalidated: fields.boolean('supportsInvalidatedEvent', false),
    memory: fields.boolean('supportsMemoryEvent', false),
    progress: fields.boolean('supportsProgressReporting', false),
  }
}
