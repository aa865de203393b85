/**
 * Holds messages against the Debug Adapter Protocol, by the types that its makers generate from their JSON schema
 * (`@vscode/debugprotocol`): each message is a literal in a program that the compiler checks, so that members which are
 * missing, wrong or unknown to the protocol are errors. Requests and events of our own go by `src/protocol/`.
 */

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DebugProtocol } from '@vscode/debugprotocol'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const OWN = 'ringside/'
const OWN_BODIES: Readonly<Record<string, string>> = {
  translate: 'Own.TranslateBody',
  exits: 'Own.ExitsBody',
  mappings: 'Own.MappingsBody',
  eptMappings: 'Own.MappingsBody',
  physicalMap: 'Memory.PhysicalMapBody',
  descriptorTable: 'Own.DescriptorTableBody',
  interruptControllers: 'Own.InterruptControllersBody',
  processors: 'Processors.ProcessorsBody',
  status: 'Status.StatusBody',
  setViewStops: 'Stops.SetViewStopsBody',
  timeline: 'Own.TimelineBody',
  balloon: 'Own.BalloonBody',
  virtqueues: 'Devices.VirtqueuesBody',
  ring: 'Ring.RingBody',
  traceVirtqueue: 'undefined',
  packets: 'Network.PacketsBody',
  pci: 'Devices.PciBody',
  devices: 'Devices.DevicesBody',
  consoleInput: 'undefined',
  screen: 'Screen.ScreenBody',
  keyboardInput: 'Screen.KeyboardInputBody',
  consoleOutput: 'Own.ConsoleOutputBody',
}

/** A part of a message, as JSON, and the type that it must have. */
export interface TypedText {
  readonly type: string
  readonly json: string
}

export function argumentsType(command: string): string {
  // What these have beside is the adapter's own affair, and a request of our own is checked when it comes.
  if (command === 'launch') return 'DebugProtocol.LaunchRequestArguments & Record<string, unknown>'
  if (command.startsWith(OWN)) return 'object'
  // Of breakpoints the protocol gives log messages only to those of sources.
  if (command === 'setFunctionBreakpoints')
    return '{ breakpoints: (DebugProtocol.FunctionBreakpoint & { logMessage?: string })[] }'
  return `DebugProtocol.${capitalized(command)}Request['arguments']`
}

export function bodyType(kind: 'response' | 'event', name: string): string {
  if (!name.startsWith(OWN)) return `DebugProtocol.${capitalized(name)}${capitalized(kind)}['body']`
  const type = OWN_BODIES[name.slice(OWN.length)]
  if (type === undefined) throw new Error(`what type has the body of ${name}?`)
  return type
}

/** A message as it was on the wire. */
export function typedMessage(message: DebugProtocol.ProtocolMessage): TypedText {
  return { type: messageType(message), json: JSON.stringify(message) }
}

function messageType(message: object): string {
  if ('event' in message) {
    const name = String(message.event)
    return name.startsWith(OWN)
      ? `DebugProtocol.Event & { body: ${bodyType('event', name)} }`
      : `DebugProtocol.${capitalized(name)}Event`
  }
  const name = 'command' in message ? String(message.command) : ''
  if ('request_seq' in message) {
    if (!('success' in message) || message.success !== true) return 'DebugProtocol.ErrorResponse'
    return name.startsWith(OWN)
      ? `DebugProtocol.Response & { body?: ${bodyType('response', name)} }`
      : `DebugProtocol.${capitalized(name)}Response`
  }
  return name.startsWith(OWN) || name === 'launch'
    ? `DebugProtocol.Request & { arguments?: ${argumentsType(name)} }`
    : `DebugProtocol.${capitalized(name)}Request`
}

/** The compiler's errors, empty when there are none. */
export function typeErrors(texts: readonly TypedText[]): string {
  const source = [
    "import type { DebugProtocol } from '@vscode/debugprotocol'",
    "import type * as Own from '../../src/protocol/custom-requests.ts'",
    "import type * as Memory from '../../src/protocol/memory-requests.ts'",
    "import type * as Devices from '../../src/protocol/device-requests.ts'",
    "import type * as Status from '../../src/protocol/status-request.ts'",
    "import type * as Stops from '../../src/protocol/view-stops.ts'",
    "import type * as Network from '../../src/protocol/network-requests.ts'",
    "import type * as Ring from '../../src/protocol/ring-request.ts'",
    "import type * as Processors from '../../src/protocol/processor-requests.ts'",
    "import type * as Screen from '../../src/protocol/screen-requests.ts'",
    'export type Used = [DebugProtocol.Event, Own.TranslateBody, Memory.PhysicalMapBody, Devices.PciBody, Network.PacketsBody, Processors.ProcessorsBody, Screen.ScreenBody]',
    ...texts.map(({ type, json }, i) => `export const message${i}: ${type} = ${json}`),
  ].join('\n')
  mkdirSync(join(ROOT, 'build'), { recursive: true })
  const folder = mkdtempSync(join(ROOT, 'build', 'messages-'))
  try {
    writeFileSync(join(folder, 'messages.ts'), source)
    return compile(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function compile(folder: string): string {
  const options = ['--noEmit', '--strict', '--allowImportingTsExtensions', '--skipLibCheck', '--module', 'nodenext']
  try {
    return execFileSync(
      join(ROOT, 'node_modules/.bin/tsc'),
      [...options, '--ignoreConfig', '--types', 'node', '--target', 'esnext', 'messages.ts'],
      { cwd: folder, encoding: 'utf8', stdio: 'pipe' },
    )
  } catch (error) {
    // The compiler's errors are on its standard output.
    if (error instanceof Error && 'stdout' in error) return String(error.stdout)
    throw error
  }
}

const capitalized = (name: string): string => name[0].toUpperCase() + name.slice(1)
