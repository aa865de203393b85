/** What every family of requests is made of. */

import type { Progress } from './progress.ts'
import type { Session } from './session.ts'

/** A request that can't be served; the message is for the person at the client. */
export class RequestError extends Error {}

/**
 * A frame or variables of an earlier stop were asked for. A client that asked just before the guest went on, or before a
 * register was set, does so rightly and asks again by itself: people need not hear of it.
 */
export class EarlierStopError extends RequestError {}

/** Does something right after the response has been sent: for events that the protocol wants behind it. */
export type AfterResponse = (action: () => void) => void

/** Answers one request; what may take long tells of its progress: the body of its response, or an exception whose message becomes the error response. */
export type RequestHandler = (
  session: Session,
  args: unknown,
  afterResponse: AfterResponse,
  progress: Progress,
) => object | undefined | Promise<object | undefined>

/** Handlers by command. */
export type RequestFamily = Readonly<Record<string, RequestHandler>>

/** Bounds of what one request may ask for. */
export const LARGEST_READ = 16 * 2 ** 20
export const MOST_INSTRUCTIONS = 65536

export const OFFSETS = { least: -(2 ** 40), most: 2 ** 40 }
/** Variable references, counts and indices of DAP are at most 2^31 - 1. */
export const COUNTS = { least: 0, most: 2 ** 31 - 1 }
export const REFERENCES = { least: 1, most: COUNTS.most }
