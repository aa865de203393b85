/** Commands about the machine around the processor: exits, events, local APICs, symbols, the screen. */

import { eventText } from '../../debugger/hit-text.ts'
import { interruptControllers, type LocalApicModel } from '../../inspect/interrupt-controllers.ts'
import { screenText } from '../../inspect/screen.ts'
import { hex } from '../../protocol/address.ts'
import { MOST_RECENT_EXITS } from '../../protocol/custom-requests.ts'
import { screenOf } from '../requests/screen.ts'
import { columns } from './columns.ts'
import type { Command } from './command.ts'
import { registersText } from './register-text.ts'

const exitsCommand: Command = {
  name: 'exits',
  usage: '[COUNT]',
  summary: 'exits from the guest to the hypervisor: totals by reason, and the last ones',
  run(call) {
    const count = call.words[0] === undefined ? 10 : call.count(call.words[0], MOST_RECENT_EXITS)
    const { total, byReason, recent } = call.session.debugger.exits(count, 0)
    const symbol = (rip: bigint) => call.describe(rip) ?? ''
    return [
      `${total} exits in ${call.session.debugger.target.instructions} instructions`,
      columns(
        byReason.map(reason => [reason.reason, String(reason.count)]),
        '  ',
      ),
      columns(
        recent.map(exit => [
          String(exit.instructions),
          `vCPU ${exit.vcpu}`,
          exit.reason,
          exit.detail,
          exit.gpa === undefined ? '' : `phys:${hex(exit.gpa)}`,
          `at ${hex(exit.rip)}`,
          symbol(exit.rip),
        ]),
      ),
    ]
      .filter(text => text !== '')
      .join('\n')
  },
}

const timelineCommand: Command = {
  name: 'timeline',
  usage: '[COUNT]',
  summary: 'what the guest told of itself by hypercall, with instruction counts',
  run(call) {
    const count = call.words[0] === undefined ? 20 : call.count(call.words[0], MOST_RECENT_EXITS)
    const { guestEvents } = call.machine
    if (guestEvents === undefined) return 'this target has no hypercalls'
    if (guestEvents.total === 0) return 'the guest has told nothing; guests/include/ringside.h says how it can'
    return columns(
      guestEvents
        .last(count)
        .map(event => [
          ...[String(event.count), `vCPU ${event.vcpu}`, `CPL ${event.cpl}`, eventText(event)],
          `at ${hex(event.rip)} ${call.describe(event.rip) ?? ''}`,
        ]),
    )
  },
}

const apicCommand: Command = {
  name: 'apic',
  usage: '',
  summary: 'the local APIC of the vCPU: vectors requested and in service, and its registers',
  run(call) {
    const apic = interruptControllers(call.machine).localApics.find(({ vcpu }) => vcpu === call.frame.vcpu)
    if (apic === undefined) return 'this target does not show its local APICs'
    return localApicText(apic)
  },
}

function localApicText(apic: LocalApicModel): string {
  const list = (vectors: readonly number[]) => (vectors.length === 0 ? 'none' : vectors.join(' '))
  return [
    `vCPU ${apic.vcpu}: ${apic.mode}, ${apic.enabled ? 'enabled' : 'disabled by software'}`,
    `requested: ${list(apic.requested)}; in service: ${list(apic.inService)}; level-triggered: ${list(apic.levelTriggered)}`,
    registersText(apic.registers),
  ].join('\n')
}

const symbolCommand: Command = {
  name: 'symbol',
  usage: 'ADDRESS | NAME',
  summary: 'the symbol that covers an address, or the address of a symbol',
  run(call) {
    if (call.words.length === 0) throw call.wrongUsage()
    const { address } = call.address(call.words.join(' '))
    return `${hex(address)}  ${call.describe(address) ?? 'no symbol covers it'}`
  },
}

const screenCommand: Command = {
  name: 'screen',
  usage: '',
  summary: "the text on the guest's display",
  run(call) {
    const screen = screenOf(call.session)
    if (screen.kind === 'graphics') return 'the guest has set a graphics mode, which is not shown'
    const text = screenText(screen)
    const { columns, rows, cursor, off } = screen
    const place = cursor === undefined ? 'no cursor' : `cursor at row ${cursor.row}, column ${cursor.column}`
    const size = `${columns} × ${rows.length}, ${place}${off ? ', display off' : ''}`
    return text === '' ? `${size}: blank` : `${size}\n${text}`
  },
}

export const machineCommands: readonly Command[] = [
  exitsCommand,
  timelineCommand,
  apicCommand,
  symbolCommand,
  screenCommand,
]
