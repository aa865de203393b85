/** `maps diff`: how two address spaces differ. */

import { mappings } from '../../inspect/mappings.ts'
import { hex } from '../../protocol/address.ts'
import { type MappingDifference, type MappingSide, mappingDifferences } from '../../protocol/mapping-differences.ts'
import { onWire } from '../../protocol/on-wire.ts'
import { RequestError } from '../request.ts'
import { columns, sizeText } from './columns.ts'
import type { CommandCall } from './command.ts'

/** Ranges of each address space that are compared. */
const MOST_RANGES = 4096
const MOST_LINES = 64

/** From the space of the first CR3 to that of the second, or to the current one. */
export function mapsDifference(call: CommandCall): string {
  const [, first, second] = call.words
  if (first === undefined || call.words.length > 3) throw new RequestError('usage: maps diff CR3 [CR3]')
  const map = (text: string | undefined) => {
    const cr3 = text === undefined ? call.vcpu.register('cr3') : cr3Of(call, text)
    const portion = mappings(call.machine, call.vcpu, { start: 0n, limit: MOST_RANGES, cr3 })
    return { cr3, ...onWire(portion) }
  }
  const [before, after] = [map(first), map(second)]
  const { differences, omitted, upTo, uncertain } = mappingDifferences(before, after)
  const unlisted = Math.max(0, differences.length - MOST_LINES) + omitted
  const count = differences.length + omitted
  const told = count === 0 ? 'no difference' : count === 1 ? '1 difference' : `${count} differences`
  return [
    `from CR3 ${hex(before.cr3)} to CR3 ${hex(after.cr3)}: ${told}`,
    ...(differences.length === 0 ? [] : [columns(differences.slice(0, MOST_LINES).map(row))]),
    ...(unlisted === 0 ? [] : [`and ${unlisted} more`]),
    ...(upTo === undefined ? [] : [`ranges from ${hex(upTo)} on were not compared`]),
    ...(uncertain ? ['of pages that are much scattered, only the first pieces of a range were compared'] : []),
  ].join('\n')
}

function cr3Of(call: CommandCall, text: string): bigint {
  const { space, cr3, address } = { cr3: undefined, ...call.address(text) }
  if (space !== 'linear' || cr3 !== undefined) throw new RequestError(`maps diff: "${text}" is no value of CR3`)
  return address
}

function row({ kind, start, end, before, after, from }: MappingDifference): string[] {
  const place = `${hex(start)} - ${hex(end - 1n)}`
  const size = sizeText(Number(end - start))
  switch (kind) {
    case 'added':
      return ['+', place, size, sideText(after)]
    case 'removed':
      return ['-', place, size, sideText(before)]
    case 'moved':
      return ['+', place, size, `${sideText(after)}, moved from ${hex(from ?? 0n)}`]
    default:
      return ['~', place, size, `${sideText(before)} became ${sideText(after)}`]
  }
}

const sideText = (side: MappingSide | undefined): string =>
  side === undefined ? '' : `${side.rights} ${side.target === undefined ? 'elsewhere' : `phys:${hex(side.target)}`}`
