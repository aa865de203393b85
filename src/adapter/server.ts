/** The debug adapter: a DAP server on a pair of streams, or on whatever carries messages. */

import type { Readable, Writable } from 'node:stream'
import { FramedStreams } from './framed-streams.ts'
import type { RequestFamily, RequestHandler } from './request.ts'
import { balloonRequests } from './requests/balloon.ts'
import { breakpointRequests } from './requests/breakpoints.ts'
import { completionRequests } from './requests/completions.ts'
import { consoleRequests } from './requests/console.ts'
import { dataBreakpointRequests } from './requests/data-breakpoints.ts'
import { deviceRequests } from './requests/devices.ts'
import { disassemblyRequests } from './requests/disassembly.ts'
import { evaluateRequests } from './requests/evaluate.ts'
import { exceptionRequests } from './requests/exceptions.ts'
import { exitRequests } from './requests/exits.ts'
import { gotoRequests } from './requests/goto.ts'
import { inspectionRequests } from './requests/inspection.ts'
import { lifecycleRequests } from './requests/lifecycle.ts'
import { memoryRequests } from './requests/memory.ts'
import { networkRequests } from './requests/network.ts'
import { processorRequests } from './requests/processors.ts'
import { ringRequests } from './requests/ring.ts'
import { runControlRequests } from './requests/run-control.ts'
import { screenRequests } from './requests/screen.ts'
import { sourceRequests } from './requests/sources.ts'
import { statusRequests } from './requests/status.ts'
import { threadRequests } from './requests/threads-stack.ts'
import { timelineRequests } from './requests/timeline.ts'
import { translateRequests } from './requests/translate.ts'
import { variableRequests } from './requests/variables.ts'
import { viewStopRequests } from './requests/view-stops.ts'
import { type Launcher, Session } from './session.ts'
import type { Transport } from './transport.ts'

const FAMILIES: readonly RequestFamily[] = [
  lifecycleRequests,
  breakpointRequests,
  dataBreakpointRequests,
  exceptionRequests,
  runControlRequests,
  threadRequests,
  gotoRequests,
  sourceRequests,
  variableRequests,
  memoryRequests,
  disassemblyRequests,
  evaluateRequests,
  completionRequests,
  translateRequests,
  inspectionRequests,
  processorRequests,
  exitRequests,
  timelineRequests,
  deviceRequests,
  networkRequests,
  ringRequests,
  consoleRequests,
  screenRequests,
  balloonRequests,
  viewStopRequests,
  statusRequests,
]

const HANDLERS = new Map<string, RequestHandler>(FAMILIES.flatMap(family => Object.entries(family)))

/** Every request that is served. */
export const COMMANDS: readonly string[] = [...HANDLERS.keys()]

/** Serves one client. Resolves when the conversation is over. */
export function serve(input: Readable, output: Writable, launcher: Launcher): Promise<void> {
  return serveOver(new FramedStreams(input, output), launcher)
}

/** As {@link serve}, over another transport. */
export function serveOver(transport: Transport, launcher: Launcher): Promise<void> {
  return new Session(HANDLERS, launcher, transport).closed
}
