/** Requests of our own beside those of the Debug Adapter Protocol, with their arguments checked. */

import type { Address } from '../inspect/address.ts'
import type { AccessKind, Translation } from '../inspect/translation.ts'
import { parseAddress } from './address.ts'
import { Fields } from './fields.ts'
import type { OnWire } from './on-wire.ts'

/** How a linear address becomes a host-physical one, step by step. */
export const TRANSLATE = 'ringside/translate'
/** Exits from the guest to the hypervisor: the last ones and totals. */
export const EXITS = 'ringside/exits'
/** Text for the guest's serial console. */
export const CONSOLE_INPUT = 'ringside/consoleInput'
/** An event: text from the guest's serial console, for a client that has a terminal for it (`console` of `launch`). */
export const CONSOLE_OUTPUT = 'ringside/consoleOutput'

/** Thread ids of DAP are vCPU numbers plus one: ids must be positive. */
const MOST_THREADS = 4096

export interface TranslateArguments {
  /** Default: the thread that stopped last. */
  readonly threadId?: number
  /** `0x…` or `cr3=0x…:0x…` (`address.ts`). */
  readonly address: Address
  /** The access whose permissions are checked; default `read`. */
  readonly access: AccessKind
}

/** Body of the response; bigints are strings such as `0x1000`. */
export type TranslateBody = OnWire<Translation>

export interface ExitsArguments {
  /** How many of the last exits; default 20, at most {@link MOST_RECENT_EXITS}. */
  readonly recent: number
  /** How many of the addresses with most exits; default 10. */
  readonly addresses: number
}

export interface ExitsBody {
  /** Instructions that the guest has retired. */
  readonly instructions: number
  readonly total: number
  /** Most frequent first. */
  readonly byReason: readonly { readonly reason: string; readonly count: number }[]
  /** Oldest first. */
  readonly recent: readonly ExitBody[]
  readonly byAddress: readonly { readonly address: string; readonly symbol?: string; readonly count: number }[]
}

export interface ExitBody {
  readonly instructions: number
  readonly vcpu: number
  readonly reason: string
  readonly detail: string
  readonly rip: string
  /** The function that RIP lies in. */
  readonly symbol?: string
  /** Guest-physical, for EPT exits. */
  readonly gpa?: string
}

export interface ConsoleInputArguments {
  readonly text: string
}

export interface ConsoleOutputBody {
  /** As the guest sent it: control sequences are for a terminal. */
  readonly text: string
}

export const MOST_RECENT_EXITS = 4096

export function parseTranslateArguments(value: unknown): TranslateArguments {
  const fields = new Fields(TRANSLATE, value)
  const threadId = fields.optionalInteger('threadId', { least: 1, most: MOST_THREADS })
  return {
    ...(threadId === undefined ? {} : { threadId }),
    address: parseAddress(fields.string('address')),
    access: fields.oneOf('access', ['read', 'write', 'execute'], 'read'),
  }
}

export function parseExitsArguments(value: unknown): ExitsArguments {
  const fields = new Fields(EXITS, value ?? {})
  return {
    recent: fields.optionalInteger('recent', { least: 0, most: MOST_RECENT_EXITS }) ?? 20,
    addresses: fields.optionalInteger('addresses', { least: 0, most: MOST_RECENT_EXITS }) ?? 10,
  }
}

export function parseConsoleInputArguments(value: unknown): ConsoleInputArguments {
  return { text: new Fields(CONSOLE_INPUT, value).string('text') }
}

/** The body of a {@link CONSOLE_OUTPUT} event. Throws `ArgumentError`. */
export function parseConsoleOutputBody(value: unknown): ConsoleOutputBody {
  return { text: new Fields(CONSOLE_OUTPUT, value).string('text') }
}
