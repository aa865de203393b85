/** What a tree view shows, before VS Code is involved: made from the body of a response, compared between stops. */

import type { ViewStop } from '../../protocol/view-stops.ts'
import { members } from '../session-messages.ts'

export interface ViewNode {
  /** Unique in its view, and the same at each stop: what is expanded stays so. */
  readonly id: string
  readonly label: string
  readonly description?: string
  readonly tooltip?: string
  /** A codicon. */
  readonly icon?: string
  readonly expanded?: boolean
  readonly children?: readonly ViewNode[]
  readonly subject?: Subject
  /** What a click, or Enter, does. */
  readonly click?: 'stop' | 'code'
  /** It, or something under it, is not what it was at the last stop. */
  readonly changed?: boolean
}

/** What can be done with a node. */
export interface Subject {
  /** `memoryReference` of DAP: its memory can be shown. */
  readonly memory?: string
  /** A linear address: its translation can be shown. */
  readonly linear?: string
  /** A linear address of code. */
  readonly code?: string
  readonly register?: RegisterSubject
  /** A stop that can be set, or removed. */
  readonly stop?: ViewStop
}

export interface RegisterSubject {
  readonly frameId: number
  /** `$rax`, `$cr4.SMEP` */
  readonly expression: string
  readonly value: string
}

/** The node that a command of a view is called with: by VS Code with a row of the view, by a click with the node. */
export const nodeOf = (argument: unknown): unknown => members(argument).node ?? argument

/** For `when` clauses of menus: the names of what can be done. */
export function contextValue({ subject = {} }: ViewNode): string {
  return ['node', ...Object.keys(subject)].join(' ')
}

/** What each node said, by id. */
export type Remembered = ReadonlyMap<string, string>

export function remember(nodes: readonly ViewNode[], into = new Map<string, string>()): Remembered {
  for (const { id, label, description = '', children = [] } of nodes) {
    into.set(id, `${label}\n${description}`)
    remember(children, into)
  }
  return into
}

/** The nodes with what changed since `before` marked, up to the roots; nothing without a stop before. */
export function markChanges(nodes: readonly ViewNode[], before: Remembered | undefined): readonly ViewNode[] {
  if (before === undefined) return nodes
  return nodes.map(node => {
    const children = node.children === undefined ? undefined : markChanges(node.children, before)
    const own = before.get(node.id) !== `${node.label}\n${node.description ?? ''}`
    const changed = own || (children?.some(child => child.changed) ?? false)
    return { ...node, ...(children === undefined ? {} : { children }), ...(changed ? { changed } : {}) }
  })
}

/** `1,234,567` */
export const grouped = (count: number): string => count.toLocaleString('en-US')

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']

/** `4 KiB`; exact, in the largest unit that divides it. */
export function sizeText(bytes: bigint): string {
  let [size, unit] = [bytes, 0]
  while (size !== 0n && size % 1024n === 0n && unit < UNITS.length - 1) {
    size /= 1024n
    unit++
  }
  return `${size} ${UNITS[unit]}`
}

export const hexText = (value: number): string => `0x${value.toString(16)}`
