/** Commands about the tables that the processor uses: gdt, ldt, idt, tss. */

import type { SegmentDescriptor } from '../../inspect/descriptor-tables.ts'
import { globalDescriptors, interruptGates, localDescriptors, type SystemTable } from '../../inspect/system-tables.ts'
import { taskState } from '../../inspect/task-state.ts'
import { hex } from '../../protocol/address.ts'
import { EXCEPTIONS } from '../../x86/exceptions.ts'
import { columns } from './columns.ts'
import type { Command, CommandCall } from './command.ts'

const gdtCommand: Command = {
  name: 'gdt',
  usage: '',
  summary: 'the global descriptor table, decoded',
  run: call => descriptorText(globalDescriptors(call.machine, call.vcpu)),
}

const ldtCommand: Command = {
  name: 'ldt',
  usage: '',
  summary: 'the local descriptor table, decoded',
  run(call) {
    const table = localDescriptors(call.machine, call.vcpu)
    return table === undefined ? 'LDTR has no table' : descriptorText(table)
  },
}

function descriptorText(table: SystemTable<SegmentDescriptor>): string {
  const rows = table.entries.filter(({ kind }) => kind !== 'null').map(descriptorRow)
  return [headline(table), columns(rows, '  ')].filter(text => text !== '').join('\n')
}

const descriptorRow = ({ selector, type, base, limit, dpl, present, bits, kind }: SegmentDescriptor): string[] => [
  hex(BigInt(selector)),
  type,
  kind === 'system' ? '' : `${bits}-bit`,
  `base ${hex(base)}`,
  `limit ${hex(BigInt(limit))}`,
  `DPL ${dpl}`,
  present ? '' : 'not present',
]

function headline({ base, limit, unreadable }: SystemTable<unknown>): string {
  const missing = unreadable === 0 ? '' : `; its last ${unreadable} bytes are not mapped in this address space`
  return `base ${hex(base)}, limit ${hex(BigInt(limit))}${missing}`
}

const idtCommand: Command = {
  name: 'idt',
  usage: '[VECTOR]',
  summary: 'the interrupt descriptor table, decoded: where each vector leads',
  run(call) {
    const table = interruptGates(call.machine, call.vcpu)
    const only = call.words[0] === undefined ? undefined : call.count(call.words[0], 255)
    const rows = table.entries
      .filter(({ vector, type, present }) => (only === undefined ? type !== 'unused' && present : vector === only))
      .map(gate => [
        String(gate.vector),
        EXCEPTIONS.find(({ vector }) => vector === gate.vector)?.mnemonic ?? '',
        gate.type,
        `${hex(BigInt(gate.selector))}:${hex(gate.offset)}${symbolText(call, gate.offset)}`,
        `DPL ${gate.dpl}`,
        gate.ist === 0 ? '' : `IST${gate.ist}`,
        gate.present ? '' : 'not present',
      ])
    return [headline(table), columns(rows, '  ')].filter(text => text !== '').join('\n')
  },
}

function symbolText(call: CommandCall, address: bigint): string {
  const symbol = call.describe(address)
  return symbol === undefined ? '' : ` <${symbol}>`
}

const tssCommand: Command = {
  name: 'tss',
  usage: '',
  summary: 'the task-state segment, decoded: stacks by privilege and IST, ports that it allows',
  run(call) {
    const tss = taskState(call.machine, call.vcpu)
    if (tss === undefined) return 'TR has no task-state segment'
    const fields = tss.fields.map(({ name, value }) => [name, `${hex(value)}${symbolText(call, value)}`])
    const ranges = tss.ports?.map(({ first, last }) => `${hex(BigInt(first))}-${hex(BigInt(last))}`)
    const ports = ranges === undefined ? 'no I/O permission bitmap' : `ports: ${ranges.join(' ') || 'none'}`
    return [
      `${tss.kind}, selector ${hex(BigInt(tss.selector))}, base ${hex(tss.base)}, limit ${hex(BigInt(tss.limit))}`,
      columns(fields, '  '),
      ports,
    ].join('\n')
  },
}

export const tableCommands: readonly Command[] = [gdtCommand, ldtCommand, idtCommand, tssCommand]
