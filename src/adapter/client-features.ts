/** What a client said in `initialize` that it understands. */

import { Fields } from '../protocol/fields.ts'

export interface ClientFeatures {
  /** `invalidated` events. */
  readonly invalidated: boolean
  /** `memory` events. */
  readonly memory: boolean
  /** Progress events. */
  readonly progress: boolean
  /**
   * VS Code selects no frame, and shows nothing, where the innermost frames have no source, unless the reason of the
   * stop is a breakpoint at an instruction: then it turns to disassembly.
   */
  readonly disassemblesAtInstructionBreakpoints: boolean
}

export const NO_FEATURES: ClientFeatures = {
  invalidated: false,
  memory: false,
  progress: false,
  disassemblesAtInstructionBreakpoints: false,
}

/** Throws `ArgumentError`. */
export function clientFeatures(args: unknown): ClientFeatures {
  const fields = new Fields('initialize', args ?? {})
  return {
    invalidated: fields.boolean('supportsInvalidatedEvent', false),
    memory: fields.boolean('supportsMemoryEvent', false),
    progress: fields.boolean('supportsProgressReporting', false),
    disassemblesAtInstructionBreakpoints: fields.optionalString('clientID') === 'vscode',
  }
}
