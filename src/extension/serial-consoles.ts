/** The serial console of each guest as a terminal of VS Code, where one can type. */

import * as vscode from 'vscode'
import {
  CONSOLE_INPUT,
  CONSOLE_OUTPUT,
  type ConsoleInputArguments,
  parseConsoleOutputBody,
} from '../protocol/custom-requests.ts'
import type { AdapterLines } from './adapter-line/adapter-lines.ts'
import { DEBUG_TYPE } from './debug-type.ts'
import { SerialTerminal } from './serial-terminal.ts'

export function showSerialConsoles(lines: AdapterLines): vscode.Disposable {
  const consoles = new SerialConsoles(lines)
  return vscode.Disposable.from(
    vscode.debug.onDidStartDebugSession(session => {
      if (wantsTerminal(session)) consoles.of(session)
    }),
    vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event, body }) => {
      if (event === CONSOLE_OUTPUT && wantsTerminal(session))
        consoles.of(session).write(parseConsoleOutputBody(body).text)
    }),
    vscode.debug.onDidTerminateDebugSession(session => consoles.end(session)),
  )
}

function wantsTerminal({ type, configuration }: vscode.DebugSession): boolean {
  return type === DEBUG_TYPE && configuration.console === 'integratedTerminal'
}

interface SerialConsole {
  readonly serial: SerialTerminal
  readonly terminal: vscode.Terminal
}

class SerialConsoles {
  readonly #lines: AdapterLines
  /** By the id of the session. */
  readonly #live = new Map<string, SerialConsole>()
  /** Terminals of guests that have ended, by the name of the session: the next guest of that name takes the place. */
  readonly #left = new Map<string, vscode.Terminal>()

  constructor(lines: AdapterLines) {
    this.#lines = lines
  }

  /** The console of a session; the first call shows its terminal and leaves the focus where it is. */
  of(session: vscode.DebugSession): SerialTerminal {
    const known = this.#live.get(session.id)
    if (known !== undefined) return known.serial
    this.#left.get(session.name)?.dispose()
    this.#left.delete(session.name)
    const guest = this.#lines.guestOf(session)
    const serial = new SerialTerminal(text => guest.request(CONSOLE_INPUT, { text } satisfies ConsoleInputArguments))
    const terminal = vscode.window.createTerminal({
      name: `${session.name}: serial`,
      pty: serial,
      iconPath: new vscode.ThemeIcon('plug'),
    })
    terminal.show(true)
    this.#live.set(session.id, { serial, terminal })
    return serial
  }

  end({ id, name }: vscode.DebugSession): void {
    const ended = this.#live.get(id)
    if (ended === undefined) return
    this.#live.delete(id)
    ended.serial.end()
    this.#left.set(name, ended.terminal)
  }
}
