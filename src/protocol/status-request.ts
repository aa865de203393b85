/** The custom request about how far the guest is: small enough to be asked every second while it runs. */

import { Fields } from './fields.ts'

export const STATUS = 'ringside/status'

/** Thread ids of DAP are vCPU numbers plus one. */
const MOST_THREADS = 4096

export interface StatusArguments {
  /** Whose process is wanted; default: the thread that stopped last. */
  readonly threadId?: number
}

export interface StatusBody {
  /** Instructions that the guest has retired. */
  readonly instructions: number
  readonly running: boolean
  /** The task of a Linux kernel whose symbols and types are known; not while it runs. */
  readonly process?: { readonly name: string; readonly pid: number }
}

export function parseStatusArguments(value: unknown): StatusArguments {
  const threadId = new Fields(STATUS, value ?? {}).optionalInteger('threadId', { least: 1, most: MOST_THREADS })
  return threadId === undefined ? {} : { threadId }
}
