/** Which rows of a view are drawn again when its nodes change. */

import { describe, expect, test } from 'vitest'
import { type Redrawn, ShownTree } from '../../src/extension/views/shown-tree.ts'
import { nodeOf, type ViewNode } from '../../src/extension/views/view-node.ts'

const row = (id: string, description = '', ...children: ViewNode[]): ViewNode => ({
  ...{ id, label: id, description },
  ...(children.length === 0 ? {} : { children }),
})

/** Two groups of registers. */
const machine = (rip: string, rax = '0', mode = '64-bit'): ViewNode[] => [
  row('vcpu', mode, row('general', '', row('rax', rax), row('rip', rip)), row('control', '', row('cr3', '0x1000'))),
]

const names = (redrawn: Redrawn): string | string[] => (redrawn === 'all' ? 'all' : redrawn.map(({ node }) => node.id))

function shown(nodes: ViewNode[]): ShownTree {
  const tree = new ShownTree()
  tree.show(nodes)
  return tree
}

describe('the nodes of a view', () => {
  test('are all drawn when there were none, and when there are none any more', () => {
    const tree = new ShownTree()
    expect(names(tree.show(machine('1')))).toBe('all')
    expect(tree.roots[0].children[0].children[1].node.description).toBe('1')
    expect(names(tree.show([]))).toBe('all')
    expect(tree.roots).toEqual([])
  })

  test('that stay the same are not drawn again', () => {
    expect(names(shown(machine('1')).show(machine('1')))).toEqual([])
  })

  test('are drawn again one by one, and keep their objects', () => {
    const tree = shown(machine('1', '7'))
    const [vcpu] = tree.roots
    const rip = vcpu.children[0].children[1]
    const redrawn = tree.show(machine('2', '8'))
    expect(names(redrawn)).toEqual(['rax', 'rip'])
    expect(redrawn[1]).toBe(rip)
    expect(rip.node.description).toBe('2')
    expect(tree.roots[0]).toBe(vcpu)
  })

  test('a row that changes is drawn with what is under it, once', () => {
    expect(names(shown(machine('1')).show(machine('2', '0', 'real mode')))).toEqual(['vcpu'])
  })

  test('a row under which others appear, go or change places is drawn with them', () => {
    const one = [row('reasons', '', row('io'), row('hlt'))]
    const two = [row('reasons', '', row('io'), row('hlt'), row('cpuid'))]
    const turned = [row('reasons', '', row('hlt'), row('io'))]
    expect(names(shown(one).show(two))).toEqual(['reasons'])
    expect(names(shown(two).show(one))).toEqual(['reasons'])
    expect(names(shown(one).show(turned))).toEqual(['reasons'])
    expect(names(shown(one).show([row('reasons')]))).toEqual(['reasons'])
    expect(names(shown([row('reasons')]).show(one))).toEqual(['reasons'])
  })

  test('rows that stay among others keep their objects, with what is new in them', () => {
    const tree = shown([row('a', '1'), row('b', '1')])
    const [, b] = tree.roots
    expect(names(tree.show([row('b', '2'), row('c')]))).toBe('all')
    expect(tree.roots[0]).toBe(b)
    expect(b.node.description).toBe('2')
  })

  test('what a row can do counts, and not only what it says', () => {
    const stop: ViewNode = { id: 'io', label: 'io', click: 'stop' }
    expect(names(shown([{ id: 'io', label: 'io' }]).show([stop]))).toEqual(['io'])
  })
})

test('a command gets the node of a row, or the node itself', () => {
  const node = row('cr3')
  expect(nodeOf({ node, children: [] })).toBe(node)
  expect(nodeOf(node)).toBe(node)
  expect(nodeOf(undefined)).toBe(undefined)
})
