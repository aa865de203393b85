/** The view of memory: what the current address space maps, and what EPT maps below it. */

import type { MappingsBody, RangeBody } from '../../protocol/custom-requests.ts'
import type { AreaBody } from '../../protocol/memory-requests.ts'
import { grouped, sizeText, type ViewNode } from './view-node.ts'

export interface MemoryMap {
  /** Guest-virtual to guest-physical. */
  readonly guest: MappingsBody
  /** Guest-physical to host-physical; absent without EPT. */
  readonly ept: MappingsBody | undefined
}

export function memoryMapNodes({ guest, ept }: MemoryMap): readonly ViewNode[] {
  return [
    layer('guest', 'Guest-virtual to guest-physical', guest, ({ start, rights }) => ({
      icon: rights.includes('u') ? 'person' : 'shield',
      subject: { memory: start, linear: start, ...(rights.includes('x') ? { code: start } : {}) },
    })),
    ...(ept === undefined
      ? []
      : [
          layer('ept', 'Guest-physical to host-physical (EPT)', ept, ({ start }) => ({
            icon: 'server',
            subject: { memory: `phys:${start}` },
          })),
        ]),
  ]
}

function layer(
  id: string,
  label: string,
  { ranges, next }: MappingsBody,
  looks: (range: RangeBody) => Pick<ViewNode, 'icon' | 'subject'>,
): ViewNode {
  return {
    id,
    label,
    description: `${grouped(ranges.length)}${next === undefined ? '' : ' and more'} ranges`,
    icon: 'layers',
    expanded: id === 'guest',
    children: [
      ...ranges.map(range => {
        const look = looks(range)
        return {
          ...rangeNode(id, range),
          ...look,
          children: contentNodes(id, range, look.subject?.linear !== undefined),
        }
      }),
      ...(next === undefined
        ? []
        : [{ id: `${id}/next`, label: `more from ${next} on`, description: 'see "maps" in the debug console' }]),
    ],
  }
}

function rangeNode(parent: string, { start, end, target, contiguous, rights, pageSizes, symbol }: RangeBody): ViewNode {
  const size = sizeText(BigInt(end) - BigInt(start))
  const pages = pageSizes.map(bytes => sizeText(BigInt(bytes))).join(', ')
  return {
    id: `${parent}/${start}`,
    label: symbol === undefined ? start : `${start} ${symbol}`,
    description: [rights, size, contiguous ? `at ${target}` : 'scattered'].join('  '),
    tooltip: `${start} to ${end}: ${size} in pages of ${pages}, ${contiguous ? '' : 'the first '}at ${target}`,
  }
}

/** What there is in a range, at addresses of its space. */
function contentNodes(
  parent: string,
  { start, contents = [], contentsOmitted }: RangeBody,
  isLinear: boolean,
): ViewNode[] {
  return [
    ...contents.map(({ kind, name, start: at, end }, index) => ({
      ...{ id: `${parent}/${start}/${at} ${index}`, label: name, icon: ICONS[kind] },
      description: [at, sizeText(BigInt(end) - BigInt(at)), ...(name.toLowerCase() === kind ? [] : [kind])].join('  '),
      subject: isLinear ? { memory: at, linear: at } : { memory: `phys:${at}` },
    })),
    ...(contentsOmitted === undefined
      ? []
      : [{ id: `${parent}/${start}/more`, label: `and ${grouped(contentsOmitted)} more` }]),
  ]
}

const ICONS: Readonly<Record<AreaBody['kind'], string>> = {
  ...{ section: 'symbol-file', module: 'package', device: 'circuit-board' },
  ...{ ram: 'chip', reserved: 'lock', table: 'table' },
}
