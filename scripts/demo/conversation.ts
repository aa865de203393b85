/** A conversation with the adapter that is printed as it happens, and ends with an error when it goes another way. */

import { readFileSync } from 'node:fs'
import { basename, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DebugProtocol } from '@vscode/debugprotocol'
import {
  CONSOLE_INPUT,
  EXITS,
  type ExitsBody,
  TRANSLATE,
  type TranslateBody,
} from '../../src/protocol/custom-requests.ts'
import { DapClient } from '../dap-client.ts'
import type { Page } from './page.ts'
import { entriesRead, type TableOptions, translationTable } from './translation-table.ts'

const RINGSIDE = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const THREAD = 1
const FRAME = 1
const PLAIN_IN_LINE = 4
/** Milliseconds until the guest must have stopped or ended. */
const LIMIT = 240_000

/** Something that the demo promises to show did not happen; the message says what. */
export class DemoError extends Error {}

export function check(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new DemoError(otherwise)
}

export class Conversation {
  readonly page: Page
  readonly #client: DapClient
  /** The scopes that were printed last: they are the same at most stops. */
  #scopes = ''

  /** Starts `ringside dap` as an editor does: a process that speaks on its standard input and output. */
  constructor(page: Page) {
    this.page = page
    this.#client = DapClient.spawn(process.execPath, [RINGSIDE, 'dap'])
    this.#client.onMessage = message => {
      if ('event' in message && message.event === 'output' && message.body.category === 'stdout')
        page.console(message.body.output)
    }
  }

  /** All that the guest has written. */
  get console(): string {
    return this.#client.output.stdout ?? ''
  }

  close(): Promise<void> {
    return this.#client.close()
  }

  async launch(args: object): Promise<void> {
    await this.#ask('initialize', { adapterID: 'ringside', clientID: 'demo' })
    await this.#ask('launch', args)
    await this.#client.event('initialized')
    this.page.answered('initialized: breakpoints may be set')
  }

  async breakAtFunctions(names: readonly string[]): Promise<DebugProtocol.Breakpoint[]> {
    const { breakpoints } = await this.#ask<{ breakpoints: DebugProtocol.Breakpoint[] }>('setFunctionBreakpoints', {
      breakpoints: names.map(name => ({ name })),
    })
    for (const [i, { id, instructionReference, message }] of breakpoints.entries())
      this.page.answered(
        `breakpoint ${id}: ${names[i]} ${instructionReference ? `at ${instructionReference}` : `(${message})`}`,
      )
    return breakpoints
  }

  /**
   * Replaces the breakpoints of a source file.
   * @param statements text of each line, so that the demo follows the source when it changes.
   */
  async breakAtLines(file: string, statements: readonly string[]): Promise<void> {
    const source = sourceLines(file)
    const lines = statements.map(statement => source.findIndex(line => line.includes(statement)) + 1)
    const { breakpoints } = await this.#ask<{ breakpoints: DebugProtocol.Breakpoint[] }>('setBreakpoints', {
      source: { path: relative(process.cwd(), file) },
      breakpoints: lines.map(line => ({ line })),
    })
    for (const [i, { id, verified, line, instructionReference, message }] of breakpoints.entries()) {
      const place = `${basename(file)}:${lines[i]}`
      check(verified && line === lines[i], `${place} (${statements[i]}) was to be a place to stop at: ${message}`)
      this.page.answered(`breakpoint ${id}: ${place} at ${instructionReference}`)
    }
  }

  /** Replaces the breakpoints at addresses: none without an address. */
  async breakAtAddresses(addresses: readonly string[]): Promise<void> {
    await this.#ask('setInstructionBreakpoints', {
      breakpoints: addresses.map(instructionReference => ({ instructionReference })),
    })
  }

  /** Breakpoints are set: the guest may start. It stops before its first instruction if that was asked for. */
  async configurationDone(): Promise<void> {
    await this.#ask('configurationDone')
  }

  /** Lets the guest run to a breakpoint at a function. */
  async continueTo(functionName: string): Promise<DebugProtocol.StackFrame> {
    await this.#ask('continue', { threadId: THREAD })
    await this.stopped('breakpoint')
    const frame = await this.frame()
    check(frame.name === functionName, `the guest was to stop at ${functionName}, but stopped at ${frame.name}`)
    return frame
  }

  /** Lets the guest run to a breakpoint at an address. */
  async continueToAddress(address: string): Promise<void> {
    await this.#ask('continue', { threadId: THREAD })
    await this.stopped('breakpoint')
    const { instructionPointerReference: rip } = await this.frame()
    check(rip === address, `the guest was to stop at ${address}, but stopped at ${rip}`)
  }

  async continueToEnd(): Promise<void> {
    await this.#ask('continue', { threadId: THREAD })
    await this.ended()
  }

  /** Lets the guest run until its console shows `text`. */
  async continueToConsole(text: string): Promise<void> {
    await this.#ask('continue', { threadId: THREAD })
    await this.#client.consoleShows(text, LIMIT)
  }

  /** Lets the guest run to an event that it was told to stop at. */
  async continueToEvent(): Promise<DebugProtocol.StackFrame> {
    await this.#ask('continue', { threadId: THREAD })
    await this.stopped('exception')
    return this.frame()
  }

  async stopAtPageFaults(): Promise<void> {
    await this.#ask('setExceptionBreakpoints', {
      filters: [],
      filterOptions: [{ filterId: 'exception', condition: '#PF' }],
    })
  }

  /** What the last event was, and why. */
  async explain(): Promise<string> {
    const { description } = await this.#ask<{ description: string }>('exceptionInfo', { threadId: THREAD })
    this.page.answered(`  ${description}`)
    return description
  }

  /** The mode of the CPU, in one line. */
  async modeLine(): Promise<string> {
    const { result } = await this.#ask<{ result: string }>('evaluate', { expression: 'mode', context: 'repl' })
    this.page.answered(`  ${result}`)
    return result
  }

  async writeMemory(memoryReference: string, bytes: Uint8Array): Promise<void> {
    const data = Buffer.from(bytes).toString('base64')
    const { bytesWritten } = await this.#ask<{ bytesWritten: number }>('writeMemory', { memoryReference, data })
    this.page.answered(`  ${bytesWritten} bytes written`)
  }

  async setExpression(expression: string, value: string): Promise<void> {
    const args = { expression, value, frameId: FRAME, format: { hex: true } }
    this.page.answered(`  ${(await this.#ask<{ value: string }>('setExpression', args)).value}`)
  }

  async stopped(reason: string): Promise<void> {
    const { event, body } = await this.#client.nextOf(['stopped', 'terminated'], LIMIT)
    check(event === 'stopped', `the guest was to stop (${reason}), but it ended`)
    check(body.reason === reason, `the guest was to stop for the reason ${reason}, but the reason is ${body.reason}`)
    const [hit] = body.hitBreakpointIds ?? []
    this.page.answered(`stopped: ${reason}${hit === undefined ? '' : ` ${hit}`}`)
  }

  async ended(): Promise<void> {
    const { exitCode } = await this.#client.event<{ exitCode: number }>('exited', () => true, LIMIT)
    check(exitCode === 0, `the guest was to end with status 0, but the status is ${exitCode}`)
    await this.#client.event('terminated', () => true, LIMIT)
    const said = (this.#client.output.console ?? '').trim()
    this.page.answered(`exited: status ${exitCode}. ${said}`, 'terminated')
  }

  /** One of the adapter's breakpoints became known while the guest ran. */
  async breakpointResolved(): Promise<void> {
    const { breakpoint } = await this.#client.event<DebugProtocol.BreakpointEvent['body']>('breakpoint')
    check(breakpoint.verified, `breakpoint ${breakpoint.id} is still not verified: ${breakpoint.message}`)
    this.page.answered(`breakpoint ${breakpoint.id} is now at ${breakpoint.instructionReference}`)
  }

  async step(
    command: 'stepIn' | 'next' | 'stepOut',
    granularity: DebugProtocol.SteppingGranularity,
  ): Promise<DebugProtocol.StackFrame> {
    await this.#ask(command, { threadId: THREAD, granularity })
    await this.stopped('step')
    return this.frame()
  }

  async frame(): Promise<DebugProtocol.StackFrame> {
    const { stackFrames } = await this.#ask<{ stackFrames: DebugProtocol.StackFrame[] }>('stackTrace', {
      threadId: THREAD,
    })
    const [frame] = stackFrames
    check(frame !== undefined, 'the stack has no frame')
    this.page.answered(`frame ${frame.id}: ${frame.name} at ${placeOf(frame)}`)
    if (frame.source?.path !== undefined)
      this.page.source(frame.line, sourceLines(frame.source.path)[frame.line - 1] ?? '')
    return frame
  }

  /** The whole stack, innermost frame first. */
  async stack(): Promise<readonly DebugProtocol.StackFrame[]> {
    const { stackFrames } = await this.#ask<{ stackFrames: DebugProtocol.StackFrame[] }>('stackTrace', {
      threadId: THREAD,
    })
    const width = Math.max(...stackFrames.map(({ name }) => name.length))
    this.page.answered(...stackFrames.map(frame => `  ${frame.name.padEnd(width)}  ${placeOf(frame)}`))
    return stackFrames
  }

  /**
   * Prints the registers, or variables, of the scopes named, and returns them all. Variables are in hexadecimal.
   * @param only names of those to print; default all.
   */
  async registers(groups: readonly string[], only?: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const { scopes } = await this.#ask<{ scopes: DebugProtocol.Scope[] }>('scopes', { frameId: FRAME })
    const names = scopes.map(({ name }) => name).join(', ')
    if (names !== this.#scopes) this.page.answered(names)
    this.#scopes = names
    const values = new Map<string, string>()
    for (const group of groups) {
      const scope = scopes.find(({ name }) => name === group)
      check(scope !== undefined, `there is no scope "${group}"`)
      const { variables } = await this.#ask<{ variables: DebugProtocol.Variable[] }>('variables', {
        variablesReference: scope.variablesReference,
        ...(group === 'Locals' ? { format: { hex: true } } : {}),
      })
      for (const { name, value } of variables) values.set(name, value)
      this.page.answered(...registerLines(variables.filter(({ name }) => only?.includes(name) ?? true)))
    }
    return values
  }

  /** CPU mode, CPL and paging, of which one line is printed. */
  mode(): Promise<ReadonlyMap<string, string>> {
    return this.registers(['CPU mode'], ['summary'])
  }

  async disassemble(
    memoryReference: string,
    instructionCount: number,
  ): Promise<DebugProtocol.DisassembledInstruction[]> {
    const { instructions } = await this.#ask<{ instructions: DebugProtocol.DisassembledInstruction[] }>('disassemble', {
      memoryReference,
      instructionCount,
    })
    check(instructions.length === instructionCount, `${instructions.length} of ${instructionCount} instructions came`)
    for (const { address, instructionBytes = '', instruction } of instructions)
      this.page.answered(`  ${address}  ${instructionBytes.padEnd(24)} ${instruction}`)
    return instructions
  }

  async translate(address: string, access: string, options: TableOptions): Promise<TranslateBody> {
    const translation = await this.#ask<TranslateBody>(TRANSLATE, { address, access })
    this.page.answered(...translationTable(translation, options))
    return translation
  }

  /** A translation that must lead to memory: the same bytes are there by all three kinds of address. */
  async translateAndRead(
    address: string,
    access: string,
    options: TableOptions,
  ): Promise<TranslateBody & { bytes: string }> {
    const translation = await this.translate(address, access, options)
    const { fault, page } = translation
    check(fault === undefined && page?.hpa !== undefined, `${address} was to be mapped, but it is not: ${fault?.why}`)
    this.page.answered(`${entriesRead(translation)} table entries were read for that`)
    this.page.gap()
    this.page.say('All three addresses, linear, guest-physical and host-physical, name the same bytes:')
    const bytes = await this.readMemory(address, 8)
    for (const reference of [`phys:${page.gpa}`, `hpa:${page.hpa}`])
      check((await this.readMemory(reference, 8)) === bytes, `the bytes at ${reference} are not those at ${address}`)
    return { ...translation, bytes }
  }

  async readMemory(memoryReference: string, count: number): Promise<string> {
    const { data } = await this.#ask<{ data?: string }>('readMemory', { memoryReference, count })
    const bytes = Buffer.from(data ?? '', 'base64')
    check(bytes.length === count, `${bytes.length} of ${count} bytes could be read at ${memoryReference}`)
    const text = [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join(' ')
    this.page.answered(`  ${text}`)
    return text
  }

  /** @returns the value as `0x…`. */
  async evaluate(expression: string): Promise<string> {
    const { result } = await this.#ask<{ result: string }>('evaluate', { expression, frameId: FRAME, context: 'watch' })
    this.page.answered(`  ${result}`)
    return result.split(' ')[0]
  }

  async exits(): Promise<ExitsBody> {
    const exits = await this.#ask<ExitsBody>(EXITS, { recent: 3, addresses: 3 })
    check(exits.total > 0, 'no exit was recorded')
    this.page.answered(`${grouped(exits.total)} exits in ${grouped(exits.instructions)} instructions`)
    const reasons = exits.byReason.map(({ reason, count }) => [reason, count] as const)
    const places = exits.byAddress.map(
      ({ address, symbol, count }) => [symbol === undefined ? address : `${address} <${symbol}>`, count] as const,
    )
    const width = Math.max(...[...reasons, ...places].map(([what]) => what.length))
    const counts = (entries: typeof reasons): string[] =>
      entries.map(([what, count]) => `  ${what.padEnd(width)} ${grouped(count).padStart(10)}`)
    this.page.answered('by reason', ...counts(reasons), 'where most of them come from', ...counts(places))
    this.page.answered('the last ones')
    for (const { instructions, reason, detail, symbol, rip } of exits.recent)
      this.page.answered(`  after ${grouped(instructions)} instructions: ${reason}, ${detail}, at ${symbol ?? rip}`)
    return exits
  }

  async type(text: string): Promise<void> {
    await this.#ask(CONSOLE_INPUT, { text })
  }

  /** Waits until the guest has written `text`. */
  consoleShows(text: string): Promise<void> {
    return this.#client.consoleShows(text, LIMIT)
  }

  #ask<Body = Record<string, unknown>>(command: string, args?: object): Promise<Body> {
    this.page.asked(command, args)
    return this.#client.request<Body>(command, args)
  }
}

const sourceLines = (path: string): string[] => readFileSync(path, 'utf8').split('\n')

/** Where a frame stands: its line of source, if there is one to be shown, and its address. */
function placeOf({ source, line, instructionPointerReference }: DebugProtocol.StackFrame): string {
  return (source?.name === undefined ? '' : `${source.name}:${line}, `) + instructionPointerReference
}

/** Many plain values four in a line, values with an explanation on lines of their own. */
function registerLines(variables: readonly DebugProtocol.Variable[]): string[] {
  const plain = variables.filter(({ value }) => /^0x[0-9a-f]{16}$/.test(value))
  const inGrid = plain.length < PLAIN_IN_LINE ? [] : plain
  const lines: string[] = []
  for (let i = 0; i < inGrid.length; i += PLAIN_IN_LINE) {
    const line = inGrid.slice(i, i + PLAIN_IN_LINE).map(({ name, value }) => `${name.padEnd(3)} ${value}`)
    lines.push(`  ${line.join(' ')}`)
  }
  const others = variables.filter(variable => !inGrid.includes(variable))
  const width = Math.max(3, ...others.map(({ name }) => name.length))
  return [...lines, ...others.map(({ name, value }) => `  ${name.padEnd(width)} ${value}`)]
}

const grouped = (count: number): string => count.toLocaleString('en')
