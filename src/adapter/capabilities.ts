/** What the adapter announces: what it has, as far as the target has it too. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import type { TargetCapabilities } from '../debugger/target.ts'
import { BREAKPOINT_MODES } from './breakpoint-wish.ts'
import { exceptionFilters } from './event-filters.ts'

/** What does not depend on a target. */
const ADAPTER: DebugProtocol.Capabilities = {
  supportsConfigurationDoneRequest: true,
  supportsSteppingGranularity: true,
  supportsReadMemoryRequest: true,
  supportsDisassembleRequest: true,
  supportsEvaluateForHovers: true,
  supportsCompletionsRequest: true,
  completionTriggerCharacters: ['$', '.'],
  supportsValueFormattingOptions: true,
  supportsModulesRequest: true,
  supportsLoadedSourcesRequest: true,
  supportsBreakpointLocationsRequest: true,
  supportsDelayedStackTraceLoading: true,
  supportsTerminateRequest: true,
  supportsCancelRequest: true,
}

export function capabilities(target: TargetCapabilities): DebugProtocol.Capabilities {
  return {
    ...ADAPTER,
    supportsFunctionBreakpoints: target.linearBreakpoints,
    supportsInstructionBreakpoints: target.linearBreakpoints,
    supportsConditionalBreakpoints: target.stopConditions,
    supportsHitConditionalBreakpoints: target.stopConditions,
    supportsLogPoints: target.stopConditions,
    supportsDataBreakpoints: target.stops.has('data'),
    supportsDataBreakpointBytes: target.stops.has('data'),
    breakpointModes: BREAKPOINT_MODES,
    exceptionBreakpointFilters: exceptionFilters(target),
    supportsExceptionFilterOptions: true,
    supportsExceptionInfoRequest: true,
    supportsStepInTargetsRequest: target.steps.has('to'),
    supportsRestartRequest: target.restarts,
    supportsGotoTargetsRequest: target.writes,
    supportsSetVariable: target.writes,
    supportsSetExpression: target.writes,
    supportsWriteMemoryRequest: target.writes,
  }
}
