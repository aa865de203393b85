/** What the client tells the server beside the protocol: trust, and settings. */

export interface ServerOptions {
  /** Whether programs may run for this workspace: the user trusts it. */
  readonly trusted: boolean
  /** Whether to check with `nasm` and `as`. */
  readonly assembler: boolean
  /** Whether to show addresses and bytes behind the code. */
  readonly encodedBytes: boolean
}

/** The notification by which the client sends new options, such as after trust was granted. */
export const SETTINGS = 'ringside/options'

/** What is missing or of a wrong type is off, so that nothing runs by mistake. */
export function parseOptions(value: unknown): ServerOptions {
  const on = (name: string): boolean =>
    typeof value === 'object' && value !== null && new Map<string, unknown>(Object.entries(value)).get(name) === true
  return { trusted: on('trusted'), assembler: on('assembler'), encodedBytes: on('encodedBytes') }
}
