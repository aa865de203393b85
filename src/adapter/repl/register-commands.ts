/** Commands about a vCPU's registers. */

import { cpuMode } from '../../inspect/cpu-mode.ts'
import type { RegisterNode } from '../../inspect/register-node.ts'
import { RequestError } from '../request.ts'
import { columns } from './columns.ts'
import type { Command } from './command.ts'

const regsCommand: Command = {
  name: 'regs',
  usage: '[GROUP | NAME]',
  summary: 'registers: the general ones, or a group such as control, segments, debug, model, x87, sse',
  run(call) {
    const groups = call.session.debugger.registers(call.frame.vcpu)
    const wanted = call.words.join(' ').toLowerCase()
    if (wanted === '') return nodesText(groups[1].nodes())
    const group = groups.find(({ name }) => name.toLowerCase().startsWith(wanted) || name.toLowerCase() === wanted)
    if (group !== undefined) return nodesText(group.nodes())
    const bare = wanted.replace(/^\$/, '')
    for (const { nodes } of groups) {
      const node = nodes().find(({ name }) => name.toLowerCase() === bare)
      if (node !== undefined) return [nodesText([node]), nodesText(node.children ?? [], '  ')].join('\n').trimEnd()
    }
    const names = groups.map(({ name }) => name).join(', ')
    throw new RequestError(`regs: there is no register or group "${wanted}"; groups are ${names}`)
  },
}

const nodesText = (nodes: readonly RegisterNode[], indent = ''): string =>
  columns(
    nodes.map(({ name, value, meaning }) => [name, value, ...(meaning === undefined ? [] : [meaning])]),
    indent,
  )

const modeCommand: Command = {
  name: 'mode',
  usage: '',
  summary: 'the mode of the processor in one line',
  run: call => cpuMode(call.vcpu).summary,
}

export const registerCommands: readonly Command[] = [regsCommand, modeCommand]
