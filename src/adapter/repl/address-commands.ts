/** Commands about address spaces: translate, maps, ept. */

import { eptMappings } from '../../inspect/ept-mappings.ts'
import type { EptTranslation } from '../../inspect/ept-translation.ts'
import type { MappedRange, MappingPortion } from '../../inspect/mapping-ranges.ts'
import { mappings } from '../../inspect/mappings.ts'
import type { AccessKind, Permissions, Translation } from '../../inspect/translation.ts'
import { hex } from '../../protocol/address.ts'
import { RequestError } from '../request.ts'
import { columns, sizeText } from './columns.ts'
import type { Command, CommandCall } from './command.ts'
import { mapsDifference } from './maps-difference.ts'

const ACCESSES: readonly AccessKind[] = ['read', 'write', 'execute']
const MOST_RANGES = 4096
const USUAL_RANGES = 64

const translateCommand: Command = {
  name: 'translate',
  usage: 'ADDRESS [read|write|execute]',
  summary: "an address's way through the guest's page tables and EPT, or the fault that the access would raise",
  run(call) {
    const [text, kind = 'read'] = call.words
    const access = ACCESSES.find(candidate => candidate === kind)
    if (text === undefined || access === undefined || call.words.length > 2) throw call.wrongUsage()
    return translationText(call.session.debugger.translate(call.frame.vcpu, call.address(text), access))
  },
}

function translationText({ linear, cr3, paging, access, cpl, levels, page, fault }: Translation): string {
  const lines = [`${hex(linear)}: ${access} at CPL ${cpl}, ${paging}, CR3 ${hex(cr3)}`]
  const rows = levels.map(level => [
    `${level.level}[${level.index}]`,
    level.register ?? `phys:${hex(level.entryAddress)}`,
    `= ${hex(level.entry)}`,
    level.flags,
    level.ept === undefined ? '' : `EPT ${eptText(level.ept)}`,
  ])
  if (rows.length > 0) lines.push(columns(rows, '  '))
  if (page !== undefined) {
    const host = page.ept === undefined ? '' : `; EPT ${eptText(page.ept)}`
    lines.push(`page: ${sizeText(page.size)} ${permissionText(page.permissions)}, phys:${hex(page.gpa)}${host}`)
  }
  if (fault !== undefined)
    lines.push(
      fault.kind === 'page-fault'
        ? `fault: #PF, error code ${hex(BigInt(fault.errorCode))} (${fault.errorBits}): ${fault.why}`
        : `fault: ${fault.kind}: ${fault.why}`,
    )
  return lines.join('\n')
}

function eptText({ rights, hpa, size, misconfigured }: EptTranslation): string {
  if (misconfigured) return 'misconfigured'
  return hpa === undefined ? 'not mapped' : `${rights} hpa:${hex(hpa)} (${sizeText(size ?? 0)})`
}

const permissionText = ({ writable, user, executable }: Permissions): string =>
  `r${writable ? 'w' : '-'}${executable ? 'x' : '-'} ${user ? 'user' : 'supervisor'}`

const mapsCommand: Command = {
  name: 'maps',
  usage: '[ADDRESS [COUNT]]',
  summary: 'what the address space maps, as ranges with permissions, from ADDRESS on',
  details: [
    'Rights: r w x, then u for user or s for supervisor, g for global. cr3=0x…:ADDRESS names another space.',
    'maps diff CR3 [CR3]: how the current address space, or the second, differs from the first.',
  ].join('\n'),
  run(call) {
    if (call.words[0] === 'diff') return mapsDifference(call)
    const start = call.words[0] === undefined ? undefined : call.address(call.words[0])
    if (start !== undefined && start.space !== 'linear')
      throw new RequestError('maps: a linear address is wanted; see "ept" for guest-physical ones')
    const limit = call.words[1] === undefined ? USUAL_RANGES : call.count(call.words[1], MOST_RANGES)
    const portion = mappings(call.machine, call.vcpu, { start: start?.address ?? 0n, limit, cr3: start?.cr3 })
    return portionText(call, portion, 'phys:', range => call.describe(range.start))
  },
}

const eptCommand: Command = {
  name: 'ept',
  usage: '[GUEST-PHYSICAL [COUNT]]',
  summary: 'what EPT maps: guest-physical ranges and the host frames behind them',
  run(call) {
    const [text = '0', count] = call.words
    const { address } = call.address(text)
    const limit = count === undefined ? USUAL_RANGES : call.count(count, MOST_RANGES)
    const portion = eptMappings(call.machine, address, limit)
    if (portion === undefined) return 'no EPT is in use'
    return portionText(call, portion, 'hpa:', () => undefined)
  },
}

function portionText(
  { command }: CommandCall,
  { ranges, next }: MappingPortion,
  space: string,
  symbol: (range: MappedRange) => string | undefined,
): string {
  const rows = ranges.map(range => [
    `${hex(range.start)} - ${hex(range.end - 1n)}`,
    range.rights,
    range.pageSizes.map(sizeText).join('+'),
    `${space}${hex(range.target)}${range.contiguous ? '' : ' and elsewhere'}`,
    symbol(range) ?? '',
  ])
  const more = next === undefined ? [] : [`more: ${command.name} ${hex(next)}`]
  return [rows.length === 0 ? 'nothing is mapped' : columns(rows), ...more].join('\n')
}

export const addressCommands: readonly Command[] = [translateCommand, mapsCommand, eptCommand]
