/** The debug console: a line is a command of ours when it begins with the name of one, and an expression otherwise. */

import type { FrameId } from '../frame-ids.ts'
import { RequestError } from '../request.ts'
import type { Session } from '../session.ts'
import { addressCommands } from './address-commands.ts'
import { columns } from './columns.ts'
import { type Command, CommandCall } from './command.ts'
import { deviceCommands } from './device-commands.ts'
import { examineCommand } from './examine-command.ts'
import { machineCommands } from './machine-commands.ts'
import { networkCommands } from './network-commands.ts'
import { registerCommands } from './register-commands.ts'
import { tableCommands } from './table-commands.ts'

const helpCommand: Command = {
  name: 'help',
  usage: '[COMMAND]',
  summary: 'the commands, or more about one',
  run(call) {
    const [name] = call.words
    if (name === undefined) {
      const rows = COMMANDS.map(command => [signature(command), command.summary])
      return `${columns(rows)}\nEverything else is an expression: $rax, $cr4.SMEP, *(u32*)$rsp, vfs_read + 4. A name that is a command's goes in brackets.`
    }
    const command = COMMANDS.find(candidate => candidate.name === name)
    if (command === undefined) throw new RequestError(`there is no command "${name}"; say "help" for all`)
    return [signature(command), command.summary, command.details ?? ''].filter(text => text !== '').join('\n')
  },
}

export const COMMANDS: readonly Command[] = [
  helpCommand,
  ...addressCommands,
  examineCommand,
  ...registerCommands,
  ...tableCommands,
  ...machineCommands,
  ...deviceCommands,
  ...networkCommands,
]

const signature = ({ name, usage }: Command): string => (usage.startsWith('/') ? name + usage : `${name} ${usage}`)

const LINE = /^\s*([a-z0-9]+)(?:\/(\S*))?(?:\s+(.*))?$/is

/** What the command in the line says; undefined when the line is none. */
export function runCommand(session: Session, frame: FrameId, line: string): string | undefined {
  const match = LINE.exec(line)
  const command = COMMANDS.find(candidate => candidate.name === match?.[1])
  if (match === null || command === undefined) return undefined
  const rest = match[3] ?? ''
  // `x = 1` and `x + 1` mean a variable of that name.
  if (/^(=|[-+*/%|^<>]\s)/.test(rest)) return undefined
  return command.run(new CommandCall(command, match[2] ?? '', rest, session, frame))
}
