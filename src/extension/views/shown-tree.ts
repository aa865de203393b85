/**
 * The nodes of a view as VS Code knows them: the same object from stop to stop as long as its place in the tree stays,
 * so that VS Code can be told which rows to draw again. It asks for nothing then, where for a view that changed as a
 * whole it would ask level by level, each time by way of a window that is busy with the stop.
 */

import type { ViewNode } from './view-node.ts'

export interface ShownNode {
  node: ViewNode
  children: readonly ShownNode[]
}

/** Rows that are to be drawn again, with what is under them. */
export type Redrawn = 'all' | readonly ShownNode[]

export class ShownTree {
  #roots: readonly ShownNode[] = []

  get roots(): readonly ShownNode[] {
    return this.#roots
  }

  /** Takes over nodes in place of those before. */
  show(nodes: readonly ViewNode[]): Redrawn {
    const redrawn: ShownNode[] = []
    const roots = merge(this.#roots, nodes, redrawn)
    if (roots === this.#roots) return redrawn
    this.#roots = roots
    return 'all'
  }
}

/** `shown` itself, with new contents, where it is the same rows; else rows of which as many as possible are old ones. */
function merge(shown: readonly ShownNode[], nodes: readonly ViewNode[], redrawn: ShownNode[]): readonly ShownNode[] {
  if (shown.length === nodes.length && shown.every(({ node: { id } }, index) => id === nodes[index].id)) {
    for (const [index, each] of shown.entries()) update(each, nodes[index], redrawn)
    return shown
  }
  const known = new Map(shown.map(each => [each.node.id, each]))
  return nodes.map(node => {
    const each = known.get(node.id) ?? { node, children: [] }
    update(each, node, [])
    return each
  })
}

function update(shown: ShownNode, node: ViewNode, redrawn: ShownNode[]): void {
  const below: ShownNode[] = []
  const children = merge(shown.children, node.children ?? [], below)
  if (children !== shown.children || own(shown.node) !== own(node)) redrawn.push(shown)
  else redrawn.push(...below)
  shown.node = node
  shown.children = children
}

/** What the row itself says and does. */
const own = (node: ViewNode): string => JSON.stringify({ ...node, children: undefined })
